//! What a crash or an outage left behind, and the runs that finish it.

use std::time::Duration;

use domain::{
    Claim, ClaimOutcome, CloseOutcome, CompressedBody, EpochMillis, MAX_FORWARD_ATTEMPTS, Millis,
    Overdue, PendingRecords, PendingShard, PortError, Provider, RecordState, SetAside, Status,
};
use testkit::{Fault, NOW, StoredRecord, World};
use webhook_relay::{Relay, Stores};

use crate::support::{Pipeline, SENT_AT, armada_status, order_key, shipday_event};

const AT: u64 = 1_767_816_000_000;
/// A second later than a record is first due.
const DUE: EpochMillis = EpochMillis::new(NOW.as_millis() + 181_000);

/// A pipeline with one record that never reached the queue, at the time when it is due.
async fn with_one_left_behind() -> Pipeline {
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("send", Fault::Before);
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline.world.set_now(DUE);
    pipeline
}

/// A pipeline with so many records that never reached the queue.
async fn with_many_left_behind(count: u64) -> Pipeline {
    let pipeline = Pipeline::new();
    pipeline.world.fail_always("send", Fault::Before);
    for order in 1..=count {
        pipeline
            .post(&shipday_event(order, "ORDER_ASSIGNED", "NOT_ACCEPTED", AT))
            .await;
    }
    pipeline.world.heal();
    pipeline
}

fn only_record(pipeline: &Pipeline) -> StoredRecord {
    let mut records = pipeline.world.records();
    assert_eq!(records.len(), 1);
    records.pop_first().unwrap().1
}

fn minutes(minutes: u64) -> Millis {
    Millis::from_seconds(minutes * 60)
}

#[tokio::test]
async fn an_event_that_never_reached_the_queue_is_applied_without_the_provider() {
    let pipeline = with_one_left_behind().await;

    let report = pipeline.relay.run().await.unwrap();

    assert_eq!((report.overdue, report.claimed, report.sent), (1, 1, 1));
    pipeline.drain().await;
    assert_eq!(
        pipeline.state(Provider::Armada, "A1").status,
        Some(Status::EnRouteToPickup)
    );
    assert_eq!(only_record(&pipeline).state, RecordState::Applied);
    let nothing_left = pipeline.relay.run().await.unwrap();
    assert_eq!((nothing_left.overdue, nothing_left.sent), (0, 0));
}

#[tokio::test]
async fn a_record_that_is_not_due_yet_is_left_to_the_queue() {
    let pipeline = with_one_left_behind().await;
    pipeline
        .world
        .set_now(EpochMillis::new(NOW.as_millis() + 179_000));

    assert_eq!(pipeline.relay.run().await.unwrap().overdue, 0);
    assert_eq!(pipeline.world.count("claim"), 0);
}

#[tokio::test]
async fn two_runs_at_once_send_a_record_once() {
    let pipeline = with_one_left_behind().await;
    let seen = pipeline.world.records().pop_first().unwrap();
    let overdue = domain::Overdue {
        key: seen.0,
        due_at_ms: seen.1.due_at_ms.unwrap(),
    };

    pipeline.relay.run().await.unwrap();
    // The second run had read the index before the first one claimed.
    let late = domain::PendingRecords::claim(&pipeline.world, &overdue, DUE)
        .await
        .unwrap();

    assert_eq!(late, domain::ClaimOutcome::Gone);
    assert_eq!(pipeline.world.queued().len(), 1);
}

#[tokio::test]
async fn every_delay_is_twice_the_last_and_the_last_attempt_parks() {
    let pipeline = with_one_left_behind().await;
    let mut now = DUE;
    let mut waits = Vec::new();
    for attempt in 1..=MAX_FORWARD_ATTEMPTS {
        let report = pipeline.relay.run().await.unwrap();
        assert_eq!(report.sent, 1, "attempt {attempt}");
        let due = only_record(&pipeline).due_at_ms.unwrap();
        waits.push(due.since(now).as_millis() / 60_000);
        pipeline
            .world
            .set_now(EpochMillis::new(due.as_millis() - 1));
        assert_eq!(pipeline.relay.run().await.unwrap().overdue, 0);
        pipeline.world.set_now(due);
        now = due;
    }
    assert_eq!(waits, [6, 12, 24, 48, 96, 192, 384, 768]);

    let last = pipeline.relay.run().await.unwrap();

    assert_eq!((last.sent, last.parked), (0, 1));
    let parked = only_record(&pipeline);
    assert_eq!(
        (parked.state, parked.due_at_ms, parked.expires_at),
        (RecordState::Parked, None, None)
    );
    pipeline.drain().await;
    assert_eq!(
        only_record(&pipeline).state,
        RecordState::Applied,
        "a message that comes after all still closes it"
    );
}

