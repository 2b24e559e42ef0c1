//! The share of a processor that Lambda gives a function by its memory, as a quota of a control group.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

/// Memory for which Lambda gives one whole processor, in MB.
const MB_PER_PROCESSOR: f64 = 1_769.0;
/// The period in which the share is counted, in microseconds, as measured in Lambda.
const PERIOD_US: u64 = 20_000;
/// Where the groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// The share of a processor that a function with so much memory has.
pub(crate) fn share(memory_mb: u32) -> f64 {
    f64::from(memory_mb) / MB_PER_PROCESSOR
}

/// A group of its own for one process.
#[derive(Debug)]
pub(crate) struct Quota {
    group: PathBuf,
}

impl Quota {
    /// Makes the group.
    ///
    /// # Errors
    /// When this user may not, or the kernel has no such groups.
    pub(crate) fn prepare(share: f64) -> Result<Self> {
        let quota_us = (share * PERIOD_US as f64).round() as u64;
        let name = format!(
            "delivery-webhooks-bench-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let version_1 = Path::new(ROOT).join("cpu");
        let group = if version_1.is_dir() {
            version_1.join(name)
        } else {
            Path::new(ROOT).join(name)
        };
        fs::create_dir(&group).with_context(|| {
            format!(
                "a processor quota needs the right to make {}",
                group.display()
            )
        })?;
        let made = Self { group };
        if version_1.is_dir() {
            made.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
            made.write("cpu.cfs_quota_us", &quota_us.to_string())?;
        } else if made.group.join("cpu.max").exists() {
            made.write("cpu.max", &format!("{quota_us} {PERIOD_US}"))?;
        } else {
            bail!("the processor controller is off: write +cpu into {ROOT}/cgroup.subtree_control");
        }
        Ok(made)
    }

    /// Holds a process to it from now on.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn impose(&mut self, process: Pid) -> Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.group.join(file);
        fs::write(&path, value).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // The process may still be in it; an empty group left behind harms nobody.
        let _ = fs::remove_dir(&self.group);
    }
}
