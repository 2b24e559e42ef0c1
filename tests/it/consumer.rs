//! A batch of messages: each record alone, each order once, nothing twice.

use domain::{Millis, Provider, RecordState, Status};
use serde_json::{Value, json};
use testkit::{Fault, NOW, sample, sqs_batch};

use crate::support::{Pipeline, SENT_AT, armada_status, order_key, shipday_event};

const AT: u64 = 1_767_816_000_000;

#[tokio::test]
async fn an_event_is_put_folded_saved_and_its_record_closed_in_that_order() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    let received = pipeline.world.calls().len();

    assert!(pipeline.consume().await.is_empty());

    assert_eq!(
        pipeline.world.calls()[received..],
        ["put_entry", "read", "save", "close"]
    );
    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
    let stored = pipeline.world.records().pop_first().unwrap().1;
    assert_eq!(
        (stored.state, stored.due_at_ms),
        (RecordState::Applied, None)
    );
    assert_eq!(stored.expires_at, Some(NOW + Millis::from_days(30)));
}

#[tokio::test]
async fn a_message_that_comes_twice_changes_nothing_and_writes_no_state() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    let batch = sqs_batch(&pipeline.world.receive(1));
    pipeline.consume_event(&batch).await.unwrap();
    let first = pipeline.world.state(&order_key(Provider::Armada, "A1"));

    pipeline.consume_event(&batch).await.unwrap();

    assert_eq!(
        pipeline.world.state(&order_key(Provider::Armada, "A1")),
        first
    );
    assert_eq!(pipeline.world.count("save"), 1);
    assert_eq!(
        pipeline
            .world
            .timeline(&order_key(Provider::Armada, "A1"))
            .len(),
        1
    );
}

#[tokio::test]
async fn the_events_of_one_order_in_a_batch_share_one_fold() {
    let pipeline = Pipeline::new();
    for (index, status) in ["pending", "dispatched", "waiting_pack", "en_route"]
        .into_iter()
        .enumerate()
    {
        let sent_at = format!("2026-01-07T20:0{index}:00Z");
        pipeline
            .post(&armada_status(
                "A1",
                status,
                &format!("wh_{index}"),
                &sent_at,
            ))
            .await;
    }

    assert!(pipeline.consume().await.is_empty());

    assert_eq!(
        (pipeline.world.count("read"), pipeline.world.count("save")),
        (1, 1)
    );
    assert_eq!(pipeline.world.count("close"), 4);
    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::InTransit)
    );
}