#[tokio::test]
async fn while_the_queue_is_backed_up_only_a_hundred_long_overdue_records_are_sent() {
    let pipeline = with_many_left_behind(150).await;
    pipeline.world.set_backlog(1_000);
    pipeline.world.set_now(DUE);

    let early = pipeline.relay.run().await.unwrap();
    assert_eq!(
        (early.backed_up, early.left_waiting, early.claimed),
        (true, 150, 0)
    );

    pipeline.world.set_now(DUE + minutes(30));
    let late = pipeline.relay.run().await.unwrap();
    assert_eq!((late.claimed, late.sent), (100, 100));

    pipeline.world.set_backlog(0);
    pipeline.world.delete(
        &pipeline
            .world
            .queued()
            .into_iter()
            .map(|queued| queued.message_id)
            .collect::<Vec<_>>(),
    );
    assert_eq!(pipeline.relay.run().await.unwrap().sent, 50);
}

#[tokio::test]
async fn a_run_takes_five_thousand_records_at_most() {
    let pipeline = with_many_left_behind(5_030).await;
    pipeline.world.set_now(DUE);

    let first = pipeline.relay.run().await.unwrap();
    assert_eq!((first.claimed, first.sent), (5_000, 5_000));

    let backlog = pipeline.world.queued();
    pipeline.world.delete(
        &backlog
            .into_iter()
            .map(|queued| queued.message_id)
            .collect::<Vec<_>>(),
    );
    let second = pipeline.relay.run().await.unwrap();
    assert_eq!(second.claimed, 30);
}

/// The tables on a day on which each claim takes 2 s.
struct Slow(World);

impl PendingRecords for Slow {
    async fn overdue(
        &self,
        shard: PendingShard,
        now: EpochMillis,
        limit: usize,
    ) -> Result<Vec<Overdue>, PortError> {
        self.0.overdue(shard, now, limit).await
    }

    async fn claim(&self, overdue: &Overdue, now: EpochMillis) -> Result<ClaimOutcome, PortError> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.0.claim(overdue, now).await
    }

    async fn set_aside(&self, claim: &Claim, as_what: SetAside) -> Result<CloseOutcome, PortError> {
        self.0.set_aside(claim, as_what).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_its_time_is_over_and_later_ones_go_on() {
    let pipeline = with_many_left_behind(400).await;
    pipeline.world.set_now(DUE);
    let relay = Relay::new(Stores {
        records: Slow(pipeline.world.clone()),
        queue: pipeline.world.clone(),
        clock: pipeline.world.clone(),
        first_shard: pipeline.world.clone(),
    });
    let started = tokio::time::Instant::now();

    let first = relay.run().await.unwrap();

    assert_eq!(started.elapsed(), Duration::from_secs(40));
    assert!(first.sent > 0 && first.sent < 400, "{first:?}");
    let mut sent = first.sent;
    while sent < 400 {
        let later = relay.run().await.unwrap();
        assert!(later.sent > 0, "{later:?}");
        sent += later.sent;
    }
    assert_eq!(sent, 400);
}

#[tokio::test]
async fn a_run_ends_at_the_first_refused_send_so_that_an_outage_uses_up_few_attempts() {
    let pipeline = with_many_left_behind(60).await;
    pipeline.world.set_now(DUE);
    pipeline.world.fail_always("send_all", Fault::Before);

    let failed = pipeline.relay.run().await.unwrap_err();

    assert!(failed.report.claimed <= 10, "{failed:?}");
    assert_eq!(failed.report.sent, 0);
    assert_eq!(pipeline.world.count("send_all"), 1);
    assert!(failed.to_string().contains("ended early"));
}

#[tokio::test]
async fn what_was_claimed_is_sent_even_when_another_claim_failed() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_always("send", Fault::Before);
    // One body, so that both records are in one shard.
    for id in ["wh_1", "wh_2"] {
        pipeline
            .post(&armada_status("A1", "dispatched", id, SENT_AT))
            .await;
    }
    pipeline.world.heal();
    pipeline.world.set_now(DUE);
    pipeline.world.fail_next("claim", Fault::After);

    let failed = pipeline.relay.run().await.unwrap_err();

    assert_eq!((failed.report.claimed, failed.report.sent), (1, 1));
    pipeline.world.set_now(DUE + minutes(6));
    assert_eq!(
        pipeline.relay.run().await.unwrap().sent,
        2,
        "the claim whose answer was lost waits for one delay"
    );
}

#[tokio::test]
async fn a_table_or_a_queue_that_does_not_answer_ends_the_run_and_counts_no_attempt() {
    for call in ["waiting", "overdue"] {
        let pipeline = with_one_left_behind().await;
        pipeline.world.fail_always(call, Fault::Before);

        let failed = pipeline.relay.run().await.unwrap_err();

        assert_eq!(failed.source.call, call);
        assert_eq!(only_record(&pipeline).forward_attempts, 0);
    }
}

