//! Canaries: texts that are nowhere else, put everywhere a sender or an operator can write one. None may sing in a
//! log line, an error, an answer, a message's attributes or a URL.
//!
//! What may be there is made of other texts: the merchant's id, an order's id of `A-Z a-z 0-9 _ . : -`, digests, the
//! ids of requests and messages, statuses and reasons of ours. So the rule is simple: no canary at all. In the
//! body of a queue message a canary may stand where [`FORWARDED`] says.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use aws::{DeadLetterQueue, EventsQueue, InstallationsTable, OrdersTable, WebhooksTable};
use domain::{
    CompanyId, Credential, CredentialDigest, DeadLetters as _, EventQueue as _, Headers,
    Installations as _, MAX_EVENTS_PER_ORDER, MerchantId, Millis, OrderId, Orders as _, Payload,
    Provider, QueueMessage, RawWebhook, RequestId, Sha256Hex, TimelineEntry, Topic, UrlKeyDigest,
    WebhookId, WebhookKey, WebhookRecords as _, authenticate,
};
use futures_util::FutureExt as _;
use lambda_http::{Context, RequestExt as _};
use providers::adapter;
use serde_json::{Value, json};
use testkit::{Fault, NOW, Webhook, World, http_api_event, sample_bytes, sqs_batch, stream_batch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::clients::clients;
use crate::logs::lines_of;
use crate::mutation::places;
use crate::publishing::{batch_of, publisher};
use crate::support::{Pipeline, SENT_AT, gateway_request};

/// In every canary.
const CANARY: &str = "canary";
/// In every number that is a canary.
const CANARY_NUMBER: u64 = 31_415_926_000;

/// Where in a queue message a text of the sender's may stand (decision 10): the driver, the fleet, links, amounts, numbers and
/// words of the order, and the identity of order and webhook. Of a record the headers; its body is compressed.
const FORWARDED: [&str; 16] = [
    "/event/details/driver/",
    "/event/details/third_party/",
    "/event/details/tracking_url",
    "/event/details/proof_of_delivery_urls/",
    "/event/details/order_number",
    "/event/details/parent_order_id",
    "/event/details/currency",
    "/event/details/order_amount",
    "/event/details/delivery_fee",
    "/event/order_id",
    "/event/provider_event",
    "/event/provider_status",
    "/event/provider_event_id",
    "/event/webhook_pk",
    "/record/webhook_pk",
    "/record/headers/",
];

/// The app id, the installation id and the token, with which nothing but credentials is made.
const APP_ID: &str = "canary-app-id";
const INSTALLATION_ID: &str = "canary-installation-id";
const TOKEN: &str = "canary-token";
const URL_KEY: &str = "canary-url-key";

fn no_canary(place: &str, text: &str) {
    let number = CANARY_NUMBER.to_string();
    assert!(
        !text.contains(CANARY) && !text.contains(number.trim_end_matches('0')),
        "a canary is in {place}: {text}"
    );
}

/// A sample with a canary in every leaf whose place does not start with one of `kept`, and in fields nobody knows.
fn planted(sample: &str, kept: &[&str]) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&sample_bytes(sample)).unwrap();
    let leaves: Vec<String> = places(&body)
        .into_iter()
        .filter(|place| {
            !body.pointer(place).unwrap().is_object() && !body.pointer(place).unwrap().is_array()
        })
        .filter(|place| !kept.contains(&place.as_str()))
        .collect();
    for (number, place) in leaves.iter().enumerate() {
        let leaf = body.pointer_mut(place).unwrap();
        // A text has a blank in it, as a name has; an order's id that has none may stand in a log.
        *leaf = match leaf {
            Value::Number(_) if place != "/order/id" => {
                json!(CANARY_NUMBER + u64::try_from(number).unwrap())
            }
            _ => json!(format!("{CANARY} {number} of {place}")),
        };
    }
    body["canary field"] = json!({ "canary": ["canary", 1], "phone": "canary" });
    body.to_string().into_bytes()
}

