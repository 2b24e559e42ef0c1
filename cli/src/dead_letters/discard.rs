//! `hookctl dlq discard`: which dead letters may be taken out for good.

use aws::{UnreadableMessage, WebhooksTable, read_message};
use domain::{BodySha256, Payload, PortError, QueueMessage, RecordState, WebhookKey};

use super::Fate;
use crate::arguments::Discard;

/// What somebody wants to be rid of, and where it is looked up whether that loses a webhook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discarding<'a> {
    pub(super) options: &'a Discard,
    pub(super) webhooks: &'a WebhooksTable,
}

impl Discarding<'_> {
    /// Whether this message was named.
    pub(super) fn names(&self, message_id: &str) -> bool {
        self.options.message_ids.iter().any(|id| id == message_id)
    }

    /// Why a message must stay; `None` when nothing is lost with it, or somebody forces it.
    pub(super) async fn objection(&self, body: &str) -> Result<Option<Fate>, PortError> {
        if self.options.force {
            return Ok(None);
        }
        Ok(match read_message(body) {
            Err(UnreadableMessage::NotOurs) => None,
            Err(UnreadableMessage::UnknownVersion(_)) => Some(Fate::LeftOtherVersion),
            Ok(message) => match self.state_of_its_record(&message).await? {
                Some(
                    RecordState::Applied
                    | RecordState::Unmapped
                    | RecordState::Quarantined
                    | RecordState::Parked
                    | RecordState::Dismissed,
                ) => None,
                Some(RecordState::Pending) => Some(Fate::LeftPending),
                None => Some(Fate::LeftOnlyCopy),
            },
        })
    }

    /// The state of the record that holds the message's webhook: this very body, not another under the same key.
    async fn state_of_its_record(
        &self,
        message: &QueueMessage,
    ) -> Result<Option<RecordState>, PortError> {
        let (key, body) = webhook_of(message);
        for key in [key, &key.for_other_body(body)] {
            let stored = self.webhooks.get(key.as_str()).await?;
            if let Some(stored) = stored.filter(|it| it.body_sha256.as_ref() == Some(body)) {
                return Ok(stored.state);
            }
        }
        Ok(None)
    }
}

fn webhook_of(message: &QueueMessage) -> (&WebhookKey, &BodySha256) {
    match &message.payload {
        Payload::Event(forwarded) => (&forwarded.webhook_pk, &forwarded.body_sha256),
        Payload::Record(record) => (&record.webhook_pk, &record.body_sha256),
    }
}
