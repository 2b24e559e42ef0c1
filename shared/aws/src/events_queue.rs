//! The events queue and its dead-letter queue.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use domain::{DeadLetters, EventQueue, MerchantId, PortError, QueueMessage, Redelivery};

use crate::error::{damaged, port_error};

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

impl EventQueue for EventsQueue {
    async fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> Result<(), PortError> {
        let call = "queue send";
        let body = serde_json::to_string(message).map_err(|_| damaged(call, "a message"))?;
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
