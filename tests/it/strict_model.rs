//! The in-memory tables of `testkit` and the real ones, side by side: whatever is asked of both, both answer
//! the same and keep the same. What the tests and simulations around a [`World`] show, holds for DynamoDB.

use std::collections::BTreeMap;

use aws::{OrdersTable, RecordChange, WebhooksTable};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    Claim, ClaimOutcome, ClosedAs, CompanyId, CompressedBody, EpochMillis, MerchantId, Millis,
    OrderKey, OrderState, Orders as _, Overdue, PendingRecords as _, Provider, RecordClosing as _,
    RecordState, RequestId, SetAside, Sha256Hex, TimelineEntry, WebhookKey, WebhookRecord,
    WebhookRecords as _, fold,
};
use fastrand::Rng;
use providers::adapter;
use testkit::{NOW, StoredRecord, World, sample_bytes};

use crate::strict_dynamodb::{Database, Item};
use crate::support::{Pipeline, order_key, shipday_event};

/// What is done to both tables; everything it names is drawn when it is done.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put,
    Close,
    Overdue,
    Claim,
    SetAside,
    Replay,
}

/// Both tables of webhooks, and what a relay has seen in them.
struct Webhooks {
    random: Rng,
    now: EpochMillis,
    world: World,
    database: Database,
    table: WebhooksTable,
    pool: Vec<WebhookRecord>,
    seen: Vec<Overdue>,
    claims: Vec<Claim>,
}

