//! How large what is deployed is, packed and unpacked.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::contestants::Contestant;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Package {
    /// Of the files.
    pub(crate) bytes: u64,
    /// Of the archive.
    pub(crate) zip_bytes: u64,
}

/// Packs a contestant as `sam package` would.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn pack(contestant: &Contestant) -> Result<Package> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pack.py");
    let output = Command::new("python3")
        .arg(script)
        .args(&contestant.package)
        .output()
        .context("cannot run python3")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut sizes = said.split_whitespace().map(str::parse);
    match (sizes.next(), sizes.next()) {
        (Some(Ok(bytes)), Some(Ok(zip_bytes))) => Ok(Package { bytes, zip_bytes }),
        _ => anyhow::bail!("{} cannot be packed", contestant.name),
    }
}
