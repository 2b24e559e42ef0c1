//! Every limit at its bound and one beyond it; and that our own limits keep what we write within the services'.

use std::collections::HashMap;

use aws::message_text;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    Credential, MAX_EVENTS_PER_ORDER, Orders as _, Payload, Provider, QueueMessage, Sha256Hex,
    WebhookKey, WebhookRecords as _, fold, record,
};
use ingest::Config;
use providers::adapter;
use serde_json::json;
use testkit::{Fault, StoredRecord, Webhook, http_api_event, sample_bytes};

use crate::strict_dynamodb::Database;
use crate::support::{Pipeline, SENT_AT, gateway_request, shipday_event};

/// DynamoDB's largest item, in bytes.
pub(crate) const LARGEST_ITEM: usize = 409_600;
/// SQS's largest message, in bytes.
pub(crate) const LARGEST_MESSAGE: usize = 1_048_576;
/// DynamoDB's longest partition key and longest sort key, in bytes.
const LONGEST_KEY: usize = 2_048;
const LONGEST_SORT_KEY: usize = 1_024;
/// The largest body that a configuration can let in, and the most headers, in bytes.
const LARGEST_BODY: usize = 358_400;
const MOST_HEADER_BYTES: usize = 16_384;

fn with_the_largest_limit() -> Pipeline {
    Pipeline::with_environment(&[("MAX_BODY_BYTES", "358400")])
}

/// Bytes that no deflate makes shorter.
fn noise(bytes: usize) -> Vec<u8> {
    let digests = (0u64..).map(|block| Sha256Hex::of(&block.to_le_bytes()));
    let digits: String = digests.take(bytes / 32 + 1).map(String::from).collect();
    let pairs = (0..bytes).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
    pairs.collect()
}

/// How long the headers of a webhook are when they reach the function.
fn header_bytes(webhook: &Webhook) -> usize {
    let request = gateway_request(&http_api_event(webhook));
    request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// The webhook with its headers made exactly so long, by what stands in one of them.
fn with_headers_of(webhook: Webhook, bytes: usize, name: &str, filler: &str) -> Webhook {
    let webhook = webhook.with_header(name, "");
    let missing = bytes - header_bytes(&webhook);
    let value = filler.repeat(missing.div_ceil(filler.len()));
    webhook.with_header(name, &value[..missing])
}

/// A webhook of Armada with a body and headers of the greatest size, and nothing in them gets shorter. Of an unknown
/// topic, it is kept whatever the body holds.
fn largest_armada(topic: &str) -> Webhook {
    let webhook = testkit::armada(topic, "", SENT_AT, noise(LARGEST_BODY));
    with_headers_of(webhook, MOST_HEADER_BYTES, "x-armada-webhook-id", "\"\\")
}

/// A webhook of Shipday whose every text is as long as any that is taken over, and as costly to write down.
fn richest_shipday(text: &str, links: usize) -> Webhook {
    let text = text.repeat(2_048 / text.len());
    let at = 1_767_816_000_000_u64;
    let body = json!({
        "timestamp": at, "event": "ORDER_ASSIGNED", "order_status": text,
        "order": {
            "id": "x".repeat(128), "order_number": text, "parent_id": "9".repeat(128),
            "total_cost": "7922816251426433759354395033.5", "delivery_fee": "7922816251426433759354395033.5",
            "podUrls": vec![&text; links], "eta": u64::MAX, "placement_time": u64::MAX,
            "expected_pickup_time": u64::MAX, "expected_delivery_time": u64::MAX, "arrived_time": u64::MAX,
            "assigned_time": at, "start_time": at, "pickedup_time": at, "delivery_time": at,
        },
        "company": { "id": 1, "currency_code": text },
        "carrier": { "id": text, "name": text, "phone": text },
        "thirdPartyDeliveryOrder": {
            "thirdPartyName": text, "referenceId": text, "status": text, "insertedAt": u64::MAX,
            "thirdPartyFee": "7922816251426433759354395033.5",
        },
    });
    testkit::shipday(body.to_string())
}

// ---------------------------------------------------------------- sizes, as DynamoDB counts them

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(members) => 3 + members.len() + item_size(members),
        AttributeValue::L(elements) => {
            3 + elements.len() + elements.iter().map(value_size).sum::<usize>()
        }
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        other => panic!("we write no {other:?}"),
    }
}

fn item_size(item: &HashMap<String, AttributeValue>) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

/// What is in a record's item beside its key, its body and its headers: names, digests, ids and times.
const RECORD_OVERHEAD: usize = 1_024;

/// More than a record takes in its table.
pub(crate) fn record_size(key: &WebhookKey, stored: &StoredRecord) -> usize {
    let headers: usize = stored
        .record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 1)
        .sum();
    key.as_str().len() + stored.record.body.as_bytes().len() + headers + RECORD_OVERHEAD
}

