//! The tables against a strict DynamoDB in this process: expressions, conditions and races as they are.
//! The tables are made from the translated template, so that they cannot drift from it.
//!
//! What it cannot show: its index never lags behind the table, each of its queries is a snapshot, and it never
//! throttles. Lag and queries that are no snapshots are what testkit's `World::interleaved` has.

use std::collections::HashMap;
use std::time::Duration;

use aws::{InstallationsTable, OrdersTable, Registration, WebhooksTable};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use domain::{
    Announcements as _, CloseOutcome, ClosedAs, Credential, EntryOutcome, EpochMillis,
    Installation, InstallationState, Installations as _, KeepOutcome, MerchantId, OrderState,
    Orders as _, Progress, Provider, PutOutcome, RecordClosing as _, RecordState, Recording,
    RecordingOutcome, RequestId, SaveOutcome, Status, TimelineEntry, UrlKeyDigest, WebhookRecord,
    WebhookRecords as _, fold, record,
};
use providers::adapter;
use serde_json::Value;

use crate::support::{Pipeline, SENT_AT, armada_status, order_key, shipday_event};
use crate::template::translated;

/// An item as DynamoDB has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A DynamoDB of its own for one test.
pub(crate) struct Database {
    pub(crate) client: Client,
    /// What is behind the client, for what no client should be asked.
    pub(crate) storage: dynoxide::Database,
    address: String,
}

impl Database {
    pub(crate) async fn start() -> Self {
        Self::on(dynoxide::Database::memory().unwrap()).await
    }

    /// On an empty storage.
    pub(crate) async fn on(storage: dynoxide::Database) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            storage.clone(),
            std::future::pending(),
        ));
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let database = Self {
            client: Client::from_conf(config),
            storage,
            address: address.to_string(),
        };
        for table in ["InstallationsTable", "WebhooksTable", "OrdersTable"] {
            database.create(table).await;
        }
        database
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// Creates a table as the template describes it; its name is its logical id.
    async fn create(&self, logical_id: &str) {
        let table = &translated()["Resources"][logical_id]["Properties"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let keys = |schema: &Value| -> Vec<KeySchemaElement> {
            let elements = schema.as_array().unwrap().iter().map(|key| {
                let key_type = KeyType::from(text(&key["KeyType"]).as_str());
                KeySchemaElement::builder()
                    .attribute_name(text(&key["AttributeName"]))
                    .key_type(key_type)
                    .build()
                    .unwrap()
            });
            elements.collect()
        };
        let attributes = table["AttributeDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attribute| {
                AttributeDefinition::builder()
                    .attribute_name(text(&attribute["AttributeName"]))
                    .attribute_type(ScalarAttributeType::from(
                        text(&attribute["AttributeType"]).as_str(),
                    ))
                    .build()
                    .unwrap()
            });
        let indexes = table["GlobalSecondaryIndexes"].as_array().map(|indexes| {
            let made = indexes.iter().map(|index| {
                let projection =
                    ProjectionType::from(text(&index["Projection"]["ProjectionType"]).as_str());
                GlobalSecondaryIndex::builder()
                    .index_name(text(&index["IndexName"]))
                    .set_key_schema(Some(keys(&index["KeySchema"])))
                    .projection(Projection::builder().projection_type(projection).build())
                    .build()
                    .unwrap()
            });
            made.collect()
        });
        self.client
            .create_table()
            .table_name(logical_id)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(attributes.collect()))
            .set_key_schema(Some(keys(&table["KeySchema"])))
            .set_global_secondary_indexes(indexes)
            .send()
            .await
            .unwrap();
    }

    pub(crate) fn webhooks(&self) -> WebhooksTable {
        WebhooksTable::new(self.client.clone(), "WebhooksTable")
    }

    pub(crate) fn orders(&self) -> OrdersTable {
        OrdersTable::new(self.client.clone(), "OrdersTable")
    }

    pub(crate) fn installations(&self) -> InstallationsTable {
        InstallationsTable::new(self.client.clone(), "InstallationsTable")
    }

    /// Every item of a table.
    pub(crate) async fn items(&self, table: &str) -> Vec<Item> {
        let scan = self.client.scan().table_name(table).consistent_read(true);
        scan.send().await.unwrap().items.unwrap_or_default()
    }

    /// The webhook record under that key; empty when there is none.
    pub(crate) async fn item(&self, key: &str) -> Item {
        let read = self
            .client
            .get_item()
            .table_name("WebhooksTable")
            .key("pk", AttributeValue::S(key.to_owned()));
        read.consistent_read(true)
            .send()
            .await
            .unwrap()
            .item
            .unwrap_or_default()
    }

    /// The keys that the sparse index lists.
    pub(crate) async fn pending(&self) -> Vec<String> {
        let scan = self
            .client
            .scan()
            .table_name("WebhooksTable")
            .index_name("pending")
            .send()
            .await
            .unwrap();
        let keys = scan
            .items()
            .iter()
            .map(|item| item["pk"].as_s().unwrap().clone());
        keys.collect()
    }
}