#[tokio::test]
async fn a_poison_record_goes_to_the_dead_letters_while_its_batch_passes() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline.world.enqueue_text("poison");
    pipeline
        .world
        .enqueue_text(r#"{"schema_version":99,"event":{}}"#);
    pipeline
        .post(&armada_status("A2", "en_route", "wh_2", SENT_AT))
        .await;

    assert!(
        pipeline.consume().await.is_empty(),
        "all four are dealt with"
    );

    let buried: Vec<String> = pipeline
        .world
        .dead_letters()
        .into_iter()
        .map(|buried| buried.body)
        .collect();
    assert_eq!(buried, ["poison", r#"{"schema_version":99,"event":{}}"#]);
    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
    assert_eq!(
        pipeline.state(Provider::Armada, "A2").status,
        Some(Status::InTransit)
    );
}

#[tokio::test]
async fn a_poison_record_that_cannot_be_buried_comes_again_alone() {
    let pipeline = Pipeline::new();
    pipeline.world.enqueue_text("poison");
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline.world.fail_next("bury", Fault::Before);

    assert_eq!(pipeline.consume().await, ["message-1"]);
    assert!(pipeline.consume().await.is_empty());
    assert_eq!(pipeline.world.dead_letters().len(), 1);
}

#[tokio::test]
async fn the_batch_sample_is_answered_with_no_failure_and_one_dead_letter() {
    let pipeline = Pipeline::new();
    let batch: Value = serde_json::from_str(&sample("queue/batch-with-poison.json")).unwrap();

    let response = pipeline.consume_event(&batch).await.unwrap();

    assert!(response.batch_item_failures.is_empty());
    assert_eq!(pipeline.world.dead_letters().len(), 1);
    assert_eq!(
        pipeline.world.orders().len(),
        2,
        "one order of each provider"
    );
    assert_eq!(
        testkit::all_samples("queue").len(),
        3,
        "a new queue sample needs a test"
    );
}

#[tokio::test]
async fn each_failing_call_fails_its_own_order_and_heals_by_redelivery() {
    for call in ["put_entry", "read", "save", "close"] {
        for fault in [Fault::Before, Fault::After] {
            let pipeline = Pipeline::new();
            pipeline
                .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
                .await;
            pipeline
                .post(&armada_status("A2", "en_route", "wh_2", SENT_AT))
                .await;
            pipeline.world.fail_next(call, fault);

            assert_eq!(pipeline.consume().await.len(), 1, "{call} {fault:?}");
            assert_eq!(
                pipeline.world.postponed().len(),
                1,
                "{call} {fault:?}: it comes back within seconds"
            );
            pipeline.drain().await;

            for (order, status) in [("A1", Status::EnRouteToPickup), ("A2", Status::InTransit)] {
                assert_eq!(
                    pipeline.state(Provider::Armada, order).status,
                    Some(status),
                    "{call} {fault:?}"
                );
                assert_eq!(
                    pipeline
                        .world
                        .timeline(&order_key(Provider::Armada, order))
                        .len(),
                    1
                );
            }
            let states: Vec<_> = pipeline
                .world
                .records()
                .into_values()
                .map(|stored| stored.state)
                .collect();
            assert_eq!(states, [RecordState::Applied; 2], "{call} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_one_records_failure_and_a_second_one_makes_it_a_dead_letter() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline
        .post(&armada_status("A2", "en_route", "wh_2", SENT_AT))
        .await;

    for call in ["put_entry", "read"] {
        pipeline.world.fail_next(call, Fault::Panic);
        if call == "put_entry" {
            assert_eq!(pipeline.consume().await.len(), 1, "the other order passes");
        } else {
            assert!(
                pipeline.consume().await.is_empty(),
                "buried at its second panic"
            );
        }
    }

    assert_eq!(pipeline.world.dead_letters().len(), 1);
    assert_eq!(
        pipeline.state(Provider::Armada, "A2").status,
        Some(Status::InTransit)
    );
}

#[tokio::test]
async fn an_event_from_the_dead_letters_is_applied_when_it_is_sent_again() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    for _ in 0..2 {
        pipeline.world.fail_next("put_entry", Fault::Panic);
        pipeline.consume().await;
    }
    let buried = pipeline.world.dead_letters();
    assert_eq!(
        (buried.len(), pipeline.world.orders()),
        (1, Vec::new()),
        "not applied"
    );

    pipeline.world.enqueue_text(&buried[0].body);
    pipeline.drain().await;

    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
    let stored = pipeline.world.records().pop_first().unwrap().1;
    assert_eq!(stored.state, RecordState::Applied);
}

#[tokio::test]
async fn a_failure_without_a_message_id_fails_the_whole_batch_rather_than_reporting_an_empty_id() {
    for id in [json!(null), json!("")] {
        let pipeline = Pipeline::new();
        pipeline
            .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
            .await;
        let mut batch = sqs_batch(&pipeline.world.receive(1));
        batch["Records"][0]["messageId"] = id;
        pipeline.world.fail_next("save", Fault::Before);

        assert!(pipeline.consume_event(&batch).await.is_err());
        assert!(
            pipeline
                .consume_event(&batch)
                .await
                .unwrap()
                .batch_item_failures
                .is_empty(),
            "success needs no id"
        );
    }
}

#[tokio::test]
async fn a_record_that_was_never_written_is_written_before_anything_else() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("put_if_absent", Fault::Before);
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    let received = pipeline.world.calls().len();

    assert!(pipeline.consume().await.is_empty());

    assert_eq!(
        pipeline.world.calls()[received..],
        ["put_if_absent", "put_entry", "read", "save", "close"]
    );
    let stored = pipeline.world.records().pop_first().unwrap().1;
    assert_eq!(stored.state, RecordState::Applied);
    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
}

#[tokio::test]
async fn a_record_that_was_written_after_all_is_applied_once() {
    // The put took effect, its answer was lost, and the queue took the record as well.
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("put_if_absent", Fault::After);
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;

    pipeline.drain().await;

    assert_eq!(pipeline.world.records().len(), 1);
    assert_eq!(
        pipeline
            .world
            .timeline(&order_key(Provider::Armada, "A1"))
            .len(),
        1
    );
    assert_eq!(
        pipeline.world.records().pop_first().unwrap().1.state,
        RecordState::Applied
    );
}

#[tokio::test]
async fn a_fallback_record_under_a_reused_id_gets_a_key_of_its_own() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline.world.fail_next("put_if_absent", Fault::Before);
    pipeline
        .post(&armada_status("A1", "completed", "wh_1", SENT_AT))
        .await;

    pipeline.drain().await;

    let order = order_key(Provider::Armada, "A1");
    assert_eq!(pipeline.world.timeline(&order).len(), 2);
    let records = pipeline.world.records();
    let states: Vec<_> = records.values().map(|stored| stored.state).collect();
    assert_eq!(states, [RecordState::Applied; 2]);
}

#[tokio::test]
async fn an_outage_at_both_ends_does_not_spend_the_only_copy() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("put_if_absent", Fault::Before);
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline.world.fail_always("put_if_absent", Fault::Before);

    for _ in 0..40 {
        assert_eq!(pipeline.consume().await.len(), 1);
    }
    pipeline.world.heal();
    pipeline.drain().await;

    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
    assert!(pipeline.world.dead_letters().is_empty());
    let waits: Vec<u32> = pipeline
        .world
        .postponed()
        .into_iter()
        .map(|(_, seconds)| seconds)
        .collect();
    assert!(waits[0] <= 8 && waits[39] >= 450, "{waits:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_restored_is_a_dead_letter() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("put_if_absent", Fault::Before);
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    let mut message: Value = serde_json::from_str(&pipeline.world.receive(1)[0].body).unwrap();
    message["record"]["body"] = json!("AAAA");
    pipeline.world.delete(&["message-1".to_owned()]);
    pipeline.world.enqueue_text(&message.to_string());

    assert!(pipeline.consume().await.is_empty());

    assert_eq!(pipeline.world.dead_letters().len(), 1);
}

#[tokio::test]
async fn an_order_beyond_its_bound_keeps_its_events_and_stands_still() {
    let pipeline = Pipeline::new();
    let last_at = AT + u64::try_from(domain::MAX_EVENTS_PER_ORDER).unwrap();
    for at in AT..last_at {
        pipeline
            .post(&shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", at))
            .await;
    }
    pipeline.drain().await;
    let at_the_bound = pipeline.state(Provider::Shipday, "7");
    assert_eq!(at_the_bound.event_count, domain::MAX_EVENTS_PER_ORDER);

    pipeline
        .post(&shipday_event(
            7,
            "ORDER_COMPLETED",
            "ALREADY_DELIVERED",
            last_at,
        ))
        .await;
    pipeline.drain().await;

    assert_eq!(pipeline.state(Provider::Shipday, "7"), at_the_bound);
    assert_eq!(
        pipeline
            .world
            .timeline(&order_key(Provider::Shipday, "7"))
            .len(),
        domain::MAX_EVENTS_PER_ORDER + 1
    );
    let quarantined = pipeline
        .world
        .records()
        .into_values()
        .filter(|stored| stored.state == RecordState::Quarantined);
    assert_eq!(quarantined.count(), 1);
}

#[tokio::test]
async fn a_panic_while_one_record_is_closed_leaves_the_others_of_its_order_alone() {
    let pipeline = Pipeline::new();
    for (id, status) in [("wh_1", "pending"), ("wh_2", "dispatched")] {
        pipeline
            .post(&armada_status("A1", status, id, SENT_AT))
            .await;
    }
    pipeline.world.fail_next("close", Fault::Panic);

    assert_eq!(pipeline.consume().await, ["message-1"]);
}

#[tokio::test]
async fn an_older_state_never_replaces_one_that_was_folded_from_more() {
    let pipeline = Pipeline::new();
    for (index, status) in ["pending", "dispatched"].into_iter().enumerate() {
        let sent_at = format!("2026-01-07T20:0{index}:00Z");
        pipeline
            .post(&armada_status(
                "A1",
                status,
                &format!("wh_{index}"),
                &sent_at,
            ))
            .await;
    }
    pipeline.drain().await;
    let order = order_key(Provider::Armada, "A1");
    let (newest, revision) = pipeline.world.state(&order).unwrap();
    let mut older = newest.clone();
    older.event_count = 1;
    older.status = Some(Status::Pending);

    let outcome = domain::Orders::save(&pipeline.world, &order, &older)
        .await
        .unwrap();

    assert_eq!(outcome, domain::SaveOutcome::Superseded);
    assert_eq!(pipeline.world.state(&order).unwrap(), (newest, revision));
}
