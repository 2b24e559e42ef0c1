//! What a webhook costs: the exact calls and units of every way it can go, around the real tables on a strict
//! DynamoDB that says what each call consumed.
//!
//! In the tables below `item` is the item that was written, or that stood in the way, as DynamoDB counts it: up to
//! 1,024 bytes are one write unit. `sent` and `answer` are the largest body of such a call, in bytes.

mod growth;
mod meter;
mod priced;
mod prices;
mod published;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use testkit::{Webhook, sample};

use self::meter::Calls;
use self::priced::{Priced, Sample, minified};

/// Write units from request to closed, at most.
const MOST_WRITE_UNITS: [(Sample, f64); 3] = [
    (Sample::ArmadaV1, 6.0),
    (Sample::ArmadaV2, 6.0),
    (Sample::Shipday, 6.0),
];

/// A warm pipeline, with so many events of order 1 in its timeline.
async fn with_events(sample: Sample, events: u64) -> Priced {
    let priced = Priced::start().await;
    priced.take_in([sample.event(99, 1)]).await;
    priced
        .take_in((1..=events).map(|n| sample.event(1, n)))
        .await;
    priced.meter.read();
    priced
}

fn check(calls: &Calls, expected: &Expect) {
    expected.assert_eq(&calls.table());
}

async fn check_whole_way(sample: Sample, expected: &Expect) {
    let first = Box::pin(with_events(sample, 0))
        .await
        .whole_way(&sample.event(1, 1))
        .await;
    check(&first, expected);
    // A later event does the same calls and writes the same units: only the query's answer is longer.
    let later = Box::pin(with_events(sample, 4))
        .await
        .whole_way(&sample.event(1, 5))
        .await;
    let units = |calls: &Calls| -> Vec<(String, String, f64, f64)> {
        let calls = calls.0.iter();
        let units = calls.map(|call| {
            let (operation, target) = (call.operation.clone(), call.target.clone());
            (operation, target, call.write_units, call.index_units)
        });
        units.collect()
    };
    assert_eq!(units(&later), units(&first));
}