/// The record that a webhook becomes, received at [`testkit::NOW`].
pub(crate) async fn recorded(
    webhook: &testkit::Webhook,
    request: &str,
) -> (WebhookRecord, Option<domain::OrderKey>) {
    let pipeline = Pipeline::new();
    pipeline.post(webhook).await;
    let stored = pipeline.world.records().pop_first().unwrap().1;
    (
        WebhookRecord {
            request_id: RequestId::parse(request).unwrap(),
            ..stored.record
        },
        stored.order,
    )
}

/// Writes a pending record as ingest does.
pub(crate) async fn put(
    table: &WebhooksTable,
    new: &WebhookRecord,
    order: Option<&domain::OrderKey>,
) -> Recording {
    record(table, new, RecordState::Pending, order)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_record_has_the_attributes_that_other_programs_rely_on() {
    let database = Database::start().await;
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;

    let recording = put(&database.webhooks(), &new, order.as_ref()).await;

    assert_eq!(recording.outcome, RecordingOutcome::New);
    let item = database.item(recording.key.as_str()).await;
    let mut names: Vec<&str> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "body",
            "body_sha256",
            "due_at_ms",
            "forward_attempts",
            "headers",
            "merchant_id",
            "order_key",
            "pending_shard",
            "pk",
            "received_at_ms",
            "request_id",
            "state",
        ]
    );
    assert_eq!(item["order_key"].as_s().unwrap(), "demo-merchant#armada#A1");
    assert!(
        !item.contains_key("expires_at"),
        "a pending record must not expire"
    );
    let shard: u8 = item["pending_shard"].as_s().unwrap().parse().unwrap();
    assert!(shard < domain::PENDING_SHARDS);
    assert_eq!(database.pending().await, [recording.key.as_str()]);
}

#[tokio::test]
async fn the_old_record_comes_back_with_the_failed_condition() {
    let database = Database::start().await;
    let table = database.webhooks();
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let again = WebhookRecord {
        request_id: RequestId::parse("r2").unwrap(),
        ..new.clone()
    };
    let (mut other, _) = recorded(&armada_status("A1", "en_route", "wh_1", SENT_AT), "r3").await;
    other.webhook_pk = new.webhook_pk.clone();

    assert_eq!(
        put(&table, &new, order.as_ref()).await.outcome,
        RecordingOutcome::New
    );
    assert_eq!(
        put(&table, &new, order.as_ref()).await.outcome,
        RecordingOutcome::Mine
    );
    assert_eq!(
        put(&table, &again, order.as_ref()).await.outcome,
        RecordingOutcome::Duplicate
    );
    let reused = put(&table, &other, order.as_ref()).await;
    assert_eq!(
        (reused.outcome, reused.id_reused),
        (RecordingOutcome::New, true)
    );
    assert_eq!(database.pending().await.len(), 2);
}

#[tokio::test]
async fn a_put_never_overwrites_not_even_an_expired_record() {
    let database = Database::start().await;
    let table = database.webhooks();
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let key = put(&table, &new, order.as_ref()).await.key;
    let long_ago = ClosedAs::Applied {
        expires_at: EpochMillis::new(1_000),
    };
    table.close(&key, &new.body_sha256, long_ago).await.unwrap();

    let again = WebhookRecord {
        request_id: RequestId::parse("r2").unwrap(),
        ..new
    };
    assert_eq!(
        put(&table, &again, order.as_ref()).await.outcome,
        RecordingOutcome::Duplicate
    );
}

#[tokio::test]
async fn thirty_two_twins_at_the_same_time_write_one_record() {
    let database = Database::start().await;
    let (new, _) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r0").await;
    let twins = (0..32).map(|n| {
        let table = database.webhooks();
        let twin = WebhookRecord {
            request_id: RequestId::parse(&format!("r{n}")).unwrap(),
            ..new.clone()
        };
        tokio::spawn(async move {
            table
                .put_if_absent(&twin.webhook_pk, &twin, RecordState::Pending, None)
                .await
                .unwrap()
        })
    });

    let outcomes = futures_util::future::join_all(twins).await;

    let written = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome, Ok(PutOutcome::Written)));
    assert_eq!(written.count(), 1);
}

