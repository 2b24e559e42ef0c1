//! From a webhook to the order's status, with both ends.

use domain::{Millis, Provider, RecordState, Status};
use proptest::prelude::*;
use testkit::{Fault, NOW, sample_bytes, sqs_batch};

use crate::support::{Pipeline, SENT_AT, armada_status, order_key, shipday_event};

const AT: u64 = 1_767_816_000_000;

#[tokio::test]
async fn the_documented_webhooks_become_orders_with_a_status_and_a_timeline() {
    let pipeline = Pipeline::new();
    let armada = sample_bytes("armada/order.updated/documented.json");
    pipeline
        .post(&testkit::armada("order.updated", "wh_1", SENT_AT, armada))
        .await;
    pipeline
        .post(&testkit::shipday(sample_bytes("shipday/documented.json")))
        .await;
    pipeline.drain().await;

    let armada = pipeline.state(Provider::Armada, "EAA6CAC9D5");
    assert_eq!(armada.status, Some(Status::EnRouteToPickup));
    assert_eq!(armada.details.delivery_fee.unwrap().to_string(), "3");
    let shipday = pipeline.state(Provider::Shipday, "123456");
    assert_eq!(shipday.status, Some(Status::PickedUp));
    assert_eq!(shipday.details.delivery_fee.unwrap().to_string(), "38.63");
    assert_eq!(
        shipday.milestones[&Status::PickedUp].as_millis(),
        1_684_644_196_000,
        "as reported"
    );
}

#[tokio::test]
async fn a_driver_who_uploads_a_photo_and_then_fails_has_not_delivered() {
    let pipeline = Pipeline::new();
    for (event, status, at) in [
        ("ORDER_ONTHEWAY", "READY_TO_DELIVER", AT),
        ("ORDER_POD_UPLOAD", "READY_TO_DELIVER", AT + 1_000),
        ("ORDER_FAILED", "FAILED_DELIVERY", AT + 1_400),
    ] {
        pipeline.post(&shipday_event(7, event, status, at)).await;
    }
    pipeline.drain().await;

    assert_eq!(
        pipeline.state(Provider::Shipday, "7").status,
        Some(Status::Failed)
    );
}

