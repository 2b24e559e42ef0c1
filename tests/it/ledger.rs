//! `hookctl ledger`, on the tables of a strict DynamoDB after the pipeline ran.

use aws::SystemClock;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    Clock as _, EpochMillis, MAX_EVENTS_PER_ORDER, Millis, OrderKey, Orders as _, Provider,
    RecordState, Status, TimelineEntry, WebhookKey, WebhookRecords as _,
};
use expect_test::expect;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::operator::{Said, hookctl, hookctl_at, in_front_of, shown};
use crate::strict_concurrency::Tables;
use crate::strict_dynamodb::{Database, entries, recorded};
use crate::support::{SENT_AT, armada_status, order_key, shipday_event};

const AT: u64 = 1_767_816_000_000;

/// A pipeline that has taken in some webhooks: of three orders, one webhook twice, one status under two ids, and one
/// that means nothing; one that cannot be read is in the table too.
async fn after_the_pipeline_ran() -> Tables {
    let tables = Tables::start().await;
    for webhook in [
        armada_status("A1", "pending", "wh_1", "2026-01-07T20:05:00.000Z"),
        armada_status("A1", "dispatched", "wh_2", "2026-01-07T20:10:00.000Z"),
        armada_status("A1", "dispatched", "wh_2", "2026-01-07T20:10:00.000Z"),
        armada_status("A1", "dispatched", "wh_3", SENT_AT),
        armada_status("A2", "completed", "wh_4", SENT_AT),
        armada_status("A2", "teleported", "wh_5", SENT_AT),
        shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", AT),
        shipday_event(7, "ORDER_PIKEDUP", "PICKED_UP", AT + 1_000),
    ] {
        tables.post(&webhook).await;
    }
    tables.drain(1, 0).await;
    let unreadable = testkit::armada("order.updated", "wh_6", SENT_AT, "{");
    let (record, order) = recorded(&unreadable, "r6").await;
    let key = &record.webhook_pk;
    let table = tables.database.webhooks();
    table
        .put_if_absent(key, &record, RecordState::Quarantined, order.as_ref())
        .await
        .unwrap();
    tables
}

async fn ledger(database: &Database) -> Said {
    hookctl(database, "ledger --segments 2").await
}

/// The one difference of this kind.
#[track_caller]
fn difference<'a>(said: &'a Said, kind: &str) -> &'a Value {
    let differences = said.all("difference");
    let mut of_kind = differences.iter().filter(|it| it["kind"] == kind);
    let one = of_kind
        .next()
        .unwrap_or_else(|| panic!("no {kind}: {}", said.stdout));
    assert_eq!(of_kind.next(), None, "{}", said.stdout);
    one
}

/// Does what a difference says that mends it.
async fn mend(database: &Database, difference: &Value) {
    let command = difference["mend"].as_str().unwrap();
    let words = command.strip_prefix("hookctl ").unwrap();
    hookctl(database, words).await.done();
}

/// The item of an entry, or of the state.
fn item_key(order: &OrderKey, sort_key: &str) -> [(String, AttributeValue); 2] {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    [
        ("pk".to_owned(), text(&order.to_string())),
        ("sk".to_owned(), text(sort_key)),
    ]
}

