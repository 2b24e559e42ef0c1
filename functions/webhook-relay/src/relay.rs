//! One run: find what is overdue, claim it, read it again, send it.

use std::time::Duration;

use domain::{
    Claim, ClaimOutcome, Clock, CloseOutcome, EventBatches, FirstShard, Interpretation,
    MAX_FORWARD_ATTEMPTS, Millis, Overdue, PendingRecords, PortError, QueueMessage, SetAside,
    short_digest,
};
use futures_util::future::join_all;
use providers::adapter;
use serde::Serialize;
use tokio::time::Instant;

/// How long a run may go on claiming; the function's own timeout is 60 s.
const RUN_BUDGET: Duration = Duration::from_secs(40);
/// Most records that one run takes.
const MAX_PER_RUN: usize = 5_000;
/// Records claimed at the same time and sent together: one request to the queue.
const BATCH: usize = 10;
/// From so many waiting messages on, what looks lost may only be waiting in the queue.
const BACKED_UP_FROM: u64 = 1_000;
/// Overdue for so long, a record is sent even while the queue is backed up: a guard without an end would leave
/// it pending for ever.
const LONG_OVERDUE: Millis = Millis::from_seconds(30 * 60);
/// Most records that one run takes while the queue is backed up.
const MAX_WHILE_BACKED_UP: usize = 100;

/// What the relay needs from outside.
#[derive(Debug)]
pub struct Stores<R, Q, C, S> {
    /// The `webhooks` table.
    pub records: R,
    /// Where events go.
    pub queue: Q,
    /// The wall clock.
    pub clock: C,
    /// Where a run begins.
    pub first_shard: S,
}

/// Sends again what was not applied in time.
#[derive(Debug)]
pub struct Relay<R, Q, C, S> {
    stores: Stores<R, Q, C, S>,
}

/// What a run did, in numbers of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Whether the queue was so full that most records were left alone.
    pub backed_up: bool,
    /// Overdue in the index, as far as the run looked.
    pub overdue: usize,
    /// By how much the longest overdue one was, in milliseconds.
    pub longest_overdue_ms: u64,
    /// How long ago the oldest of them was received, in seconds: at least so long where it was left alone.
    pub oldest_pending_seconds: u64,
    /// Left alone, because the queue is backed up and they are not overdue for long.
    pub left_waiting: usize,
    /// Claimed, and nobody else's any more.
    pub claimed: usize,
    /// Sent again.
    pub sent: usize,
    /// Parked after the last attempt.
    pub parked: usize,
    /// Closed, because today's mapping has no event for them.
    pub unmapped: usize,
    /// Closed, because they cannot be read.
    pub quarantined: usize,
}

/// A run ended at a call that did not succeed. What it did not get to, a later run does.
#[derive(Debug, thiserror::Error)]
#[error("the run ended early, {} of {} overdue records were sent", report.sent, report.overdue)]
pub struct RunFailed {
    /// What it had done by then.
    pub report: RunReport,
    /// The call.
    #[source]
    pub source: PortError,
}

/// The next step of a claimed record.
enum Treatment {
    Send(Box<QueueMessage>),
    SetAside(SetAside),
}