/// The webhook with a canary in every header and in its URL.
fn with_canary_headers(mut webhook: Webhook) -> Webhook {
    webhook.query = format!("k={URL_KEY}&canary=canary");
    for name in [
        "user-agent",
        "x-forwarded-for",
        "authorization",
        "cookie",
        "referer",
        "x-canary",
        "x-amzn-trace-id",
        "x-armada-app-name",
    ] {
        webhook = webhook.with_header(name, &format!("canary of {name}"));
    }
    match webhook.provider {
        Provider::Armada => webhook
            .with_header("x-armada-app-id", APP_ID)
            .with_header("x-armada-installation-id", INSTALLATION_ID)
            .with_header("x-armada-api-version", "canary version"),
        Provider::Shipday => webhook.with_header("token", TOKEN),
    }
}

/// One webhook for every way through the receiver, each full of canaries.
fn webhooks() -> Vec<Webhook> {
    let documented = "armada/order.updated/documented.json";
    let armada = |topic: &str, kept: &[&str]| {
        with_canary_headers(testkit::armada(
            topic,
            "canary webhook id",
            SENT_AT,
            planted(documented, kept),
        ))
    };
    let shipday = |kept: &[&str]| {
        with_canary_headers(testkit::shipday(planted("shipday/documented.json", kept)))
    };
    let readable_armada = armada("order.updated", &["/status"]);
    let readable_shipday = shipday(&["/event", "/order_status", "/timestamp", "/company/id"]);
    vec![
        readable_armada.clone(),
        readable_shipday.clone(),
        // Unknown words, unknown topic, unbelievable time, another company.
        armada("order.updated", &[]),
        armada("canary topic", &["/status"]),
        readable_armada
            .clone()
            .with_header("x-armada-timestamp", "canary time"),
        shipday(&["/company/id"]),
        shipday(&["/event", "/order_status", "/company/id"]),
        shipday(&["/event", "/order_status", "/timestamp"]),
        // Unreadable.
        armada("order.updated", &["/status", "/code"]).without_header("x-armada-webhook-id"),
        Webhook {
            body: b"{\"canary\":\"canary".to_vec(),
            ..readable_armada.clone()
        },
        Webhook {
            body: b"[\"canary\"]".to_vec(),
            ..readable_shipday.clone()
        },
        Webhook {
            body: b"{\"event\":\"ORDER_ASSIGNED\",\"order\":{\"id\":\"canary#1\"}}".to_vec(),
            ..readable_shipday.clone()
        },
        // Not needed.
        armada("wallet.balance_low", &[]),
        // Refused.
        readable_armada
            .clone()
            .with_header("x-armada-app-id", "canary of nobody"),
        readable_armada
            .clone()
            .with_header("x-armada-app-id", "canary-of-nobody"),
        Webhook {
            query: "k=canary-of-nobody".to_owned(),
            ..readable_armada.clone()
        },
        readable_shipday
            .clone()
            .with_repeated_header("token", "canary"),
        readable_shipday
            .clone()
            .with_header("content-type", "canary/canary"),
        readable_shipday
            .clone()
            .with_header("user-agent", &"canary".repeat(5_000)),
        Webhook {
            source_ip: "canary".to_owned(),
            ..readable_shipday.clone()
        },
        Webhook {
            body: b"canary".repeat(2_000),
            ..readable_shipday
        },
    ]
}

/// Where in a published event a text of the sender's may stand: the order, and, where the stack is set to tell, the driver and the
/// link.
const PUBLISHED: [&str; 3] = ["/order_id", "/driver/", "/tracking_url"];

/// Every call that can fail, with every way in which it can.
fn fault_plans() -> Vec<Vec<(&'static str, Fault)>> {
    let all = [
        Fault::Before,
        Fault::After,
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::Panic,
    ];
    let mut plans = vec![
        vec![],
        vec![("put_if_absent", Fault::Before), ("send", Fault::Before)],
    ];
    for call in ["find", "put_if_absent", "send"] {
        plans.extend(all.map(|fault| vec![(call, fault)]));
    }
    for call in ["put_entry", "read", "save", "close", "postpone", "bury"] {
        plans.extend([Fault::Before, Fault::After].map(|fault| vec![(call, fault)]));
    }
    for call in ["put_entry", "read", "close"] {
        plans.push(vec![(call, Fault::Panic), (call, Fault::Panic)]);
    }
    for call in ["publish", "standing", "keep", "hold"] {
        plans.extend([Fault::Before, Fault::After, Fault::Panic].map(|fault| vec![(call, fault)]));
    }
    for call in ["waiting", "overdue", "claim", "send_all"] {
        let left_behind = ("send", Fault::Before);
        plans.extend([Fault::Before, Fault::After].map(|fault| vec![left_behind, (call, fault)]));
    }
    plans
}

