//! The metrics of the running pipeline are those of the catalogue, with the dimensions that it gives them.

use std::collections::{BTreeMap, BTreeSet};

use aws::{METRICS, NAMESPACE};
use domain::{MAX_EVENTS_PER_ORDER, MAX_FORWARD_ATTEMPTS, Millis};
use serde_json::Value;
use testkit::{Fault, NOW, stream_batch};

use crate::logs::{STACK, lines_of};
use crate::publishing::{batch_of, publisher};
use crate::support::{Pipeline, SENT_AT, armada_status, shipday_event};

const AT: u64 = 1_767_816_000_000;

/// What one field of a line says to CloudWatch.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Declared {
    name: String,
    unit: String,
    dimensions: Vec<String>,
}

/// The metrics that the lines declare, and the sum of each one's values.
fn metrics_of(lines: &[String]) -> BTreeMap<Declared, f64> {
    let mut metrics = BTreeMap::new();
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut declared = BTreeSet::new();
        for directive in line["_aws"]["CloudWatchMetrics"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert_eq!(directive["Namespace"], NAMESPACE);
            let dimensions: Vec<String> =
                serde_json::from_value(directive["Dimensions"][0].clone()).unwrap();
            for dimension in &dimensions {
                assert!(line[dimension].is_string(), "no {dimension} in {line}");
            }
            assert_eq!(line["stack"], STACK);
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap().to_owned();
                let value = line[&name].as_f64().unwrap();
                declared.insert(name.clone());
                let declared = Declared {
                    name,
                    unit: metric["Unit"].as_str().unwrap().to_owned(),
                    dimensions: dimensions.clone(),
                };
                *metrics.entry(declared).or_default() += value;
            }
        }
        let capital: BTreeSet<String> = line
            .as_object()
            .unwrap()
            .keys()
            .filter(|field| field.starts_with(|first: char| first.is_ascii_uppercase()))
            .cloned()
            .collect();
        assert_eq!(capital, declared, "a metric nobody knows, in {line}");
    }
    metrics
}

/// Has everything happen that is counted, at least once.
async fn whatever_is_counted() {
    let addresses = [
        ("SOURCE_IP_MODE", "report"),
        ("SOURCE_CIDRS", "192.0.2.0/24"),
    ];
    let pipeline = Pipeline::with_environment(&addresses);
    let world = &pipeline.world;

    let first = armada_status("A1", "dispatched", "wh_1", SENT_AT);
    pipeline.post(&first).await;
    pipeline.post(&first).await;
    let wallet = testkit::armada("wallet.balance_low", "wh_2", SENT_AT, "{}".to_owned());
    pipeline.post(&wallet).await;
    let teleported = armada_status("A1", "teleported", "wh_3", SENT_AT);
    pipeline.post(&teleported).await;
    let unreadable = testkit::armada("order.updated", "wh_4", SENT_AT, "no json".to_owned());
    pipeline.post(&unreadable).await;
    let stranger = shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", AT);
    pipeline.post(&stranger.with_header("token", "wrong")).await;

    world.fail_next("put_if_absent", Fault::Before);
    pipeline
        .post(&armada_status("A2", "dispatched", "wh_5", SENT_AT))
        .await;
    world.fail_next("put_if_absent", Fault::Before);
    world.fail_next("send", Fault::Before);
    pipeline
        .post(&armada_status("A3", "dispatched", "wh_6", SENT_AT))
        .await;

    world.fail_next("save", Fault::Before);
    pipeline.consume().await;
    pipeline.drain().await;
    world.enqueue_text("no message");
    pipeline.drain().await;

    world.fail_next("send", Fault::Before);
    pipeline
        .post(&armada_status("A4", "dispatched", "wh_7", SENT_AT))
        .await;
    pipeline.relay.run().await.unwrap();
    world.set_now(NOW + Millis::from_seconds(200));
    world.set_backlog(1_000);
    pipeline.relay.run().await.unwrap();
    world.set_backlog(0);
    for _ in 0..=MAX_FORWARD_ATTEMPTS {
        pipeline.relay.run().await.unwrap();
        world.set_now(world.next_due().unwrap_or(NOW));
    }
    beyond_the_bound(&pipeline).await;
    told_to_subscribers(&pipeline).await;
}

