//! The published event is a contract: its schema and the AsyncAPI document are generated from the type, and what is published
//! obeys them.

use domain::{STATUS_CHANGE_VERSION, StatusChange};
use expect_test::expect_file;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use testkit::stream_batch;

use crate::publishing::{batch_of, publisher};
use crate::support::{Pipeline, shipday_event};

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(StatusChange)).unwrap()
}

/// The schemas by name, as AsyncAPI wants them: of draft 7, beside each other.
fn component_schemas() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let generator = settings.into_generator();
    let mut root = serde_json::to_value(generator.into_root_schema_for::<StatusChange>()).unwrap();
    let mut schemas = root["components"]["schemas"].take();
    let fields = root.as_object_mut().unwrap();
    fields.remove("components");
    fields.remove("$schema");
    schemas["StatusChange"] = root;
    schemas["OrderStatusChanged"] = json!({
        "description": "As a rule's target gets it, if the rule does not choose a part. EventBridge adds `id`, which is another one each time, `time`, \
                        `account`, `region` and more.",
        "type": "object",
        "required": ["source", "detail-type", "detail"],
        "properties": {
            "source": { "const": "delivery-webhooks" },
            "detail-type": { "const": "OrderStatusChanged" },
            "detail": { "$ref": "#/components/schemas/StatusChange" },
        },
    });
    schemas
}

fn document(examples: &[Example]) -> Value {
    let examples: Vec<Value> = examples
        .iter()
        .map(|example| json!({ "name": example.name, "summary": example.summary, "payload": envelope(&example.event) }))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Order events of delivery webhooks",
            "version": format!("{STATUS_CHANGE_VERSION}.0.0"),
            "description": "Changes of the statuses of merchants' orders. At least once: tell repeats by `detail.id`. One order's changes are \
                            sent one after the other, and may arrive in another order: order them by `detail.revision`. Within a version \
                            fields are added, and words of `provider`, `from`, `to` and `reason`; nothing is taken away.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": {
            "orders": {
                "address": "{stack}-orders",
                "description": "The stack's own EventBridge bus: its output `OrderEventsBusName`.",
                "parameters": { "stack": { "description": "The stack's name." } },
                "messages": { "OrderStatusChanged": { "$ref": "#/components/messages/OrderStatusChanged" } },
            },
        },
        "operations": {
            "tellOfChange": {
                "action": "send",
                "summary": "Once, or more than once, for each change.",
                "channel": { "$ref": "#/channels/orders" },
                "messages": [{ "$ref": "#/channels/orders/messages/OrderStatusChanged" }],
            },
        },
        "components": {
            "messages": {
                "OrderStatusChanged": {
                    "name": "OrderStatusChanged",
                    "title": "An order went from one status to another",
                    "contentType": "application/json",
                    "payload": { "$ref": "#/components/schemas/OrderStatusChanged" },
                    "examples": examples,
                },
            },
            "schemas": component_schemas(),
        },
    })
}

fn envelope(event: &Value) -> Value {
    json!({ "source": "delivery-webhooks", "detail-type": "OrderStatusChanged", "detail": event })
}

struct Example {
    name: &'static str,
    summary: &'static str,
    event: Value,
}

/// What documented webhooks become: with the driver, and corrected.
async fn examples() -> Vec<Example> {
    let pipeline = Pipeline::new();
    let delivered = testkit::shipday(testkit::sample_bytes("shipday/documented.json"));
    let later = 1_684_644_999_000;
    let order = serde_json::from_slice::<Value>(&delivered.body).unwrap()["order"]["id"]
        .as_u64()
        .unwrap();
    for webhook in [
        delivered,
        shipday_event(order, "ORDER_COMPLETED", "ALREADY_DELIVERED", later),
        shipday_event(order, "ORDER_FAILED", "FAILED_DELIVERY", later + 60_000),
    ] {
        pipeline.post(&webhook).await;
        pipeline.drain().await;
    }
    let world = &pipeline.world;
    let stream = batch_of(&stream_batch(&world.stream(), 0));
    let told = publisher(world, &[("PUBLISH_DRIVER", "true")]);
    told.handle(stream).await.unwrap();
    let events: Vec<Value> = world
        .published()
        .iter()
        .map(|change| serde_json::to_value(change).unwrap())
        .collect();
    assert_eq!(events.len(), 3, "{events:#?}");
    [
        (
            "first",
            "An order's first status, with its driver and its link",
        ),
        ("delivered", "The delivery"),
        ("corrected", "A delivery that failed after all"),
    ]
    .into_iter()
    .zip(events)
    .map(|((name, summary), event)| Example {
        name,
        summary,
        event,
    })
    .collect()
}