impl Webhooks {
    async fn new(seed: u64) -> Self {
        let database = Database::start().await;
        Self {
            random: Rng::with_seed(seed),
            now: NOW,
            world: World::new(),
            table: database.webhooks(),
            database,
            pool: pool(),
            seen: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Does one step to both, and says what came of it.
    async fn take(&mut self, step: Step) -> String {
        self.now = self.now + Millis::new(self.random.u64(1..200_000));
        match step {
            Step::Put => self.put().await,
            Step::Close => self.close().await,
            Step::Overdue => self.overdue().await,
            Step::Claim => self.claim().await,
            Step::SetAside => self.set_aside().await,
            Step::Replay => self.replay().await,
        }
    }

    async fn put(&mut self) -> String {
        let record = WebhookRecord {
            received_at_ms: self.now,
            ..self.any_record()
        };
        let state = self.any_of(&[
            RecordState::Pending,
            RecordState::Pending,
            RecordState::Pending,
            RecordState::Unmapped,
            RecordState::Quarantined,
        ]);
        let order = self
            .random
            .bool()
            .then(|| order_key(Provider::Armada, "A1"));
        let (key, order) = (&record.webhook_pk, order.as_ref());
        let modelled = self.world.put_if_absent(key, &record, state, order).await;
        let stored = self.table.put_if_absent(key, &record, state, order).await;
        same(&modelled.unwrap(), &stored.unwrap())
    }

    async fn close(&mut self) -> String {
        let (key, body) = (self.any_record().webhook_pk, self.any_record().body_sha256);
        let body = self
            .body_at(&key)
            .filter(|_| self.random.u8(..) < 200)
            .unwrap_or(body);
        let closed_as = self.any_of(&[
            ClosedAs::Applied {
                expires_at: NOW + Millis::from_days(30),
            },
            ClosedAs::Unmapped,
            ClosedAs::Quarantined,
        ]);
        let modelled = self.world.close(&key, &body, closed_as).await;
        let stored = self.table.close(&key, &body, closed_as).await;
        same(&modelled.unwrap(), &stored.unwrap())
    }

    async fn overdue(&mut self) -> String {
        let shard = self.any_record().pending_shard();
        let now = self.any_time();
        let limit = self.random.usize(1..4);
        let modelled = self.world.overdue(shard, now, limit).await.unwrap();
        let stored = self.table.overdue(shard, now, limit).await.unwrap();
        self.seen.extend(modelled.clone());
        same(&modelled, &stored)
    }

    /// Claims what a query listed lately; much may have happened to it since.
    async fn claim(&mut self) -> String {
        let Some(overdue) = lately(&mut self.random, &self.seen) else {
            return "nothing was seen yet".to_owned();
        };
        let modelled = self.world.claim(&overdue, self.now).await.unwrap();
        let stored = self.table.claim(&overdue, self.now).await.unwrap();
        if let ClaimOutcome::Claimed(claim) = &modelled {
            self.claims.push((**claim).clone());
            // As a later query lists it.
            self.seen.push(Overdue {
                due_at_ms: claim.due_at_ms,
                ..overdue
            });
        }
        same(&modelled, &stored)
    }

    /// Sets aside what was claimed lately; much may have happened to it since.
    async fn set_aside(&mut self) -> String {
        let Some(claim) = lately(&mut self.random, &self.claims) else {
            return "nothing was claimed yet".to_owned();
        };
        let as_what = self.any_of(&[SetAside::Parked, SetAside::Unmapped, SetAside::Quarantined]);
        let modelled = self.world.set_aside(&claim, as_what).await;
        let stored = self.table.set_aside(&claim, as_what).await;
        same(&modelled.unwrap(), &stored.unwrap())
    }

    /// Makes a record pending again, if it still is as an operator saw it.
    async fn replay(&mut self) -> String {
        let records: Vec<_> = self.world.records().into_iter().collect();
        let Some((key, stored)) = self.random.choice(records) else {
            return "nothing is there yet".to_owned();
        };
        let seen = if self.random.u8(..) < 200 {
            stored.state
        } else {
            self.any_of(&RecordState::ALL)
        };
        let record = WebhookRecord {
            webhook_pk: key.clone(),
            ..stored.record
        };
        self.world.set_now(self.now);
        let modelled = if self.world.replay(&key, seen) {
            RecordChange::Made
        } else {
            RecordChange::NotAsSeen
        };
        let made = self.table.replay(&record, seen, self.now).await.unwrap();
        same(&modelled, &made)
    }

    fn any_of<T: Copy>(&mut self, all: &[T]) -> T {
        *self.random.choice(all).unwrap()
    }

    fn any_record(&mut self) -> WebhookRecord {
        self.random.choice(&self.pool).unwrap().clone()
    }

    fn body_at(&self, key: &WebhookKey) -> Option<Sha256Hex> {
        let records = self.world.records();
        records
            .get(key)
            .map(|stored| stored.record.body_sha256.clone())
    }

    /// Now, or just when a record is due, or just before.
    fn any_time(&mut self) -> EpochMillis {
        let due: Vec<_> = self
            .world
            .records()
            .into_values()
            .filter_map(|stored| stored.due_at_ms)
            .collect();
        match self.random.choice(due) {
            Some(due) if self.random.bool() => {
                EpochMillis::new(due.as_millis() - self.random.u64(0..2))
            }
            Some(_) | None => self.now,
        }
    }

    /// Everything in both tables, item by item.
    async fn compare(&self) {
        let modelled: BTreeMap<String, Item> = self
            .world
            .records()
            .iter()
            .map(|(key, stored)| (key.as_str().to_owned(), item(key, stored)))
            .collect();
        let scan = self.database.client.scan().table_name("WebhooksTable");
        let stored: BTreeMap<String, Item> = scan
            .send()
            .await
            .unwrap()
            .items()
            .iter()
            .map(|item| (item["pk"].as_s().unwrap().clone(), item.clone()))
            .collect();
        assert_eq!(modelled, stored);

        let mut listed = self.database.pending().await;
        listed.sort();
        let pending = modelled
            .iter()
            .filter(|(_, item)| item.contains_key("due_at_ms"));
        assert_eq!(
            listed,
            pending.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        );
    }
}

#[track_caller]
fn same<T: std::fmt::Debug + PartialEq>(modelled: &T, stored: &T) -> String {
    assert_eq!(
        modelled, stored,
        "the model and the table answer differently"
    );
    format!("{modelled:?}")
}

/// Any of the last few.
fn lately<T: Clone>(random: &mut Rng, all: &[T]) -> Option<T> {
    random.choice(&all[all.len().saturating_sub(5)..]).cloned()
}

/// The variant that an outcome is.
fn word(outcome: &str) -> &str {
    outcome.split(['(', ' ']).next().unwrap_or_default()
}

/// A few records, so that the steps meet: some keys with two bodies, and two shards with several keys each.
fn pool() -> Vec<WebhookRecord> {
    let record = |n: usize| {
        let body = if n.is_multiple_of(2) { "x" } else { "y" };
        let company_id = CompanyId::parse("14849")
            .ok()
            .filter(|_| n.is_multiple_of(3));
        let headers = company_id
            .iter()
            .map(|id| ("x-company".to_owned(), id.as_str().to_owned()));
        WebhookRecord {
            webhook_pk: WebhookKey::parse(&format!("armada#shop-1#order.updated#{}", n % 11))
                .unwrap(),
            provider: Provider::Armada,
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            received_at_ms: NOW,
            headers: headers.collect(),
            company_id,
            body: CompressedBody::deflate(body.as_bytes()),
            body_sha256: Sha256Hex::of(body.as_bytes()),
            request_id: RequestId::parse(&format!("request-{n}")).unwrap(),
        }
    };
    (0..15).map(record).collect()
}

/// The item that a record must be, attribute by attribute.
fn item(key: &WebhookKey, stored: &StoredRecord) -> Item {
    let StoredRecord {
        record,
        state,
        order,
        expires_at,
        due_at_ms,
        forward_attempts,
        relay_delay,
    } = stored;
    let text = |value: &str| Some(AttributeValue::S(value.to_owned()));
    let number = |value: u64| AttributeValue::N(value.to_string());
    let headers = record
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), AttributeValue::S(value.clone())));
    let headers = (!record.headers.is_empty()).then(|| AttributeValue::M(headers.collect()));
    let shard = due_at_ms.and_then(|_| text(&record.pending_shard().to_string()));
    let attributes = [
        ("pk", text(key.as_str())),
        ("state", text(state.as_str())),
        ("merchant_id", text(record.merchant_id.as_str())),
        (
            "company_id",
            record.company_id.as_ref().and_then(|id| text(id.as_str())),
        ),
        (
            "order_key",
            order.as_ref().and_then(|order| text(&order.to_string())),
        ),
        (
            "received_at_ms",
            Some(number(record.received_at_ms.as_millis())),
        ),
        ("headers", headers),
        (
            "body",
            Some(AttributeValue::B(Blob::new(record.body.as_bytes()))),
        ),
        ("body_sha256", text(record.body_sha256.as_str())),
        ("request_id", text(record.request_id.as_str())),
        ("forward_attempts", Some(number((*forward_attempts).into()))),
        (
            "relay_delay_ms",
            relay_delay.map(|delay| number(delay.as_millis())),
        ),
        ("pending_shard", shard),
        ("due_at_ms", due_at_ms.map(|due| number(due.as_millis()))),
        ("expires_at", expires_at.map(|at| number(at.as_seconds()))),
    ];
    attributes
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Says which seed and steps led to a failure.
struct Story {
    seed: u64,
    told: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {}, after these steps:\n{}",
                self.seed,
                self.told.join("\n")
            );
        }
    }
}