// ---------------------------------------------------------------- what comes in

#[test]
fn the_largest_body_that_may_be_configured_is_what_a_record_can_hold() {
    let with = |bytes: usize| {
        Config::from_lookup(|name| (name == "MAX_BODY_BYTES").then(|| bytes.to_string()))
    };

    assert_eq!(with(LARGEST_BODY).unwrap().max_body_bytes, LARGEST_BODY);
    assert!(with(LARGEST_BODY + 1).is_err());
}

#[tokio::test]
async fn headers_at_the_limit_are_read_and_one_byte_more_is_refused_unread() {
    for (provider, webhook) in [
        (
            "armada",
            testkit::armada(
                "order.updated",
                "wh_1",
                SENT_AT,
                sample_bytes("armada/order.updated/documented.json"),
            ),
        ),
        (
            "shipday",
            testkit::shipday(sample_bytes("shipday/documented.json")),
        ),
    ] {
        let pipeline = Pipeline::new();
        let sized = |bytes| with_headers_of(webhook.clone(), bytes, "user-agent", "x");

        let refused = pipeline.post(&sized(MOST_HEADER_BYTES + 1)).await;

        assert_eq!(
            (refused.status, refused.body["title"].as_str()),
            (431, Some("Request Header Fields Too Large")),
            "{provider}"
        );
        assert!(
            pipeline.world.calls().is_empty(),
            "{provider}: nobody is asked"
        );
        assert_eq!(
            pipeline.post(&sized(MOST_HEADER_BYTES)).await.word(),
            "accepted",
            "{provider}"
        );
    }
}

/// Asks for more than a cache holds, then again: what was asked for last is remembered, what came first is not.
async fn asked_again(pipeline: &Pipeline, webhooks: &[Webhook]) -> Vec<usize> {
    for webhook in webhooks {
        pipeline.post(webhook).await;
    }
    let mut asked = Vec::new();
    for again in [webhooks.last().unwrap(), &webhooks[1], &webhooks[0]] {
        let before = pipeline.world.count("find");
        pipeline.post(again).await;
        asked.push(pipeline.world.count("find") - before);
    }
    asked
}

