//! What functions are given: the project's own samples, each time with ids of their own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::services::md5_hex;

/// An entry as the consumer finds it in an order's timeline.
pub(crate) const TIMELINE_ENTRY: &str = r#"{"pk":{"S":"demo-merchant#shipday#123456"},"sk":{"S":"event#1684644196349#ORDER_PIKEDUP.PICKED_UP#-"},"occurred_at_ms":{"N":"1684644196349"},"provider_event":{"S":"ORDER_PIKEDUP"},"provider_status":{"S":"PICKED_UP"},"webhook_pk":{"S":"shipday#demo-merchant#123456#ORDER_PIKEDUP#1684644196349"},"received_at_ms":{"N":"1773964800000"},"details":{"M":{"currency":{"S":"484"},"delivery_fee":{"S":"38.63"},"driver":{"M":{"id":{"S":"134"},"name":{"S":"Jane Doe"},"phone":{"S":"45678432"}}},"order_amount":{"S":"572.63"},"order_number":{"S":"808713698"},"reported_milestones":{"M":{"assigned":{"N":"1684644057000"},"picked_up":{"N":"1684644196000"}}},"schedule":{"M":{"expected_delivery_at_ms":{"N":"1684645498000"}}},"third_party":{"M":{"fee":{"S":"3.21"},"name":{"S":"DoorDash 2"},"status":{"S":"STARTED"}}}}}}"#;

/// Most messages that a batch has.
pub(crate) const BATCH: usize = 10;

/// The samples.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    armada: Value,
    shipday: Value,
    record: Value,
    message: Value,
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
        let mut record = batch["Records"][0].clone();
        let message = serde_json::from_str(record["body"].as_str().unwrap_or_default())?;
        record["body"] = Value::Null;
        Ok(Self {
            armada: read("gateway/http-api-v2-armada.json")?,
            shipday: read("gateway/http-api-v2-shipday.json")?,
            record,
            message,
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
            let order = (100_000 + n * BATCH + index).to_string();
            let mut message = self.message.clone();
            message["event"]["order_id"] = json!(order);
            message["event"]["webhook_pk"] = json!(format!(
                "shipday#demo-merchant#{order}#ORDER_PIKEDUP#1684644196349"
            ));
            message.to_string()
        });
        self.batch_of(&messages.collect::<Vec<_>>())
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
