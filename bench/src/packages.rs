//! How large what is deployed is, packed and unpacked.

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::contestants::Contestant;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Package {
    /// Of the files.
    pub(crate) bytes: u64,
    /// Of the archive, deflated as `zip` does it unasked.
    pub(crate) zip_bytes: u64,
}

/// Packs a contestant.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn pack(contestant: &Contestant) -> Result<Package> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut bytes = 0;
    for path in &contestant.package {
        let root = path.parent().unwrap_or(path);
        add(&mut archive, root, path, &mut bytes)?;
    }
    let zip = archive.finish()?.into_inner();
    Ok(Package {
        bytes,
        zip_bytes: zip.len() as u64,
    })
}

fn add(
    archive: &mut ZipWriter<Cursor<Vec<u8>>>,
    root: &Path,
    path: &Path,
    bytes: &mut u64,
) -> Result<()> {
    if path.ends_with("__pycache__") {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            add(archive, root, &entry?.path(), bytes)?;
        }
        return Ok(());
    }
    let name = path.strip_prefix(root)?.display().to_string();
    archive.start_file(name, SimpleFileOptions::default())?;
    *bytes += io::copy(&mut File::open(path)?, archive)?;
    Ok(())
}