#[tokio::test]
async fn closing_takes_a_record_off_the_index_and_lets_it_expire() {
    let database = Database::start().await;
    let table = database.webhooks();
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let key = put(&table, &new, order.as_ref()).await.key;
    let applied = ClosedAs::Applied {
        expires_at: EpochMillis::new(1_770_000_000_999),
    };

    assert_eq!(
        table.close(&key, &new.body_sha256, applied).await.unwrap(),
        CloseOutcome::Closed
    );

    let item = database.item(key.as_str()).await;
    assert_eq!(item["state"].as_s().unwrap(), "applied");
    assert_eq!(
        item["expires_at"].as_n().unwrap(),
        "1770000000",
        "TTL counts in seconds"
    );
    assert!(database.pending().await.is_empty());
    assert_eq!(
        table.close(&key, &new.body_sha256, applied).await.unwrap(),
        CloseOutcome::NothingToClose
    );
}

#[tokio::test]
async fn closing_never_makes_a_ghost_and_never_closes_another_body() {
    let database = Database::start().await;
    let table = database.webhooks();
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let applied = ClosedAs::Applied {
        expires_at: EpochMillis::new(1_000),
    };

    let outcome = table
        .close(&new.webhook_pk, &new.body_sha256, applied)
        .await
        .unwrap();
    assert_eq!(outcome, CloseOutcome::NothingToClose);
    assert!(
        database.item(new.webhook_pk.as_str()).await.is_empty(),
        "no ghost"
    );

    put(&table, &new, order.as_ref()).await;
    let other_body = domain::Sha256Hex::of(b"another body");
    assert_eq!(
        table
            .close(&new.webhook_pk, &other_body, applied)
            .await
            .unwrap(),
        CloseOutcome::NothingToClose
    );
    assert_eq!(database.pending().await.len(), 1);
}

#[tokio::test]
async fn a_record_beyond_the_bound_is_closed_without_an_expiry() {
    let database = Database::start().await;
    let table = database.webhooks();
    let (new, order) = recorded(&armada_status("A1", "dispatched", "wh_1", SENT_AT), "r1").await;
    let key = put(&table, &new, order.as_ref()).await.key;

    table
        .close(&key, &new.body_sha256, ClosedAs::Quarantined)
        .await
        .unwrap();

    let item = database.item(key.as_str()).await;
    assert_eq!(item["state"].as_s().unwrap(), "quarantined");
    assert!(!item.contains_key("expires_at"));
    assert!(database.pending().await.is_empty());
}

/// The timeline entries of a Shipday life, read from real webhooks.
pub(crate) async fn entries() -> Vec<TimelineEntry> {
    let pipeline = Pipeline::new();
    for (n, (event, status)) in [
        ("ORDER_ASSIGNED", "NOT_ACCEPTED"),
        ("ORDER_PIKEDUP", "PICKED_UP"),
        ("ORDER_COMPLETED", "ALREADY_DELIVERED"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = 1_767_816_000_000 + u64::try_from(n).unwrap();
        pipeline.post(&shipday_event(7, event, status, at)).await;
    }
    pipeline.drain().await;
    pipeline
        .world
        .timeline(&order_key(Provider::Shipday, "7"))
        .into_values()
        .collect()
}

#[tokio::test]
async fn a_timeline_comes_back_as_it_was_put_and_each_entry_is_put_once() {
    let database = Database::start().await;
    let (table, order, entries) = (
        database.orders(),
        order_key(Provider::Shipday, "7"),
        entries().await,
    );
    for entry in entries.iter().rev() {
        assert_eq!(
            table.put_entry(&order, entry).await.unwrap(),
            EntryOutcome::Added
        );
        assert_eq!(
            table.put_entry(&order, entry).await.unwrap(),
            EntryOutcome::Exists
        );
    }
    let state = fold(adapter(Provider::Shipday), entries.clone()).state;
    table.save(&order, &state).await.unwrap();

    let read = table.read(&order).await.unwrap();

    assert_eq!(read.entries, entries, "in the order of their times");
    assert_eq!((read.state, read.revision), (Some(state), 1));
}

#[tokio::test]
async fn a_rich_event_survives_the_table() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "123456"));
    let pipeline = Pipeline::new();
    pipeline
        .post(&testkit::shipday(testkit::sample_bytes(
            "shipday/documented.json",
        )))
        .await;
    pipeline.drain().await;
    let entry = pipeline.world.timeline(&order).pop_first().unwrap().1;
    let state = pipeline.world.state(&order).unwrap().0;

    table.put_entry(&order, &entry).await.unwrap();
    table.save(&order, &state).await.unwrap();

    let read = table.read(&order).await.unwrap();
    assert_eq!((read.entries, read.state), (vec![entry], Some(state)));
}