fn pipeline() -> Pipeline {
    let pipeline = Pipeline::with_environment(&[
        ("MAX_BODY_BYTES", "10000"),
        ("SOURCE_IP_MODE", "enforce"),
        ("SOURCE_CIDRS", "203.0.113.0/24"),
    ]);
    let armada = Credential::armada_installation(APP_ID, INSTALLATION_ID).digest(Provider::Armada);
    pipeline.world.install(armada, |installation| {
        installation.label = "canary label".to_owned();
        installation.url_key_sha256 = Some(UrlKeyDigest::of(URL_KEY));
    });
    pipeline.world.install(
        Credential::single(TOKEN).digest(Provider::Shipday),
        |installation| {
            installation.label = "canary label".to_owned();
            installation.company_id = Some(CompanyId::parse("14849").unwrap());
        },
    );
    pipeline
}

/// Everything that the functions do with a webhook. A function more is a line more.
async fn whatever_happens(pipeline: &Pipeline, webhook: &Webhook) {
    let other_body = Webhook {
        body: [webhook.body.as_slice(), b" "].concat(),
        ..webhook.clone()
    };
    for webhook in [webhook, webhook, &other_body] {
        let mut context = Context::default();
        context.xray_trace_id = Some("Root=1-canary of a sender".to_owned());
        let request = gateway_request(&http_api_event(webhook)).with_lambda_context(context);
        // Lambda's runtime catches a panic and answers for us.
        if let Ok(answer) = AssertUnwindSafe(pipeline.respond(webhook.provider, request))
            .catch_unwind()
            .await
        {
            no_canary("an answer", &format!("{answer:?}"));
        }
    }
    pipeline.world.enqueue_text("poison with a canary");
    for mut queued in pipeline.world.queued() {
        let body = std::mem::take(&mut queued.body);
        no_canary("a message's attributes", &format!("{queued:?}"));
        only_where_it_may_be_forwarded(&body);
    }
    for _ in 0..3 {
        pipeline.consume().await;
    }
    for minutes in [10, 30] {
        pipeline
            .world
            .set_now(NOW + Millis::from_seconds(60 * minutes));
        let run = AssertUnwindSafe(pipeline.relay.run()).catch_unwind().await;
        no_canary("a run of the relay", &format!("{run:?}"));
        pipeline.consume().await;
    }
    whatever_is_published(&pipeline.world).await;
}

/// Everything that the publisher does with what was saved, with every setting.
async fn whatever_is_published(world: &World) {
    let mut spoiled = stream_batch(&world.stream(), 0);
    for record in spoiled["Records"].as_array_mut().unwrap() {
        record["dynamodb"]["NewImage"]["status"] = json!({ "S": "a canary" });
    }
    world.enqueue_held("a canary");
    for variables in [
        [("HOLD_SECONDS", "0"), ("PUBLISH_DRIVER", "false")],
        [("HOLD_SECONDS", "10"), ("PUBLISH_DRIVER", "true")],
    ] {
        let publisher = publisher(world, &variables);
        for event in [
            stream_batch(&world.stream(), 0),
            spoiled.clone(),
            sqs_batch(&world.held()),
        ] {
            let answer = publisher.handle(batch_of(&event)).await;
            no_canary("an answer of the publisher", &format!("{answer:?}"));
        }
        let told_of_driver = variables.contains(&("PUBLISH_DRIVER", "true"));
        for change in world.published() {
            let event = serde_json::to_value(&change).unwrap();
            for place in places(&event) {
                let is_kept = place.starts_with(PUBLISHED[0])
                    || told_of_driver && PUBLISHED.iter().any(|kept| place.starts_with(kept));
                if let Some(text) = event
                    .pointer(&place)
                    .and_then(Value::as_str)
                    .filter(|_| !is_kept)
                {
                    no_canary(&format!("an event at {place}"), text);
                }
            }
        }
    }
}

