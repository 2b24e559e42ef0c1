//! How often a webhook's reading and a timeline's fold ask for memory. The counts do not depend on the machine:
//! who raises one does so on purpose. A growing buffer counts each time it moves.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a sample that is no event must stop the test"
)]

use domain::{Interpretation, Millis, OrderEvent, Reading, TimelineEntry, WebhookId, fold};
use providers::adapter;
use testkit::{Webhook, armada, sample_bytes, shipday};

fn read(webhook: &Webhook) -> (u64, Reading) {
    let adapter = adapter(webhook.provider);
    let webhook = webhook.authenticated(adapter.retained_headers());
    let mut reading = None;
    let asked = allocation_counter::measure(|| reading = Some(adapter.read(&webhook)));
    (asked.count_total, reading.unwrap())
}

fn event(reading: Reading) -> OrderEvent {
    match reading.interpretation {
        Interpretation::Event(event) => *event,
        other => panic!("no event: {other:?}"),
    }
}

fn armada_documented() -> Webhook {
    let body = sample_bytes("armada/order.updated/documented.json");
    armada("order.updated", "wh_1", "2026-01-07T20:15:01.000Z", body)
}

fn armada_v2() -> Webhook {
    let body = sample_bytes("armada/delivery.accepted/v2.json");
    armada(
        "delivery.accepted",
        "wh_1",
        "2026-03-19T09:31:07.000Z",
        body,
    )
    .with_header("x-armada-api-version", "v2")
}

fn shipday_documented() -> Webhook {
    shipday(sample_bytes("shipday/documented.json"))
}

#[test]
fn a_reading_allocates_what_it_keeps_and_little_else() {
    for (name, webhook, most) in [
        ("Armada v1", armada_documented(), 14),
        ("Armada v2", armada_v2(), 14),
        ("Shipday", shipday_documented(), 22),
    ] {
        let (allocations, reading) = read(&webhook);
        event(reading);

        assert!(
            allocations <= most,
            "{name}: {allocations} allocations, at most {most}"
        );
    }
}

/// The same event at another second each time, under another id where there is one.
fn timeline(webhook: &Webhook, events: u64) -> Vec<TimelineEntry> {
    let (_, reading) = read(webhook);
    let key = reading.key.clone();
    let first = event(reading);
    (0..events)
        .map(|index| {
            let mut event = first.clone();
            event.occurred_at_ms = event.occurred_at_ms + Millis::from_seconds(index);
            event.provider_event_id = first
                .provider_event_id
                .as_ref()
                .map(|_| WebhookId::or_digest(&format!("wh_{index:016}")));
            TimelineEntry::new(event, key.clone())
        })
        .collect()
}

#[test]
fn a_fold_allocates_as_much_for_the_thousandth_event_as_for_the_hundredth() {
    for (name, webhook, most_per_hundred) in [
        ("Armada", armada_documented(), 117),
        ("Shipday", shipday_documented(), 200),
    ] {
        let rules = adapter(webhook.provider);
        let of = |events| {
            let entries = timeline(&webhook, events);
            allocation_counter::measure(|| drop(fold(rules, entries))).count_total
        };
        let (few, many) = (of(100), of(1_000));

        assert!(
            many - few <= 9 * most_per_hundred,
            "{name}: {few} allocations for 100 events, {many} for 1000",
        );
    }
}
