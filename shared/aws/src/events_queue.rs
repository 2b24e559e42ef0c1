//! The events queue and its dead-letter queue.

use std::fmt;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use domain::{
    DeadLetters, EpochMillis, EventBatches, EventQueue, MerchantId, PortError, QueueMessage,
    Redelivery, SCHEMA_VERSION,
};
use serde::Deserialize;

use crate::batches::batches;
use crate::error::{damaged, port_error, refused};

/// Most messages in one request.
const MAX_BATCH_MESSAGES: usize = 10;
/// Most bytes of all messages in one request, and of one message: what SQS takes.
const MAX_BATCH_BYTES: usize = 1_048_576;

/// How long a request for dead letters waits for one: only a request that waits asks every server of the queue.
const DEAD_LETTER_WAIT_SECONDS: i32 = 2;

/// The text of a message can never be read, however often it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// It is not JSON, or has not the fields of its version.
    #[error("the message is not of this system's form")]
    NotOurs,
    /// Another version wrote it.
    #[error("the message has schema version {0}, this program reads {SCHEMA_VERSION}")]
    UnknownVersion(u32),
}

/// Reads the text of a message.
///
/// # Errors
/// [`UnreadableMessage`].
pub fn read_message(body: &str) -> Result<QueueMessage, UnreadableMessage> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let not_ours = |_| UnreadableMessage::NotOurs;
    // The version first: what another version looks like is not known here.
    let Version { schema_version } = serde_json::from_str(body).map_err(not_ours)?;
    if schema_version != SCHEMA_VERSION {
        return Err(UnreadableMessage::UnknownVersion(schema_version));
    }
    serde_json::from_str(body).map_err(not_ours)
}

/// The events queue.
#[derive(Clone, Debug)]
pub struct EventsQueue {
    client: Client,
    url: String,
}

impl EventsQueue {
    /// The queue with that URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }
}

/// The text of a message. SQS refuses a text with U+FFFE or U+FFFF in it, and a sender can write them into any
/// field; as JSON escapes they mean the same.
///
/// # Errors
/// When the message is no JSON.
pub fn message_text(message: &QueueMessage) -> Result<String, serde_json::Error> {
    sendable(message)
}

pub(crate) fn sendable(message: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(message)?;
    if !text.contains(['\u{fffe}', '\u{ffff}']) {
        return Ok(text);
    }
    Ok(text
        .replace('\u{fffe}', r"\ufffe")
        .replace('\u{ffff}', r"\uffff"))
}

impl EventsQueue {
    /// Sends a text as it is, in a message group, as a dead letter that gets another chance.
    ///
    /// # Errors
    /// When the queue did not answer, or refused it.
    pub async fn send_text(&self, body: &str, group: &str) -> Result<(), PortError> {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .message_group_id(group)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| port_error("queue send", &error))
    }
}

impl EventQueue for EventsQueue {
    async fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> Result<(), PortError> {
        let call = "queue send";
        let body = message_text(message).map_err(|_| damaged(call, "a message"))?;
        let mut send = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            // On a standard queue the group means fairness between merchants, not order.
            .message_group_id(message.merchant_id().as_str());
        if let Some(header) = trace_header {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(header)
                .build()
                .map_err(|_| damaged(call, "a trace header"))?;
            send = send.message_system_attributes(
                MessageSystemAttributeNameForSends::AwsTraceHeader,
                value,
            );
        }
        send.send()
            .await
            .map(|_| ())
            .map_err(|error| port_error(call, &error))
    }
}

impl EventBatches for EventsQueue {
    async fn send_all(&self, messages: &[QueueMessage]) -> Result<(), PortError> {
        let call = "queue batch send";
        let mut bodies = Vec::with_capacity(messages.len());
        for message in messages {
            let body = message_text(message).map_err(|_| damaged(call, "a message"))?;
            bodies.push((body, message.merchant_id()));
        }
        for batch in requests(&bodies) {
            let mut send = self.client.send_message_batch().queue_url(&self.url);
            for (index, (body, merchant)) in batch.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(body)
                    .message_group_id(merchant.as_str())
                    .build()
                    .map_err(|_| damaged(call, "a message"))?;
                send = send.entries(entry);
            }
            let answer = send
                .send()
                .await
                .map_err(|error| port_error(call, &error))?;
            // The request succeeds even when messages in it did not.
            if let Some(failed) = answer.failed().first() {
                return Err(refused(call, failed.code()));
            }
        }
        Ok(())
    }

    async fn waiting(&self) -> Result<u64, PortError> {
        waiting(&self.client, &self.url).await
    }
}

async fn waiting(client: &Client, url: &str) -> Result<u64, PortError> {
    let call = "queue length read";
    let answer = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .send()
        .await
        .map_err(|error| port_error(call, &error))?;
    answer
        .attributes()
        .and_then(|all| all.get(&QueueAttributeName::ApproximateNumberOfMessages))
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| damaged(call, "the queue's length"))
}

