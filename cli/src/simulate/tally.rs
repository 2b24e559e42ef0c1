//! How the sending went: answers, those that were not expected, latencies, and the rate.

use std::collections::BTreeMap;
use std::time::Duration;

use super::expectation::{Answered, Expected};
use super::plan::Delivery;

/// Most unexpected answers that are told one by one.
const EXAMPLES: usize = 20;

/// What is counted while webhooks are sent.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: u64,
    last_sent: Duration,
    answers: BTreeMap<Answered, u64>,
    /// In microseconds, one for each answer.
    latencies: Vec<u32>,
    unexpected: u64,
    examples: Vec<Unexpected>,
    failure: Option<String>,
}

/// An answer that is not the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unexpected {
    /// The order's number in the run.
    pub(super) order: u32,
    pub(super) expected: Expected,
    pub(super) answered: Answered,
}

/// How long answers took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Tally {
    /// A webhook is sent for the first time, so long after the beginning.
    pub(super) fn sends(&mut self, after: Duration) {
        self.sent += 1;
        self.last_sent = self.last_sent.max(after);
    }

    /// An answer came, or none.
    pub(super) fn answered(&mut self, answered: Answered, took: Duration, failure: Option<String>) {
        *self.answers.entry(answered).or_default() += 1;
        if answered != Answered::Nothing {
            let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
            self.latencies.push(micros);
        }
        if self.failure.is_none() {
            self.failure = failure;
        }
    }

    /// A webhook has its last answer.
    pub(super) fn ends(&mut self, delivery: &Delivery, answered: Answered) {
        let expected = delivery.expected;
        if expected.is_met_by(answered) {
            return;
        }
        self.unexpected += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(Unexpected {
                order: delivery.order,
                expected,
                answered,
            });
        }
    }

    /// How many webhooks were sent, each counted once.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// How often each answer came, tries that were repeated included.
    pub(super) const fn answers(&self) -> &BTreeMap<Answered, u64> {
        &self.answers
    }

    /// How often one answer came.
    pub(super) fn count(&self, answered: Answered) -> u64 {
        self.answers.get(&answered).copied().unwrap_or_default()
    }

    /// How many webhooks ended with an answer that is not the right one.
    pub(super) const fn unexpected(&self) -> u64 {
        self.unexpected
    }

    /// The first of these.
    pub(super) fn examples(&self) -> &[Unexpected] {
        &self.examples
    }

    /// Why the first webhook that was not answered was not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Webhooks in a second, from the first to the last; `None` of fewer than two.
    pub(super) fn reached_rate(&self) -> Option<f64> {
        let seconds = self.last_sent.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let steps = self.sent.saturating_sub(1) as f64;
        (seconds > 0.0 && steps > 0.0).then(|| steps / seconds)
    }

    /// How long answers took; `None` when there was none.
    pub(super) fn latency(&self) -> Option<Latency> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        // The smallest that so many hundredths of all do not exceed.
        let percentile = |hundredths: usize| {
            let rank = (sorted.len() * hundredths).div_ceil(100);
            let micros = sorted.get(rank.checked_sub(1)?)?;
            Some(f64::from(*micros) / 1_000.0)
        };
        Some(Latency {
            p50: percentile(50)?,
            p90: percentile(90)?,
            p99: percentile(99)?,
            max: percentile(100)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_latency_that_so_many_do_not_exceed() {
        let mut tally = Tally::default();
        assert_eq!(tally.latency(), None);

        for millis in (1..=200).rev() {
            tally.answered(Answered::Accepted, Duration::from_millis(millis), None);
        }

        let expected = Latency {
            p50: 100.0,
            p90: 180.0,
            p99: 198.0,
            max: 200.0,
        };
        assert_eq!(tally.latency(), Some(expected));
    }

    #[test]
    fn the_rate_is_counted_between_the_first_and_the_last() {
        let mut tally = Tally::default();
        assert_eq!(tally.reached_rate(), None);

        for number in 0..=50 {
            tally.sends(Duration::from_millis(20 * number));
        }

        assert_eq!(tally.reached_rate(), Some(50.0));
    }
}
