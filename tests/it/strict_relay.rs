//! What the relay asks of the `webhooks` table, against a strict DynamoDB: its expressions and its races.

use aws::WebhooksTable;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    Claim, ClaimOutcome, CloseOutcome, ClosedAs, CompanyId, CompressedBody, EpochMillis,
    MerchantId, Millis, OrderKey, Overdue, PENDING_SHARDS, PendingRecords as _, PendingShard,
    Provider, RecordClosing as _, RecordState, RequestId, SetAside, Sha256Hex, WebhookKey,
    WebhookRecord, WebhookRecords as _,
};
use futures_util::future::join_all;
use providers::adapter;
use testkit::NOW;

use crate::strict_dynamodb::{Database, Item, put, recorded};
use crate::support::{SENT_AT, armada_status, order_key};

/// When the records of these tests are first due: three minutes after their receipt.
const FIRST_DUE: EpochMillis = EpochMillis::new(NOW.as_millis() + 180_000);
const APPLIED: ClosedAs = ClosedAs::Applied {
    expires_at: EpochMillis::new(1_770_000_000_000),
};

/// A table with one pending record that is due.
struct LeftBehind {
    database: Database,
    table: WebhooksTable,
    record: WebhookRecord,
    overdue: Overdue,
}

impl LeftBehind {
    async fn new() -> Self {
        let (record, order) =
            recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
        Self::of(record, order).await
    }

    async fn of(record: WebhookRecord, order: Option<OrderKey>) -> Self {
        let database = Database::start().await;
        let table = database.webhooks();
        let key = put(&table, &record, order.as_ref()).await.key;
        Self {
            overdue: Overdue {
                key,
                due_at_ms: record.first_due_at_ms(),
            },
            database,
            table,
            record,
        }
    }

    async fn item(&self) -> Item {
        self.database.item(self.overdue.key.as_str()).await
    }

    async fn claim(&self) -> Claim {
        claimed(self.table.claim(&self.overdue, FIRST_DUE).await.unwrap())
    }

    async fn close(&self, closed_as: ClosedAs) -> CloseOutcome {
        let Self { table, record, .. } = self;
        table
            .close(&self.overdue.key, &record.body_sha256, closed_as)
            .await
            .unwrap()
    }

    /// What the index lists as due, and until when.
    async fn due(&self, now: EpochMillis) -> Vec<Overdue> {
        self.table
            .overdue(self.record.pending_shard(), now, 100)
            .await
            .unwrap()
    }