#[tokio::test]
async fn the_table_of_webhooks_does_what_its_model_does() {
    // Often claimed, seldom closed: what is closed stays closed.
    const STEPS: [Step; 10] = [
        Step::Put,
        Step::Put,
        Step::Close,
        Step::Overdue,
        Step::Overdue,
        Step::Claim,
        Step::Claim,
        Step::Claim,
        Step::SetAside,
        Step::Replay,
    ];
    let mut met = BTreeMap::new();
    for seed in 0..10 {
        let mut story = Story {
            seed,
            told: Vec::new(),
        };
        let mut webhooks = Webhooks::new(seed).await;
        for _ in 0..100 {
            let step = webhooks.any_of(&STEPS);
            story.told.push(format!("{step:?}"));
            let outcome = webhooks.take(step).await;
            *met.entry(format!("{step:?}: {}", word(&outcome)))
                .or_insert(0) += 1;
            story.told.push(format!("  {outcome}"));
        }
        webhooks.compare().await;
    }
    // A sequence in which nothing ever happens would show nothing.
    for outcome in [
        "Put: Written",
        "Put: Exists",
        "Close: Closed",
        "Close: NothingToClose",
        "Overdue: [Overdue",
        "Overdue: []",
        "Claim: Claimed",
        "Claim: Gone",
        "SetAside: Closed",
        "SetAside: NothingToClose",
        "Replay: Made",
        "Replay: NotAsSeen",
    ] {
        assert!(
            met.get(outcome).is_some_and(|count| *count > 5),
            "{outcome} of {met:?}"
        );
    }
}

