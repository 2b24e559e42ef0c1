//! A batch of the table's stream or of the publisher's own queue, read record by record.

use aws::{StateWrite, read_state_write};
use aws_lambda_events::sqs::SqsMessage;
use domain::{HeldMessage, OrderKey, StatusChange, ToldOf};
use serde::Deserialize;
use serde_json::Value;

/// What Lambda hands over. The records are read singly, so that one that cannot be read does not fail all.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Value>,
}

/// A record, and what it is reported by when it failed.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) source: Source,
    /// The sequence number, or the message's id; nothing, where it has none.
    pub(crate) id: Option<String>,
    pub(crate) task: Result<Task, Unreadable>,
}

/// Where a batch comes from. All its records come from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stream,
    Queue,
}

/// What a record asks for.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// Nothing: no status changed.
    Nothing,
    /// A status changed.
    Tell(Box<StatusChange>),
    /// A change that was held back is due.
    Due(Box<StatusChange>),
    /// Where an order stands is to be published.
    Republish(OrderKey),
}

impl Task {
    pub(crate) fn order(&self) -> Option<OrderKey> {
        match self {
            Self::Nothing => None,
            Self::Tell(change) | Self::Due(change) => Some(change.order_key()),
            Self::Republish(order) => Some(order.clone()),
        }
    }
}

/// The record can never be read, however often it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record is not of this system's form")]
pub(crate) struct Unreadable;

pub(crate) fn read(record: Value, told_of: ToldOf) -> Received {
    if let Some(change) = record.get("dynamodb") {
        let id = change.get("SequenceNumber").and_then(Value::as_str);
        return Received {
            source: Source::Stream,
            id: id.map(str::to_owned),
            task: read_change(change.clone(), told_of),
        };
    }
    let id = record.get("messageId").and_then(Value::as_str);
    Received {
        source: Source::Queue,
        id: id.map(str::to_owned),
        task: read_message(record),
    }
}

fn read_change(change: Value, told_of: ToldOf) -> Result<Task, Unreadable> {
    let saved = match read_state_write(change).map_err(|_| Unreadable)? {
        // An order is deleted when its personal data are erased: there is nothing to tell.
        StateWrite::Deleted | StateWrite::OtherItem => return Ok(Task::Nothing),
        StateWrite::Saved(saved) => saved,
    };
    let change = StatusChange::between(&saved.order, saved.old.as_ref(), &saved.new, told_of);
    Ok(change.map_or(Task::Nothing, |change| Task::Tell(Box::new(change))))
}

fn read_message(record: Value) -> Result<Task, Unreadable> {
    let message: SqsMessage = serde_json::from_value(record).map_err(|_| Unreadable)?;
    let body = message.body.unwrap_or_default();
    match serde_json::from_str(&body).map_err(|_| Unreadable)? {
        HeldMessage::Held(change) => Ok(Task::Due(change)),
        HeldMessage::Republish(order) => OrderKey::parse(&order)
            .map(Task::Republish)
            .map_err(|_| Unreadable),
    }
}
