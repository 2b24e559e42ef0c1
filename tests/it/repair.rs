//! What operators do with the tables, against a strict DynamoDB: look, replay, dismiss, refold.

use std::collections::BTreeMap;

use aws::{
    Consistency, OrdersTable, Page, Part, Position, RecordChange, Segment, StoredWebhook,
    WebhookFilter, WebhookParts, WebhooksTable,
};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    BodySha256, ClaimOutcome, CloseOutcome, ClosedAs, CompressedBody, DismissalReason, EpochMillis,
    FIRST_RELAY_DELAY, MerchantId, Millis, OrderKey, Orders as _, Overdue, PendingRecords as _,
    PortError, Provider, PutOutcome, RecordClosing as _, RecordState, SaveOutcome, SetAside,
    Status, TimelineEntry, WebhookKey, WebhookRecord, WebhookRecords as _, fold,
};
use providers::adapter;

use crate::strict_dynamodb::{Database, entries, recorded};
use crate::support::{SENT_AT, armada_status, order_key};

const NOW: EpochMillis = EpochMillis::new(1_780_000_000_000);
const EXPIRY: EpochMillis = EpochMillis::new(1_790_000_000_999);

/// A table with one record in this state, reached as in real life.
async fn table_with(state: RecordState) -> (Database, WebhooksTable, WebhookRecord) {
    let database = Database::start().await;
    let table = database.webhooks();
    let (record, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let key = &record.webhook_pk;
    let first = match state {
        RecordState::Unmapped | RecordState::Quarantined => state,
        RecordState::Pending
        | RecordState::Applied
        | RecordState::Parked
        | RecordState::Dismissed => RecordState::Pending,
    };
    let put = table
        .put_if_absent(key, &record, first, order.as_ref())
        .await;
    assert_eq!(put.unwrap(), PutOutcome::Written);
    match state {
        RecordState::Pending | RecordState::Unmapped | RecordState::Quarantined => {}
        RecordState::Applied => {
            let applied = ClosedAs::Applied { expires_at: EXPIRY };
            let closed = table.close(key, &record.body_sha256, applied).await;
            assert_eq!(closed.unwrap(), CloseOutcome::Closed);
        }
        RecordState::Parked => {
            let claim = claim(&table, key, record.first_due_at_ms()).await;
            let parked = table.set_aside(&claim, SetAside::Parked).await;
            assert_eq!(parked.unwrap(), CloseOutcome::Closed);
        }
        RecordState::Dismissed => {
            let dismissed = dismiss(&table, key.as_str(), RecordState::Pending).await;
            assert_eq!(dismissed, RecordChange::Made);
        }
    }
    (database, table, record)
}

async fn claim(table: &WebhooksTable, key: &WebhookKey, due: EpochMillis) -> domain::Claim {
    let overdue = Overdue {
        key: key.clone(),
        due_at_ms: due,
    };
    match table.claim(&overdue, NOW).await.unwrap() {
        ClaimOutcome::Claimed(claim) => *claim,
        ClaimOutcome::Gone => panic!("nobody else claims it"),
    }
}

async fn dismiss(table: &WebhooksTable, pk: &str, seen: RecordState) -> RecordChange {
    let reason = DismissalReason::parse("a test order").unwrap();
    table.dismiss(pk, seen, &reason, EXPIRY).await.unwrap()
}

#[tokio::test]
async fn a_replay_makes_a_record_of_any_state_pending_as_if_it_were_new() {
    for state in RecordState::ALL {
        let (database, table, record) = table_with(state).await;

        let replayed = table.replay(&record, state, NOW).await.unwrap();

        assert_eq!(replayed, RecordChange::Made, "{state:?}");
        let key = record.webhook_pk.as_str();
        assert_eq!(database.pending().await, [key], "{state:?}");
        let item = database.item(key).await;
        let number = |name: &str| item[name].as_n().unwrap().clone();
        assert_eq!(item["state"].as_s().unwrap(), "pending");
        assert_eq!(number("due_at_ms"), NOW.to_string());
        assert_eq!(number("forward_attempts"), "0");
        let shard = record.pending_shard();
        assert_eq!(item["pending_shard"].as_s().unwrap(), &shard.to_string());
        for gone in ["expires_at", "relay_delay_ms", "close_reason"] {
            assert!(!item.contains_key(gone), "{state:?}: {gone}");
        }
        let due = table.overdue(shard, NOW, 10).await.unwrap();
        assert_eq!(due.len(), 1, "the relay finds it at once");
        assert_eq!(
            table.get(key).await.unwrap().unwrap().record,
            Some(record),
            "{state:?}: what was received is never touched"
        );
    }
}

#[tokio::test]
async fn a_replay_is_refused_when_the_record_is_no_longer_as_it_was_seen() {
    for state in RecordState::ALL {
        for seen in RecordState::ALL.into_iter().filter(|seen| *seen != state) {
            let (database, table, record) = table_with(state).await;
            let before = database.item(record.webhook_pk.as_str()).await;

            let replayed = table.replay(&record, seen, NOW).await.unwrap();

            assert_eq!(replayed, RecordChange::NotAsSeen, "{seen:?}, is {state:?}");
            assert_eq!(database.item(record.webhook_pk.as_str()).await, before);
        }
    }
}

#[tokio::test]
async fn a_replay_never_makes_a_ghost_and_never_replays_another_body() {
    let (database, table, record) = table_with(RecordState::Unmapped).await;
    let gone = WebhookRecord {
        webhook_pk: WebhookKey::parse("armada#demo-merchant#order.updated#gone").unwrap(),
        ..record.clone()
    };
    let other = WebhookRecord {
        body_sha256: BodySha256::of(b"another body"),
        ..record
    };

    for not_there in [gone, other] {
        let replayed = table.replay(&not_there, RecordState::Unmapped, NOW).await;
        assert_eq!(replayed.unwrap(), RecordChange::NotAsSeen);
    }
    assert!(
        database
            .item("armada#demo-merchant#order.updated#gone")
            .await
            .is_empty()
    );
    assert!(database.pending().await.is_empty());
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_the_operators_own_when_the_client_makes_it_again() {
    let (_database, table, record) = table_with(RecordState::Unmapped).await;
    for _ in 0..2 {
        let replayed = table.replay(&record, RecordState::Unmapped, NOW).await;
        assert_eq!(replayed.unwrap(), RecordChange::Made);
    }
    let later = NOW + Millis::new(1);
    let another = table.replay(&record, RecordState::Unmapped, later).await;
    assert_eq!(another.unwrap(), RecordChange::NotAsSeen);

    let key = record.webhook_pk.as_str();
    for _ in 0..2 {
        let dismissed = dismiss(&table, key, RecordState::Pending).await;
        assert_eq!(dismissed, RecordChange::Made);
    }
    let reason = DismissalReason::parse("another reason").unwrap();
    let another = table
        .dismiss(key, RecordState::Pending, &reason, EXPIRY)
        .await;
    assert_eq!(another.unwrap(), RecordChange::NotAsSeen);
}

#[tokio::test]
async fn the_claim_after_a_replay_is_the_first_one_with_the_first_delay() {
    let (_database, table, record) = table_with(RecordState::Pending).await;
    let key = &record.webhook_pk;
    let first = claim(&table, key, record.first_due_at_ms()).await;
    let second = claim(&table, key, first.due_at_ms).await;
    assert_eq!(second.attempts, 2);
    let parked = table.set_aside(&second, SetAside::Parked).await.unwrap();
    assert_eq!(parked, CloseOutcome::Closed);
    let replayed = table.replay(&record, RecordState::Parked, NOW).await;
    assert_eq!(replayed.unwrap(), RecordChange::Made);

    let again = claim(&table, key, NOW).await;

    assert_eq!(again.attempts, 1);
    assert_eq!(again.due_at_ms, NOW + FIRST_RELAY_DELAY);
    assert_eq!(again.record, Some(record));
}

#[tokio::test]
async fn a_run_of_the_relay_that_claimed_before_a_replay_does_not_undo_it() {
    let (database, table, record) = table_with(RecordState::Pending).await;
    let claim = claim(&table, &record.webhook_pk, record.first_due_at_ms()).await;
    let replayed = table.replay(&record, RecordState::Pending, NOW).await;
    assert_eq!(replayed.unwrap(), RecordChange::Made);

    let late = table.set_aside(&claim, SetAside::Unmapped).await.unwrap();

    assert_eq!(late, CloseOutcome::NothingToClose);
    assert_eq!(database.pending().await.len(), 1);
}

#[tokio::test]
async fn a_dismissed_record_leaves_the_index_says_why_and_expires() {
    for state in [
        RecordState::Pending,
        RecordState::Unmapped,
        RecordState::Quarantined,
        RecordState::Parked,
    ] {
        let (database, table, record) = table_with(state).await;
        let key = record.webhook_pk.as_str();

        assert_eq!(dismiss(&table, key, state).await, RecordChange::Made);

        let item = database.item(key).await;
        assert_eq!(item["state"].as_s().unwrap(), "dismissed", "{state:?}");
        assert_eq!(item["close_reason"].as_s().unwrap(), "a test order");
        assert_eq!(item["expires_at"].as_n().unwrap(), "1790000000");
        assert!(!item.contains_key("pending_shard") && !item.contains_key("due_at_ms"));
        assert!(database.pending().await.is_empty());
        let stored = table.get(key).await.unwrap().unwrap();
        assert_eq!(stored.state, Some(RecordState::Dismissed));
        assert_eq!(stored.close_reason.as_deref(), Some("a test order"));
    }
}

#[tokio::test]
async fn a_dismissal_is_refused_when_the_state_moved_and_never_makes_a_ghost() {
    let (database, table, record) = table_with(RecordState::Applied).await;
    let key = record.webhook_pk.as_str();
    let before = database.item(key).await;

    for seen in [RecordState::Pending, RecordState::Parked] {
        assert_eq!(dismiss(&table, key, seen).await, RecordChange::NotAsSeen);
    }
    let nobody = "armada#demo-merchant#order.updated#gone";
    let gone = dismiss(&table, nobody, RecordState::Pending).await;

    assert_eq!(gone, RecordChange::NotAsSeen);
    assert_eq!(database.item(key).await, before);
    assert!(database.item(nobody).await.is_empty());
}

#[tokio::test]
async fn a_message_that_comes_after_a_dismissal_does_not_bring_the_record_back() {
    let (_database, table, record) = table_with(RecordState::Dismissed).await;
    let applied = ClosedAs::Applied { expires_at: EXPIRY };

    let closed = table
        .close(&record.webhook_pk, &record.body_sha256, applied)
        .await
        .unwrap();

    assert_eq!(closed, CloseOutcome::NothingToClose);
    let stored = table.get(record.webhook_pk.as_str()).await.unwrap();
    assert_eq!(stored.unwrap().state, Some(RecordState::Dismissed));
}

#[tokio::test]
async fn a_record_is_erased_in_the_state_and_with_the_body_that_were_seen_and_never_otherwise() {
    for state in RecordState::ALL {
        let (database, table, record) = table_with(state).await;
        let (key, digest) = (record.webhook_pk.as_str(), &record.body_sha256);
        let before = database.item(key).await;

        for seen in RecordState::ALL.into_iter().filter(|seen| *seen != state) {
            let erased = table.erase(key, seen, digest).await.unwrap();
            assert_eq!(erased, RecordChange::NotAsSeen, "{seen:?}, is {state:?}");
        }
        let other = BodySha256::of(b"another body");
        let erased = table.erase(key, state, &other).await.unwrap();
        assert_eq!(erased, RecordChange::NotAsSeen, "{state:?}");
        assert_eq!(database.item(key).await, before, "{state:?}");

        // The second time as a client does whose answer was lost.
        for _ in 0..2 {
            let erased = table.erase(key, state, digest).await.unwrap();
            assert_eq!(erased, RecordChange::Made, "{state:?}");
        }
        assert!(database.item(key).await.is_empty());
        assert!(database.pending().await.is_empty());
    }
}

#[tokio::test]
async fn an_order_that_was_saved_since_it_was_seen_is_left_whole() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "7"));
    let entries = entries().await;
    let state = fold(adapter(Provider::Shipday), entries.clone()).state;
    for entry in &entries {
        table.put_entry(&order, entry).await.unwrap();
    }
    table.save(&order, &state).await.unwrap();
    let seen = table.items(&order).await.unwrap();
    table.save(&order, &state).await.unwrap();

    let erased = table.erase(&order, &seen).await.unwrap();

    assert_eq!(erased, RecordChange::NotAsSeen);
    assert_eq!(table.read(&order).await.unwrap().entries, entries);
    let seen = table.items(&order).await.unwrap();
    assert_eq!((seen.revision, seen.entries.len()), (Some(2), 3));
    for _ in 0..2 {
        let erased = table.erase(&order, &seen).await.unwrap();
        assert_eq!(erased, RecordChange::Made);
    }
    assert!(table.items(&order).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_entry_is_found_by_its_identity_alone() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "7"));
    let entries = entries().await;
    for entry in &entries[1..] {
        table.put_entry(&order, entry).await.unwrap();
    }
    for consistency in [Consistency::Eventual, Consistency::Strong] {
        for (n, entry) in entries.iter().enumerate() {
            let sort_key = entry.sort_key(Provider::Shipday);
            let found = table.has_entry(&order, &sort_key, consistency).await;
            assert_eq!(found.unwrap(), n > 0, "{sort_key}");
        }
    }
}

