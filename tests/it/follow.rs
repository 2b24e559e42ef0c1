//! `hookctl webhook tail` and `hookctl order show --watch`, while the pipeline runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws::RecordChange;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{RecordState, WebhookRecord};
use serde_json::{Value, json};
use testkit::NOW;

use crate::operator::{Said, hookctl, hookctl_at, in_front_of, shown, shown_at};
use crate::strict_concurrency::Tables;
use crate::support::{SENT_AT, armada_status, shipday_event};

/// A tail that waits for more lines than come would not end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Tails from before the time at which the tests' webhooks are received.
async fn tail(address: &str, options: &str) -> Said {
    let line = format!("webhook tail --since 2026-01-01T00:00:00Z --interval 0.1 {options}");
    let said = tokio::time::timeout(ENDS_WITHIN, hookctl_at(address, &line)).await;
    said.unwrap().done()
}

fn key(id: &str) -> String {
    format!("armada#demo-merchant#order.updated#{id}")
}

/// The records that were shown, in which state, and in which before.
fn changes(said: &Said) -> Vec<(String, String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let lines = said
        .lines
        .iter()
        .filter(|line| line.get("webhook").is_some());
    let changes = lines.map(|line| {
        let webhook = &line["webhook"];
        let [key, state] = [&webhook["key"], &webhook["state"]].map(|it| text(it).unwrap());
        (key, state, text(&line["was"]))
    });
    let mut changes: Vec<_> = changes.collect();
    changes.sort();
    changes
}

fn change(id: &str, state: &str, was: Option<&str>) -> (String, String, Option<String>) {
    (key(id), state.to_owned(), was.map(str::to_owned))
}

/// An address at which `before` is done before a request for this operation passes, with how many passed already.
async fn before_each<R>(
    tables: &Tables,
    operation: &'static str,
    before: impl Fn(usize) -> R + Clone + Send + 'static,
) -> String
where
    R: Future<Output = ()> + Send,
{
    let passed = Arc::new(AtomicUsize::new(0));
    in_front_of(&tables.database, move |request| {
        let is_meant = request.contains(&format!("DynamoDB_20120810.{operation}"));
        let doing = is_meant.then(|| before(passed.fetch_add(1, Ordering::SeqCst)));
        async move {
            if let Some(doing) = doing {
                doing.await;
            }
            true
        }
    })
    .await
}

#[tokio::test]
async fn a_record_is_shown_when_it_arrives_and_once_more_in_each_further_state() {
    let tables = Tables::start().await;
    tables
        .post(&armada_status("A1", "pending", "wh_1", SENT_AT))
        .await;
    tables
        .post(&armada_status("A2", "teleported", "wh_2", SENT_AT))
        .await;
    let pipeline = tables.clone();
    let address = before_each(&tables, "Scan", move |passed| {
        let tables = pipeline.clone();
        async move {
            match passed {
                1 => tables.drain(1, 0).await,
                // A pass in which nothing happened: nothing is shown twice.
                3 => {
                    let webhook = armada_status("A3", "pending", "wh_3", SENT_AT);
                    tables.post(&webhook).await;
                    tables.drain(1, 0).await;
                }
                _ => {}
            }
        }
    })
    .await;

    let said = tail(&address, "--limit 4").await;

    assert_eq!(
        changes(&said),
        [
            change("wh_1", "applied", Some("pending")),
            change("wh_1", "pending", None),
            change("wh_2", "unmapped", None),
            change("wh_3", "applied", None),
        ]
    );
    let summary = said.summary();
    assert_eq!(
        (&summary["changes"], &summary["passes"]),
        (&json!(4), &json!(3))
    );
    assert!(summary["read_units"].as_f64() >= Some(2.5), "{summary}");
    assert!(said.stderr.contains("read unit(s)"), "{}", said.stderr);
}

