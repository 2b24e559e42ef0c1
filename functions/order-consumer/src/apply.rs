//! One order's events: put the entries, query, fold, save, close the records.

use domain::{
    BodySha256, Clock, ClosedAs, Interpretation, MAX_EVENTS_PER_ORDER, Millis, OrderKey, Orders,
    Payload, PortError, RecordClosing, RecordState, Status, TimelineEntry, WebhookKey,
    WebhookRecord, WebhookRecords, fold, record,
};
use providers::adapter;

/// An event on its way into its order's timeline.
pub(crate) struct Applicable {
    pub(crate) order: OrderKey,
    pub(crate) entry: TimelineEntry,
    pub(crate) webhook_pk: WebhookKey,
    pub(crate) body_sha256: BodySha256,
}

/// What a message asks for.
pub(crate) enum Prepared {
    /// Its event is to be applied.
    Apply(Box<Applicable>),
    /// There is no event in it; the word says what its record is, if it is written.
    NotAnEvent(&'static str),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is in the timeline, and the order's state says so.
    Applied { status: Option<Status>, saved: bool },
    /// It is in the timeline, but the order has too many events for its state to follow.
    BeyondBound,
}

/// A stored body does not fit its record: no later try can help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("the record in the message cannot be restored")]
    Damaged(#[source] domain::BodyError),
}

/// Makes a message's event ready. A record that was never written, because the table did not answer when
/// it arrived, is written here first, by the very function that ingest uses: until then the message is
/// its only copy.
pub(crate) async fn prepare<R>(records: &R, payload: Payload) -> Result<Prepared, PrepareError>
where
    R: WebhookRecords + RecordClosing,
{
    match payload {
        Payload::Event(forwarded) => {
            let domain::ForwardedEvent {
                webhook_pk,
                body_sha256,
                event,
            } = *forwarded;
            Ok(applicable(event, webhook_pk, body_sha256))
        }
        Payload::Record(new) => prepare_record(records, *new).await,
    }
}

async fn prepare_record<R>(records: &R, new: WebhookRecord) -> Result<Prepared, PrepareError>
where
    R: WebhookRecords + RecordClosing,
{
    let webhook = new.webhook().map_err(PrepareError::Damaged)?;
    let reading = adapter(new.provider).read(&webhook);
    let Some(state) = reading.interpretation.initial_state() else {
        return Ok(Prepared::NotAnEvent("ignored"));
    };
    let recording = record(records, &new, state, reading.order.as_ref()).await?;
    if let Interpretation::Event(event) = reading.interpretation {
        return Ok(applicable(*event, recording.key, new.body_sha256));
    }
    // The record may be there as pending, written by a receiver with an older mapping.
    let closed_as = if state == RecordState::Unmapped {
        ClosedAs::Unmapped
    } else {
        ClosedAs::Quarantined
    };
    records
        .close(&recording.key, &new.body_sha256, closed_as)
        .await?;
    Ok(Prepared::NotAnEvent(state.as_str()))
}

fn applicable(
    event: domain::OrderEvent,
    webhook_pk: WebhookKey,
    body_sha256: BodySha256,
) -> Prepared {
    let order = event.order_key();
    let entry = TimelineEntry::new(event, webhook_pk.clone());
    Prepared::Apply(Box::new(Applicable {
        order,
        entry,
        webhook_pk,
        body_sha256,
    }))
}

/// Adds an event to its order's timeline.
pub(crate) async fn put<O: Orders>(orders: &O, event: &Applicable) -> Result<(), PortError> {
    orders
        .put_entry(&event.order, &event.entry)
        .await
        .map(|_| ())
}

/// Brings the order's state up to its timeline.
pub(crate) async fn settle<O: Orders>(orders: &O, order: &OrderKey) -> Result<Applied, PortError> {
    let timeline = orders.read(order).await?;
    if timeline.entries.len() > MAX_EVENTS_PER_ORDER {
        return Ok(Applied::BeyondBound);
    }
    let folded = fold(adapter(order.provider), timeline.entries).state;
    let status = folded.status;
    // Equal states are not written again: no cost, and nothing for a reader of the table's stream.
    let saved = timeline.state.as_ref() != Some(&folded);
    if saved {
        orders.save(order, &folded).await?;
    }
    Ok(Applied::Applied { status, saved })
}

/// Closes the record of an event that was settled.
pub(crate) async fn close<R: RecordClosing>(
    records: &R,
    event: &Applicable,
    closed_as: ClosedAs,
) -> Result<(), PortError> {
    records
        .close(&event.webhook_pk, &event.body_sha256, closed_as)
        .await
        .map(|_| ())
}

/// As what the record of a settled event is closed.
pub(crate) fn closed_as<C: Clock>(clock: &C, retention: Millis, applied: Applied) -> ClosedAs {
    match applied {
        Applied::Applied { .. } => ClosedAs::Applied {
            expires_at: clock.now_ms() + retention,
        },
        Applied::BeyondBound => ClosedAs::Quarantined,
    }
}
