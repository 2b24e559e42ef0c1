//! The queue message is a contract: its schema is generated from the type, and real messages obey it.

use domain::QueueMessage;
use expect_test::expect_file;
use serde_json::Value;
use testkit::{Fault, all_samples, sample, sample_bytes};

use crate::support::{Pipeline, SENT_AT};

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(QueueMessage)).unwrap()
}

/// The messages that all samples lead to, forwarded or, with the table down, as records.
async fn messages(table_down: bool) -> Vec<Value> {
    let pipeline = Pipeline::new();
    if table_down {
        pipeline.world.fail_always("put_if_absent", Fault::Before);
    }
    for path in all_samples("shipday") {
        pipeline.post(&testkit::shipday(sample_bytes(&path))).await;
    }
    for (index, path) in all_samples("armada").into_iter().enumerate() {
        let topic = path.split('/').nth(1).unwrap().to_owned();
        pipeline
            .post(&testkit::armada(
                &topic,
                &format!("wh_{index}"),
                SENT_AT,
                sample_bytes(&path),
            ))
            .await;
    }
    pipeline
        .world
        .queued()
        .into_iter()
        .map(|queued| serde_json::from_str(&queued.body).unwrap())
        .collect()
}

#[test]
fn the_published_schema_is_the_types() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";

    expect_file!["../../docs/schema/queue-message.schema.json"].assert_eq(&text);
}

#[tokio::test]
async fn every_message_obeys_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for table_down in [false, true] {
        let messages = messages(table_down).await;
        assert!(messages.len() > 60, "{}", messages.len());
        for message in messages {
            let errors: Vec<String> = validator
                .iter_errors(&message)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?} in {message:#}");
        }
    }
}

#[test]
fn the_schema_refuses_another_version_and_money_that_is_a_float() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good: Value = serde_json::from_str(&sample("queue/message-event.json")).unwrap();
    assert!(validator.is_valid(&good));

    for (pointer, value) in [
        ("/schema_version", Value::from(2)),
        ("/event/occurred_at_ms", Value::from("soon")),
        ("/event/provider", Value::from("pigeon")),
        ("/event/details/delivery_fee", Value::from(3.5)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer} is in the sample")) = value;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

#[tokio::test]
async fn the_queue_samples_are_what_the_documented_webhooks_become() {
    for (table_down, name) in [(false, "event"), (true, "record")] {
        let pipeline = Pipeline::new();
        if table_down {
            pipeline.world.fail_always("put_if_absent", Fault::Before);
        }
        pipeline
            .post(&testkit::shipday(sample_bytes("shipday/documented.json")))
            .await;
        let message: Value = serde_json::from_str(&pipeline.world.queued()[0].body).unwrap();
        let text = serde_json::to_string_pretty(&message).unwrap() + "\n";

        expect_test::expect_file![
            testkit::events_folder().join(format!("queue/message-{name}.json"))
        ]
        .assert_eq(&text);
    }
}

#[tokio::test]
async fn no_message_with_an_event_carries_the_customer() {
    for message in messages(false).await {
        let text = message.to_string();
        assert!(message["record"].is_null());
        for customer in [
            "John Doe",
            "Nadeen",
            "794 Mcallister",
            "Salmiya",
            "\"customer\"",
            "delivery_details",
        ] {
            assert!(!text.contains(customer), "{customer} is in {text}");
        }
    }
}