/// Both tables of orders.
struct BothOrders {
    random: Rng,
    world: World,
    table: OrdersTable,
    orders: [OrderKey; 2],
    pool: Vec<TimelineEntry>,
}

impl BothOrders {
    async fn new(seed: u64, pool: &[TimelineEntry]) -> Self {
        Self {
            random: Rng::with_seed(seed),
            world: World::new(),
            table: Database::start().await.orders(),
            // The one's key begins with the other's.
            orders: ["7", "77"].map(|order| order_key(Provider::Shipday, order)),
            pool: pool.to_vec(),
        }
    }

    async fn put_entry(&mut self, order: &OrderKey) -> String {
        let entry = self.random.choice(&self.pool).unwrap();
        let modelled = self.world.put_entry(order, entry).await;
        let stored = self.table.put_entry(order, entry).await;
        same(&modelled.unwrap(), &stored.unwrap())
    }

    async fn save(&mut self, order: &OrderKey) -> String {
        let state = self.any_state();
        let modelled = self.world.save(order, &state).await;
        let stored = self.table.save(order, &state).await;
        same(&modelled.unwrap(), &stored.unwrap())
    }

    async fn read(&mut self, order: &OrderKey) -> String {
        let modelled = self.world.read(order).await;
        let stored = self.table.read(order).await;
        same(&modelled.unwrap(), &stored.unwrap())
    }

    /// A state folded from some of the entries, with more or fewer details than the one before.
    fn any_state(&mut self) -> OrderState {
        let count = self.random.usize(0..self.pool.len());
        let entries = self
            .random
            .choose_multiple(self.pool.iter().cloned(), count);
        let mut state = fold(adapter(Provider::Shipday), entries).state;
        if self.random.bool() {
            state.details = domain::Details::default();
        }
        state
    }
}

/// Entries of an order with all their details, some of them the same event read at another time.
async fn entries() -> Vec<TimelineEntry> {
    let pipeline = Pipeline::new();
    let at = 1_767_816_000_000;
    for (event, status, after) in [
        ("ORDER_ASSIGNED", "NOT_ACCEPTED", 0),
        ("ORDER_PIKEDUP", "PICKED_UP", 1),
        ("ORDER_ONTHEWAY", "READY_TO_DELIVER", 1),
        ("ORDER_POD_UPLOAD", "READY_TO_DELIVER", 2),
        ("ORDER_FAILED", "FAILED_DELIVERY", 3),
        ("ORDER_COMPLETED", "ALREADY_DELIVERED", 4),
    ] {
        pipeline
            .post(&shipday_event(7, event, status, at + after))
            .await;
    }
    let documented = sample_bytes("shipday/documented.json");
    pipeline.post(&testkit::shipday(documented)).await;
    pipeline.drain().await;
    let orders = pipeline.world.orders();
    let timelines = orders
        .iter()
        .flat_map(|order| pipeline.world.timeline(order).into_values());
    timelines
        .flat_map(|entry| {
            let again = TimelineEntry {
                received_at_ms: entry.received_at_ms + Millis::new(1),
                ..entry.clone()
            };
            [entry, again]
        })
        .collect()
}

#[tokio::test]
async fn the_table_of_orders_does_what_its_model_does() {
    let pool = entries().await;
    let mut met = BTreeMap::new();
    for seed in 0..6 {
        let mut story = Story {
            seed,
            told: Vec::new(),
        };
        let mut both = BothOrders::new(seed, &pool).await;
        for _ in 0..60 {
            let order = both.orders[both.random.usize(0..2)].clone();
            let step = both.random.usize(0..3);
            story
                .told
                .push(format!("{} of {order}", ["put", "save", "read"][step]));
            let outcome = match step {
                0 => both.put_entry(&order).await,
                1 => both.save(&order).await,
                _ => both.read(&order).await,
            };
            *met.entry(word(&outcome).to_owned()).or_insert(0) += 1;
            story.told.push(format!("  {}", word(&outcome)));
        }
        for order in both.orders.clone() {
            both.read(&order).await;
        }
    }
    for outcome in ["Added", "Exists", "Saved", "Superseded"] {
        assert!(
            met.get(outcome).is_some_and(|count| *count > 5),
            "{outcome} of {met:?}"
        );
    }
}
