//! The events queue and its dead-letter queue.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use domain::{
    DeadLetters, EventBatches, EventQueue, MerchantId, PortError, QueueMessage, Redelivery,
};

use crate::error::{damaged, port_error, refused};

/// Most messages in one request.
const MAX_BATCH_MESSAGES: usize = 10;
/// Most bytes of all messages in one request, and of one message: what SQS takes.
const MAX_BATCH_BYTES: usize = 1_048_576;

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
    let text = serde_json::to_string(message)?;
    Ok(text
        .replace('\u{fffe}', r"\ufffe")
        .replace('\u{ffff}', r"\uffff"))
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
        for batch in batches(&bodies) {
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
        let call = "queue length read";
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
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
}

/// Cuts messages into requests that SQS takes. A message too large for any goes alone, and is refused alone.
fn batches<T>(bodies: &[(String, T)]) -> Vec<&[(String, T)]> {
    let mut cut = Vec::new();
    let mut rest = bodies;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(MAX_BATCH_MESSAGES)
            .take_while(|(body, _)| {
                bytes += body.len();
                bytes <= MAX_BATCH_BYTES
            })
            .count();
        let (batch, later) = rest.split_at(fitting.max(1));
        cut.push(batch);
        rest = later;
    }
    cut
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
        batches(&bodies).iter().map(|batch| batch.len()).collect()
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
