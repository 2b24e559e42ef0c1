//! A batch: decoded record by record, grouped by order, answered with the records that failed.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::{
    Clock, DeadLetters, EpochMillis, MerchantId, OrderId, OrderKey, Orders, Payload, PortError,
    Provider, RecordClosing, Redelivery, Status, WebhookRecords, loggable, sha256_hex,
    short_digest,
};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};

use crate::apply::{self, Applicable, Applied, PrepareError, Prepared};
use crate::config::Config;
use crate::decode::decode;

/// Most orders worked on at the same time: each holds a connection.
const MAX_CONCURRENT_ORDERS: usize = 10;
/// The first wait after a transient failure, doubling with every receive.
const FIRST_WAIT_SECONDS: u32 = 5;
/// The longest wait after a transient failure.
const LONGEST_WAIT_SECONDS: u32 = 900;
/// A message whose processing panics at this receive, or later, is a dead letter.
const PANICS_UNTIL_RECEIVE: u32 = 2;

/// What the consumer needs from outside.
#[derive(Debug)]
pub struct Stores<R, O, Q, L, C> {
    /// The `webhooks` table.
    pub records: R,
    /// The `orders` table.
    pub orders: O,
    /// The queue the batch came from.
    pub queue: Q,
    /// Where hopeless messages go.
    pub dead_letters: L,
    /// The wall clock.
    pub clock: C,
}

/// Applies batches of queue messages.
#[derive(Debug)]
pub struct Consumer<R, O, Q, L, C> {
    config: Config,
    stores: Stores<R, O, Q, L, C>,
}

/// A failed record has no message id, so it cannot be reported alone: an empty id would be read as "all
/// failed" by some and as "none" by others. The invocation fails, and the whole batch comes again.
#[derive(Debug, thiserror::Error)]
#[error("a failed record has no message id")]
pub struct NamelessFailure;

