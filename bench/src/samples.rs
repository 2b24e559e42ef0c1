//! What functions are given: the project's own samples, each time with ids of their own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::services::md5_hex;

/// An entry as the consumer finds it in an order's timeline.
pub(crate) const TIMELINE_ENTRY: &str = r#"{"pk":{"S":"demo-merchant#armada#EAA6CAC9D5"},"sk":{"S":"event#1767816902120#dispatched#wh_01J9ZK3V5Q8R2T4W6X7Y8Z9A0B"},"occurred_at_ms":{"N":"1767816902120"},"provider_status":{"S":"dispatched"},"provider_event_id":{"S":"wh_01J9ZK3V5Q8R2T4W6X7Y8Z9A0B"},"webhook_pk":{"S":"armada#demo-merchant#order.updated#wh_01J9ZK3V5Q8R2T4W6X7Y8Z9A0B"},"received_at_ms":{"N":"1767816902431"},"details":{"M":{"currency":{"S":"KWD"},"delivery_fee":{"S":"3"},"driver":{"M":{"name":{"S":"Driver-bot-144502"},"phone":{"S":"09221909"}}},"order_amount":{"S":"3"},"tracking_url":{"S":"https://sandbox.tracking.armadadelivery.com/618e4156-2da6-42f3-ae1c-3d85d5303bc0"}}}}"#;

/// Most messages that a batch has.
pub(crate) const BATCH: usize = 10;

/// The samples.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    armada: Value,
    shipday: Value,
    record: Value,
    message: Value,
    change: Value,
}

impl Samples {
    /// Reads them from the project's `events` folder.
    ///
    /// # Errors
    /// When one is missing.
    pub(crate) fn read(repository: &Path) -> Result<Self> {
        let read = |path: &str| -> Result<Value> {
            let path = repository.join("events").join(path);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok(serde_json::from_str(&text)?)
        };
        let batch = read("queue/batch-with-poison.json")?;
        // The one of Armada; the others are of Shipday, and none at all.
        let mut record = batch["Records"][2].clone();
        let message = serde_json::from_str(record["body"].as_str().unwrap_or_default())?;
        record["body"] = Value::Null;
        Ok(Self {
            armada: read("gateway/http-api-v2-armada.json")?,
            shipday: read("gateway/http-api-v2-shipday.json")?,
            record,
            message,
            change: read("stream/delivered.json")?,
        })
    }

    /// Armada's webhook number `n`, about an order of its own.
    pub(crate) fn armada(&self, n: usize) -> String {
        let mut event = self.armada.clone();
        event["headers"]["x-armada-webhook-id"] = json!(format!("wh_bench_{n:012}"));
        let body = event["body"].as_str().unwrap_or_default();
        event["body"] = json!(body.replace("EAA6CAC9D5", &order(n)));
        event.to_string()
    }

    /// Shipday's webhook number `n`, about an order of its own.
    pub(crate) fn shipday(&self, n: usize) -> String {
        let mut event = self.shipday.clone();
        let body = event["body"].as_str().unwrap_or_default();
        event["body"] = json!(body.replace("123456", &(100_000 + n).to_string()));
        event.to_string()
    }

    /// Batch number `n`: ten messages about ten orders.
    pub(crate) fn batch(&self, n: usize) -> String {
        let messages = (0..BATCH).map(|index| {
            let order = order(n * BATCH + index);
            let mut message = self.message.clone();
            message["event"]["order_id"] = json!(order);
            message["event"]["webhook_pk"] =
                json!(format!("armada#demo-merchant#order.updated#wh_{order}"));
            message.to_string()
        });
        self.batch_of(&messages.collect::<Vec<_>>())
    }

    /// Change number `n`, of an order of its own.
    pub(crate) fn change(&self, n: usize) -> String {
        let mut event = self.change.clone();
        let change = &mut event["Records"][0]["dynamodb"];
        for part in ["Keys", "NewImage", "OldImage"] {
            change[part]["pk"]["S"] = json!(format!("demo-merchant#armada#{}", order(n)));
        }
        event.to_string()
    }

    /// A batch of these message texts.
    pub(crate) fn batch_of(&self, texts: &[String]) -> String {
        let records = texts.iter().enumerate().map(|(index, text)| {
            let mut record = self.record.clone();
            record["messageId"] = json!(format!("059f36b4-87a3-44ab-83d2-{index:012}"));
            record["md5OfBody"] = json!(md5_hex(text.as_bytes()));
            record["body"] = json!(text);
            record
        });
        json!({ "Records": records.collect::<Vec<_>>() }).to_string()
    }
}

/// The code of Armada's order number `n`: ten characters, as the sample's.
pub(crate) fn order(n: usize) -> String {
    format!("B{n:09}")
}
