//! One readable line per webhook and record. That nothing personal or secret is in them is for `canary`.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use aws::JsonLines;
use domain::{Millis, Provider};
use serde_json::{Value, json};
use testkit::{Fault, NOW, Webhook};

use crate::support::{Pipeline, SENT_AT};

/// The stack whose metrics the lines are.
pub(crate) const STACK: &str = "a-stack";

thread_local! {
    /// What this thread has logged, while it is asked for.
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    /// How many lines of this thread were refused, while they are.
    static REFUSED: Cell<Option<u32>> = const { Cell::new(None) };
}

/// One subscriber for all tests, because subscribers that come and go disturb each other; each thread's lines
/// stay its own.
static SUBSCRIBER: Once = Once::new();

fn keep(line: &[u8]) {
    if let Some(refused) = REFUSED.get() {
        REFUSED.set(Some(refused + 1));
        return;
    }
    LOGGED.with_borrow_mut(|logged| {
        logged
            .iter_mut()
            .for_each(|lines| lines.extend_from_slice(line));
    });
}

/// Runs `work` and returns its log lines, at the most talkative level.
pub(crate) fn lines_of(work: impl Future<Output = ()>) -> Vec<String> {
    SUBSCRIBER.call_once(|| {
        let subscriber = JsonLines::new(tracing::Level::TRACE, Some(STACK.to_owned()), keep);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    LOGGED.set(Some(Vec::new()));
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work);
    let text = String::from_utf8(LOGGED.take().unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn canary_armada(code: &Value, status: &str) -> Webhook {
    let person =
        json!({ "name": "Canary Customer", "phone": "+96550001111", "address": "Canary Street 5" });
    let body = json!({
        "code": code, "status": status, "customer": person,
        "driver": { "name": "Canary Driver", "phone": "+96550002222" },
    });
    let webhook = testkit::armada("order.updated", "wh_1", SENT_AT, body.to_string());
    Webhook {
        query: "k=canary-url-key".to_owned(),
        ..webhook
    }
}

fn canary_shipday(event: &str, status: &str) -> Webhook {
    let body = json!({
        "timestamp": 1_767_816_000_000_u64, "event": event, "order_status": status, "order": { "id": 7 },
        "delivery_details": { "name": "Canary Customer", "phone": "+96550001111", "address": "Canary Street 5" },
        "carrier": { "id": 1, "name": "Canary Driver", "phone": "+96550002222" },
    });
    testkit::shipday(body.to_string())
}

#[test]
fn a_log_that_cannot_be_written_fails_nothing() {
    REFUSED.set(Some(0));
    let lines = lines_of(async {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("send", Fault::Before);
        let webhook = canary_armada(&json!("A1"), "dispatched");
        assert_eq!(pipeline.post(&webhook).await.word(), "accepted");
        pipeline.world.set_now(NOW + Millis::from_seconds(181));
        assert_eq!(pipeline.relay.run().await.unwrap().sent, 1);
        pipeline.world.fail_next("save", Fault::Before);
        assert_eq!(pipeline.consume().await.len(), 1);
        assert!(pipeline.consume().await.is_empty());
        pipeline.state(Provider::Armada, "A1");
    });

    let refused = REFUSED.take();
    assert!(lines.is_empty() && refused >= Some(4), "{refused:?}");
}

#[test]
fn a_webhook_is_one_line_that_tells_its_story() {
    let lines = lines_of(async {
        Pipeline::new()
            .post(&canary_armada(&json!("A1"), "dispatched"))
            .await;
    });

    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    for (field, value) in [
        ("level", json!("INFO")),
        ("message", json!("webhook accepted")),
        ("provider", json!("armada")),
        ("merchant", json!(testkit::MERCHANT)),
        ("order", json!("A1")),
        ("outcome", json!("accepted")),
        ("http_status", json!(200)),
        ("status", json!("en_route_to_pickup")),
        ("record_state", json!("pending")),
        ("gateway_request_id", json!("Xk3JDhUFiGYEP9A=")),
        ("forward", json!("sent")),
    ] {
        assert_eq!(line[field], value, "{field} in {line:#}");
    }
    for field in [
        "request_id",
        "webhook",
        "bytes",
        "duration_ms",
        "registry_ms",
        "forward_ms",
    ] {
        assert!(!line[field].is_null(), "{field} in {line:#}");
    }
}

#[test]
fn an_unknown_meaning_is_a_warning_that_says_what_was_kept() {
    let lines = lines_of(async {
        Pipeline::new()
            .post(&canary_armada(&json!("A1"), "teleported"))
            .await;
    });

    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    for (field, value) in [
        ("level", "WARN"),
        ("record_state", "unmapped"),
        ("reason", "unknown_status"),
    ] {
        assert_eq!(line[field], value, "{field} in {line:#}");
    }
}

#[test]
fn a_record_is_one_line_that_tells_what_became_of_it() {
    let lines = lines_of(async {
        let pipeline = Pipeline::new();
        pipeline
            .post(&canary_shipday("ORDER_ASSIGNED", "NOT_ACCEPTED"))
            .await;
        pipeline.consume().await;
    });

    assert_eq!(lines.len(), 2, "{lines:#?}");
    let line: Value = serde_json::from_str(&lines[1]).unwrap();
    for (field, value) in [
        ("message", json!("record applied")),
        ("order", json!("7")),
        ("outcome", json!("applied")),
        ("status", json!("assigned")),
        ("saved", json!(true)),
        ("receives", json!(1)),
        ("ApplyDelayMs", json!(0)),
    ] {
        assert_eq!(line[field], value, "{field} in {line:#}");
    }
}

#[test]
fn the_reason_of_a_refusal_is_in_the_log_and_nowhere_else() {
    let lines = lines_of(async {
        let answered = Pipeline::new()
            .post(&testkit::shipday("{\"a\":1}").with_header("token", "wrong"))
            .await;
        assert!(!answered.body.to_string().contains("unknown"));
    });

    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["reason"].as_str()),
        (Some("WARN"), Some("credential_unknown"))
    );
}