#[tokio::test]
async fn a_state_is_replaced_by_one_from_as_many_events_and_never_by_one_from_fewer() {
    let database = Database::start().await;
    let (table, order, entries) = (
        database.orders(),
        order_key(Provider::Shipday, "7"),
        entries().await,
    );
    let state = |count: usize| fold(adapter(Provider::Shipday), entries[..count].to_vec()).state;

    assert_eq!(
        table.save(&order, &state(2)).await.unwrap(),
        SaveOutcome::Saved
    );
    assert_eq!(
        table.save(&order, &state(1)).await.unwrap(),
        SaveOutcome::Superseded
    );
    assert_eq!(
        table.save(&order, &state(2)).await.unwrap(),
        SaveOutcome::Saved,
        "a mapping fix keeps the count"
    );
    assert_eq!(
        table.save(&order, &state(3)).await.unwrap(),
        SaveOutcome::Saved
    );

    let read = table.read(&order).await.unwrap();
    assert_eq!(
        (read.state.unwrap().status, read.revision),
        (Some(Status::Delivered), 3)
    );
}

#[tokio::test]
async fn what_a_new_state_does_not_have_is_gone_from_the_item() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "7"));
    let mut failed = fold(adapter(Provider::Shipday), entries().await).state;
    failed.status_reason = Some(domain::StatusReason::AttemptFailed);
    failed.details.tracking_url = Some("https://example.com".to_owned());
    let mut reopened = failed.clone();
    reopened.status_reason = None;
    reopened.details.tracking_url = None;

    table.save(&order, &failed).await.unwrap();
    table.save(&order, &reopened).await.unwrap();

    assert_eq!(table.read(&order).await.unwrap().state, Some(reopened));
}

#[tokio::test]
async fn a_long_timeline_is_read_one_entry_beyond_the_bound_and_no_further() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "7"));
    let template = entries().await.remove(0);
    for n in 0..domain::MAX_EVENTS_PER_ORDER + 3 {
        let at = EpochMillis::new(1_767_816_000_000 + u64::try_from(n).unwrap());
        table
            .put_entry(
                &order,
                &TimelineEntry {
                    occurred_at_ms: at,
                    ..template.clone()
                },
            )
            .await
            .unwrap();
    }

    assert_eq!(
        table.read(&order).await.unwrap().entries.len(),
        domain::MAX_EVENTS_PER_ORDER + 1
    );
}

#[tokio::test]
async fn a_timeline_of_several_pages_is_read_whole() {
    let database = Database::start().await;
    let (table, order) = (database.orders(), order_key(Provider::Shipday, "7"));
    let mut entry = entries().await.remove(0);
    // 40 KB each: a page of a query has a mebibyte.
    entry.details.proof_of_delivery_urls = vec!["x".repeat(2_000); 20];
    for n in 0..60 {
        entry.occurred_at_ms = EpochMillis::new(1_767_816_000_000 + n);
        table.put_entry(&order, &entry).await.unwrap();
    }
    let state = fold(adapter(Provider::Shipday), [entry]).state;
    table.save(&order, &state).await.unwrap();

    let read = table.read(&order).await.unwrap();

    assert_eq!(read.entries.len(), 60);
    assert!(read.state == Some(state), "it is on the last page");
}

