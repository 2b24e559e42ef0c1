//! What measured, and what was measured: a number without them says little.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// The machine, its tools, and the source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's model.
    pub(crate) processor: String,
    /// Threads that it runs at the same time.
    pub(crate) processors: usize,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Versions of the compiler and the interpreters.
    pub(crate) tools: Vec<String>,
    /// Mean number of running processes in the minute before.
    pub(crate) load: String,
    /// The commit; `+` behind it means that something was not committed.
    pub(crate) commit: String,
    /// The day, as `YYYY-MM-DD` in UTC.
    pub(crate) date: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here(repository: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown", |(_, model)| model.trim());
        let git =
            |arguments: &[&str]| said(Command::new("git").args(arguments).current_dir(repository));
        let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Self {
            processor: processor.to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: said(Command::new("uname").arg("-sr")),
            tools: [
                ["rustc", "--version"],
                ["node", "--version"],
                ["python3", "--version"],
            ]
            .map(|[program, argument]| {
                format!("{program}: {}", said(Command::new(program).arg(argument)))
            })
            .to_vec(),
            load: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| Some(text.split(' ').next()?.to_owned()))
                .unwrap_or_default(),
            commit: format!(
                "{}{}",
                git(&["rev-parse", "--short=10", "HEAD"]),
                if is_changed { "+" } else { "" }
            ),
            date: said(Command::new("date").args(["-u", "+%F"])),
        }
    }
}

/// What all processors of the machine did since it was started, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessorTime {
    /// Whatever it was.
    pub(crate) all: u64,
    /// Not idle.
    pub(crate) busy: u64,
}

/// Reads it.
///
/// # Errors
/// When the kernel does not say so in `/proc/stat`.
pub(crate) fn processor_time() -> Result<ProcessorTime> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .context("/proc/stat is empty")?
        .split_whitespace()
        .skip(1)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let all = ticks.iter().sum();
    // The fourth and the fifth: idle, and idle while a disk is waited for.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok(ProcessorTime {
        all,
        busy: all - idle,
    })
}

/// What a command prints; nothing when it cannot be run.
fn said(command: &mut Command) -> String {
    command
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