    /// Spoils the item, as nothing of this project does.
    async fn spoil(&self, expression: &str, value: Option<AttributeValue>) {
        let update = self.database.client.update_item();
        update
            .table_name("WebhooksTable")
            .key("pk", text(self.overdue.key.as_str()))
            .update_expression(expression)
            .set_expression_attribute_values(
                value.map(|value| [(":value".to_owned(), value)].into()),
            )
            .send()
            .await
            .unwrap();
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[track_caller]
fn claimed(outcome: ClaimOutcome) -> Claim {
    match outcome {
        ClaimOutcome::Claimed(claim) => *claim,
        ClaimOutcome::Gone => panic!("the record is gone"),
    }
}

fn later(start: EpochMillis, seconds: u64) -> EpochMillis {
    start + Millis::from_seconds(seconds)
}

/// A pending record of any body, received at any time.
fn any_record(name: &str, body: &[u8], received_at_ms: EpochMillis) -> WebhookRecord {
    WebhookRecord {
        webhook_pk: WebhookKey::parse(&format!("armada#shop-1#order.updated#{name}")).unwrap(),
        provider: Provider::Armada,
        merchant_id: MerchantId::parse("shop-1").unwrap(),
        company_id: None,
        received_at_ms,
        headers: [("x-armada-webhook-id".to_owned(), name.to_owned())].into(),
        body: CompressedBody::deflate(body),
        body_sha256: Sha256Hex::of(body),
        request_id: RequestId::parse(name).unwrap(),
    }
}

#[tokio::test]
async fn every_claim_counts_an_attempt_and_waits_twice_as_long_as_the_last() {
    let left = LeftBehind::new().await;
    let mut overdue = left.overdue.clone();
    let mut claims = Vec::new();
    for _ in 1..=9 {
        // Some time after it was due: the wait counts from the claim.
        let now = later(overdue.due_at_ms, 17);
        let claim = claimed(left.table.claim(&overdue, now).await.unwrap());
        let waits = claim.due_at_ms.since(now).as_millis() / 1_000;
        claims.push((u64::from(claim.attempts), waits));
        overdue.due_at_ms = claim.due_at_ms;
    }

    let doubling = (1..=9).map(|attempt| (attempt, 360 << (attempt - 1)));
    assert_eq!(claims, doubling.collect::<Vec<_>>());
    let item = left.item().await;
    assert_eq!(item["forward_attempts"].as_n().unwrap(), "9");
    assert_eq!(
        item["due_at_ms"].as_n().unwrap(),
        &overdue.due_at_ms.to_string()
    );
}

#[tokio::test]
async fn a_claim_brings_back_the_record_as_it_was_written_and_changes_nothing_else() {
    let (record, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let record = WebhookRecord {
        company_id: CompanyId::parse("14849").ok(),
        ..record
    };
    assert_eq!(record.headers.len(), 4, "the headers that matter");
    let left = LeftBehind::of(record, order).await;
    let before = left.item().await;

    let claim = left.claim().await;

    let found = claim.record.unwrap();
    assert_eq!(found, left.record);
    let read = |record: &WebhookRecord| adapter(record.provider).read(&record.webhook().unwrap());
    assert_eq!(read(&found), read(&left.record));
    let mut expected = before;
    for (name, value) in [
        ("due_at_ms", later(FIRST_DUE, 360).as_millis()),
        ("relay_delay_ms", 720_000),
        ("forward_attempts", 1),
    ] {
        expected.insert(name.to_owned(), AttributeValue::N(value.to_string()));
    }
    assert_eq!(left.item().await, expected);
    assert_eq!(
        expected["order_key"],
        text(&order_key(Provider::Armada, "A1").to_string())
    );
}

#[tokio::test]
async fn a_record_under_a_reused_id_comes_back_under_its_own_key() {
    let database = Database::start().await;
    let table = database.webhooks();
    for (body, request) in [("first", "r1"), ("second", "r2")] {
        let record = WebhookRecord {
            request_id: RequestId::parse(request).unwrap(),
            ..any_record("wh_1", body.as_bytes(), NOW)
        };
        let recording = put(&table, &record, None).await;
        assert_eq!(recording.id_reused, body == "second");
        let key = recording.key;
        let overdue = Overdue {
            key: key.clone(),
            due_at_ms: FIRST_DUE,
        };

        let claim = claimed(table.claim(&overdue, FIRST_DUE).await.unwrap());

        let found = claim.record.unwrap();
        assert_eq!((&claim.key, &found.webhook_pk), (&key, &key));
        assert_eq!(found.webhook().unwrap().body(), body.as_bytes());
    }
    assert_eq!(database.pending().await.len(), 2);
}

#[tokio::test]
async fn a_claim_of_what_was_claimed_or_closed_since_is_gone_and_changes_nothing() {
    let left = LeftBehind::new().await;
    let claim = left.claim().await;
    let before = left.item().await;

    let late = left.table.claim(&left.overdue, later(FIRST_DUE, 1)).await;
    assert_eq!(late.unwrap(), ClaimOutcome::Gone, "claimed since");
    assert_eq!(left.item().await, before);

    left.close(APPLIED).await;
    let before = left.item().await;
    for due_at_ms in [left.overdue.due_at_ms, claim.due_at_ms] {
        let stale = Overdue {
            due_at_ms,
            ..left.overdue.clone()
        };
        let late = left.table.claim(&stale, later(FIRST_DUE, 600)).await;
        assert_eq!(late.unwrap(), ClaimOutcome::Gone, "closed since");
    }
    assert_eq!(left.item().await, before);
}

#[tokio::test]
async fn neither_a_claim_nor_setting_aside_makes_a_ghost() {
    let left = LeftBehind::new().await;
    let claim = left.claim().await;
    let nowhere = WebhookKey::parse("armada#shop-1#order.updated#nowhere").unwrap();
    let overdue = Overdue {
        key: nowhere.clone(),
        ..left.overdue.clone()
    };
    let elsewhere = Claim {
        key: nowhere.clone(),
        ..claim
    };

    let gone = left.table.claim(&overdue, FIRST_DUE).await.unwrap();
    assert_eq!(gone, ClaimOutcome::Gone);
    let nothing = left.table.set_aside(&elsewhere, SetAside::Parked).await;
    assert_eq!(nothing.unwrap(), CloseOutcome::NothingToClose);
    assert!(left.database.item(nowhere.as_str()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_of_one_due_time_one_wins() {
    let left = LeftBehind::new().await;
    let mut overdue = left.overdue.clone();
    for attempt in 1..=4 {
        let now = overdue.due_at_ms;
        let claims = (0..24).map(|_| {
            let (table, overdue) = (left.table.clone(), overdue.clone());
            tokio::spawn(async move { table.claim(&overdue, now).await.unwrap() })
        });

        let outcomes = join_all(claims).await.into_iter().map(Result::unwrap);
        let mut won: Vec<Claim> = outcomes
            .filter(|outcome| *outcome != ClaimOutcome::Gone)
            .map(claimed)
            .collect();

        assert_eq!(won.len(), 1, "attempt {attempt}");
        let claim = won.remove(0);
        assert_eq!(claim.attempts, attempt);
        overdue.due_at_ms = claim.due_at_ms;
    }
    assert_eq!(left.item().await["forward_attempts"].as_n().unwrap(), "4");
}

#[tokio::test]
async fn what_is_set_aside_leaves_the_index_and_is_kept_without_expiry() {
    for (as_what, state) in [
        (SetAside::Parked, "parked"),
        (SetAside::Unmapped, "unmapped"),
        (SetAside::Quarantined, "quarantined"),
    ] {
        let left = LeftBehind::new().await;
        let claim = left.claim().await;
        let mut expected = left.item().await;

        let outcome = left.table.set_aside(&claim, as_what).await.unwrap();

        assert_eq!(outcome, CloseOutcome::Closed);
        expected.remove("pending_shard");
        expected.remove("due_at_ms");
        expected.insert("state".to_owned(), text(state));
        assert_eq!(left.item().await, expected);
        assert!(!expected.contains_key("expires_at"));
        assert!(left.database.pending().await.is_empty());
        let again = left.table.set_aside(&claim, as_what).await.unwrap();
        assert_eq!(again, CloseOutcome::Closed, "the client made it twice");
        assert_eq!(left.item().await, expected);
    }
}

#[tokio::test]
async fn what_the_consumer_closed_since_the_claim_is_not_set_aside() {
    let left = LeftBehind::new().await;
    let claim = left.claim().await;
    assert_eq!(left.close(APPLIED).await, CloseOutcome::Closed);
    let before = left.item().await;

    let outcome = left.table.set_aside(&claim, SetAside::Parked).await;

    assert_eq!(outcome.unwrap(), CloseOutcome::NothingToClose);
    assert_eq!(left.item().await, before);
}

#[tokio::test]
async fn what_another_run_claimed_since_is_not_set_aside() {
    let left = LeftBehind::new().await;
    let claim = left.claim().await;
    let overdue = Overdue {
        due_at_ms: claim.due_at_ms,
        ..left.overdue.clone()
    };
    let newer = left.table.claim(&overdue, claim.due_at_ms).await.unwrap();
    let before = left.item().await;

    let outcome = left.table.set_aside(&claim, SetAside::Parked).await;

    assert_eq!(outcome.unwrap(), CloseOutcome::NothingToClose);
    assert_eq!(left.item().await, before);
    let newer = left
        .table
        .set_aside(&claimed(newer), SetAside::Parked)
        .await;
    assert_eq!(newer.unwrap(), CloseOutcome::Closed);
}

#[tokio::test]
async fn a_message_that_comes_after_all_closes_a_parked_record() {
    let left = LeftBehind::new().await;
    let claim = left.claim().await;
    left.table
        .set_aside(&claim, SetAside::Parked)
        .await
        .unwrap();

    assert_eq!(left.close(APPLIED).await, CloseOutcome::Closed);

    let item = left.item().await;
    assert_eq!(item["state"], text("applied"));
    assert_eq!(item["expires_at"].as_n().unwrap(), "1770000000");
    assert!(left.database.pending().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parking_and_closing_at_the_same_time_leaves_the_record_applied() {
    let left = LeftBehind::new().await;
    for round in 0..16 {
        let record = any_record(&format!("wh_{round}"), b"{}", NOW);
        let key = put(&left.table, &record, None).await.key;
        let overdue = Overdue {
            key: key.clone(),
            due_at_ms: FIRST_DUE,
        };
        let claim = claimed(left.table.claim(&overdue, FIRST_DUE).await.unwrap());
        let (relay, consumer) = (left.table.clone(), left.table.clone());

        let parked =
            tokio::spawn(async move { relay.set_aside(&claim, SetAside::Parked).await.unwrap() });
        let (closing_key, digest) = (key.clone(), record.body_sha256);
        let closed = tokio::spawn(async move {
            consumer
                .close(&closing_key, &digest, APPLIED)
                .await
                .unwrap()
        });

        parked.await.unwrap();
        assert_eq!(closed.await.unwrap(), CloseOutcome::Closed);
        let item = left.database.item(key.as_str()).await;
        assert_eq!(item["state"], text("applied"), "round {round}");
        assert!(item.contains_key("expires_at") && !item.contains_key("pending_shard"));
    }
}

#[tokio::test]
async fn overdue_records_come_longest_overdue_first_of_one_shard_and_no_more_than_asked_for() {
    let database = Database::start().await;
    let table = database.webhooks();
    // One body is one shard. Received, and so due, in another order than their names are in.
    for (name, after) in [("a", 40), ("b", 0), ("c", 30), ("d", 10), ("e", 20)] {
        put(&table, &any_record(name, b"{}", later(NOW, after)), None).await;
    }
    let shard = any_record("a", b"{}", NOW).pending_shard();
    let listed = async |now, limit| {
        let found = table.overdue(shard, now, limit).await.unwrap();
        let names = found.iter().map(|overdue| {
            let key = overdue.key.as_str();
            key.chars().last().unwrap()
        });
        names.collect::<String>()
    };

    assert_eq!(listed(later(FIRST_DUE, 40), 100).await, "bdeca");
    assert_eq!(listed(later(FIRST_DUE, 40), 2).await, "bd");
    assert_eq!(
        listed(later(FIRST_DUE, 20), 100).await,
        "bde",
        "due now is due"
    );
    let just_before = EpochMillis::new(later(FIRST_DUE, 20).as_millis() - 1);
    assert_eq!(listed(just_before, 100).await, "bd");
    assert_eq!(listed(NOW, 100).await, "");
    for other in shard.and_all_others().skip(1) {
        let found = table.overdue(other, later(FIRST_DUE, 40), 100).await;
        assert_eq!(found.unwrap(), [], "shard {other}");
    }
}

#[tokio::test]
async fn a_run_over_all_shards_finds_every_pending_record_where_its_body_puts_it() {
    let database = Database::start().await;
    let table = database.webhooks();
    let mut expected = Vec::new();
    for n in 0..96 {
        let record = any_record(&format!("wh_{n}"), format!("body {n}").as_bytes(), NOW);
        put(&table, &record, None).await;
        expected.push((record.pending_shard(), record.webhook_pk));
    }

    let mut found = Vec::new();
    for shard in PendingShard::of(9).and_all_others() {
        let listed = table.overdue(shard, FIRST_DUE, 100).await.unwrap();
        found.extend(listed.into_iter().map(|overdue| (shard, overdue.key)));
    }

    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let mut shards: Vec<PendingShard> = found.into_iter().map(|(shard, _)| shard).collect();
    shards.dedup();
    assert!(
        shards.len() > usize::from(PENDING_SHARDS) / 2,
        "the records are spread: {shards:?}"
    );
}

#[tokio::test]
async fn a_closed_record_is_never_overdue() {
    for closed_as in [APPLIED, ClosedAs::Unmapped, ClosedAs::Quarantined] {
        let left = LeftBehind::new().await;
        assert_eq!(
            left.due(FIRST_DUE).await,
            std::slice::from_ref(&left.overdue)
        );

        left.close(closed_as).await;

        assert_eq!(left.due(later(FIRST_DUE, 1_000_000)).await, []);
        assert!(left.database.pending().await.is_empty());
    }
}

#[tokio::test]
async fn a_record_that_was_never_pending_is_never_overdue() {
    let database = Database::start().await;
    let table = database.webhooks();
    let record = any_record("wh_1", b"{}", NOW);
    for state in RecordState::ALL {
        let key = WebhookKey::parse(&format!("armada#shop-1#order.updated#{}", state.as_str()));
        table
            .put_if_absent(&key.unwrap(), &record, state, None)
            .await
            .unwrap();
    }

    let due = table
        .overdue(record.pending_shard(), later(FIRST_DUE, 1_000_000), 100)
        .await;
    let keys: Vec<_> = due.unwrap().into_iter().map(|due| due.key).collect();
    let pending = WebhookKey::parse("armada#shop-1#order.updated#pending").unwrap();
    assert_eq!(keys, [pending]);
}

#[tokio::test]
async fn a_claimed_record_is_listed_under_its_new_due_time_only() {
    let left = LeftBehind::new().await;
    let claim = left.claim().await;

    let just_before = EpochMillis::new(claim.due_at_ms.as_millis() - 1);
    assert_eq!(left.due(just_before).await, []);
    let again = Overdue {
        due_at_ms: claim.due_at_ms,
        ..left.overdue.clone()
    };
    assert_eq!(left.due(claim.due_at_ms).await, [again]);
}

#[tokio::test]
async fn the_index_holds_keys_and_nothing_of_the_webhook() {
    let left = LeftBehind::new().await;

    let scan = left.database.client.scan().table_name("WebhooksTable");
    let index = scan.index_name("pending").send().await.unwrap();

    let mut names: Vec<&str> = index.items()[0].keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["due_at_ms", "pending_shard", "pk"]);
}

#[tokio::test]
async fn a_damaged_record_is_claimed_without_its_record_and_can_be_set_aside() {
    for (expression, value) in [
        ("REMOVE body", None),
        ("SET body = :value", Some(text("not bytes"))),
        ("REMOVE merchant_id", None),
        ("SET merchant_id = :value", Some(text(""))),
        ("SET company_id = :value", Some(text(""))),
        ("REMOVE received_at_ms", None),
        ("SET received_at_ms = :value", Some(text("yesterday"))),
        (
            "SET received_at_ms = :value",
            Some(AttributeValue::N("-1".to_owned())),
        ),
        ("SET headers = :value", Some(text("not a map"))),
        (
            "SET headers = :value",
            Some(AttributeValue::M(
                [("topic".to_owned(), AttributeValue::Bool(true))].into(),
            )),
        ),
        ("REMOVE body_sha256", None),
        ("SET body_sha256 = :value", Some(text("no digest"))),
        ("REMOVE request_id", None),
    ] {
        let left = LeftBehind::new().await;
        left.spoil(expression, value).await;

        let claim = left.claim().await;

        assert_eq!((claim.attempts, &claim.record), (1, &None), "{expression}");
        let aside = left.table.set_aside(&claim, SetAside::Quarantined).await;
        assert_eq!(aside.unwrap(), CloseOutcome::Closed, "{expression}");
        assert!(left.database.pending().await.is_empty(), "{expression}");
    }
}

#[tokio::test]
async fn a_record_without_a_count_was_never_sent_again() {
    let left = LeftBehind::new().await;
    left.spoil("REMOVE forward_attempts", None).await;

    assert_eq!(left.claim().await.attempts, 1);
}

#[tokio::test]
async fn a_count_that_is_no_number_is_an_error_and_changes_nothing() {
    for attribute in ["forward_attempts", "relay_delay_ms"] {
        let left = LeftBehind::new().await;
        left.spoil(&format!("SET {attribute} = :value"), Some(text("many")))
            .await;
        let before = left.item().await;

        let error = left
            .table
            .claim(&left.overdue, FIRST_DUE)
            .await
            .unwrap_err();

        assert_eq!(error.call, "webhook claim");
        assert_eq!(left.item().await, before);
    }
}

#[tokio::test]
async fn the_largest_body_that_is_received_fits_into_a_record_and_comes_back_whole() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut bytes = |count: usize| -> Vec<u8> { (0..count).map(|_| random.u8(..)).collect() };
    // Nothing to compress in it: the ceiling of `MAX_BODY_BYTES`.
    let body = bytes(358_400);
    let left = LeftBehind::of(any_record("wh_1", &body, NOW), None).await;

    let claim = left.claim().await;
    let webhook = claim.record.unwrap().webhook().unwrap();
    assert_eq!(webhook.body(), body);

    let too_large = any_record("wh_2", &bytes(409_600), NOW);
    let refused = left
        .table
        .put_if_absent(
            &too_large.webhook_pk,
            &too_large,
            RecordState::Pending,
            None,
        )
        .await;
    assert!(refused.is_err(), "DynamoDB takes items of 400 KB");
}