#[tokio::test]
async fn an_unreadable_or_unknown_webhook_holds_up_nothing_of_its_order() {
    let pipeline = Pipeline::new();
    for (body, status) in [
        (r#"{"code":"A1","status":"dispatched""#, 400),
        (r#"{"code":"A1","status":"teleported"}"#, 200),
        (r#"{"code":"A1","status":"dispatched"}"#, 200),
    ] {
        // Even under one id.
        let webhook = testkit::armada("order.updated", "wh_1", SENT_AT, body);
        assert_eq!(pipeline.post(&webhook).await.status, status, "{body}");
    }
    pipeline.drain().await;

    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
    let mut states: Vec<_> = pipeline
        .world
        .records()
        .into_values()
        .map(|stored| stored.state.as_str())
        .collect();
    states.sort_unstable();
    assert_eq!(states, ["applied", "quarantined", "unmapped"]);
}

#[tokio::test]
async fn a_state_of_an_older_mapping_is_put_right_by_the_next_event_and_by_a_replay() {
    for next in [Some("wh_2"), None] {
        let pipeline = Pipeline::new();
        pipeline
            .post(&armada_status("A1", "completed", "wh_1", SENT_AT))
            .await;
        pipeline.drain().await;
        let order = order_key(Provider::Armada, "A1");
        // The same entries, and what a mapping made of them that took the word for another.
        let mut wrong = pipeline.state(Provider::Armada, "A1");
        wrong.status = Some(Status::Failed);
        domain::Orders::save(&pipeline.world, &order, &wrong)
            .await
            .unwrap();

        if let Some(id) = next {
            pipeline
                .post(&armada_status("A1", "dispatched", id, SENT_AT))
                .await;
        } else {
            let (key, stored) = pipeline.world.records().pop_first().unwrap();
            pipeline.world.replay(&key, stored.state);
            pipeline.relay.run().await.unwrap();
        }
        pipeline.drain().await;

        let state = pipeline.state(Provider::Armada, "A1");
        assert_eq!(state.status, Some(Status::Delivered), "{next:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_comes_back_after_its_record_expired_changes_nothing() {
    let pipeline = Pipeline::new();
    for (webhook, order) in [
        (
            armada_status("A1", "dispatched", "wh_1", SENT_AT),
            order_key(Provider::Armada, "A1"),
        ),
        (
            shipday_event(7, "ORDER_ASSIGNED", "NOT_ACCEPTED", AT),
            order_key(Provider::Shipday, "7"),
        ),
    ] {
        pipeline.world.set_now(NOW);
        pipeline.post(&webhook).await;
        pipeline.drain().await;
        let before = (
            pipeline.world.state(&order),
            pipeline.world.timeline(&order),
        );
        pipeline.world.set_now(NOW + Millis::from_days(31));
        pipeline.world.expire_records();
        assert!(pipeline.world.records().is_empty());

        assert_eq!(pipeline.post(&webhook).await.word(), "accepted");
        pipeline.drain().await;

        let after = (
            pipeline.world.state(&order),
            pipeline.world.timeline(&order),
        );
        assert_eq!(after, before, "{order}: not even the revision");
        pipeline.world.set_now(NOW + Millis::from_days(62));
        pipeline.world.expire_records();
    }
}

#[tokio::test]
async fn an_erased_record_stays_erased_unless_a_copy_of_it_is_still_in_the_queue() {
    for (fallback, left) in [(false, 0), (true, 1)] {
        let pipeline = Pipeline::new();
        if fallback {
            pipeline.world.fail_next("put_if_absent", Fault::Before);
        }
        pipeline
            .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
            .await;
        // Delivered twice, and erased in between.
        let batch = sqs_batch(&pipeline.world.receive(1));
        pipeline.consume_event(&batch).await.unwrap();
        let order = order_key(Provider::Armada, "A1");
        let applied = pipeline.world.state(&order);
        let key = pipeline.world.records().pop_first().unwrap().0;
        pipeline.world.erase(&key);

        pipeline.consume_event(&batch).await.unwrap();

        assert_eq!(pipeline.world.state(&order), applied);
        let records = pipeline.world.records();
        assert_eq!(records.len(), left, "fallback: {fallback}");
        for stored in records.into_values() {
            assert_eq!(stored.state, RecordState::Applied);
            assert!(stored.expires_at.is_some(), "it goes by itself");
        }
    }
}

#[tokio::test]
async fn no_work_goes_on_behind_an_answer() {
    let running = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let pipeline = Pipeline::new();
    let mut now = NOW;
    for fault in [None, Some("send"), Some("put_if_absent")] {
        if let Some(call) = fault {
            pipeline.world.fail_next(call, Fault::After);
        }
        let id = fault.unwrap_or("wh_1");
        pipeline
            .post(&armada_status("A1", "dispatched", id, SENT_AT))
            .await;
        assert_eq!(running(), 0, "the receiver, {fault:?}");
        now = now + Millis::from_seconds(181);
        pipeline.world.set_now(now);
        assert_eq!(pipeline.relay.run().await.unwrap().sent, 1);
        assert_eq!(running(), 0, "the relay, {fault:?}");
        assert!(pipeline.consume().await.is_empty());
        assert_eq!(running(), 0, "the consumer, {fault:?}");
    }
}

#[tokio::test]
async fn thirty_two_twins_at_the_same_time_are_one_application() {
    let pipeline = Pipeline::new();
    let twin = armada_status("A1", "dispatched", "wh_1", SENT_AT);

    let answers = futures_util::future::join_all((0..32).map(|_| pipeline.post(&twin))).await;
    pipeline.drain().await;

    assert!(answers.iter().all(|answered| answered.status == 200));
    assert_eq!(
        answers
            .iter()
            .filter(|answered| answered.word() == "accepted")
            .count(),
        1
    );
    assert_eq!(
        pipeline
            .world
            .timeline(&order_key(Provider::Armada, "A1"))
            .len(),
        1
    );
    assert_eq!(
        pipeline
            .world
            .state(&order_key(Provider::Armada, "A1"))
            .unwrap()
            .1,
        1,
        "saved once"
    );
}

/// One webhook of a history: order, status index, time or id, how often it is sent.
fn history() -> impl Strategy<Value = Vec<(u64, usize, u64)>> {
    prop::collection::vec((1..3u64, 0..SHIPDAY.len(), 0..6u64), 1..10)
}

const SHIPDAY: [(&str, &str); 6] = [
    ("ORDER_ASSIGNED", "NOT_ACCEPTED"),
    ("ORDER_UNASSIGNED", "NOT_ASSIGNED"),
    ("ORDER_PIKEDUP", "PICKED_UP"),
    ("ORDER_COMPLETED", "ALREADY_DELIVERED"),
    ("ORDER_FAILED", "FAILED_DELIVERY"),
    ("ORDER_DELETE", "PICKED_UP"),
];

async fn run(
    history: &[(u64, usize, u64)],
    drain_each: bool,
    faults: &[(&'static str, Fault)],
) -> Pipeline {
    let pipeline = Pipeline::new();
    for (call, fault) in faults {
        pipeline.world.fail_next(call, *fault);
    }
    for (order, kind, at) in history {
        let (event, status) = SHIPDAY[*kind];
        let webhook = shipday_event(*order, event, status, AT + at);
        while pipeline.post(&webhook).await.status != 200 {}
        if drain_each {
            pipeline.drain().await;
        }
    }
    pipeline.drain().await;
    pipeline
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arrival_order_duplicates_and_single_faults_do_not_change_any_order(
        (events, shuffled) in history().prop_flat_map(|events| {
            let twice: Vec<_> = events.iter().copied().chain(events.iter().copied()).collect();
            (Just(events), Just(twice).prop_shuffle())
        }),
        call in prop::sample::select(vec!["find", "put_if_absent", "send", "put_entry", "read", "save", "close"]),
        fault in prop::sample::select(vec![Fault::Before, Fault::After]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let plain = runtime.block_on(run(&events, true, &[]));
        let other = runtime.block_on(run(&shuffled, false, &[(call, fault)]));

        for order in plain.world.orders() {
            // A send that failed leaves its event to the relay; its record says so.
            let waiting = other.world.records().into_values().any(|stored| stored.state == RecordState::Pending);
            if !waiting {
                prop_assert_eq!(plain.world.state(&order).map(|(state, _)| state), other.world.state(&order).map(|(state, _)| state));
            }
        }
        let pending = other.world.records().into_values().filter(|stored| stored.state == RecordState::Pending).count();
        prop_assert_eq!(pending, usize::from(call == "send" && fault == Fault::Before));
    }
}