impl<R, Q, C, S> Relay<R, Q, C, S>
where
    R: PendingRecords,
    Q: EventBatches,
    C: Clock,
    S: FirstShard,
{
    /// A relay.
    pub const fn new(stores: Stores<R, Q, C, S>) -> Self {
        Self { stores }
    }

    /// Makes one run, and writes one log line about it.
    ///
    /// # Errors
    /// [`RunFailed`], when a call did not succeed. The run ends there, so that attempts are counted only while
    /// table and queue answer.
    pub async fn run(&self) -> Result<RunReport, RunFailed> {
        let mut report = RunReport::default();
        let result = self.run_into(&mut report).await;
        log(&report, result.as_ref().err());
        match result {
            Ok(()) => Ok(report),
            Err(source) => Err(RunFailed { report, source }),
        }
    }

    async fn run_into(&self, report: &mut RunReport) -> Result<(), PortError> {
        let started = Instant::now();
        report.backed_up = self.stores.queue.waiting().await? >= BACKED_UP_FROM;
        let most = if report.backed_up {
            MAX_WHILE_BACKED_UP
        } else {
            MAX_PER_RUN
        };
        // Another shard first each time: a record that ends every run does not stand before the same others.
        for shard in self.stores.first_shard.draw().and_all_others() {
            let now = self.stores.clock.now_ms();
            let found = self.stores.records.overdue(shard, now, MAX_PER_RUN).await?;
            let found = self.worth_sending(found, report);
            for batch in found.chunks(BATCH) {
                let room = most.saturating_sub(report.claimed);
                self.relay_batch(batch.get(..room).unwrap_or(batch), report)
                    .await?;
                if report.claimed >= most || started.elapsed() >= RUN_BUDGET {
                    return Ok(());
                }
            }
            if started.elapsed() >= RUN_BUDGET {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Leaves out what may only be waiting in the queue.
    fn worth_sending(&self, found: Vec<Overdue>, report: &mut RunReport) -> Vec<Overdue> {
        let now = self.stores.clock.now_ms();
        report.overdue += found.len();
        let (worth, waiting): (Vec<_>, Vec<_>) = found.into_iter().partition(|record| {
            let overdue_by = now.since(record.due_at_ms);
            report.longest_overdue_ms = report.longest_overdue_ms.max(overdue_by.as_millis());
            report.saw_pending_for(overdue_by);
            !report.backed_up || overdue_by >= LONG_OVERDUE
        });
        report.left_waiting += waiting.len();
        worth
    }

    /// Claims a few records, sends what has an event, and sets aside what has none or had its last attempt.
    /// What was claimed is dealt with even when another claim failed.
    async fn relay_batch(
        &self,
        batch: &[Overdue],
        report: &mut RunReport,
    ) -> Result<(), PortError> {
        let records = &self.stores.records;
        let now = self.stores.clock.now_ms();
        let claims = join_all(batch.iter().map(|overdue| records.claim(overdue, now))).await;
        let mut failure = None;
        let mut messages = Vec::new();
        let mut set_aside = Vec::new();
        for claim in claims {
            let claim = match claim {
                Ok(ClaimOutcome::Claimed(claim)) => claim,
                Ok(ClaimOutcome::Gone) => continue,
                // It may have been claimed, and its answer lost: it waits for one delay.
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            report.claimed += 1;
            if let Some(record) = &claim.record {
                report.saw_pending_for(now.since(record.received_at_ms));
            }
            match treatment(&claim) {
                Treatment::Send(message) => messages.push(*message),
                Treatment::SetAside(as_what) => set_aside.push((claim, as_what)),
            }
        }
        if !messages.is_empty() {
            match self.stores.queue.send_all(&messages).await {
                Ok(()) => report.sent += messages.len(),
                Err(error) => failure = Some(error),
            }
        }
        let aside = join_all(
            set_aside
                .iter()
                .map(|(claim, as_what)| records.set_aside(claim, *as_what)),
        )
        .await;
        for ((claim, as_what), outcome) in set_aside.iter().zip(aside) {
            match outcome {
                Ok(CloseOutcome::Closed) => report.set_aside(claim, *as_what),
                // The consumer was faster.
                Ok(CloseOutcome::NothingToClose) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// What is to be done with a claimed record, read with today's mapping.
fn treatment(claim: &Claim) -> Treatment {
    // Before the body is read, so that even a body that ends every run comes to its end.
    if claim.attempts > MAX_FORWARD_ATTEMPTS {
        return Treatment::SetAside(SetAside::Parked);
    }
    let webhook = claim
        .record
        .as_ref()
        .and_then(|record| Some((record, record.webhook().ok()?)));
    let Some((record, webhook)) = webhook else {
        return Treatment::SetAside(SetAside::Quarantined);
    };
    let event = match adapter(record.provider).read(&webhook).interpretation {
        Interpretation::Event(event) => *event,
        // Ignored: stored when a mapping thought it was needed, so a person decides what becomes of it.
        Interpretation::Ignored(_) | Interpretation::Unmapped(_) => {
            return Treatment::SetAside(SetAside::Unmapped);
        }
        Interpretation::Quarantined(_) => return Treatment::SetAside(SetAside::Quarantined),
    };
    let message = QueueMessage::event(claim.key.clone(), record.body_sha256.clone(), event);
    Treatment::Send(Box::new(message))
}

impl RunReport {
    fn saw_pending_for(&mut self, age: Millis) {
        self.oldest_pending_seconds = self.oldest_pending_seconds.max(age.as_millis() / 1_000);
    }

    fn set_aside(&mut self, claim: &Claim, as_what: SetAside) {
        match as_what {
            SetAside::Parked => self.parked += 1,
            SetAside::Unmapped => self.unmapped += 1,
            SetAside::Quarantined => self.quarantined += 1,
        }
        let merchant = claim
            .record
            .as_ref()
            .map(|record| record.merchant_id.as_str());
        tracing::error!(
            merchant,
            webhook = short_digest(claim.key.as_str()),
            record_state = as_what.state().as_str(),
            attempts = claim.attempts,
            "record set aside"
        );
    }
}

/// A metric's field is only there when it has something to say.
const fn some(number: usize) -> Option<usize> {
    if number == 0 { None } else { Some(number) }
}

fn log(report: &RunReport, failure: Option<&PortError>) {
    let RunReport {
        backed_up,
        overdue,
        longest_overdue_ms,
        oldest_pending_seconds,
        left_waiting,
        claimed,
        sent,
        parked,
        unmapped,
        quarantined,
    } = *report;
    let is_complete = failure.is_none();
    let error = failure.map(PortError::with_causes);
    macro_rules! line {
        ($level:ident, $outcome:literal) => {
            tracing::$level!(
                outcome = $outcome,
                backed_up,
                overdue,
                longest_overdue_ms,
                left_waiting,
                claimed,
                sent,
                parked,
                unmapped,
                quarantined,
                error,
                RelayRuns = is_complete.then_some(1_u64),
                OldestPendingSeconds = oldest_pending_seconds,
                Reforwarded = some(sent),
                Parked = some(parked),
                Unmapped = some(unmapped),
                Malformed = some(quarantined),
                BackedUp = backed_up.then_some(1_u64),
                "relay run"
            )
        };
    }
    if error.is_some() {
        line!(error, "failed");
    } else if overdue > 0 {
        line!(warn, "relayed");
    } else {
        line!(info, "nothing_overdue");
    }
}
