//! `hookctl erase`, on the tables of a strict DynamoDB after the pipeline ran.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws::RecordChange;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Orders as _, Provider, RecordState, WebhookRecords as _};
use serde_json::json;
use testkit::NOW;

use crate::operator::{Said, hookctl, hookctl_at, in_front_of, shown};
use crate::strict_concurrency::Tables;
use crate::strict_dynamodb::{Database, Item, recorded};
use crate::support::{SENT_AT, armada_status, order_key, shipday_event};
use crate::template::translated;

const ERASE: &str = "erase demo-merchant armada A1";
/// The records of the order A1 that are no event.
const NO_EVENTS: [&str; 2] = ["wh_3", "wh_4"];

/// Two events of the order A1, one record of it that means nothing and one that was quarantined, and other orders.
async fn after_the_pipeline_ran() -> Tables {
    let tables = Tables::start().await;
    for webhook in [
        armada_status("A1", "pending", "wh_1", "2026-01-07T20:05:00.000Z"),
        armada_status("A1", "dispatched", "wh_2", "2026-01-07T20:10:00.000Z"),
        armada_status("A1", "teleported", "wh_3", SENT_AT),
        armada_status("A10", "dispatched", "wh_5", SENT_AT),
        armada_status("A2", "teleported", "wh_6", SENT_AT),
        shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000),
    ] {
        tables.post(&webhook).await;
    }
    tables.drain(1, 0).await;
    let (record, order) = recorded(&armada_status("A1", "completed", "wh_4", SENT_AT), "r4").await;
    let key = &record.webhook_pk;
    let table = tables.database.webhooks();
    table
        .put_if_absent(key, &record, RecordState::Quarantined, order.as_ref())
        .await
        .unwrap();
    tables
}

/// A table's items by their keys.
async fn items(database: &Database, table: &str) -> BTreeMap<String, Item> {
    let items = database.items(table).await.into_iter();
    let text = |item: &Item, name: &str| item.get(name).map(|it| it.as_s().unwrap().clone());
    let keyed = items.map(|item| {
        let parts = [text(&item, "pk"), text(&item, "sk")];
        (parts.map(Option::unwrap_or_default).join(" "), item)
    });
    keyed.collect()
}

fn key(id: &str) -> String {
    format!("armada#demo-merchant#order.updated#{id}")
}

fn outcomes(said: &Said) -> &serde_json::Value {
    &said.summary()["outcomes"]
}

#[tokio::test]
async fn exactly_the_records_of_one_order_are_erased_and_a_second_run_erases_nothing() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let (records, orders) = (
        items(database, "WebhooksTable").await,
        items(database, "OrdersTable").await,
    );

    let dry = hookctl(database, ERASE).await.done();

    assert_eq!(outcomes(&dry), &json!({ "would_delete": 4 }));
    assert_eq!(items(database, "WebhooksTable").await, records);

    let said = hookctl(database, &format!("{ERASE} --yes")).await.done();

    assert_eq!(outcomes(&said), &json!({ "deleted": 4 }));
    let mut expected = records;
    for id in ["wh_1", "wh_2", "wh_3", "wh_4"] {
        let key = key(id);
        assert!(expected.remove(&format!("{key} ")).is_some(), "{key}");
        assert!(!said.stdout.contains(&key), "told by its digest alone");
        assert!(said.stdout.contains(&domain::short_digest(&key)));
    }
    assert_eq!(expected.len(), 3);
    assert_eq!(items(database, "WebhooksTable").await, expected);
    assert_eq!(items(database, "OrdersTable").await, orders);

    let again = hookctl(database, &format!("{ERASE} --yes")).await.done();
    assert_eq!(again.lines.len(), 1);
    assert_eq!(again.summary()["records"], 0);
    assert_eq!(items(database, "WebhooksTable").await, expected);
}

#[tokio::test]
async fn what_would_be_erased_is_said_in_a_sentence() {
    let tables = after_the_pipeline_ran().await;

    for (options, sentence) in [
        ("", "4 record(s) of the order: 4 would be deleted"),
        (
            "--timeline",
            "4 record(s) of the order and its state and timeline: 5 would be deleted",
        ),
    ] {
        let said = shown(&tables.database, &format!("{ERASE} {options}")).await;

        assert_eq!(said.lines().last(), Some(sentence));
    }
}

#[tokio::test]
async fn an_erasure_says_how_long_backups_can_bring_it_back() {
    let database = Database::start().await;

    let said = hookctl(&database, &format!("{ERASE} --yes")).await.done();

    let table = &translated()["Resources"]["WebhooksTable"]["Properties"];
    let days = &table["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"];
    let told = format!("`webhooks` of the last {days} days and `orders` of the last 35");
    assert!(said.stderr.contains(&told), "{told}: {}", said.stderr);
}

#[tokio::test]
async fn the_timeline_goes_when_it_is_asked_for_and_no_other_with_it() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let (order, other) = (
        order_key(Provider::Armada, "A1"),
        order_key(Provider::Armada, "A10"),
    );
    let kept = database.orders().read(&other).await.unwrap();

    let dry = hookctl(database, &format!("{ERASE} --timeline")).await;
    assert_eq!(outcomes(&dry.done()), &json!({ "would_delete": 5 }));
    assert!(!database.orders().items(&order).await.unwrap().is_empty());

    let line = format!("{ERASE} --timeline --yes");
    let said = hookctl(database, &line).await.done();

    assert_eq!(outcomes(&said), &json!({ "deleted": 5 }));
    assert_eq!(said.all("order")[0]["events"], 2);
    assert!(database.orders().items(&order).await.unwrap().is_empty());
    assert_eq!(database.orders().read(&other).await.unwrap(), kept);
    assert_eq!(hookctl(database, &line).await.done().lines.len(), 1);
}