#[tokio::test]
async fn what_todays_mapping_cannot_read_leaves_the_index_and_is_kept() {
    for (body, state) in [
        (
            r#"{"code":"A1","status":"teleported"}"#,
            RecordState::Unmapped,
        ),
        (r#"{"status":"pending"}"#, RecordState::Quarantined),
        ("not JSON", RecordState::Quarantined),
    ] {
        let pipeline = with_one_left_behind().await;
        let key = pipeline.world.records().pop_first().unwrap().0;
        pipeline.world.change_record(&key, |stored| {
            stored.record.body = CompressedBody::deflate(body.as_bytes());
            stored.record.body_sha256 = domain::Sha256Hex::of(body.as_bytes());
        });

        let report = pipeline.relay.run().await.unwrap();

        assert_eq!((report.claimed, report.sent), (1, 0), "{body}");
        let stored = only_record(&pipeline);
        assert_eq!(
            (stored.state, stored.due_at_ms, stored.expires_at),
            (state, None, None),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_damaged_record_is_quarantined_and_stops_nobody() {
    let pipeline = with_one_left_behind().await;
    let key = pipeline.world.records().pop_first().unwrap().0;
    pipeline.world.change_record(&key, |stored| {
        stored.record.body = CompressedBody::from_stored(vec![0xff; 8]);
    });

    assert_eq!(pipeline.relay.run().await.unwrap().quarantined, 1);
    assert_eq!(only_record(&pipeline).state, RecordState::Quarantined);
}

#[tokio::test]
async fn a_parking_that_the_client_made_twice_is_reported() {
    let pipeline = with_one_left_behind().await;
    let key = pipeline.world.records().pop_first().unwrap().0;
    pipeline.world.change_record(&key, |stored| {
        stored.forward_attempts = MAX_FORWARD_ATTEMPTS;
    });
    pipeline.world.fail_next("set_aside", Fault::Repeated);

    let report = pipeline.relay.run().await.unwrap();

    assert_eq!((report.sent, report.parked), (0, 1));
    assert_eq!(only_record(&pipeline).state, RecordState::Parked);
}

#[tokio::test]
async fn the_last_attempt_parks_whatever_the_body_is() {
    let pipeline = with_one_left_behind().await;
    let key = pipeline.world.records().pop_first().unwrap().0;
    pipeline.world.change_record(&key, |stored| {
        stored.forward_attempts = MAX_FORWARD_ATTEMPTS;
        stored.record.body = CompressedBody::from_stored(vec![0xff; 8]);
    });

    assert_eq!(pipeline.relay.run().await.unwrap().parked, 1);
}

#[tokio::test]
async fn after_a_mapping_fix_what_was_unmapped_or_quarantined_becomes_an_event() {
    for state in [RecordState::Unmapped, RecordState::Quarantined] {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("send", Fault::Before);
        pipeline
            .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
            .await;
        let key = pipeline.world.records().pop_first().unwrap().0;
        // As a version wrote it that did not know the word.
        pipeline.world.change_record(&key, |stored| {
            stored.state = state;
            stored.due_at_ms = None;
        });

        assert!(pipeline.world.replay(&key, state));
        assert_eq!(pipeline.relay.run().await.unwrap().sent, 1);
        pipeline.drain().await;

        assert_eq!(
            pipeline.state(Provider::Armada, "A1").status,
            Some(Status::EnRouteToPickup)
        );
        assert_eq!(only_record(&pipeline).state, RecordState::Applied);
    }
}

#[tokio::test]
async fn a_replay_is_never_swallowed_and_never_changes_an_order_that_is_right() {
    let pipeline = Pipeline::new();
    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    pipeline.drain().await;
    let order = order_key(Provider::Armada, "A1");
    let (key, applied) = pipeline.world.records().pop_first().unwrap();
    let before = (
        pipeline.world.state(&order),
        pipeline.world.timeline(&order),
    );

    assert!(pipeline.world.replay(&key, applied.state));
    assert_eq!(only_record(&pipeline).expires_at, None);
    assert_eq!(pipeline.relay.run().await.unwrap().sent, 1);
    pipeline.drain().await;

    let after = (
        pipeline.world.state(&order),
        pipeline.world.timeline(&order),
    );
    assert_eq!(after, before, "not even the revision");
    assert_eq!(only_record(&pipeline).state, RecordState::Applied);
}

#[tokio::test]
async fn a_record_under_a_reused_id_is_sent_under_its_own_key() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_always("send", Fault::Before);
    for status in ["pending", "dispatched"] {
        pipeline
            .post(&armada_status("A1", status, "wh_1", SENT_AT))
            .await;
    }
    pipeline.world.heal();
    pipeline.world.set_now(DUE);

    assert_eq!(pipeline.relay.run().await.unwrap().sent, 2);
    pipeline.drain().await;

    assert!(
        pipeline
            .world
            .records()
            .values()
            .all(|stored| stored.state == RecordState::Applied)
    );
}
