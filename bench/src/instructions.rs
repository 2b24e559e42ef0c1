//! Instructions in user space, counted by Valgrind's callgrind: what noise would hide.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::contestants::Contestant;
use crate::environment::{Environment, Launch};
use crate::measure::Events;
use crate::services::Services;

/// Invocations over which the warm count is a mean.
const WARM: usize = 50;

/// Instructions of one contestant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Instructions {
    /// Until the first poll, and the end of the process.
    pub(crate) init: u64,
    /// Of the first invocation.
    pub(crate) first_invocation: u64,
    /// Of a warm invocation, mean.
    pub(crate) warm_invocation: u64,
}

/// Whether Valgrind is there.
pub(crate) fn can_count() -> bool {
    std::process::Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Counts a contestant's, in three processes.
///
/// # Errors
/// When it fails, or Valgrind writes no total.
pub(crate) fn count(
    contestant: &Contestant,
    services: &Services,
    events: &mut Events<'_>,
    folder: &Path,
) -> Result<Instructions> {
    let mut total = |invocations| total(contestant, services, events, folder, invocations);
    let init = total(0)?;
    let one = total(1)?;
    let many = total(1 + WARM)?;
    Ok(Instructions {
        init,
        first_invocation: one.saturating_sub(init),
        warm_invocation: many.saturating_sub(one) / WARM as u64,
    })
}

fn total(
    contestant: &Contestant,
    services: &Services,
    events: &mut Events<'_>,
    folder: &Path,
    invocations: usize,
) -> Result<u64> {
    let file = folder.join(format!("callgrind.{}", contestant.name));
    let launch = Launch {
        under: vec![
            "valgrind".to_owned(),
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", file.display()),
        ],
        quota: None,
    };
    let mut environment = Environment::start(contestant, services, &launch)?;
    environment.idle()?;
    for _ in 0..invocations {
        environment.invoke(events.next(contestant.role))?;
    }
    environment.end()?;
    let profile = fs::read_to_string(&file)?;
    profile
        .lines()
        .find_map(|line| {
            line.strip_prefix("totals: ")
                .or(line.strip_prefix("summary: "))
        })
        .and_then(|total| total.trim().parse().ok())
        .with_context(|| format!("no total in {}", file.display()))
}
