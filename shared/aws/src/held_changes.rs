//! The queue of changes that are held back before they are published.

use aws_sdk_sqs::Client;
use domain::{HeldChanges, HeldMessage, PortError};

use crate::error::{damaged, port_error};

/// The publisher's own queue.
#[derive(Clone, Debug)]
pub struct HeldChangesQueue {
    client: Client,
    url: String,
}

impl HeldChangesQueue {
    /// The queue with that URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }
}

impl HeldChanges for HeldChangesQueue {
    async fn hold(&self, message: &HeldMessage, seconds: u16) -> Result<(), PortError> {
        let call = "hold";
        let body = crate::events_queue::sendable(message).map_err(|_| damaged(call, "a change"))?;
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(seconds.into())
            .send()
            .await
            .map(|_| ())
            .map_err(|error| port_error(call, &error))
    }
}