#[track_caller]
fn obeys(schema: &Value, document: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
}

#[test]
fn the_published_schema_of_the_event_is_the_types() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";

    expect_file!["../../docs/schema/order-status-changed.schema.json"].assert_eq(&text);
}

#[tokio::test]
async fn the_asyncapi_document_is_the_types_with_examples_that_are_really_published() {
    let document = document(&examples().await);
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";

    expect_file!["../../docs/schema/order-events.asyncapi.json"].assert_eq(&text);
}

#[tokio::test]
async fn every_example_obeys_the_schema_and_the_asyncapi_document() {
    let examples = examples().await;
    let mut by_document = document(&examples);
    by_document["$ref"] = json!("#/components/schemas/OrderStatusChanged");
    for example in examples {
        obeys(&schema(), &example.event);
        obeys(&by_document, &envelope(&example.event));

        let mut foreign = envelope(&example.event);
        foreign["detail"]["to"] = json!("teleported");
        assert!(!jsonschema::is_valid(&by_document, &foreign));
    }
}

/// Every reference of the document leads somewhere in it.
#[tokio::test]
async fn the_asyncapi_document_refers_to_nothing_that_is_not_there() {
    let document = document(&examples().await);
    let mut found = 0;
    let mut within = vec![&document];
    while let Some(value) = within.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let place = reference.strip_prefix('#').expect("within the document");
                    assert!(document.pointer(place).is_some(), "{reference}");
                    found += 1;
                }
                within.extend(fields.values());
            }
            Value::Array(values) => within.extend(values),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    assert!(found > 5, "{found}");
}

/// Events of version 1 as they were first published. Never to be changed: subscribers were written for them.
const FROZEN: [&str; 2] = [
    include_str!("frozen/order-status-changed-1-full.json"),
    include_str!("frozen/order-status-changed-1-least.json"),
];

#[test]
fn what_was_published_in_this_version_is_still_valid_and_readable() {
    for text in FROZEN {
        let event: Value = serde_json::from_str(text).unwrap();
        assert_eq!(event["schema_version"], STATUS_CHANGE_VERSION);
        obeys(&schema(), &event);

        let read: StatusChange = serde_json::from_value(event.clone()).unwrap();

        // Nothing was taken away and nothing renamed: what was written then is written now.
        let written = serde_json::to_value(read).unwrap();
        for (name, value) in event.as_object().unwrap() {
            assert_eq!(written.get(name), Some(value), "{name}");
        }
    }
}

#[test]
fn a_subscriber_of_today_passes_over_what_is_added_tomorrow() {
    let mut event: Value = serde_json::from_str(FROZEN[0]).unwrap();
    event["added_tomorrow"] = json!({ "anything": [1] });
    event["driver"]["added_tomorrow"] = json!(true);

    obeys(&schema(), &event);
    serde_json::from_value::<StatusChange>(event).unwrap();
}

#[test]
fn the_schema_refuses_another_version_and_what_was_taken_away() {
    let event: Value = serde_json::from_str(FROZEN[1]).unwrap();
    let schema = schema();
    for (name, value) in [
        ("schema_version", json!(2)),
        ("revision", json!("5")),
        ("id", json!(null)),
        ("to", json!("teleported")),
        ("occurred_at_ms", json!("2026-01-07T20:15:01Z")),
    ] {
        let mut bad = event.clone();
        bad[name] = value;
        assert!(!jsonschema::is_valid(&schema, &bad), "{name}");
        bad.as_object_mut().unwrap().remove(name);
        assert!(!jsonschema::is_valid(&schema, &bad), "{name}");
    }
}
