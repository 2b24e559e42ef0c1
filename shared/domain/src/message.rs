//! What travels through the queue.

use serde::{Deserialize, Serialize};

use crate::{BodySha256, MerchantId, OrderEvent, WebhookKey, WebhookRecord};

/// The version of the message written today. A reader refuses any other; fields may be added within a version.
pub const SCHEMA_VERSION: u32 = 1;

/// A message of the events queue: the schema's version and one of two payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueMessage {
    /// [`SCHEMA_VERSION`] of the writer.
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u32,
    /// What it carries.
    #[serde(flatten)]
    pub payload: Payload,
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// The normal case: a normalized event whose webhook is recorded.
    Event(Box<ForwardedEvent>),
    /// The fallback while the `webhooks` table did not answer: the record itself, perhaps the only copy.
    Record(Box<WebhookRecord>),
}

/// A normalized event and the record it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForwardedEvent {
    /// The key of the record.
    pub webhook_pk: WebhookKey,
    /// The digest of its body, so that only this very record is closed.
    pub body_sha256: BodySha256,
    /// The event.
    #[serde(flatten)]
    pub event: OrderEvent,
}

impl QueueMessage {
    /// A message with a normalized event.
    pub fn event(webhook_pk: WebhookKey, body_sha256: BodySha256, event: OrderEvent) -> Self {
        let forwarded = ForwardedEvent {
            webhook_pk,
            body_sha256,
            event,
        };
        Self {
            schema_version: SCHEMA_VERSION,
            payload: Payload::Event(Box::new(forwarded)),
        }
    }

    /// A message with a record that could not be written.
    pub fn record(record: WebhookRecord) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            payload: Payload::Record(Box::new(record)),
        }
    }

    /// Whose message it is: its fair share of the queue is the merchant's.
    pub fn merchant_id(&self) -> &MerchantId {
        match &self.payload {
            Payload::Event(forwarded) => &forwarded.event.merchant_id,
            Payload::Record(record) => &record.merchant_id,
        }
    }
}
