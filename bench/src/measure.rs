//! Cold starts and warm invocations of one contestant.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contestants::{Contestant, Role};
use crate::environment::{Environment, Invocation, Launch};
use crate::samples::Samples;
use crate::services::{Services, Tally};

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Effort {
    /// Processes that are started for each contestant, each measured cold and then warm.
    pub(crate) rounds: usize,
    /// Invocations of a process that are not counted, the first one excepted.
    pub(crate) discarded: usize,
    /// Invocations of a process that are.
    pub(crate) counted: usize,
    /// Pause between invocations, in milliseconds.
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

/// What one process showed. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// From the start of the process to its first poll.
    pub(crate) first_poll: f64,
    /// From the start of the process to its first answer.
    pub(crate) first_response: f64,
    /// From the first event to its answer.
    pub(crate) first_invocation: f64,
    /// Processor time until the first poll.
    pub(crate) init_cpu: f64,
    /// Processor time until the second poll.
    pub(crate) cold_cpu: f64,
    /// Median of a warm invocation.
    pub warm_p50: f64,
    /// 99th percentile of warm invocations.
    pub warm_p99: f64,
    /// Processor time of a warm invocation, mean.
    pub(crate) warm_cpu: f64,
    /// What the calls of a warm invocation waited for in the services, mean of one call.
    pub(crate) call_wait: f64,
    /// Most memory in use, in MiB.
    pub(crate) peak_rss_mib: f64,
    /// What the first invocation asked of the services.
    pub(crate) cold_calls: Tally,
    /// What the counted invocations asked of the services.
    pub(crate) warm_calls: Tally,
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
        }
    }
}

/// Starts one process and measures it.
///
/// # Errors
/// When an invocation fails, or is answered wrongly.
pub(crate) fn round(
    contestant: &Contestant,
    services: &Services,
    events: &mut Events<'_>,
    effort: Effort,
    launch: &Launch,
) -> Result<Round> {
    let mut invoke = |environment: &mut Environment| -> Result<Invocation> {
        let event = events.next(contestant.role);
        let invocation = environment.invoke(event)?;
        check(contestant, &invocation)?;
        std::thread::sleep(Duration::from_millis(effort.pause_ms));
        Ok(invocation)
    };
    services.take_tally();
    let mut environment = Environment::start(contestant, services, launch)?;
    let ready = environment.idle()?;
    let first = invoke(&mut environment)?;
    let cold_calls = services.take_tally();
    for _ in 0..effort.discarded {
        invoke(&mut environment)?;
    }
    services.take_tally();
    let before = environment.idle()?;
    let mut walls = Vec::with_capacity(effort.counted);
    for _ in 0..effort.counted {
        walls.push(ms(invoke(&mut environment)?.wall()));
    }
    let after = environment.idle()?;
    let warm_calls = services.take_tally();
    let counted = effort.counted.max(1) as f64;
    Ok(Round {
        first_poll: ms(ready.at - environment.started()),
        // Without what it takes to impose a quota.
        first_response: ms(ready.at - environment.started()) + ms(first.wall()),
        first_invocation: ms(first.wall()),
        init_cpu: ms(ready.cpu),
        cold_cpu: ms(first.polled.cpu),
        warm_p50: percentile(&mut walls, 0.50),
        warm_p99: percentile(&mut walls, 0.99),
        warm_cpu: ms(after.cpu - before.cpu) / counted,
        call_wait: warm_calls.waited_us as f64 / 1_000.0 / warm_calls.calls().max(1) as f64,
        peak_rss_mib: environment.peak_rss_kib()? as f64 / 1_024.0,
        cold_calls,
        warm_calls,
    })
}

/// A wrong answer is no fast one.
pub(crate) fn check(contestant: &Contestant, invocation: &Invocation) -> Result<()> {
    let answer: Value = serde_json::from_slice(&invocation.answer).unwrap_or_default();
    let right = if contestant.role.is_webhook() {
        answer["statusCode"] == 200
            && answer["body"]
                .as_str()
                .is_some_and(|body| body.contains("accepted"))
    } else {
        answer["batchItemFailures"]
            .as_array()
            .is_some_and(Vec::is_empty)
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