fn only_where_it_may_be_forwarded(body: &str) {
    let Ok(message) = serde_json::from_str::<Value>(body) else {
        return;
    };
    for place in places(&message) {
        let allowed = FORWARDED.iter().any(|prefix| place.starts_with(prefix));
        if let Some(text) = message
            .pointer(&place)
            .and_then(Value::as_str)
            .filter(|_| !allowed)
        {
            no_canary(&format!("a message at {place}"), text);
        }
        let names_a_customer = ["customer", "delivery_details", "pickup_details"]
            .iter()
            .any(|name| place.contains(name));
        assert!(!names_a_customer, "{place}");
    }
}

#[test]
fn no_path_writes_personal_data_or_a_secret() {
    let webhooks = webhooks();
    let mut outcomes = BTreeSet::new();
    let mut lines = Vec::new();
    for plan in fault_plans() {
        for webhook in &webhooks {
            lines.extend(lines_of(async {
                let pipeline = pipeline();
                for (call, fault) in &plan {
                    pipeline.world.fail_next(call, *fault);
                }
                whatever_happens(&pipeline, webhook).await;
            }));
        }
    }
    lines.extend(lines_of(async {
        let pipeline = pipeline();
        let method =
            |event: &mut Value| event["requestContext"]["http"]["method"] = json!("CANARY");
        let mut event = http_api_event(&webhooks[0]);
        method(&mut event);
        pipeline.hand_over(Provider::Armada, &event).await;
        let mut damaged = http_api_event(&webhooks[1]);
        damaged["isBase64Encoded"] = json!(false);
        pipeline.world.fail_next("put_if_absent", Fault::Before);
        pipeline.hand_over(Provider::Shipday, &damaged).await;
        let mut message: Value = serde_json::from_str(&pipeline.world.queued()[0].body).unwrap();
        message["record"]["body"] = json!("AAAA");
        pipeline.world.enqueue_text(&message.to_string());
        message["schema_version"] = json!(99);
        pipeline.world.enqueue_text(&message.to_string());
        pipeline.consume().await;
    }));
    lines.extend(lines_of(async {
        let pipeline = pipeline();
        let webhook = &webhooks[1];
        let text = String::from_utf8(webhook.body.clone()).unwrap();
        for number in 0..=MAX_EVENTS_PER_ORDER {
            let at = (1_684_644_196_349 + number).to_string();
            let body = text.replace("1684644196349", &at).into_bytes();
            let webhook = Webhook {
                body,
                ..webhook.clone()
            };
            pipeline.post(&webhook).await;
        }
        pipeline.drain().await;
    }));

    for line in &lines {
        no_canary("a log line", line);
        let fields: Value = serde_json::from_str(line).unwrap();
        for name in ["outcome", "reason", "forward", "id_reused"] {
            outcomes.extend(
                fields
                    .get(name)
                    .map(|word| format!("{name}: {}", word.as_str().unwrap_or("yes"))),
            );
        }
    }
    expect_test::expect![[r#"
        forward: failed
        forward: fallback
        forward: sent
        id_reused: yes
        outcome: accepted
        outcome: applied
        outcome: bad_request
        outcome: beyond_bound
        outcome: dead_letter
        outcome: duplicate
        outcome: failed
        outcome: forbidden
        outcome: headers_too_large
        outcome: ignored
        outcome: method_not_allowed
        outcome: nothing_overdue
        outcome: published
        outcome: relayed
        outcome: too_large
        outcome: unauthorized
        outcome: unavailable
        outcome: unmapped
        outcome: unsupported_media_type
        reason: credential_malformed
        reason: credential_repeated
        reason: credential_unknown
        reason: damaged_record
        reason: malformed
        reason: missing_event_time
        reason: missing_header
        reason: missing_order_id
        reason: not_json
        reason: other_company
        reason: panicked_again
        reason: registry_unavailable
        reason: unbelievable_event_time
        reason: unknown_schema_version
        reason: unknown_status
        reason: unknown_topic
        reason: url_key_wrong
        reason: wallet_balance"#]]
    .assert_eq(&outcomes.into_iter().collect::<Vec<_>>().join("\n"));
}

// ---------------------------------------------------------------- errors

#[test]
fn no_error_and_no_debug_form_repeats_what_came_from_outside() {
    let odd = "canary#\u{7f}";
    let mut texts = vec![
        format!("{:?}", MerchantId::parse(odd)),
        format!("{:?}", OrderId::parse(odd)),
        format!("{:?}", Topic::parse(odd)),
        format!("{:?}", WebhookId::parse(odd)),
        format!("{:?}", CompanyId::parse(odd)),
        format!("{:?}", RequestId::parse(odd)),
        format!("{:?}", Sha256Hex::parse(odd)),
        format!("{:?}", WebhookKey::parse(odd)),
        format!("{:?}", CredentialDigest::parse(odd)),
        format!("{:?}", UrlKeyDigest::parse(odd)),
        format!("{:?}", Credential::single("canary")),
        format!("{:?}", MerchantId::parse(odd).unwrap_err().to_string()),
        format!("{:?}", WebhookKey::parse(odd).unwrap_err().to_string()),
    ];
    let mut headers = Headers::default();
    headers.add("token", "canary");
    headers.add("token", "canary");
    texts.push(format!(
        "{headers:?} {:?}",
        adapter(Provider::Shipday).credential(&headers)
    ));
    let raw = || RawWebhook {
        provider: Provider::Armada,
        headers: [("x-armada-webhook-id".to_owned(), "canary".to_owned())].into(),
        url_key: Some("canary".to_owned()),
        body: b"canary".to_vec(),
        received_at_ms: NOW,
    };
    texts.push(format!("{:?} {:?}", raw(), authenticate(raw(), None)));
    let world = testkit::World::new();
    let installation = world
        .find(&testkit::armada_credential())
        .now_or_never()
        .unwrap()
        .unwrap();
    texts.push(format!(
        "{:?}",
        authenticate(raw(), installation.as_ref()).unwrap()
    ));

    for text in texts {
        no_canary("an error", &text);
        // Nor byte by byte: a body is printed as numbers.
        assert!(!text.contains("99, 97, 110"), "a canary is in {text}");
    }
}

// ---------------------------------------------------------------- the wire

/// Refuses so many requests, and gives what each of them has before its body: the request line and the headers.
async fn heads(listener: TcpListener, count: usize) -> Vec<String> {
    let mut heads = Vec::new();
    while heads.len() < count {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        let head = loop {
            assert!(
                client.read_buf(&mut received).await.unwrap() > 0,
                "a request is whole"
            );
            let text = String::from_utf8_lossy(&received).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && serde_json::from_str::<Value>(body).is_ok()
            {
                break head.to_owned();
            }
        };
        heads.push(head);
        let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 36\r\nconnection: close\r\n\r\n{\"__type\":\"a#No\",\"message\":\"canary\"}";
        client.write_all(refusal.as_bytes()).await.unwrap();
    }
    heads
}

#[tokio::test]
async fn no_url_and_no_header_of_our_own_requests_carries_a_canary() {
    let pipeline = pipeline();
    pipeline.post(&webhooks()[1]).await;
    let (key, stored) = pipeline.world.records().pop_first().unwrap();
    let message: QueueMessage = serde_json::from_str(&pipeline.world.queued()[0].body).unwrap();
    let Payload::Event(forwarded) = message.payload.clone() else {
        panic!("it is an event");
    };
    let order = forwarded.event.order_key();
    let entry = TimelineEntry::new(forwarded.event, key.clone());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let to = clients(&endpoint);
    let calls = async {
        let credential = Credential::single(TOKEN).digest(Provider::Shipday);
        let failed = [
            InstallationsTable::new(to.dynamodb.clone(), "Installations")
                .find(&credential)
                .await
                .err(),
            WebhooksTable::new(to.dynamodb.clone(), "Webhooks")
                .put_if_absent(&key, &stored.record, stored.state, stored.order.as_ref())
                .await
                .err(),
            OrdersTable::new(to.dynamodb.clone(), "Orders")
                .put_entry(&order, &entry)
                .await
                .err(),
            EventsQueue::new(to.sqs.clone(), format!("{endpoint}/events"))
                .send(&message, None)
                .await
                .err(),
            DeadLetterQueue::new(to.sqs.clone(), format!("{endpoint}/dead"))
                .bury("canary", None)
                .await
                .err(),
        ];
        for error in failed {
            let error = error.expect("each is refused");
            no_canary(
                "a port's error",
                &format!("{error:?} {error} {}", error.with_causes()),
            );
        }
    };
    let (heads, ()) = tokio::join!(heads(listener, 5), calls);

    for head in heads {
        no_canary("a request's head", &head);
    }
}
