//! The webhooks that are measured.

use domain::{Authenticated, Interpretation, OrderEvent, Reading, TimelineEntry};
use providers::adapter;
use serde_json::Value;
use testkit::{Webhook, armada, sample, sample_bytes, shipday};

/// 2026-01-07T20:13:25.615Z, when the provider's own Armada example was made.
const FIRST_EVENT_MS: u64 = 1_767_816_805_615;

/// Armada's own example of v1.
pub fn armada_documented() -> Webhook {
    let body = sample_bytes("armada/order.updated/documented.json");
    let sent_at = "2026-01-07T20:15:01.000Z";
    armada("order.updated", "wh_5f0c9a7e31d24b68", sent_at, body)
}

/// A webhook of Armada's v2.
pub fn armada_v2() -> Webhook {
    let body = sample_bytes("armada/delivery.accepted/v2.json");
    let sent_at = "2026-03-19T09:31:07.000Z";
    armada("delivery.accepted", "wh_8b2d41f06c9e4a73", sent_at, body)
        .with_header("x-armada-api-version", "v2")
}

/// Shipday's own example.
pub fn shipday_documented() -> Webhook {
    shipday(sample_bytes("shipday/documented.json"))
}

/// The webhook as its adapter gets it.
pub fn authenticated(webhook: &Webhook) -> Authenticated {
    webhook.authenticated(adapter(webhook.provider).retained_headers())
}

/// The event that the adapter reads from the webhook, and the rest of its reading.
pub fn event(webhook: &Webhook) -> (Reading, OrderEvent) {
    let reading = adapter(webhook.provider).read(&authenticated(webhook));
    let Interpretation::Event(event) = &reading.interpretation else {
        panic!("the sample is an event")
    };
    let event = event.as_ref().clone();
    (reading, event)
}

/// An Armada order whose driver is replaced again and again; every tenth webhook is sent twice.
pub fn armada_timeline(events: usize) -> Vec<TimelineEntry> {
    let life = ["pending", "dispatched", "waiting_pack", "en_route"]
        .map(|status| sample(&format!("armada/order.updated/{status}.json")));
    let mut timeline = Vec::with_capacity(events);
    for (index, body) in (0..events).zip(life.iter().cycle()) {
        let repeated = index % 10 == 4;
        let id = if repeated {
            index.saturating_sub(4)
        } else {
            index
        };
        let at_ms = (FIRST_EVENT_MS + 20_000 * index as u64).to_string();
        let webhook = armada(
            "order.updated",
            &format!("wh_{id:016}"),
            &at_ms,
            body.as_str(),
        );
        timeline.push(entry(&webhook));
    }
    timeline
}

/// A Shipday order that is picked up and put back again and again.
pub fn shipday_timeline(events: usize) -> Vec<TimelineEntry> {
    let life = [
        "ORDER_INSERTED",
        "ORDER_ASSIGNED",
        "ORDER_ACCEPTED_AND_STARTED",
        "ORDER_PIKEDUP",
        "ORDER_ONTHEWAY",
        "ORDER_UNASSIGNED",
    ]
    .map(|event| sample(&format!("shipday/{event}.json")));
    let mut timeline = Vec::with_capacity(events);
    for (index, body) in (0..events).zip(life.iter().cycle()) {
        let mut body: Value = serde_json::from_str(body).expect("the sample is JSON");
        body["timestamp"] = Value::from(FIRST_EVENT_MS + 20_000 * index as u64);
        timeline.push(entry(&shipday(body.to_string())));
    }
    timeline
}

fn entry(webhook: &Webhook) -> TimelineEntry {
    let (reading, event) = event(webhook);
    TimelineEntry::new(event, reading.key)
}