#[tokio::test]
async fn a_pending_record_is_named_and_left_until_it_is_asked_for() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let webhook = armada_status("A1", "completed", "wh_9", SENT_AT);
    tables.post(&webhook).await;

    let said = hookctl(database, &format!("{ERASE} --timeline --yes")).await;

    assert_eq!(said.code, 1, "{}", said.stdout);
    assert_eq!(
        outcomes(&said),
        &json!({ "deleted": 4, "left_pending": 1, "left_for_records": 1 })
    );
    let left = said.all("webhook");
    let left = left.iter().find(|it| it["outcome"] == "left_pending");
    assert_eq!(left.unwrap()["key"], key("wh_9"));
    assert_eq!(database.pending().await, [key("wh_9")]);

    let line = format!("{ERASE} --timeline --pending --yes");
    let said = hookctl(database, &line).await.done();
    assert_eq!(outcomes(&said), &json!({ "deleted": 2 }));
    assert!(database.pending().await.is_empty());

    // Its message was in the queue: the event is in the timeline again, and no record.
    tables.drain(1, 0).await;
    assert!(database.item(&key("wh_9")).await.is_empty());
    let order = order_key(Provider::Armada, "A1");
    let back = database.orders().items(&order).await.unwrap();
    assert_eq!(back.entries.len(), 1);
    hookctl(database, &line).await.done();
    assert!(database.orders().items(&order).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_that_names_no_order_is_read_again_and_one_that_cannot_be_read_is_told() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    // As an older mapping wrote them, which did not find the order.
    for id in NO_EVENTS.into_iter().chain(["wh_6"]) {
        let update = database.client.update_item().table_name("WebhooksTable");
        update
            .key("pk", AttributeValue::S(key(id)))
            .update_expression("REMOVE order_key")
            .send()
            .await
            .unwrap();
    }
    let (record, _) = recorded(
        &testkit::armada("order.updated", "wh_7", SENT_AT, "{"),
        "r7",
    )
    .await;
    let table = database.webhooks();
    table
        .put_if_absent(&record.webhook_pk, &record, RecordState::Quarantined, None)
        .await
        .unwrap();

    let said = hookctl(database, &format!("{ERASE} --yes")).await.done();

    assert_eq!(outcomes(&said), &json!({ "deleted": 4 }));
    assert_eq!(said.summary()["of_no_order"], 1);
    assert!(
        said.stderr
            .contains("1 record(s) of this merchant name no order")
    );
    let left = items(database, "WebhooksTable").await;
    assert_eq!(left.len(), 4, "A10, A2, the unreadable one and Shipday's");
}

#[tokio::test]
async fn a_record_that_changes_while_it_is_erased_is_left_and_named() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let table = database.webhooks();
    let first = table.get(&key("wh_1")).await.unwrap().unwrap();
    let record = first.record.unwrap();
    let was_changed = Arc::new(AtomicBool::new(false));
    let address = in_front_of(database, move |request| {
        let (table, record, was_changed) = (table.clone(), record.clone(), was_changed.clone());
        async move {
            let is_deletion = request.contains("DynamoDB_20120810.DeleteItem");
            if is_deletion && !was_changed.swap(true, Ordering::SeqCst) {
                let replayed = table.replay(&record, RecordState::Applied, NOW).await;
                assert_eq!(replayed.unwrap(), RecordChange::Made);
            }
            true
        }
    })
    .await;

    let said = hookctl_at(&address, &format!("{ERASE} --timeline --yes")).await;

    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(
        outcomes(&said),
        &json!({ "deleted": 3, "left_changed": 1, "left_for_records": 1 })
    );
    assert_eq!(said.all("webhook")[0]["key"], key("wh_1"));
    assert_eq!(database.pending().await, [key("wh_1")]);
}

#[tokio::test]
async fn an_erasure_that_was_broken_off_still_knows_what_it_left() {
    let tables = after_the_pipeline_ran().await;
    let database = &tables.database;
    let ids = (10..20).map(|n| format!("wh_{n}"));
    for id in ids {
        let webhook = armada_status("A1", "completed", &id, SENT_AT);
        tables.post(&webhook).await;
    }
    let file = std::env::temp_dir().join(format!("erase-{}.json", std::process::id()));
    let line = format!(
        "{ERASE} --timeline --yes --segments 2 --resume {}",
        file.display()
    );
    let address = in_front_of(database, |request| async move {
        !request.contains("\"Segment\":1")
    })
    .await;

    let broken = hookctl_at(&address, &line).await;
    assert!(
        broken.stderr.contains("goes on from there"),
        "{}",
        broken.stderr
    );
    assert!(broken.stdout.contains("left_pending"), "{}", broken.stdout);
    let said = hookctl(database, &line).await;

    assert_eq!(said.code, 1, "{}", said.stdout);
    assert_eq!(outcomes(&said)["left_pending"], 10);
    assert_eq!(outcomes(&said)["left_for_records"], 1);
    let order = order_key(Provider::Armada, "A1");
    assert!(!database.orders().items(&order).await.unwrap().is_empty());
    assert!(!file.exists());
}