#[tokio::test]
async fn a_state_that_no_consistent_read_confirms_is_not_shown() {
    let tables = Tables::start().await;
    tables
        .post(&armada_status("A1", "pending", "wh_1", SENT_AT))
        .await;
    let pipeline = tables.clone();
    let (scans, pass) = (tables.clone(), Arc::new(AtomicUsize::new(0)));
    // The scan finds it applied; when it is read again, it is as it was shown before: the scan was answered by a copy
    // that was not in step.
    let address = in_front_of(&tables.database, move |request| {
        let (tables, pass) = (scans.clone(), Arc::clone(&pass));
        async move {
            if request.contains("DynamoDB_20120810.Scan") {
                match pass.fetch_add(1, Ordering::SeqCst) {
                    1 => tables.drain(1, 0).await,
                    2 => {
                        let webhook = armada_status("A2", "teleported", "wh_2", SENT_AT);
                        tables.post(&webhook).await;
                    }
                    _ => {}
                }
            } else if request.contains("DynamoDB_20120810.GetItem") {
                make_pending(&tables).await;
            }
            true
        }
    })
    .await;

    let said = tail(&address, "--limit 2").await;

    assert_eq!(
        changes(&said),
        [
            change("wh_1", "pending", None),
            change("wh_2", "unmapped", None)
        ]
    );
    assert_eq!(pipeline.database.pending().await, [key("wh_1")]);
}

async fn make_pending(tables: &Tables) {
    let table = tables.database.webhooks();
    let record: WebhookRecord = table
        .get(&key("wh_1"))
        .await
        .unwrap()
        .unwrap()
        .record
        .unwrap();
    let replayed = table.replay(&record, RecordState::Applied, NOW).await;
    assert_eq!(replayed.unwrap(), RecordChange::Made);
}

#[tokio::test]
async fn only_what_was_asked_for_is_shown() {
    let unmapped = |order| armada_status(order, "teleported", "wh_8", SENT_AT);
    let applied = armada_status("A1", "completed", "wh_9", SENT_AT);
    let shipday = shipday_event(8, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000);
    for (filters, fit, one_more) in [
        ("", 4, shipday.clone()),
        ("--state unmapped", 1, unmapped("A2")),
        (
            "--state applied,unmapped --provider armada",
            3,
            unmapped("A2"),
        ),
        ("--provider shipday --merchant demo-merchant", 1, shipday),
        ("--order 'demo-merchant#armada#A1'", 2, unmapped("A1")),
        (
            "--order 'demo-merchant#armada#A1' --state applied",
            1,
            applied,
        ),
    ] {
        let tables = after_the_pipeline_ran().await;
        let pipeline = tables.clone();
        let address = before_each(&tables, "Scan", move |passed| {
            let (tables, webhook) = (pipeline.clone(), one_more.clone());
            async move {
                if passed == 1 {
                    tables.post(&webhook).await;
                    tables.drain(1, 0).await;
                }
            }
        })
        .await;

        let said = tail(&address, &format!("{filters} --limit {}", fit + 1)).await;

        assert_eq!(
            said.summary()["passes"],
            1,
            "{filters}: the last in the second reading"
        );
        for change in said.all("webhook") {
            assert_fits(change, filters);
        }
    }
}

async fn after_the_pipeline_ran() -> Tables {
    let tables = Tables::start().await;
    for webhook in [
        armada_status("A1", "pending", "wh_1", "2026-01-07T20:05:00.000Z"),
        armada_status("A1", "teleported", "wh_2", SENT_AT),
        armada_status("A10", "dispatched", "wh_3", SENT_AT),
        shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000),
    ] {
        tables.post(&webhook).await;
    }
    tables.drain(1, 0).await;
    tables
}

#[track_caller]
fn assert_fits(webhook: &Value, filters: &str) {
    let state = webhook["state"].as_str().unwrap();
    let order = webhook["order"].as_str().unwrap();
    let fits = [
        !filters.contains("--state") || filters.contains(state),
        !filters.contains("--provider shipday") || order.contains("#shipday#"),
        !filters.contains("--provider armada") || order.contains("#armada#"),
        !filters.contains("--order") || order == "demo-merchant#armada#A1",
    ];
    assert_eq!(fits, [true; 4], "{filters}: {webhook}");
}

