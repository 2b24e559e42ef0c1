//! What both functions share: the queue message and Armada's statuses.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
pub struct QueueMessage {
    pub schema_version: u32,
    pub event: Event,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub webhook_pk: String,
    pub body_sha256: String,
    pub provider: String,
    pub merchant_id: String,
    pub order_id: String,
    pub occurred_at_ms: i64,
    pub received_at_ms: i64,
    pub provider_status: String,
    pub provider_event_id: Option<String>,
    pub status: String,
    pub details: Value,
}

/// Our word for a status of Armada's.
pub fn map_status(armada_status: &str) -> Option<&'static str> {
    let status = armada_status.trim().to_lowercase().replace(' ', "_");
    Some(match status.as_str() {
        "pending" => "pending",
        "accepted" => "assigned",
        "dispatched" => "en_route_to_pickup",
        "waiting_pack" => "at_pickup",
        "en_route" => "in_transit",
        "completed" | "complete" => "delivered",
        "canceled" | "cancelled" => "canceled",
        "failed" => "failed",
        _ => return None,
    })
}