fn shipday_token(number: usize) -> Webhook {
    testkit::shipday("{\"event\":\"LOCATION_UPDATE\"}")
        .with_header("token", &format!("token-{number}"))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_credentials_are_remembered_and_no_more() {
    let webhooks: Vec<Webhook> = (0..=1_000).map(shipday_token).collect();

    assert_eq!(
        asked_again(&Pipeline::new(), &webhooks).await,
        [0, 0, 1],
        "the oldest of 1,001 is forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_installations_are_remembered_and_no_more() {
    let pipeline = Pipeline::new();
    let webhooks: Vec<Webhook> = (0..=10_000).map(shipday_token).collect();
    for number in 0..=10_000 {
        pipeline.world.install(
            Credential::single(&format!("token-{number}")).digest(Provider::Shipday),
            |_| {},
        );
    }

    assert_eq!(
        asked_again(&pipeline, &webhooks).await,
        [0, 0, 1],
        "the oldest of 10,001 is forgotten"
    );
}

// ---------------------------------------------------------------- what goes out

#[tokio::test]
async fn the_largest_message_fits_into_sqs() {
    let unknown_topic = "order.teleported";
    for (name, webhook, table_down, expected) in [
        (
            "fallback, incompressible",
            largest_armada(unknown_topic),
            true,
            480_000,
        ),
        ("event, plain", richest_shipday("x", 20), false, 60_000),
        (
            "event, escaped in the body",
            richest_shipday("\u{1}", 17),
            false,
            300_000,
        ),
        (
            "event, escaped for SQS",
            richest_shipday("\u{ffff}", 20),
            false,
            115_000,
        ),
    ] {
        let pipeline = with_the_largest_limit();
        if table_down {
            pipeline.world.fail_always("put_if_absent", Fault::Before);
        }
        assert!(
            webhook.body.len() <= LARGEST_BODY,
            "{name}: {} bytes",
            webhook.body.len()
        );
        assert_eq!(pipeline.post(&webhook).await.word(), "accepted", "{name}");

        let message: QueueMessage = serde_json::from_str(&pipeline.world.queued()[0].body).unwrap();
        let bytes = message_text(&message).unwrap().len();

        assert!(bytes <= LARGEST_MESSAGE, "{name}: {bytes} bytes");
        assert!(
            bytes >= expected,
            "{name}: only {bytes} bytes, it is not the largest any more"
        );
        assert_eq!(
            matches!(message.payload, Payload::Record(_)),
            table_down,
            "{name}"
        );
    }
}

#[tokio::test]
async fn ten_of_the_largest_messages_are_one_batch() {
    let pipeline = with_the_largest_limit();
    pipeline.world.fail_always("put_if_absent", Fault::Before);
    let mut webhook = largest_armada("order.teleported");
    for number in 0..10 {
        webhook.body[0] = number;
        assert_eq!(pipeline.post(&webhook).await.word(), "accepted");
    }
    pipeline.world.heal();

    assert_eq!(pipeline.consume().await, Vec::<String>::new());
    assert_eq!(
        (
            pipeline.world.records().len(),
            pipeline.world.queued().len()
        ),
        (10, 0)
    );
}

#[tokio::test]
async fn the_largest_record_fits_into_dynamodb() {
    let database = Database::start().await;
    for topic in ["order.teleported", "order.updated"] {
        let pipeline = with_the_largest_limit();
        pipeline.post(&largest_armada(topic)).await;
        let (key, stored) = pipeline.world.records().pop_first().unwrap();

        let recording = record(&database.webhooks(), &stored.record, stored.state, None)
            .await
            .unwrap();

        let item = database.item(recording.key.as_str()).await;
        let bytes = item_size(&item);
        assert!(
            (LARGEST_BODY..=LARGEST_ITEM).contains(&bytes),
            "{topic}: {bytes} bytes"
        );
        assert!(
            bytes <= record_size(&key, &stored),
            "{topic}: {bytes} bytes are more than `record_size` says"
        );
    }
}

#[tokio::test]
async fn the_longest_keys_fit_into_dynamodb() {
    let database = Database::start().await;
    for webhook in [
        testkit::armada(&"t".repeat(64), &"i".repeat(128), SENT_AT, "{}"),
        shipday_event(7, &"E".repeat(64), "STARTED", 1_767_816_000_000),
        richest_shipday("x", 1),
    ] {
        let pipeline = Pipeline::new();
        pipeline.world.install(testkit::armada_credential(), |one| {
            one.merchant_id = "m".repeat(64).parse().unwrap()
        });
        pipeline
            .world
            .install(testkit::shipday_credential(), |one| {
                one.merchant_id = "m".repeat(64).parse().unwrap()
            });
        for body in [
            webhook.body.clone(),
            [webhook.body.as_slice(), b" "].concat(),
        ] {
            pipeline
                .post(&Webhook {
                    body,
                    ..webhook.clone()
                })
                .await;
        }
        assert_eq!(
            pipeline.world.records().len(),
            2,
            "the second under the key and its digest"
        );
        for (key, stored) in pipeline.world.records() {
            assert!(key.as_str().len() <= LONGEST_KEY / 4, "{key}");
            assert!(!database.item(key.as_str()).await.contains_key("pk"));
            let table = database.webhooks();
            table
                .put_if_absent(&key, &stored.record, stored.state, stored.order.as_ref())
                .await
                .unwrap();
        }
        pipeline.drain().await;
        for order in pipeline.world.orders() {
            assert!(order.to_string().len() <= LONGEST_KEY / 4, "{order}");
            for sort_key in pipeline.world.timeline(&order).into_keys() {
                assert!(sort_key.len() <= LONGEST_SORT_KEY / 4, "{sort_key}");
            }
        }
    }
}

#[test]
fn a_key_that_dynamodb_would_refuse_is_no_key() {
    let of = |bytes: usize| format!("armada#m#t#{}", "i".repeat(bytes - "armada#m#t#".len()));

    assert!(WebhookKey::parse(&of(LONGEST_KEY)).is_ok());
    assert!(WebhookKey::parse(&of(LONGEST_KEY + 1)).is_err());
}

#[tokio::test]
async fn the_largest_timeline_entry_and_the_largest_state_fit_into_dynamodb() {
    let database = Database::start().await;
    let pipeline = Pipeline::new();
    assert_eq!(
        pipeline.post(&richest_shipday("x", 100)).await.word(),
        "accepted"
    );
    pipeline.drain().await;
    let order = pipeline.world.orders().pop().unwrap();
    let entry = pipeline.world.timeline(&order).pop_first().unwrap().1;

    database.orders().put_entry(&order, &entry).await.unwrap();
    let mut state = fold(adapter(order.provider), [entry]).state;
    state.event_count = MAX_EVENTS_PER_ORDER;
    database.orders().save(&order, &state).await.unwrap();

    let sizes: Vec<usize> = database
        .items("OrdersTable")
        .await
        .iter()
        .map(item_size)
        .collect();
    assert_eq!(sizes.len(), 2);
    for bytes in sizes {
        assert!(
            (50_000..=80_000).contains(&bytes),
            "{bytes} bytes; the largest item is {LARGEST_ITEM}"
        );
    }
}