#[tokio::test]
async fn a_table_of_several_pages_is_read_to_its_end() {
    let tables = Tables::start().await;
    for n in 0..5 {
        let id = format!("wh_{n}");
        tables
            .post(&armada_status("A1", "teleported", &id, SENT_AT))
            .await;
        let update = tables
            .database
            .client
            .update_item()
            .table_name("WebhooksTable");
        update
            .key("pk", AttributeValue::S(key(&id)))
            .update_expression("SET padding = :padding")
            .expression_attribute_values(":padding", AttributeValue::S("x".repeat(350_000)))
            .send()
            .await
            .unwrap();
    }

    let said = tail(&tables.database.address(), "--limit 5 --read-units 100000").await;

    assert_eq!(changes(&said).len(), 5);
    assert_eq!(said.summary()["passes"], 0, "in the first reading");
    let units = said.summary()["read_units"].as_f64().unwrap();
    assert!(
        (200.0..240.0).contains(&units),
        "half a unit for each 4 KB: {units}"
    );
}

#[tokio::test]
async fn an_order_is_waited_for_and_followed_until_it_is_where_it_should_get_to() {
    const WATCH: &str =
        "order show demo-merchant armada A1 --watch --until delivered --interval 0.1";
    let tables = Tables::start().await;
    let followed = |tables: &Tables| {
        let pipeline = tables.clone();
        move |passed: usize| {
            let tables = pipeline.clone();
            async move {
                let (status, id, sent_at) = match passed {
                    1 => ("pending", "wh_1", "2026-01-07T20:05:00.000Z"),
                    3 => ("completed", "wh_2", SENT_AT),
                    _ => return,
                };
                tables.post(&armada_status("A1", status, id, sent_at)).await;
                tables.drain(1, 0).await;
            }
        }
    };
    let address = before_each(&tables, "Query", followed(&tables)).await;

    let said = hookctl_at(&address, WATCH).await.done();

    let statuses: Vec<_> = said
        .lines
        .iter()
        .map(|order| &order["state"]["status"])
        .collect();
    assert_eq!(
        statuses,
        ["pending", "delivered"],
        "one line for each change"
    );
    assert!(
        said.stderr
            .contains("waiting: no event of demo-merchant#armada#A1")
    );

    let again = hookctl(&tables.database, WATCH).await.done();
    assert_eq!(again.lines.len(), 1, "it is there already");

    let tables = Tables::start().await;
    let address = before_each(&tables, "Query", followed(&tables)).await;
    let said = shown_at(&address, WATCH).await;
    let (whole, change) = said.split_once("\n+ ").unwrap();
    assert!(
        whole.starts_with("Order A1 of demo-merchant at armada"),
        "{said}"
    );
    assert!(
        change.contains("applied (forward): pending -> delivered"),
        "{said}"
    );
    assert!(change.contains("status    delivered"), "{said}");
    assert_eq!(said.matches("applied: pending").count(), 1, "{said}");
}

#[tokio::test]
async fn what_is_written_elsewhere_than_to_a_terminal_has_no_colour() {
    let tables = Tables::start().await;
    tables
        .post(&armada_status("A1", "teleported", "wh_1", SENT_AT))
        .await;

    for line in ["webhook list", &format!("webhook show '{}'", key("wh_1"))] {
        let said = shown(&tables.database, line).await;

        assert!(said.contains("!unmapped"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

#[tokio::test]
async fn a_shell_gets_a_script_that_knows_every_command() {
    let tables = Tables::start().await;

    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shown(&tables.database, &format!("completions {shell}")).await;

        for word in ["hookctl", "webhook", "tail", "read-units", "erase"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