#[tokio::test]
async fn a_documented_webhook_of_armada_v1_costs_these_calls_and_units() {
    check_whole_way(Sample::ArmadaV1, &expect![[r#"
        call                   on                 times  read write index queue    item    sent  answer
        PutItem                WebhooksTable          1     0     1     1     0     785    1220       2
        SendMessage            EventsQueue            1     0     0     0     1     704       0       0
        ReceiveMessage         EventsQueue            1     0     0     0     1     704       0       0
        DeleteMessageBatch     EventsQueue            1     0     0     0     1       0       0       0
        PutItem                OrdersTable            1     0     1     0     0     502     789       2
        Query                  OrdersTable            1     1     0     0     0       0     173     744
        UpdateItem             OrdersTable            1     0     1     0     0     390    1913       2
        UpdateItem             WebhooksTable          1     0     1     1     0     770     590       2
        all                                           8     1     4     2     3
    "#]]).await;
}

#[tokio::test]
async fn a_documented_webhook_of_armada_v2_costs_these_calls_and_units() {
    check_whole_way(Sample::ArmadaV2, &expect![[r#"
        call                   on                 times  read write index queue    item    sent  answer
        PutItem                WebhooksTable          1     0     1     1     0     770    1194       2
        SendMessage            EventsQueue            1     0     0     0     1     693       0       0
        ReceiveMessage         EventsQueue            1     0     0     0     1     693       0       0
        DeleteMessageBatch     EventsQueue            1     0     0     0     1       0       0       0
        PutItem                OrdersTable            1     0     1     0     0     499     786       2
        Query                  OrdersTable            1     1     0     0     0       0     173     741
        UpdateItem             OrdersTable            1     0     1     0     0     366    1889       2
        UpdateItem             WebhooksTable          1     0     1     1     0     755     595       2
        all                                           8     1     4     2     3
    "#]]).await;
}

#[tokio::test]
async fn a_documented_webhook_of_shipday_costs_these_calls_and_units() {
    check_whole_way(Sample::Shipday, &expect![[r#"
        call                   on                 times  read write index queue    item    sent  answer
        PutItem                WebhooksTable          1     0     1     1     0     826    1280       2
        SendMessage            EventsQueue            1     0     0     0     1     920       0       0
        ReceiveMessage         EventsQueue            1     0     0     0     1     920       0       0
        DeleteMessageBatch     EventsQueue            1     0     0     0     1       0       0       0
        PutItem                OrdersTable            1     0     1     0     0     624    1089       2
        Query                  OrdersTable            1     1     0     0     0       0     170    1044
        UpdateItem             OrdersTable            1     0     1     0     0     496    2190       2
        UpdateItem             WebhooksTable          1     0     1     1     0     811     582       2
        all                                           8     1     4     2     3
    "#]]).await;
}

#[tokio::test]
async fn a_documented_webhook_writes_no_more_units_than_it_may() {
    for (sample, most) in MOST_WRITE_UNITS {
        let calls = with_events(sample, 0)
            .await
            .whole_way(&sample.event(1, 1))
            .await;
        let units = calls.write_units();
        assert!(
            units <= most,
            "{}: {units} units, {most} at most",
            sample.name()
        );
    }
}

/// The life of an order, event by event: bytes of the items and units.
async fn life(webhooks: Vec<(&str, Webhook)>) -> String {
    let priced = Priced::start().await;
    let mut table = format!(
        "{:<24} {:>6} {:>6} {:>6} {:>6} {:>6}\n",
        "event", "record", "entry", "state", "write", "read"
    );
    for (name, webhook) in webhooks {
        let calls = priced.whole_way(&webhook).await;
        let _ = writeln!(
            table,
            "{name:<24} {:>6} {:>6} {:>6} {:>6} {:>6}",
            calls.item_bytes("PutItem", "WebhooksTable"),
            calls.item_bytes("PutItem", "OrdersTable"),
            calls.item_bytes("UpdateItem", "OrdersTable"),
            calls.write_units(),
            calls.sum("OrdersTable", |call| call.read_units),
        );
    }
    table
}

#[tokio::test]
async fn the_life_of_an_armada_order_costs_the_same_with_every_event() {
    let names = [
        "pending",
        "dispatched",
        "waiting_pack",
        "en_route",
        "completed",
    ];
    let webhooks = names.iter().enumerate().map(|(n, name)| {
        let body = minified(&sample(&format!("armada/order.updated/{name}.json")));
        let (id, sent_at) = (format!("wh_{n:026}"), format!("2026-01-07T20:1{n}:01.000Z"));
        (*name, testkit::armada("order.updated", &id, &sent_at, body))
    });
    expect![[r#"
        event                    record  entry  state  write   read
        pending                     743    443    315      6      1
        dispatched                  776    493    394      6      1
        waiting_pack                776    497    401      6      1
        en_route                    772    489    435      6      1
        completed                   767    491    450      6      1
    "#]]
    .assert_eq(&life(webhooks.collect()).await);
}

#[tokio::test]
async fn the_life_of_a_shipday_order_costs_the_same_with_every_event() {
    let names = [
        "ORDER_INSERTED",
        "ORDER_ASSIGNED",
        "ORDER_ACCEPTED_AND_STARTED",
        "ORDER_PIKEDUP",
        "ORDER_ONTHEWAY",
        "ORDER_POD_UPLOAD",
        "ORDER_COMPLETED",
    ];
    let webhooks = names.map(|name| {
        let body = minified(&sample(&format!("shipday/{name}.json")));
        (name, testkit::shipday(body))
    });
    expect![[r#"
        event                    record  entry  state  write   read
        ORDER_INSERTED              669    410    310      6      1
        ORDER_ASSIGNED              718    499    376      6      1
        ORDER_ACCEPTED_AND_STARTED    745    549    410      6      1
        ORDER_PIKEDUP               735    531    418      6      1
        ORDER_ONTHEWAY              747    548    438      6      1
        ORDER_POD_UPLOAD            764    605    502      6      1
        ORDER_COMPLETED             788    654    537      6      2
    "#]]
    .assert_eq(&life(webhooks.into()).await);
}

#[tokio::test]
async fn a_cold_function_reads_the_registry_once_and_then_no_more() {
    let mut priced = with_events(Sample::ArmadaV1, 0).await;
    priced.make_cold();

    priced.accept(&Sample::ArmadaV1.event(1, 1)).await;
    check(
        &priced.meter.read(),
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            GetItem                InstallationsTable     1   0.5     0     0     0       0     127     213
            PutItem                WebhooksTable          1     0     1     1     0     785    1220       2
            SendMessage            EventsQueue            1     0     0     0     1     704       0       0
            all                                           3   0.5     1     1     1
        "#]],
    );

    priced.accept(&Sample::ArmadaV1.event(2, 1)).await;
    check(
        &priced.meter.read(),
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            PutItem                WebhooksTable          1     0     1     1     0     786    1220       2
            SendMessage            EventsQueue            1     0     0     0     1     704       0       0
            all                                           2     0     1     1     1
        "#]],
    );
}

#[tokio::test]
async fn a_duplicate_costs_one_refused_put_before_and_after_it_is_applied() {
    for (sample, expected) in [
        (
            Sample::ArmadaV1,
            expect![[r#"
                call                   on                 times  read write index queue    item    sent  answer
                PutItem (refused)      WebhooksTable          1     0     1     0     0     785    1220    1214
                all                                           1     0     1     0     0
            "#]],
        ),
        (
            Sample::Shipday,
            expect![[r#"
                call                   on                 times  read write index queue    item    sent  answer
                PutItem (refused)      WebhooksTable          1     0     1     0     0     826    1280    1274
                all                                           1     0     1     0     0
            "#]],
        ),
    ] {
        let priced = with_events(sample, 0).await;
        priced.accept(&sample.event(1, 1)).await;
        priced.meter.read();
        assert_eq!(priced.post(&sample.event(1, 1)).await.1, "duplicate");
        let before = priced.meter.read();
        priced.apply(10).await;
        priced.meter.read();
        assert_eq!(priced.post(&sample.event(1, 1)).await.1, "duplicate");
        let after = priced.meter.read();

        check(&before, &expected);
        assert_eq!(after.write_units(), before.write_units());
        assert_eq!(after.0.len(), before.0.len());
    }
}

#[tokio::test]
async fn an_id_that_is_used_for_another_body_costs_a_refused_put_more() {
    let priced = with_events(Sample::ArmadaV1, 1).await;
    let mut other = Sample::ArmadaV1.event(1, 1);
    other.body = Sample::ArmadaV1.event(2, 1).body;

    check(
        &priced.whole_way(&other).await,
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            PutItem (refused)      WebhooksTable          1     0     1     0     0     770    1220    1185
            PutItem                WebhooksTable          1     0     1     1     0     851    1285       2
            SendMessage            EventsQueue            1     0     0     0     1     769       0       0
            ReceiveMessage         EventsQueue            1     0     0     0     1     769       0       0
            DeleteMessageBatch     EventsQueue            1     0     0     0     1       0       0       0
            PutItem                OrdersTable            1     0     1     0     0     567     854       2
            Query                  OrdersTable            1     1     0     0     0       0     173     809
            UpdateItem             OrdersTable            1     0     1     0     0     390    1913       2
            UpdateItem             WebhooksTable          1     0     1     1     0     836     655       2
            all                                           9     1     5     2     3
        "#]],
    );
}

#[tokio::test]
async fn ten_orders_in_a_batch_cost_ten_times_one_and_one_delivery() {
    let priced = with_events(Sample::ArmadaV1, 0).await;
    for order in 1..=10 {
        priced.accept(&Sample::ArmadaV1.event(order, 1)).await;
    }
    priced.meter.read();

    priced.apply(10).await;

    check(
        &priced.meter.read(),
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            ReceiveMessage         EventsQueue            1     0     0     0     1    7040       0       0
            DeleteMessageBatch     EventsQueue            1     0     0     0     1       0       0       0
            PutItem                OrdersTable           10     0    10     0     0     502     789       2
            Query                  OrdersTable           10    10     0     0     0       0     173     744
            UpdateItem             OrdersTable           10     0    10     0     0     390    1913       2
            UpdateItem             WebhooksTable         10     0    10    10     0     772     590       2
            all                                          42    10    30    10     2
        "#]],
    );
}

#[tokio::test]
async fn ten_events_of_one_order_in_a_batch_share_one_query_and_one_save() {
    let priced = with_events(Sample::ArmadaV1, 0).await;
    for n in 1..=10 {
        priced.accept(&Sample::ArmadaV1.event(1, n)).await;
    }
    priced.meter.read();

    priced.apply(10).await;

    check(
        &priced.meter.read(),
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            ReceiveMessage         EventsQueue            1     0     0     0     1    7040       0       0
            DeleteMessageBatch     EventsQueue            1     0     0     0     1       0       0       0
            PutItem                OrdersTable           10     0    10     0     0     502     789       2
            Query                  OrdersTable            1     2     0     0     0       0     173    7100
            UpdateItem             OrdersTable            1     0     1     0     0     390    1914       2
            UpdateItem             WebhooksTable         10     0    10    10     0     770     590       2
            all                                          24     2    21    10     2
        "#]],
    );
}

#[tokio::test]
async fn a_request_of_a_stranger_costs_one_registry_read_and_then_nothing() {
    let priced = with_events(Sample::ArmadaV1, 0).await;
    let stranger = Sample::ArmadaV1
        .event(1, 1)
        .with_header("x-armada-app-id", "nobody");

    assert_eq!(priced.post(&stranger).await.0, 401);
    check(
        &priced.meter.read(),
        &expect![[r#"
        call                   on                 times  read write index queue    item    sent  answer
        GetItem                InstallationsTable     1   0.5     0     0     0       0     127       2
        all                                           1   0.5     0     0     0
    "#]],
    );

    assert_eq!(priced.post(&stranger).await.0, 401);
    assert_eq!(priced.meter.read(), Calls::default());
}

#[tokio::test]
async fn what_is_ignored_costs_no_call_and_what_is_unmapped_one_put() {
    let priced = with_events(Sample::ArmadaV1, 0).await;
    let ignored = Sample::ArmadaV1
        .event(1, 1)
        .with_header("x-armada-webhook-topic", "wallet.balance_low");
    assert_eq!(priced.post(&ignored).await.1, "ignored");
    assert_eq!(priced.meter.read(), Calls::default());

    let unmapped = Sample::ArmadaV1
        .event(1, 1)
        .with_header("x-armada-webhook-topic", "order.teleported");
    check(
        &priced.whole_way(&unmapped).await,
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            PutItem                WebhooksTable          1     0     1     0     0     722    1114       2
            all                                           1     0     1     0     0
        "#]],
    );
}

#[tokio::test]
async fn an_idle_run_of_the_relay_costs_a_request_and_32_half_read_units() {
    let priced = with_events(Sample::ArmadaV1, 1).await;

    assert_eq!(priced.relay().await, 0);

    check(
        &priced.meter.read(),
        &expect![[r#"
        call                   on                 times  read write index queue    item    sent  answer
        GetQueueAttributes     EventsQueue            1     0     0     0     1       0       0       0
        Query                  WebhooksTable         32    16     0     0     0       0     215      39
        all                                          33    16     0     0     1
    "#]],
    );
}

#[tokio::test]
async fn a_relayed_record_costs_a_claim_and_its_share_of_a_request_more() {
    let priced = with_events(Sample::ArmadaV1, 0).await;
    for order in 1..=3 {
        priced.accept(&Sample::ArmadaV1.event(order, 1)).await;
    }
    let lost = priced
        .world
        .queued()
        .into_iter()
        .map(|message| message.message_id);
    priced.world.delete(&lost.collect::<Vec<_>>());
    priced.let_pass(200);
    priced.meter.read();

    assert_eq!(priced.relay().await, 3);
    check(
        &priced.meter.read(),
        &expect![[r#"
            call                   on                 times  read write index queue    item    sent  answer
            GetQueueAttributes     EventsQueue            1     0     0     0     1       0       0       0
            Query                  WebhooksTable         32    16     0     0     0       0     215     179
            UpdateItem             WebhooksTable          3     0     3     6     0     803     634    1133
            SendMessageBatch       EventsQueue            3     0     0     0     3     704       0       0
            all                                          39    16     3     6     4
        "#]],
    );

    priced.apply(10).await;
    assert_eq!(priced.database.pending().await, Vec::<String>::new());
}