fn requests<T>(bodies: &[(String, T)]) -> Vec<&[(String, T)]> {
    batches(bodies, MAX_BATCH_MESSAGES, MAX_BATCH_BYTES, |(body, _)| {
        body.len()
    })
}

impl Redelivery for EventsQueue {
    async fn postpone(&self, receipt_handle: &str, seconds: u32) -> Result<(), PortError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| port_error("visibility change", &error))
    }
}

/// The dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    client: Client,
    url: String,
}

impl DeadLetterQueue {
    /// The queue with that URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }
}

/// A received dead letter. Until it is deleted or given back it is hidden, for as long as was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id in this queue.
    pub message_id: String,
    /// What this receive is called when it is deleted or given back.
    pub receipt_handle: String,
    /// Its text. It may hold personal data.
    pub body: String,
    /// Its message group: the merchant, where one could be read.
    pub group: Option<String>,
    /// When it was sent, to whichever queue it was in first.
    pub sent_at: Option<EpochMillis>,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

impl fmt::Debug for DeadLetter {
    /// Without its text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

impl DeadLetterQueue {
    /// Receives up to `most` (1 to 10) messages and hides them for so many seconds; none, when none is visible.
    ///
    /// # Errors
    /// When the queue did not answer.
    pub async fn receive(
        &self,
        most: u8,
        hidden_seconds: u16,
    ) -> Result<Vec<DeadLetter>, PortError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(most.into())
            .visibility_timeout(hidden_seconds.into())
            .wait_time_seconds(DEAD_LETTER_WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|error| port_error("dead-letter receive", &error))?;
        let messages = received.messages.unwrap_or_default();
        Ok(messages.into_iter().filter_map(dead_letter).collect())
    }

    /// Makes received messages visible again.
    ///
    /// # Errors
    /// When the queue did not answer. They become visible all the same when their time is over.
    pub async fn give_back(&self, receipt_handles: &[&str]) -> Result<(), PortError> {
        let call = "dead-letter return";
        for chunk in receipt_handles.chunks(MAX_BATCH_MESSAGES) {
            let mut request = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url);
            for (index, handle) in chunk.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(*handle)
                    .visibility_timeout(0)
                    .build()
                    .map_err(|_| damaged(call, "a receipt handle"))?;
                request = request.entries(entry);
            }
            // One that cannot be given back singly was visible again already, or is gone.
            request
                .send()
                .await
                .map_err(|error| port_error(call, &error))?;
        }
        Ok(())
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// When the queue did not answer.
    pub async fn delete(&self, receipt_handle: &str) -> Result<(), PortError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| port_error("dead-letter delete", &error))
    }

    /// About how many messages wait to be received.
    ///
    /// # Errors
    /// When the queue did not answer.
    pub async fn waiting(&self) -> Result<u64, PortError> {
        waiting(&self.client, &self.url).await
    }
}

fn dead_letter(message: Message) -> Option<DeadLetter> {
    let attribute = |name| {
        let all = message.attributes.as_ref()?;
        all.get(&name).cloned()
    };
    let number = |name| attribute(name).and_then(|text| text.parse().ok());
    Some(DeadLetter {
        group: attribute(MessageSystemAttributeName::MessageGroupId),
        sent_at: number(MessageSystemAttributeName::SentTimestamp).map(EpochMillis::new),
        receive_count: attribute(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok())
            .unwrap_or(1),
        message_id: message.message_id?,
        receipt_handle: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
    })
}

impl DeadLetters for DeadLetterQueue {
    async fn bury(&self, body: &str, merchant: Option<&MerchantId>) -> Result<(), PortError> {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .set_message_group_id(merchant.map(|merchant| merchant.as_str().to_owned()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| port_error("dead-letter send", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bodies: &[usize]) -> Vec<usize> {
        let bodies: Vec<_> = bodies.iter().map(|size| ("x".repeat(*size), ())).collect();
        requests(&bodies).iter().map(|batch| batch.len()).collect()
    }

    #[test]
    fn a_text_that_can_never_be_read_says_why() {
        for (body, why) in [
            ("", "the message is not of this system's form"),
            ("poison", "the message is not of this system's form"),
            ("{}", "the message is not of this system's form"),
            (
                r#"{"schema_version":1}"#,
                "the message is not of this system's form",
            ),
            (
                r#"{"schema_version":1,"event":{}}"#,
                "the message is not of this system's form",
            ),
            (
                r#"{"schema_version":2,"event":{}}"#,
                "the message has schema version 2, this program reads 1",
            ),
        ] {
            assert_eq!(read_message(body).unwrap_err().to_string(), why, "{body}");
        }
    }

    #[test]
    fn a_request_holds_ten_messages_and_a_mebibyte_at_most() {
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[100; 10]), [10]);
        assert_eq!(sizes(&[100; 21]), [10, 10, 1]);
        assert_eq!(sizes(&[MAX_BATCH_BYTES / 2; 3]), [2, 1]);
        assert_eq!(sizes(&[MAX_BATCH_BYTES - 99, 100, 100]), [1, 2]);
        assert_eq!(sizes(&[MAX_BATCH_BYTES + 1, 100]), [1, 1]);
    }
}