// ---------------------------------------------------------------- looking

/// A hundred records of two merchants and providers, in all states, one minute apart.
async fn many_records() -> (Database, WebhooksTable, BTreeMap<String, RecordState>) {
    let database = Database::start().await;
    let table = database.webhooks();
    let (armada, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let mut written = BTreeMap::new();
    for n in 0..100_u64 {
        let merchant = if n % 10 == 0 { "shop-2" } else { "shop-1" };
        let provider = if n % 4 == 0 { "shipday" } else { "armada" };
        let key = format!("{provider}#{merchant}#order.updated#{n}");
        let state = RecordState::ALL[usize::try_from(n).unwrap() % RecordState::ALL.len()];
        let record = WebhookRecord {
            webhook_pk: WebhookKey::parse(&key).unwrap(),
            merchant_id: MerchantId::parse(merchant).unwrap(),
            received_at_ms: NOW + Millis::from_seconds(60 * n),
            ..armada.clone()
        };
        table
            .put_if_absent(&record.webhook_pk, &record, state, order.as_ref())
            .await
            .unwrap();
        written.insert(key, state);
    }
    (database, table, written)
}

/// Reads one segment, in pages of `most` items, up to `pages` of them.
async fn read_segment<T, F: Future<Output = Result<Page<T>, PortError>>>(
    segment: Segment,
    mut after: Option<Position>,
    pages: usize,
    read: impl Fn(Segment, Option<Position>) -> F,
) -> (Vec<T>, Option<Position>) {
    let mut found = Vec::new();
    for _ in 0..pages {
        let page = read(segment, after).await.unwrap();
        found.extend(page.items.into_iter().map(|(_, item)| item));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    (found, after)
}

async fn keys(table: &WebhooksTable, filter: &WebhookFilter) -> Vec<String> {
    let mut found = Vec::new();
    for number in 0..3 {
        let segment = Segment { number, of: 3 };
        let (some, _) = read_segment(segment, None, usize::MAX, |segment, after| async move {
            let part = Part {
                segment,
                after: after.as_ref(),
                most: Some(7),
            };
            table.scan(filter, WebhookParts::Summary, part).await
        })
        .await;
        found.extend(some.into_iter().map(|it: StoredWebhook| it.pk));
    }
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_scan_in_segments_finds_every_record_once() {
    let (_database, table, written) = many_records().await;

    let found = keys(&table, &WebhookFilter::default()).await;

    assert_eq!(found, written.into_keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_filter_finds_what_it_says_and_nothing_else() {
    let (_database, table, written) = many_records().await;
    let expected = |fits: &dyn Fn(u64, &str, RecordState) -> bool| {
        let fitting = written.iter().filter(|(key, state)| {
            let n = key.rsplit('#').next().unwrap().parse().unwrap();
            fits(n, key, **state)
        });
        fitting.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    let all = WebhookFilter::default();
    let minute = |n: u64| Some(NOW + Millis::from_seconds(60 * n));

    let by_state = WebhookFilter {
        states: vec![RecordState::Unmapped, RecordState::Parked],
        ..all.clone()
    };
    assert_eq!(
        keys(&table, &by_state).await,
        expected(&|_, _, state| matches!(state, RecordState::Unmapped | RecordState::Parked))
    );
    let by_merchant = WebhookFilter {
        merchant_id: MerchantId::parse("shop-2").ok(),
        ..all.clone()
    };
    assert_eq!(
        keys(&table, &by_merchant).await,
        expected(&|_, key, _| key.contains("#shop-2#"))
    );
    let by_provider = WebhookFilter {
        provider: Some(Provider::Shipday),
        ..all.clone()
    };
    assert_eq!(
        keys(&table, &by_provider).await,
        expected(&|_, key, _| key.starts_with("shipday#"))
    );
    let by_time = WebhookFilter {
        since: minute(20),
        until: minute(30),
        ..all.clone()
    };
    assert_eq!(
        keys(&table, &by_time).await,
        expected(&|n, _, _| (20..30).contains(&n))
    );
    let since_or_open = WebhookFilter {
        since_or_open: minute(30),
        ..all
    };
    assert_eq!(
        keys(&table, &since_or_open).await,
        expected(&|n, _, state| n >= 30
            || !matches!(state, RecordState::Applied | RecordState::Dismissed))
    );
    let of_an_order = |order: &str| WebhookFilter {
        order: OrderKey::parse(order).ok(),
        ..WebhookFilter::default()
    };
    let all_there_are = expected(&|_, _, _| true);
    assert_eq!(
        keys(&table, &of_an_order("demo-merchant#armada#A1")).await,
        all_there_are
    );
    let another = of_an_order("demo-merchant#armada#A10");
    assert_eq!(keys(&table, &another).await, [] as [&str; 0]);
    let by_all = WebhookFilter {
        states: vec![RecordState::Unmapped],
        merchant_id: MerchantId::parse("shop-1").ok(),
        provider: Some(Provider::Armada),
        since: minute(20),
        until: minute(80),
        since_or_open: minute(0),
        order: order_key(Provider::Armada, "A1").into(),
    };
    let found = keys(&table, &by_all).await;
    assert!(!found.is_empty());
    assert_eq!(
        found,
        expected(&|n, key, state| {
            state == RecordState::Unmapped
                && key.starts_with("armada#shop-1#")
                && (20..80).contains(&n)
        })
    );
}

#[tokio::test]
async fn a_scan_that_was_broken_off_goes_on_where_it_stopped() {
    let (_database, table, written) = many_records().await;
    let all = WebhookFilter::default();
    let read = |segment, after: Option<Position>| {
        let (table, all) = (&table, &all);
        async move {
            let part = Part {
                segment,
                after: after.as_ref(),
                most: Some(5),
            };
            table.scan(all, WebhookParts::Summary, part).await
        }
    };
    let mut found = Vec::new();
    for number in 0..4 {
        let segment = Segment { number, of: 4 };
        let (some, position) = read_segment(segment, None, 2, read).await;
        // As it comes back from a file.
        let kept = serde_json::to_string(&position).unwrap();
        let position: Option<Position> = serde_json::from_str(&kept).unwrap();
        assert!(position.is_some(), "the segment has more than two pages");
        let (rest, _) = read_segment(segment, position, usize::MAX, read).await;
        found.extend(some.into_iter().chain(rest).map(|it| it.pk));
    }
    found.sort_unstable();

    assert_eq!(found, written.into_keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_scan_goes_on_behind_any_record_also_in_the_middle_of_a_page() {
    let (_database, table, written) = many_records().await;
    let read = async |after: Option<&Position>| {
        let part = Part {
            segment: Segment { number: 0, of: 1 },
            after,
            most: None,
        };
        let all = WebhookFilter::default();
        table.scan(&all, WebhookParts::Summary, part).await.unwrap()
    };
    let whole = read(None).await;
    assert_eq!(whole.looked_at, 100);
    assert_eq!(whole.items.len(), written.len());

    for stop in [0, 41, 98] {
        let rest = read(Some(&whole.items[stop].0)).await;

        let keys = |page: &Page<StoredWebhook>, from: usize| -> Vec<String> {
            page.items[from..]
                .iter()
                .map(|(_, it)| it.pk.clone())
                .collect()
        };
        assert_eq!(keys(&rest, 0), keys(&whole, stop + 1));
    }
}

#[tokio::test]
async fn a_summary_has_no_body_and_a_whole_record_has_everything() {
    let (database, table, record) = table_with(RecordState::Parked).await;
    let key = record.webhook_pk.as_str();
    let part = Part {
        segment: Segment { number: 0, of: 1 },
        after: None,
        most: None,
    };
    let all = WebhookFilter::default();

    let summary = table.scan(&all, WebhookParts::Summary, part).await.unwrap();
    let whole = table.scan(&all, WebhookParts::Whole, part).await.unwrap();

    let expected = StoredWebhook {
        pk: key.to_owned(),
        state: Some(RecordState::Parked),
        merchant_id: Some(record.merchant_id.clone()),
        order: Some(order_key(Provider::Armada, "A1")),
        received_at_ms: Some(record.received_at_ms),
        due_at_ms: None,
        forward_attempts: Some(1),
        expires_at: None,
        close_reason: None,
        body_sha256: Some(record.body_sha256.clone()),
        record: Some(record.clone()),
    };
    assert_eq!(whole.items[0].1, expected);
    assert_eq!(table.get(key).await.unwrap(), Some(expected.clone()));
    let without_body = StoredWebhook {
        record: None,
        ..expected
    };
    assert_eq!(summary.items[0].1, without_body);
    assert_eq!(table.get("nobody").await.unwrap(), None);
    assert_eq!(table.approximate_count().await.unwrap(), 1);
    drop(database);
}

/// Replaces or removes an attribute of a stored record.
async fn damage(database: &Database, key: &str, name: &str, value: Option<AttributeValue>) {
    let update = database
        .client
        .update_item()
        .table_name("WebhooksTable")
        .key("pk", AttributeValue::S(key.to_owned()))
        .expression_attribute_names("#name", name);
    let update = match value {
        Some(value) => update
            .update_expression("SET #name = :value")
            .expression_attribute_values(":value", value),
        None => update.update_expression("REMOVE #name"),
    };
    update.send().await.unwrap();
}

#[tokio::test]
async fn a_record_with_every_attribute_is_read_and_a_damaged_one_is_still_found() {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let required = [
        "merchant_id",
        "received_at_ms",
        "body",
        "body_sha256",
        "request_id",
    ];
    let (database, table, mut record) = table_with(RecordState::Unmapped).await;
    let key = record.webhook_pk.as_str().to_owned();
    damage(&database, &key, "company_id", Some(text("14849"))).await;
    record.company_id = domain::CompanyId::parse("14849").ok();
    let stored = table.get(&key).await.unwrap().unwrap();
    assert_eq!(stored.record.as_ref(), Some(&record));
    let whole = database.item(&key).await;

    let damages = required.map(|name| (name, None)).into_iter().chain([
        ("merchant_id", Some(text("a#b"))),
        ("received_at_ms", Some(text("soon"))),
        ("body", Some(text("no bytes"))),
        ("body_sha256", Some(text("0"))),
        ("company_id", Some(text("a#b"))),
        ("headers", Some(text("none"))),
        (
            "headers",
            Some(AttributeValue::M(
                [("x".to_owned(), AttributeValue::Null(true))].into(),
            )),
        ),
    ]);
    for (name, value) in damages {
        damage(&database, &key, name, value).await;

        let found = table.get(&key).await.unwrap().unwrap();
        assert_eq!(found.record, None, "{name}");
        assert_eq!(found.state, Some(RecordState::Unmapped), "{name}");
        assert_eq!(found.order, Some(order_key(Provider::Armada, "A1")));
        let scanned = keys(&table, &WebhookFilter::default()).await;
        assert_eq!(scanned, [key.as_str()], "{name}");

        damage(&database, &key, name, whole.get(name).cloned()).await;
    }
    damage(&database, &key, "state", Some(text("lost"))).await;
    let found = table.get(&key).await.unwrap().unwrap();
    assert_eq!((found.state, found.record), (None, Some(record)));
    damage(
        &database,
        &key,
        "body",
        Some(AttributeValue::B(Blob::new([0xff]))),
    )
    .await;
    let found = table.get(&key).await.unwrap().unwrap().record.unwrap();
    assert_eq!(found.body, CompressedBody::from_stored(vec![0xff]));
    assert!(found.webhook().is_err(), "the body cannot be restored");
}

// ---------------------------------------------------------------- orders

/// What `order refold` does with one order.
async fn refold(table: &OrdersTable, order: &OrderKey) -> Option<SaveOutcome> {
    let timeline = table.read(order).await.unwrap();
    let folded = fold(adapter(order.provider), timeline.entries).state;
    if timeline.state.as_ref() == Some(&folded) {
        return None;
    }
    Some(table.save(order, &folded).await.unwrap())
}

#[tokio::test]
async fn a_refold_repairs_a_wrong_state_once_and_leaves_a_right_one_alone() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "7"));
    let entries = entries().await;
    for entry in &entries {
        table.put_entry(&order, entry).await.unwrap();
    }
    let right = fold(adapter(Provider::Shipday), entries).state;
    let mut wrong = right.clone();
    wrong.status = Some(Status::Failed);
    wrong.status_reason = Some(domain::StatusReason::AttemptFailed);
    table.save(&order, &wrong).await.unwrap();

    assert_eq!(refold(&table, &order).await, Some(SaveOutcome::Saved));
    let repaired = table.read(&order).await.unwrap();
    assert_eq!((repaired.state, repaired.revision), (Some(right), 2));

    assert_eq!(refold(&table, &order).await, None);
    assert_eq!(table.read(&order).await.unwrap().revision, 2);
}

#[tokio::test]
async fn every_order_is_listed_once_also_one_whose_state_was_never_saved() {
    let database = Database::start().await;
    let table = database.orders();
    let entries = entries().await;
    let state = fold(adapter(Provider::Shipday), entries.clone()).state;
    let order =
        |merchant: &str, n: usize| OrderKey::parse(&format!("{merchant}#shipday#{n}")).unwrap();
    let mut written = Vec::new();
    for n in 0..24 {
        // `shop-10` begins like `shop-1`, and is another merchant.
        let key = order(["shop-1", "shop-10", "shop-2"][n % 3], n);
        let events: &[TimelineEntry] = &entries[..1 + n % entries.len()];
        for entry in events {
            table.put_entry(&key, entry).await.unwrap();
        }
        if n % 2 == 0 {
            table.save(&key, &state).await.unwrap();
        }
        written.push(key);
    }
    let listed = async |merchant: Option<MerchantId>, most: Option<u16>| {
        let mut found = Vec::new();
        for number in 0..3 {
            let segment = Segment { number, of: 3 };
            let (some, _) = read_segment(segment, None, usize::MAX, |segment, after| {
                let (table, merchant) = (&table, merchant.as_ref());
                async move {
                    let part = Part {
                        segment,
                        after: after.as_ref(),
                        most,
                    };
                    table.scan(merchant, part).await
                }
            })
            .await;
            found.extend(some);
        }
        found.sort();
        found
    };
    written.sort();
    // With pages of one item an order's items are never on one page.
    for most in [None, Some(1), Some(3)] {
        assert_eq!(listed(None, most).await, written, "{most:?}");
        let of_one: Vec<_> = written
            .iter()
            .filter(|key| key.merchant_id.as_str() == "shop-1")
            .cloned()
            .collect();
        let shop = MerchantId::parse("shop-1").ok();
        assert_eq!(listed(shop, most).await, of_one, "{most:?}");
    }
}

#[tokio::test]
async fn a_scan_of_orders_goes_on_behind_the_whole_order_that_it_stopped_at() {
    let database = Database::start().await;
    let table = database.orders();
    let entries = entries().await;
    for n in 0..5 {
        for entry in &entries {
            let order = order_key(Provider::Shipday, &n.to_string());
            table.put_entry(&order, entry).await.unwrap();
        }
    }
    let read = async |after: Option<&Position>| {
        let part = Part {
            segment: Segment { number: 0, of: 1 },
            after,
            most: None,
        };
        table.scan(None, part).await.unwrap().items
    };
    let whole = read(None).await;
    assert_eq!(whole.len(), 5);

    for (n, (position, order)) in whole.iter().enumerate() {
        let rest = read(Some(position)).await;
        assert_eq!(rest, whole[n + 1..], "behind {order}");
    }
}