#[tokio::test]
async fn the_ledger_of_what_the_pipeline_left_has_no_difference() {
    let tables = after_the_pipeline_ran().await;

    let said = ledger(&tables.database).await.done();

    assert_eq!(said.all("difference"), [] as [&Value; 0]);
    let summary = said.summary();
    assert_eq!(summary["records"], 8);
    assert_eq!(
        summary["by_provider"],
        json!({
            "armada": { "applied": 4, "quarantined": 1, "unmapped": 1 },
            "shipday": { "applied": 2 },
        })
    );
    assert_eq!(summary["applied"]["in_timeline"], 6);
    assert_eq!(
        summary["orders"],
        json!({ "right": 3, "different": 0, "being_applied": 0, "standing_still": 0 })
    );
    expect![[r#"
        Ledger of STACK

          records          armada  shipday      all
          pending               0        0        0
          applied               4        2        6
          unmapped              1        0        1
          quarantined           1        0        1
          parked                0        0        0
          dismissed             0        0        0
          no known state        0        0        0
          all                   6        2        8

          applied, in its order's timeline            6
          applied, not in it                          0
          applied, no event to this hookctl           0
          applied, cannot be read again               0
          orders whose state is their timeline's      3
          orders with a difference                    0
          orders being applied while they were read   0
          orders beyond 500 events: they stand still  0

        No difference.
    "#]]
    .assert_eq(&shown(&tables.database, "ledger").await);
}

#[tokio::test]
async fn of_a_merchant_and_a_time_only_their_records_are_counted() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let records = async |line: &str| {
        let said = hookctl(database, line).await.done();
        said.summary()["records"].clone()
    };

    assert_eq!(records("ledger --merchant demo-merchant").await, 8);
    assert_eq!(records("ledger --merchant nobody").await, 0);
    assert_eq!(records("ledger --until 2026-01-01T00:00:00Z").await, 0);
    assert_eq!(records("ledger --since 2026-01-01T00:00:00Z").await, 8);
}

#[tokio::test]
async fn an_event_on_its_way_is_told_with_its_age_and_is_no_difference() {
    let tables = after_the_pipeline_ran().await;
    let webhook = armada_status("A1", "completed", "wh_9", SENT_AT);
    tables.post(&webhook).await;
    // The consumer has put the entry, and not saved the state yet.
    let (order, orders) = (order_key(Provider::Armada, "A1"), tables.database.orders());
    let mut entry = orders.read(&order).await.unwrap().entries[0].clone();
    entry.occurred_at_ms = entry.occurred_at_ms + Millis::from_seconds(3_600);
    entry.webhook_pk = WebhookKey::parse("armada#demo-merchant#order.updated#wh_9").unwrap();
    orders.put_entry(&order, &entry).await.unwrap();

    let said = ledger(&tables.database).await.done();

    let summary = said.summary();
    assert_eq!(summary["by_provider"]["armada"]["pending"], 1);
    let oldest = &summary["oldest_pending"];
    assert_eq!(oldest["received_at"], "2026-03-20T00:00:00.000Z");
    assert!(oldest["age_seconds"].as_u64().unwrap() > 3_600, "{oldest}");
    assert_eq!(summary["orders"]["being_applied"], 1);
    assert_eq!(summary["orders"]["right"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_read_in_live_traffic_has_no_difference() {
    let tables = Tables::with_slow_consumers(3, Rng::with_seed(7)).await;
    for n in 0..80 {
        let webhook = shipday_event(1 + n % 4, "ORDER_PIKEDUP", "PICKED_UP", AT + n);
        tables.post(&webhook).await;
    }
    let consumers = tokio::spawn({
        let tables = tables.clone();
        async move { tables.drain(4, 7).await }
    });
    while !consumers.is_finished() {
        ledger(&tables.database).await.done();
    }
    consumers.await.unwrap();

    let said = ledger(&tables.database).await.done();
    assert_eq!(said.summary()["orders"]["right"], 4);
    assert_eq!(said.summary()["applied"]["in_timeline"], 80);
}

#[tokio::test]
async fn an_entry_that_is_gone_is_found_and_the_replay_that_is_told_mends_it() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let order = order_key(Provider::Shipday, "7");
    let before = database.orders().read(&order).await.unwrap();
    let sort_key = before.entries[0].sort_key(Provider::Shipday);
    let delete = database.client.delete_item().table_name("OrdersTable");
    let delete = delete.set_key(Some(item_key(&order, &sort_key).into()));
    delete.send().await.unwrap();

    let said = ledger(database).await;

    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stderr.contains("2 difference(s)"), "{}", said.stderr);
    let lost = difference(&said, "entries_lost");
    assert_eq!(lost["about"], order.to_string());
    assert_eq!(said.summary()["applied"]["not_in_timeline"], 1);

    mend(database, difference(&said, "entry_missing")).await;
    tables.world.set_now(SystemClock.now_ms());
    tables.run_relays(1).await;
    tables.drain(1, 0).await;

    assert_eq!(ledger(database).await.done().summary()["records"], 8);
    let after = database.orders().read(&order).await.unwrap();
    assert_eq!(after.entries, before.entries);
}

#[tokio::test]
async fn a_state_that_was_changed_is_found_and_the_refold_that_is_told_mends_it() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let (order, orders) = (order_key(Provider::Armada, "A2"), database.orders());
    let right = orders.read(&order).await.unwrap().state.unwrap();
    let mut wrong = right.clone();
    wrong.status = Some(Status::Failed);
    orders.save(&order, &wrong).await.unwrap();

    let said = ledger(database).await;

    assert_eq!(said.code, 1, "{}", said.stdout);
    let differs = difference(&said, "state_differs");
    assert_eq!(differs["about"], order.to_string());
    assert_eq!(said.summary()["differences"], 1);
    let text = shown(database, "ledger").await;
    expect![[r#"
          0

        1 difference(s)

          demo-merchant#armada#A2
            its state is not what its timeline folds to: status failed -> delivered (differs in status)
            mend: hookctl order refold demo-merchant armada A2
    "#]].assert_eq(text.split("stand still").nth(1).unwrap());

    mend(database, differs).await;

    ledger(database).await.done();
    assert_eq!(orders.read(&order).await.unwrap().state, Some(right));
}

#[tokio::test]
async fn with_since_only_the_orders_of_its_records_are_checked() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let (order, orders) = (order_key(Provider::Armada, "A2"), database.orders());
    let mut wrong = orders.read(&order).await.unwrap().state.unwrap();
    wrong.status = Some(Status::Failed);
    orders.save(&order, &wrong).await.unwrap();

    let before = hookctl(database, "ledger --since 2026-01-01T00:00:00Z").await;
    let after = hookctl(database, "ledger --since 2027-01-01T00:00:00Z").await;

    difference(&before, "state_differs");
    assert_eq!(before.summary()["orders"]["right"], 2, "each once");
    assert_eq!(after.done().summary()["orders"]["right"], 0);
}

#[tokio::test]
async fn an_order_beyond_its_bound_is_listed_and_is_no_difference() {
    let tables = after_the_pipeline_ran().await;
    let (order, orders) = (order_key(Provider::Shipday, "9"), tables.database.orders());
    let template = entries().await.remove(0);
    for n in 0..=MAX_EVENTS_PER_ORDER {
        let entry = TimelineEntry {
            occurred_at_ms: EpochMillis::new(AT + u64::try_from(n).unwrap()),
            ..template.clone()
        };
        orders.put_entry(&order, &entry).await.unwrap();
    }

    let said = ledger(&tables.database).await.done();

    assert_eq!(said.summary()["orders"]["standing_still"], 1);
    let listed = said.all("stands_still");
    assert_eq!(listed, [&json!({ "order": order.to_string() })]);
    let text = shown(&tables.database, "ledger").await;
    assert!(text.contains("\n  demo-merchant#shipday#9\n"), "{text}");
}

#[tokio::test]
async fn a_record_that_nothing_looks_after_is_a_difference() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    for (key, name, value) in [
        ("wh_5", "state", AttributeValue::S("lost".to_owned())),
        ("wh_4", "body_sha256", AttributeValue::S("0".repeat(64))),
    ] {
        let key = format!("armada#demo-merchant#order.updated#{key}");
        let update = database.client.update_item().table_name("WebhooksTable");
        update
            .key("pk", AttributeValue::S(key))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value)
            .send()
            .await
            .unwrap();
    }

    let said = ledger(database).await;

    assert_eq!(said.code, 1, "{}", said.stdout);
    let unknown = difference(&said, "unknown_state");
    assert_eq!(
        unknown["look"],
        "hookctl webhook show 'armada#demo-merchant#order.updated#wh_5'"
    );
    difference(&said, "record_unreadable");
    let summary = said.summary();
    assert_eq!(summary["by_provider"]["armada"]["no_known_state"], 1);
    assert_eq!(summary["records"], 8);
}

#[tokio::test]
async fn a_ledger_that_was_broken_off_goes_on_with_its_sums_in_either_table() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let whole = ledger(database).await.done();
    let file = std::env::temp_dir().join(format!("ledger-{}.json", std::process::id()));
    let line = format!("ledger --segments 2 --resume {}", file.display());
    for table in ["WebhooksTable", "OrdersTable"] {
        // The second segment of this table's scan is never answered.
        let address = in_front_of(database, move |request| async move {
            let is_second = request.contains("\"Segment\":1") && request.contains(table);
            !is_second
        })
        .await;

        let broken = hookctl_at(&address, &line).await;
        assert_eq!((broken.code, broken.lines.len()), (1, 0), "{table}");
        assert!(broken.stderr.contains("goes on from there"), "{table}");
        let said = hookctl(database, &line).await.done();

        assert_eq!(said.lines, whole.lines, "{table}");
        assert!(said.stderr.contains("going on from"), "{}", said.stderr);
        assert!(!file.exists());
    }
}