/// Publishes what changed, fails to, and holds a change back.
async fn told_to_subscribers(pipeline: &Pipeline) {
    let world = &pipeline.world;
    let delivered = armada_status("A9", "completed", "wh_9", SENT_AT);
    pipeline.post(&delivered).await;
    pipeline.drain().await;
    let stream = batch_of(&stream_batch(&world.stream(), 0));
    let holding = publisher(world, &[("HOLD_SECONDS", "10")]);
    holding.handle(stream).await.unwrap();
    world.fail_next("publish", Fault::Before);
    let stream = batch_of(&stream_batch(&world.stream(), 0));
    publisher(world, &[]).handle(stream).await.unwrap();
}

/// Applies one more event to an order that has as many as it may.
async fn beyond_the_bound(pipeline: &Pipeline) {
    for number in 0..=MAX_EVENTS_PER_ORDER {
        let at_ms = AT + u64::try_from(number).unwrap();
        let event = shipday_event(8, "ORDER_ASSIGNED", "NOT_ACCEPTED", at_ms);
        pipeline.post(&event).await;
        pipeline.drain().await;
    }
}

#[test]
fn every_metric_of_the_catalogue_is_counted_and_no_other() {
    let lines = lines_of(whatever_is_counted());
    let counted: BTreeSet<Declared> = metrics_of(&lines).into_keys().collect();
    let catalogue: BTreeSet<Declared> = METRICS
        .iter()
        .map(|metric| Declared {
            name: metric.name.to_owned(),
            unit: format!("{:?}", metric.unit),
            dimensions: metric
                .dimensions
                .names()
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
        })
        .collect();
    assert_eq!(counted, catalogue);
}

/// Name and sum of the metrics of some work, without times.
fn counts_of(work: impl Future<Output = ()>) -> Vec<(String, f64)> {
    metrics_of(&lines_of(work))
        .into_iter()
        .filter(|(declared, _)| declared.unit == "Count")
        .map(|(declared, value)| (declared.name, value))
        .collect()
}

#[test]
fn an_answer_is_counted_as_one_thing() {
    let counts = |webhook: testkit::Webhook| {
        counts_of(async move {
            Pipeline::new().post(&webhook).await;
        })
    };
    let one = |names: &[&str]| -> Vec<(String, f64)> {
        names.iter().map(|name| ((*name).to_owned(), 1.0)).collect()
    };

    let unknown =
        shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", AT).with_header("token", "wrong");
    assert_eq!(
        counts(armada_status("A1", "dispatched", "wh_1", SENT_AT)),
        one(&["Accepted"])
    );
    assert_eq!(
        counts(armada_status("A1", "teleported", "wh_1", SENT_AT)),
        one(&["Accepted", "Unmapped"])
    );
    assert_eq!(counts(unknown), one(&["Refused", "VerificationFailed"]));
}

#[test]
fn a_webhook_that_only_the_queue_took_is_a_fallback_and_one_that_nobody_took_is_unavailable() {
    let counts = |faults: &'static [&'static str]| {
        counts_of(async move {
            let pipeline = Pipeline::new();
            for call in faults {
                pipeline.world.fail_next(call, Fault::Before);
            }
            pipeline
                .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
                .await;
        })
    };
    let named = |name: &str| (name.to_owned(), 1.0);

    assert_eq!(
        counts(&["put_if_absent"]),
        [named("Accepted"), named("Fallback")]
    );
    assert_eq!(
        counts(&["send"]),
        [named("Accepted"), named("ForwardFailed")]
    );
    assert_eq!(counts(&["put_if_absent", "send"]), [named("Unavailable")]);
}

#[test]
fn a_delay_is_counted_from_the_receipt_and_an_age_from_the_oldest() {
    let lines = lines_of(async {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("send", Fault::Before);
        pipeline
            .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
            .await;
        pipeline.relay.run().await.unwrap();
        pipeline.world.set_now(NOW + Millis::from_seconds(200));
        pipeline.relay.run().await.unwrap();
        pipeline.drain().await;
    });
    let values = |name: &str| -> Vec<u64> {
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()[name].as_u64())
            .collect()
    };

    assert_eq!(values("OldestPendingSeconds"), [0, 200]);
    assert_eq!(values("ApplyDelayMs"), [200_000]);
}
