//! The events queue and its dead letters, in memory.

use domain::{EpochMillis, MerchantId};
use serde_json::{Value, json};

/// A message in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its id.
    pub message_id: String,
    /// Its text.
    pub body: String,
    /// Its message group.
    pub group: String,
    /// The trace header it carries.
    pub trace_header: Option<String>,
    /// How often it was handed out.
    pub receives: u32,
    /// Until when it is hidden.
    pub visible_at: EpochMillis,
}

/// A message in the dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buried {
    /// Its text.
    pub body: String,
    /// Whose it was.
    pub merchant: Option<MerchantId>,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    messages: Vec<Queued>,
    sent: u64,
    pub(crate) backlog_of_others: u64,
}

impl Queue {
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Queued> {
        self.messages.iter()
    }

    pub(crate) fn push(
        &mut self,
        body: String,
        group: String,
        trace_header: Option<String>,
        now: EpochMillis,
    ) {
        self.sent += 1;
        self.messages.push(Queued {
            message_id: format!("message-{}", self.sent),
            body,
            group,
            trace_header,
            receives: 0,
            visible_at: now,
        });
    }

    pub(crate) fn waiting(&self, now: EpochMillis) -> u64 {
        let visible = self
            .messages
            .iter()
            .filter(|message| message.visible_at <= now);
        self.backlog_of_others + visible.count() as u64
    }

    pub(crate) fn receive_first(&mut self, count: usize) -> Vec<Queued> {
        let first = self.messages.iter_mut().take(count);
        first
            .map(|message| {
                message.receives += 1;
                message.clone()
            })
            .collect()
    }

    /// The messages to hand out, and those that were handed out too often.
    pub(crate) fn take(
        &mut self,
        message_ids: &[String],
        visible_at: EpochMillis,
        max_receives: u32,
    ) -> (Vec<Queued>, Vec<Queued>) {
        let mut taken = Vec::new();
        let mut exhausted = Vec::new();
        self.messages.retain_mut(|message| {
            if !message_ids.contains(&message.message_id) {
                return true;
            }
            message.receives += 1;
            message.visible_at = visible_at;
            let kept = message.receives <= max_receives;
            let to = if kept { &mut taken } else { &mut exhausted };
            to.push(message.clone());
            kept
        });
        (taken, exhausted)
    }

    /// The messages that are visible now, as a queue hands them out: they stay.
    pub(crate) fn due(&mut self, now: EpochMillis) -> Vec<Queued> {
        let due = self
            .messages
            .iter_mut()
            .filter(|message| message.visible_at <= now);
        due.map(|message| {
            message.receives += 1;
            message.clone()
        })
        .collect()
    }

    pub(crate) fn hide(&mut self, receipt_handle: &str, until: EpochMillis) {
        for message in &mut self.messages {
            if handle(&message.message_id) == receipt_handle {
                message.visible_at = until;
            }
        }
    }

    pub(crate) fn delete(&mut self, message_ids: &[String]) {
        self.messages
            .retain(|message| !message_ids.contains(&message.message_id));
    }
}

fn handle(message_id: &str) -> String {
    format!("handle of {message_id}")
}

/// Messages as Lambda hands them to the consumer.
pub fn sqs_batch(messages: &[Queued]) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.message_id,
                "receiptHandle": handle(&message.message_id),
                "body": message.body,
                "attributes": { "ApproximateReceiveCount": message.receives.to_string() },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:events",
                "awsRegion": "us-east-1",
            })
        })
        .collect();
    json!({ "Records": records })
}
