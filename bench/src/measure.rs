//! Cold starts and warm invocations of one contestant.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contestants::{Contestant, Kind, Role};
use crate::environment::{Environment, Invocation, Launch};
use crate::samples::Samples;
use crate::services::{Services, Tally};

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Effort {
    /// Processes of each contestant that are measured until their first answer.
    pub(crate) cold_starts: usize,
    /// Pause before each of them, in milliseconds, so that what the one before left to do is done.
    pub(crate) rest_ms: u64,
    /// Processes of each contestant that are measured warm.
    pub(crate) rounds: usize,
    /// Invocations of such a process that are not counted.
    pub(crate) discarded: usize,
    /// Invocations of such a process that are.
    pub(crate) counted: usize,
    /// Pause after an invocation, in milliseconds.
    pub(crate) pause_ms: u64,
}

impl Effort {
    /// Of a consumer, whose batches take longer.
    pub(crate) const fn of_batches(self) -> Self {
        Self {
            discarded: self.discarded / 4,
            counted: self.counted / 4,
            ..self
        }
    }
}

/// What the start of one process showed. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cold {
    /// From the start of the process to its first poll.
    pub(crate) first_poll: f64,
    /// From the start of the process to its first answer.
    pub(crate) first_response: f64,
    /// From the first event to its answer.
    pub(crate) first_invocation: f64,
    /// Processor time until the first poll.
    pub(crate) init_cpu: f64,
    /// Processor time until the second poll.
    pub(crate) cpu: f64,
    /// What the first invocation asked of the services.
    pub(crate) calls: Tally,
}

/// What the warm invocations of one process showed. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Warm {
    /// The median.
    pub(crate) p50: f64,
    /// The 99th percentile.
    pub(crate) p99: f64,
    /// Processor time of one, mean.
    pub(crate) cpu: f64,
    /// What their calls waited for in the services, mean of one call.
    pub(crate) call_wait: f64,
    /// Most memory in use, in MiB.
    pub(crate) peak_rss_mib: f64,
    /// What they asked of the services.
    pub(crate) calls: Tally,
}

/// Gives out events with ids that no other event has.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    samples: &'a Samples,
    given: usize,
}

impl<'a> Events<'a> {
    /// The first is number 0.
    pub(crate) const fn new(samples: &'a Samples) -> Self {
        Self { samples, given: 0 }
    }

    /// The next one for a role.
    pub(crate) fn next(&mut self, role: Role) -> String {
        self.given += 1;
        match role {
            Role::ArmadaWebhook | Role::IdempotentWebhook => self.samples.armada(self.given),
            Role::ShipdayWebhook => self.samples.shipday(self.given),
            Role::Consumer | Role::SingleUpdateConsumer => self.samples.batch(self.given),
            Role::Publisher => self.samples.change(self.given),
        }
    }
}

/// Starts a process and measures it until its first answer.
///
/// # Errors
/// When that fails, or the answer is wrong.
pub(crate) fn cold(
    contestant: &Contestant,
    services: &Services,
    events: &mut Events<'_>,
    effort: Effort,
    launch: &Launch,
) -> Result<Cold> {
    thread::sleep(Duration::from_millis(effort.rest_ms));
    services.take_tally();
    let mut environment = Environment::start(contestant, services, launch)?;
    let ready = environment.idle()?;
    let first = environment.invoke(events.next(contestant.role))?;
    check(contestant, &first)?;
    let first_poll = ms(ready.at - environment.started());
    Ok(Cold {
        first_poll,
        // Without what it takes to impose a quota.
        first_response: first_poll + ms(first.wall()),
        first_invocation: ms(first.wall()),
        init_cpu: ms(ready.cpu),
        cpu: ms(first.polled.cpu),
        calls: services.take_tally(),
    })
}

/// Starts a process and measures it once it is warm.
///
/// # Errors
/// When an invocation fails, or is answered wrongly.
pub(crate) fn warm(
    contestant: &Contestant,
    services: &Services,
    events: &mut Events<'_>,
    effort: Effort,
    launch: &Launch,
) -> Result<Warm> {
    let mut environment = Environment::start(contestant, services, launch)?;
    let mut invoke = |environment: &mut Environment| -> Result<Duration> {
        let invocation = environment.invoke(events.next(contestant.role))?;
        check(contestant, &invocation)?;
        thread::sleep(Duration::from_millis(effort.pause_ms));
        Ok(invocation.wall())
    };
    for _ in 0..effort.discarded {
        invoke(&mut environment)?;
    }
    services.take_tally();
    let before = environment.idle()?;
    let mut walls = Vec::with_capacity(effort.counted);
    for _ in 0..effort.counted {
        walls.push(ms(invoke(&mut environment)?));
    }
    let after = environment.idle()?;
    let calls = services.take_tally();
    Ok(Warm {
        p50: percentile(&mut walls, 0.50),
        p99: percentile(&mut walls, 0.99),
        cpu: ms(after.cpu - before.cpu) / effort.counted.max(1) as f64,
        call_wait: calls.waited_us as f64 / 1_000.0 / calls.calls().max(1) as f64,
        peak_rss_mib: environment.peak_rss_kib()? as f64 / 1_024.0,
        calls,
    })
}

/// A wrong answer is no fast one.
pub(crate) fn check(contestant: &Contestant, invocation: &Invocation) -> Result<()> {
    let answer: Value = serde_json::from_slice(&invocation.answer).unwrap_or_default();
    let right = match contestant.role.kind() {
        Kind::Webhook => {
            let body = answer["body"].as_str();
            answer["statusCode"] == 200 && body.is_some_and(|body| body.contains("accepted"))
        }
        Kind::Consumer | Kind::Publisher => {
            let failures = answer["batchItemFailures"].as_array();
            failures.is_some_and(Vec::is_empty)
        }
    };
    ensure!(right, "{} answered {answer}", contestant.name);
    Ok(())
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The smallest value that so many are not above; 0 of none.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}