#[tokio::test]
async fn an_installation_is_registered_once_found_by_its_credential_and_disabled() {
    let database = Database::start().await;
    let table = database.installations();
    let installation = Installation {
        credential: Credential::single("secret").digest(Provider::Shipday),
        merchant_id: MerchantId::parse("shop-1").unwrap(),
        state: InstallationState::Active,
        label: "Shop 1".to_owned(),
        created_at_ms: EpochMillis::new(1),
        not_after_ms: Some(EpochMillis::new(2)),
        url_key_sha256: Some(UrlKeyDigest::of("key")),
        company_id: domain::CompanyId::parse("14849").ok(),
    };

    assert_eq!(table.find(&installation.credential).await.unwrap(), None);
    assert_eq!(
        table.register(&installation).await.unwrap(),
        Registration::Registered
    );
    assert_eq!(
        table.register(&installation).await.unwrap(),
        Registration::Exists
    );
    assert_eq!(
        table.find(&installation.credential).await.unwrap(),
        Some(installation.clone())
    );
    assert_eq!(
        table.list().await.unwrap(),
        std::slice::from_ref(&installation)
    );

    assert!(
        table
            .set_state(&installation.credential, InstallationState::Disabled)
            .await
            .unwrap()
    );
    let found = table.find(&installation.credential).await.unwrap().unwrap();
    assert_eq!(found.state, InstallationState::Disabled);
    let unknown = Credential::single("other").digest(Provider::Shipday);
    assert!(
        !table
            .set_state(&unknown, InstallationState::Disabled)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn an_installation_whose_restriction_cannot_be_read_lets_nobody_in() {
    let database = Database::start().await;
    let credential = Credential::single("secret").digest(Provider::Shipday);
    let text = |value: &str| AttributeValue::S(value.to_owned());
    database
        .client
        .put_item()
        .table_name("InstallationsTable")
        .item("pk", text(&credential.to_string()))
        .item("merchant_id", text("shop-1"))
        .item("state", text("active"))
        .item("not_after_ms", text("soon"))
        .send()
        .await
        .unwrap();

    assert!(database.installations().find(&credential).await.is_err());
}

#[tokio::test]
async fn consumers_at_the_same_time_leave_the_state_of_the_whole_timeline() {
    let database = Database::start().await;
    let order = order_key(Provider::Shipday, "7");
    let entries = entries().await;
    let consumers = (0..16).map(|n| {
        let (table, order) = (database.orders(), order.clone());
        let entry = entries[n % entries.len()].clone();
        tokio::spawn(async move {
            table.put_entry(&order, &entry).await.unwrap();
            let timeline = table.read(&order).await.unwrap();
            let folded = fold(adapter(Provider::Shipday), timeline.entries).state;
            if timeline.state.as_ref() != Some(&folded) {
                table.save(&order, &folded).await.unwrap();
            }
        })
    });

    let all = tokio::time::timeout(
        Duration::from_secs(60),
        futures_util::future::join_all(consumers),
    )
    .await
    .unwrap();

    assert!(all.into_iter().all(|consumer| consumer.is_ok()));
    let stored = database.orders().read(&order).await.unwrap();
    assert_eq!(
        stored.state,
        Some(fold(adapter(Provider::Shipday), entries).state)
    );
}

#[tokio::test]
async fn progress_is_kept_only_where_it_is_as_seen_and_goes_with_the_order() {
    let database = Database::start().await;
    let orders = database.orders();
    let order = order_key(Provider::Shipday, "7");
    let state = OrderState {
        status: Some(Status::Delivered),
        ..OrderState::default()
    };
    let progress = |revision, last| Progress {
        revision,
        status: Status::Delivered,
        last,
        before: None,
    };
    let first = progress(1, None);
    // No order: nothing to keep it with.
    assert_eq!(orders.standing(&order).await.unwrap(), None);
    let kept = orders.keep(&order, None, first).await.unwrap();
    assert_eq!(kept, KeepOutcome::NotAsSeen);

    orders.save(&order, &state).await.unwrap();
    let mut seen = None;
    for next in [
        first,
        progress(1, Some(Status::Delivered)),
        progress(3, Some(Status::Failed)),
        progress(4, None),
    ] {
        for wrong in [
            Some(progress(9, seen.and_then(|seen: Progress| seen.last))),
            Some(progress(1, Some(Status::Returned))),
            seen.map_or(Some(first), |_| None),
        ] {
            let kept = orders.keep(&order, wrong, next).await.unwrap();
            assert_eq!(kept, KeepOutcome::NotAsSeen, "{wrong:?}");
        }
        let kept = orders.keep(&order, seen, next).await.unwrap();
        assert_eq!(kept, KeepOutcome::Kept);
        // A save leaves it, and it leaves the state and its revision.
        let revision = orders.read(&order).await.unwrap().revision;
        orders.save(&order, &state).await.unwrap();
        let standing = orders.standing(&order).await.unwrap().unwrap();
        assert_eq!(standing.progress, Some(next));
        assert_eq!(standing.saved.state, state);
        assert_eq!(standing.saved.revision, revision + 1);
        seen = Some(next);
    }

    let items = orders.items(&order).await.unwrap();
    orders.erase(&order, &items).await.unwrap();
    let kept = orders.keep(&order, seen, first).await.unwrap();
    assert_eq!(kept, KeepOutcome::NotAsSeen);
    assert_eq!(orders.standing(&order).await.unwrap(), None);
}