/// Why a record was not applied.
#[derive(Clone, Debug)]
enum Failure {
    /// May succeed later; says what went wrong.
    Transient(String),
    /// Can never succeed.
    Permanent(&'static str),
    /// Processing it panicked.
    Panicked,
}

impl Failure {
    fn transient(error: &PortError) -> Self {
        Self::Transient(error.with_causes())
    }
}

/// What became of a record.
#[derive(Debug)]
enum Outcome {
    Applied(Applied),
    NotAnEvent(&'static str),
}

impl<R, O, Q, L, C> Consumer<R, O, Q, L, C>
where
    R: WebhookRecords + RecordClosing,
    O: Orders,
    Q: Redelivery,
    L: DeadLetters,
    C: Clock,
{
    /// A consumer.
    pub const fn new(config: Config, stores: Stores<R, O, Q, L, C>) -> Self {
        Self { config, stores }
    }

    /// Applies a batch and names the records that must come again.
    ///
    /// # Errors
    /// [`NamelessFailure`].
    pub async fn handle(&self, batch: SqsEvent) -> Result<SqsBatchResponse, NamelessFailure> {
        let messages = batch.records;
        let prepared = join_all(messages.iter().map(|message| self.prepare(message))).await;

        let mut abouts = Vec::with_capacity(messages.len());
        let mut results: Vec<Option<Result<Outcome, Failure>>> = Vec::with_capacity(messages.len());
        let mut orders: BTreeMap<OrderKey, Vec<(usize, Box<Applicable>)>> = BTreeMap::new();
        for (index, (about, prepared)) in prepared.into_iter().enumerate() {
            abouts.push(about);
            results.push(match prepared {
                Ok(Prepared::Apply(event)) => {
                    orders
                        .entry(event.order.clone())
                        .or_default()
                        .push((index, event));
                    None
                }
                Ok(Prepared::NotAnEvent(kept_as)) => Some(Ok(Outcome::NotAnEvent(kept_as))),
                Err(failure) => Some(Err(failure)),
            });
        }
        let applied: Vec<_> = stream::iter(orders)
            .map(|(order, events)| self.apply_order(order, events))
            .buffer_unordered(MAX_CONCURRENT_ORDERS)
            .collect()
            .await;
        for (index, result) in applied.into_iter().flatten() {
            if let Some(slot) = results.get_mut(index) {
                *slot = Some(result);
            }
        }

        let mut response = SqsBatchResponse::default();
        let finished = join_all(messages.iter().zip(&abouts).zip(results).map(
            |((message, about), result)| {
                // Every record has a result by now; one without would have been lost, so it comes again.
                self.finish(
                    message,
                    about.as_ref(),
                    result.unwrap_or(Err(Failure::Panicked)),
                )
            },
        ))
        .await;
        for (message, dealt_with) in messages.iter().zip(finished) {
            if !dealt_with {
                let id = message
                    .message_id
                    .clone()
                    .filter(|id| !id.is_empty())
                    .ok_or(NamelessFailure)?;
                response.batch_item_failures.push(failed_item(id));
            }
        }
        Ok(response)
    }

    async fn prepare(&self, message: &SqsMessage) -> (Option<About>, Result<Prepared, Failure>) {
        let payload = match caught(async { decode(message.body.as_deref()) }).await {
            Ok(Ok(payload)) => payload,
            Ok(Err(error)) => return (None, Err(Failure::Permanent(error.as_str()))),
            Err(panicked) => return (None, Err(panicked)),
        };
        let about = About::of(&payload);
        let prepared = caught(apply::prepare(&self.stores.records, payload))
            .await
            .and_then(|prepared| {
                prepared.map_err(|error| match error {
                    PrepareError::Port(error) => Failure::transient(&error),
                    PrepareError::Damaged(_) => Failure::Permanent("damaged_record"),
                })
            });
        (Some(about), prepared)
    }

    /// Applies the events of one order, which share one query, fold and save.
    async fn apply_order(
        &self,
        order: OrderKey,
        events: Vec<(usize, Box<Applicable>)>,
    ) -> Vec<(usize, Result<Outcome, Failure>)> {
        let Stores {
            records,
            orders,
            clock,
            ..
        } = &self.stores;
        let puts = events
            .iter()
            .map(|(_, event)| attempted(apply::put(orders, event)));
        let puts = join_all(puts).await;
        let mut results = Vec::with_capacity(events.len());
        let mut added = Vec::with_capacity(events.len());
        for ((index, event), put) in events.iter().zip(puts) {
            match put {
                Ok(()) => added.push((*index, event.as_ref())),
                Err(failure) => results.push((*index, Err(failure))),
            }
        }
        if added.is_empty() {
            return results;
        }
        let settled = &attempted(apply::settle(orders, &order)).await;
        let closed = added.into_iter().map(|(index, event)| async move {
            let closed = match settled {
                Ok(applied) => {
                    let closed_as = apply::closed_as(clock, self.config.retention, *applied);
                    attempted(apply::close(records, event, closed_as))
                        .await
                        .map(|()| Outcome::Applied(*applied))
                }
                Err(failure) => Err(failure.clone()),
            };
            (index, closed)
        });
        results.extend(join_all(closed).await);
        results
    }

    /// Logs what became of a record and arranges for what comes next; `true` when it is dealt with.
    async fn finish(
        &self,
        message: &SqsMessage,
        about: Option<&About>,
        result: Result<Outcome, Failure>,
    ) -> bool {
        let receives = receives(message);
        match result {
            Ok(outcome) => {
                self.log_success(message, about, &outcome, receives);
                true
            }
            Err(Failure::Permanent(reason)) => self.bury(message, about, reason, receives).await,
            Err(Failure::Panicked) if receives >= PANICS_UNTIL_RECEIVE => {
                self.bury(message, about, "panicked_again", receives).await
            }
            Err(Failure::Panicked) => {
                self.postpone(message, about, receives, "it panicked").await;
                false
            }
            Err(Failure::Transient(error)) => {
                self.postpone(message, about, receives, &error).await;
                false
            }
        }
    }

    /// Sends a hopeless message to the dead letters; `false` when they do not take it, so that it comes again.
    async fn bury(
        &self,
        message: &SqsMessage,
        about: Option<&About>,
        reason: &str,
        receives: u32,
    ) -> bool {
        let body = message.body.as_deref().unwrap_or_default();
        let buried = self
            .stores
            .dead_letters
            .bury(body, about.map(|about| &about.merchant_id))
            .await;
        let error = buried.as_ref().err().map(PortError::with_causes);
        let message_id = message.message_id.as_deref();
        let merchant = about.map(|about| about.merchant_id.as_str());
        let webhook = about.map(|about| about.webhook.as_str());
        tracing::error!(
            message_id,
            merchant,
            webhook,
            outcome = "dead_letter",
            reason,
            receives,
            error,
            DeadLettered = 1_u64,
            "record can never be applied"
        );
        buried.is_ok()
    }

    /// Brings a message back soon at first, and ever later. If that fails it comes after the queue's own
    /// visibility timeout.
    async fn postpone(
        &self,
        message: &SqsMessage,
        about: Option<&About>,
        receives: u32,
        error: &str,
    ) {
        let message_id = message.message_id.as_deref();
        let merchant = about.map(|about| about.merchant_id.as_str());
        let webhook = about.map(|about| about.webhook.as_str());
        let wait_seconds = wait_seconds(message_id.unwrap_or_default(), receives);
        tracing::warn!(
            message_id,
            merchant,
            webhook,
            outcome = "failed",
            receives,
            wait_seconds,
            error,
            Retried = 1_u64,
            "record failed"
        );
        if let Some(handle) = &message.receipt_handle
            && let Err(error) = self.stores.queue.postpone(handle, wait_seconds).await
        {
            tracing::warn!(
                message_id,
                error = error.with_causes(),
                "redelivery not rescheduled"
            );
        }
    }

    fn log_success(
        &self,
        message: &SqsMessage,
        about: Option<&About>,
        outcome: &Outcome,
        receives: u32,
    ) {
        let message_id = message.message_id.as_deref();
        let provider = about.map(|about| about.provider.as_str());
        let merchant = about.map(|about| about.merchant_id.as_str());
        let order = about
            .and_then(|about| about.order_id.as_ref())
            .map(|id| loggable(id.as_str()));
        let order = order.as_deref();
        let webhook = about.map(|about| about.webhook.as_str());
        let now = self.stores.clock.now_ms();
        let waited = about.map(|about| now.since(about.received_at_ms).as_millis());
        macro_rules! line {
            ($level:ident, $outcome:expr, $message:literal $(, $field:ident = $value:expr)*) => {
                tracing::$level!(
                    message_id,
                    provider,
                    merchant,
                    order,
                    webhook,
                    outcome = $outcome,
                    receives,
                    $($field = $value,)*
                    $message
                )
            };
        }
        match outcome {
            Outcome::Applied(Applied::Applied { status, saved }) => {
                line!(
                    info,
                    "applied",
                    "record applied",
                    status = status.map(Status::as_str),
                    saved = *saved,
                    Applied = 1_u64,
                    ApplyDelayMs = waited
                );
            }
            Outcome::Applied(Applied::BeyondBound) => {
                line!(
                    error,
                    "beyond_bound",
                    "order has too many events, its state stands still",
                    saved = false,
                    BeyondBound = 1_u64
                );
            }
            Outcome::NotAnEvent(kept_as) => {
                line!(warn, *kept_as, "record has no event");
            }
        }
    }
}

/// What a log line says about a record: nothing personal, nothing unbounded.
#[derive(Debug)]
struct About {
    provider: Provider,
    merchant_id: MerchantId,
    order_id: Option<OrderId>,
    webhook: String,
    received_at_ms: EpochMillis,
}

impl About {
    fn of(payload: &Payload) -> Self {
        let (provider, merchant_id, order_id, webhook_pk, received_at_ms) = match payload {
            Payload::Event(forwarded) => {
                let event = &forwarded.event;
                let order_id = Some(&event.order_id);
                (
                    event.provider,
                    &event.merchant_id,
                    order_id,
                    &forwarded.webhook_pk,
                    event.received_at_ms,
                )
            }
            Payload::Record(record) => (
                record.provider,
                &record.merchant_id,
                None,
                &record.webhook_pk,
                record.received_at_ms,
            ),
        };
        Self {
            provider,
            merchant_id: merchant_id.clone(),
            order_id: order_id.cloned(),
            webhook: short_digest(webhook_pk.as_str()),
            received_at_ms,
        }
    }
}

/// How often the queue has handed the message out, this time included.
fn receives(message: &SqsMessage) -> u32 {
    message
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}

/// Half to one and a half of a wait that doubles with every receive, spread by the message's id so that
/// what failed together does not come back together.
fn wait_seconds(message_id: &str, receives: u32) -> u32 {
    let doublings = receives.saturating_sub(1).min(16);
    let wait = FIRST_WAIT_SECONDS
        .saturating_mul(1 << doublings)
        .min(LONGEST_WAIT_SECONDS);
    let spread = sha256_hex(format!("{message_id}#{receives}").as_bytes());
    let spread = u32::from_str_radix(spread.get(..6).unwrap_or_default(), 16).unwrap_or_default();
    (wait / 2 + spread % wait).clamp(1, LONGEST_WAIT_SECONDS)
}

fn failed_item(item_identifier: String) -> BatchItemFailure {
    let mut item = BatchItemFailure::default();
    item.item_identifier = item_identifier;
    item
}

/// Makes calls so that an error or a panic in them is the failure of those who need them, and of nobody else.
async fn attempted<T>(calls: impl Future<Output = Result<T, PortError>>) -> Result<T, Failure> {
    caught(calls)
        .await
        .and_then(|result| result.map_err(|error| Failure::transient(&error)))
}

/// Runs a piece of work so that a panic in it is the failure of that piece alone.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    aws::caught(work)
        .await
        .map_err(|aws::Panicked| Failure::Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_record_comes_back_within_seconds_at_first_and_within_a_quarter_of_an_hour_always() {
        for id in ["a", "b", "c"] {
            assert!(
                (2..=8).contains(&wait_seconds(id, 1)),
                "{}",
                wait_seconds(id, 1)
            );
            assert!((2..=8).contains(&wait_seconds(id, 0)));
            for receives in 9..60 {
                assert!((450..=900).contains(&wait_seconds(id, receives)));
            }
        }
    }
}
