//! The real receivers, consumers and relays at the same time, on several threads, around the tables of a strict
//! DynamoDB. Only the queue is testkit's, and hands messages to several consumers at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use ::ingest::Receiver;
use aws::{InstallationsTable, OrdersTable, RecordChange, WebhooksTable};
use domain::{
    Claim, ClaimOutcome, CloseOutcome, EntryOutcome, EpochMillis, FirstShard, Installation,
    InstallationState, MerchantId, Millis, OrderKey, OrderState, Orders, Overdue, PendingRecords,
    PendingShard, PortError, Provider, RecordState, SaveOutcome, SetAside, Timeline, TimelineEntry,
    WebhookKey, fold,
};
use fastrand::Rng;
use futures_util::future::join_all;
use order_consumer::Consumer;
use providers::adapter;
use serde_json::json;
use testkit::{
    Fault, MERCHANT, NOW, Queued, Webhook, World, armada_credential, but_for_the_receipt,
    http_api_event, shipday_credential, sqs_batch,
};
use webhook_relay::{Relay, RunReport};

use crate::strict_dynamodb::{Database, Item};
use crate::support::{Pipeline, SENT_AT, armada_status, gateway_request, order_key, shipday_event};

/// So much later whatever is pending is overdue, and claimed once more than before.
const A_WHILE: Millis = Millis::from_seconds(7 * 60);

type TableReceiver = Receiver<InstallationsTable, WebhooksTable, World, World, World>;
type TableConsumer = Consumer<WebhooksTable, Dawdling, World, World, World>;
type TableRelay = Relay<Watched, World, World, FromTheFirst>;

/// The pipeline on tables. Clones share everything, as instances of a function do.
#[derive(Clone)]
pub(crate) struct Tables {
    pub(crate) database: Arc<Database>,
    pub(crate) world: World,
    armada: Arc<TableReceiver>,
    shipday: Arc<TableReceiver>,
    consumer: Arc<TableConsumer>,
    relay: Arc<TableRelay>,
    watched: Watched,
}

/// Every run begins at the same shard, so that runs at once get in each other's way.
struct FromTheFirst;

impl FirstShard for FromTheFirst {
    fn draw(&self) -> PendingShard {
        PendingShard::of(0)
    }
}

/// The table as slow consumers use it: some write late, and some hold on for long to what they read before they
/// save what they make of it.
struct Dawdling {
    table: OrdersTable,
    steps: Mutex<(Rng, u8)>,
}

impl Dawdling {
    /// Draws how many steps to take.
    fn draw(&self, draw: impl Fn(&mut Rng, u8) -> u8) -> u8 {
        let mut guard = self.steps.lock().unwrap();
        let (random, most) = &mut *guard;
        draw(random, *most)
    }

    /// Takes a while: each step is as long as a call.
    async fn dawdle(&self, steps: u8) {
        let nobody = order_key(Provider::Armada, "nobody");
        for _ in 0..steps {
            self.table.read(&nobody).await.unwrap();
        }
    }
}

impl Orders for Dawdling {
    async fn put_entry(
        &self,
        order: &OrderKey,
        entry: &TimelineEntry,
    ) -> Result<EntryOutcome, PortError> {
        self.dawdle(self.draw(|random, most| random.u8(0..=most)))
            .await;
        self.table.put_entry(order, entry).await
    }

    async fn read(&self, order: &OrderKey) -> Result<Timeline, PortError> {
        let timeline = self.table.read(order).await?;
        // Few are so slow that all others are done before they save what they read long ago.
        let slow = |random: &mut Rng, most| if random.u8(0..8) == 0 { most * 12 } else { 0 };
        self.dawdle(self.draw(slow)).await;
        Ok(timeline)
    }

    async fn save(&self, order: &OrderKey, state: &OrderState) -> Result<SaveOutcome, PortError> {
        self.table.save(order, state).await
    }
}

/// A record, and when it was due.
type Due = (WebhookKey, EpochMillis);

/// The table as the relays use it, and when each record became due and was claimed.
#[derive(Clone)]
struct Watched {
    table: WebhooksTable,
    became_due: Arc<Mutex<Vec<Due>>>,
    claimed: Arc<Mutex<Vec<Due>>>,
}

impl PendingRecords for Watched {
    async fn overdue(
        &self,
        shard: PendingShard,
        now: EpochMillis,
        limit: usize,
    ) -> Result<Vec<Overdue>, PortError> {
        self.table.overdue(shard, now, limit).await
    }

    async fn claim(&self, overdue: &Overdue, now: EpochMillis) -> Result<ClaimOutcome, PortError> {
        let outcome = self.table.claim(overdue, now).await?;
        if let ClaimOutcome::Claimed(claim) = &outcome {
            let (key, seen) = (&overdue.key, overdue.due_at_ms);
            self.claimed.lock().unwrap().push((key.clone(), seen));
            self.becomes_due(key, claim.due_at_ms);
        }
        Ok(outcome)
    }

    async fn set_aside(&self, claim: &Claim, as_what: SetAside) -> Result<CloseOutcome, PortError> {
        self.table.set_aside(claim, as_what).await
    }
}

impl Watched {
    fn becomes_due(&self, key: &WebhookKey, at: EpochMillis) {
        self.became_due.lock().unwrap().push((key.clone(), at));
    }

    /// A record is due at a time by its receipt, a claim or a replay; nobody claims it more often than that.
    fn assert_claimed_once_per_due_time(&self, records: &[Item]) {
        let mut claimable: BTreeMap<Due, usize> = BTreeMap::new();
        let received = records.iter().map(first_due);
        for due in received.chain(self.became_due.lock().unwrap().clone()) {
            *claimable.entry(due).or_default() += 1;
        }
        for due in self.claimed.lock().unwrap().iter() {
            let left = claimable.get_mut(due).filter(|left| **left > 0);
            *left.unwrap_or_else(|| panic!("claimed twice: {due:?}")) -= 1;
        }
    }
}

impl Tables {
    pub(crate) async fn start() -> Self {
        Self::with_slow_consumers(0, Rng::with_seed(0)).await
    }

    /// Consumers that dawdle for up to so many steps before they write.
    pub(crate) async fn with_slow_consumers(steps: u8, random: Rng) -> Self {
        let database = Database::start().await;
        let world = World::new();
        for credential in [armada_credential(), shipday_credential()] {
            let installation = Installation {
                credential,
                merchant_id: MerchantId::parse(MERCHANT).unwrap(),
                state: InstallationState::Active,
                label: "Demo".to_owned(),
                created_at_ms: NOW,
                not_after_ms: None,
                url_key_sha256: None,
                company_id: None,
            };
            database
                .installations()
                .register(&installation)
                .await
                .unwrap();
        }
        let receiver = |provider| {
            let stores = ::ingest::Stores {
                installations: database.installations(),
                records: database.webhooks(),
                queue: world.clone(),
                clock: world.clone(),
                request_ids: world.clone(),
            };
            let config = ::ingest::Config::from_lookup(|_| None).unwrap();
            Arc::new(Receiver::new(adapter(provider), config, stores))
        };
        let stores = order_consumer::Stores {
            records: database.webhooks(),
            orders: Dawdling {
                table: database.orders(),
                steps: Mutex::new((random, steps)),
            },
            queue: world.clone(),
            dead_letters: world.clone(),
            clock: world.clone(),
        };
        let config = order_consumer::Config::from_lookup(|_| None).unwrap();
        let watched = Watched {
            table: database.webhooks(),
            became_due: Arc::default(),
            claimed: Arc::default(),
        };
        let relay = Relay::new(webhook_relay::Stores {
            records: watched.clone(),
            queue: world.clone(),
            clock: world.clone(),
            first_shard: FromTheFirst,
        });
        Self {
            armada: receiver(Provider::Armada),
            shipday: receiver(Provider::Shipday),
            consumer: Arc::new(Consumer::new(config, stores)),
            relay: Arc::new(relay),
            watched,
            database: Arc::new(database),
            world,
        }
    }

    /// Sends a webhook through the HTTP API, again and again until it is answered 200, as a provider does; the
    /// word of the answer.
    pub(crate) async fn post(&self, webhook: &Webhook) -> String {
        loop {
            let (status, body) = self.receive(webhook).await;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            match status {
                200 => return body["status"].as_str().unwrap().to_owned(),
                503 => {}
                _ => panic!("not a webhook of this test: {body}"),
            }
        }
    }

    /// Sends a webhook through the HTTP API; status and body of the answer.
    pub(crate) async fn receive(&self, webhook: &Webhook) -> (u16, String) {
        let request = gateway_request(&http_api_event(webhook));
        let response = match webhook.provider {
            Provider::Armada => Box::pin(self.armada.handle(request)).await,
            Provider::Shipday => Box::pin(self.shipday.handle(request)).await,
        };
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        (response.status().as_u16(), body)
    }

    /// Sends webhooks, all at once; the words of the answers, sorted.
    async fn post_all(&self, webhooks: impl IntoIterator<Item = Webhook>) -> Vec<String> {
        let mut words = at_once(webhooks.into_iter().map(|webhook| {
            let tables = self.clone();
            async move { tables.post(&webhook).await }
        }))
        .await;
        words.sort();
        words
    }

    /// Hands one batch to a consumer.
    async fn consume(&self, batch: &[Queued]) {
        let event = serde_json::from_value(sqs_batch(batch)).unwrap();
        let response = self.consumer.handle(event).await.unwrap();
        let failed = response.batch_item_failures;
        assert!(failed.is_empty(), "no call fails here: {failed:?}");
    }

    /// Hands everything in the queue to two of many consumers, all of which work at the same time.
    async fn consume_twice_at_once(&self, random: &mut Rng) {
        let mut messages = self.world.receive(usize::MAX);
        messages.extend(messages.clone());
        random.shuffle(&mut messages);
        let batches: Vec<Vec<Queued>> = messages.chunks(4).map(<[Queued]>::to_vec).collect();
        at_once(batches.into_iter().map(|batch| {
            let tables = self.clone();
            async move { tables.consume(&batch).await }
        }))
        .await;
        self.world.delete(&self.world.visible());
    }

    /// Hands any ten messages to a consumer; half of the time others get them meanwhile too.
    async fn consume_some(&self, random: &mut Rng) {
        let mut visible = self.world.visible();
        random.shuffle(&mut visible);
        visible.truncate(10);
        let hidden = Millis::from_seconds(random.u64(0..2) * 180);
        let batch = self.world.take(&visible, hidden, u32::MAX);
        self.consume(&batch).await;
        let done: Vec<String> = batch.into_iter().map(|taken| taken.message_id).collect();
        self.world.delete(&done);
    }

    /// Lets consumers work at the same time until the queue is empty.
    pub(crate) async fn drain(&self, consumers: u64, seed: u64) {
        at_once((0..consumers).map(|n| {
            let (tables, mut random) = (self.clone(), Rng::with_seed(seed + n));
            async move {
                while !tables.world.visible().is_empty() {
                    tables.consume_some(&mut random).await;
                }
            }
        }))
        .await;
        assert_eq!(self.world.queued(), []);
    }

    pub(crate) async fn run_relays(&self, relays: usize) -> Vec<RunReport> {
        at_once((0..relays).map(|_| {
            let relay = Arc::clone(&self.relay);
            async move { relay.run().await.unwrap() }
        }))
        .await
    }

    /// Makes an applied record pending again and due now, as an operator's replay does.
    async fn replay(&self, key: &WebhookKey) {
        let now = domain::Clock::now_ms(&self.world);
        let table = self.database.webhooks();
        let stored = table.get(key.as_str()).await.unwrap().unwrap();
        let record = stored.record.unwrap();
        let replayed = table.replay(&record, RecordState::Applied, now).await;
        match replayed.unwrap() {
            RecordChange::Made => self.watched.becomes_due(key, now),
            // Replayed by another operator a moment ago.
            RecordChange::NotAsSeen => {}
        }
    }

    fn let_time_pass(&self) {
        let now = domain::Clock::now_ms(&self.world);
        self.world.set_now(now + A_WHILE);
    }

    async fn records(&self) -> Vec<Item> {
        let scan = self.database.client.scan().table_name("WebhooksTable");
        scan.send().await.unwrap().items.unwrap_or_default()
    }

    async fn order(&self, order: &OrderKey) -> Timeline {
        self.database.orders().read(order).await.unwrap()
    }

    /// Every record is applied and nothing is left to do.
    async fn assert_settled(&self) {
        for record in self.records().await {
            let key = &record["pk"];
            assert_eq!(record["state"].as_s().unwrap(), "applied", "{key:?}");
            assert!(record.contains_key("expires_at"), "{key:?}");
            assert!(!record.contains_key("due_at_ms"), "{key:?}");
        }
        assert!(self.database.pending().await.is_empty());
        assert!(self.world.queued().is_empty());
        assert_eq!(self.world.dead_letters(), []);
    }

    /// Each order is what one webhook after the other would have made of it.
    async fn assert_orders_are_as_expected(&self, expected: &Expected) {
        for (order, (keys, state)) in expected {
            let found = self.order(order).await;
            let sort_key = |entry: &TimelineEntry| entry.sort_key(order.provider);
            let found_keys: Vec<String> = found.entries.iter().map(sort_key).collect();
            assert_eq!(&found_keys, keys, "one entry for each event of {order}");
            let folded = fold(adapter(order.provider), found.entries).state;
            assert_eq!(found.state.as_ref(), Some(&folded), "{order}");
            assert_eq!(
                but_for_the_receipt(&folded),
                but_for_the_receipt(state),
                "{order}"
            );
        }
    }
}

/// The entries' keys and the state of every order.
type Expected = BTreeMap<OrderKey, (Vec<String>, OrderState)>;

/// What these webhooks, an event each, must lead to: found out in memory, one after the other.
async fn expected(webhooks: &[Webhook]) -> Expected {
    let pipeline = Pipeline::new();
    for webhook in webhooks {
        pipeline.post(webhook).await;
        pipeline.drain().await;
    }
    let world = &pipeline.world;
    let mut events = 0;
    let mut orders = Expected::new();
    for order in world.orders() {
        let keys: Vec<String> = world.timeline(&order).into_keys().collect();
        let state = world.state(&order).unwrap().0;
        assert_eq!(state.event_count, keys.len());
        events += keys.len();
        orders.insert(order, (keys, state));
    }
    assert_eq!(events, webhooks.len());
    orders
}

/// Runs all of them on the threads that there are.
async fn at_once<T: Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = all.map(tokio::spawn).collect();
    join_all(running)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// Runs a test in which no budget of a receiver ends, however long the machine takes: a put that is given up is
/// answered otherwise.
fn while_time_stands_still(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        // A paused clock moves only while no blocking task runs.
        let (over, until_over) = std::sync::mpsc::channel::<()>();
        let blocking = tokio::task::spawn_blocking(move || until_over.recv());
        test.await;
        drop(over);
        blocking.await.unwrap().unwrap_err();
    });
}

/// When the `n`th webhook of a test was sent: 61 seconds after the one before.
fn sent_at(n: u64) -> String {
    let seconds = n * 61;
    let (minute, second) = (seconds / 60 % 60, seconds % 60);
    format!(
        "2026-01-07T{:02}:{minute:02}:{second:02}.000Z",
        10 + seconds / 3_600
    )
}

/// `count` different events of one order of Armada, in any order.
fn armada_events(order: &str, count: u64, random: &mut Rng) -> Vec<Webhook> {
    let words = [
        "pending",
        "dispatched",
        "en_route",
        "completed",
        "canceled",
        "failed",
    ];
    let mut events: Vec<_> = (0..count)
        .map(|n| {
            let word = random.choice(words).unwrap();
            armada_status(order, word, &format!("wh_{order}_{n}"), &sent_at(n))
        })
        .collect();
    random.shuffle(&mut events);
    events
}

/// `count` different events of one order of Shipday, in any order.
fn shipday_events(order: u64, count: u64, random: &mut Rng) -> Vec<Webhook> {
    let words = [
        ("ORDER_ASSIGNED", "NOT_ACCEPTED"),
        ("ORDER_PIKEDUP", "PICKED_UP"),
        ("ORDER_ONTHEWAY", "READY_TO_DELIVER"),
        ("ORDER_POD_UPLOAD", "READY_TO_DELIVER"),
        ("ORDER_FAILED", "FAILED_DELIVERY"),
        ("ORDER_COMPLETED", "ALREADY_DELIVERED"),
    ];
    let mut events: Vec<_> = (0..count)
        .map(|n| {
            let (event, status) = random.choice(words).unwrap();
            shipday_event(order, event, status, 1_767_816_000_000 + n)
        })
        .collect();
    random.shuffle(&mut events);
    events
}

#[test]
fn sixty_four_twins_at_once_are_one_record_and_one_event() {
    while_time_stands_still(async {
        for twin in [
            armada_status("1", "dispatched", "wh_1", SENT_AT),
            shipday_event(1, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000),
        ] {
            let tables = Tables::start().await;
            let order = order_key(twin.provider, "1");

            let words = tables.post_all(vec![twin; 64]).await;

            let mut expected = vec!["duplicate"; 64];
            expected[0] = "accepted";
            assert_eq!(words, expected);
            assert_eq!(tables.records().await.len(), 1);
            assert_eq!(tables.world.queued().len(), 1);
            tables.drain(1, 0).await;
            let found = tables.order(&order).await;
            assert_eq!((found.entries.len(), found.revision), (1, 1));
            tables.assert_settled().await;
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_events_of_one_order_at_once_leave_the_state_of_all_of_them() {
    for seed in 0..2 {
        let random = &mut Rng::with_seed(seed);
        for events in [
            armada_events("1", 64, random),
            shipday_events(1, 64, random),
        ] {
            let tables = Tables::with_slow_consumers(4, random.fork()).await;
            let order = order_key(events[0].provider, "1");
            let expected = expected(&events).await;

            let words = tables.post_all(events).await;
            assert_eq!(words, ["accepted"; 64], "seed {seed}");
            tables.consume_twice_at_once(random).await;

            tables.assert_orders_are_as_expected(&expected).await;
            let state = tables.order(&order).await.state.unwrap();
            assert_eq!(state.event_count, 64, "seed {seed}");
            tables.assert_settled().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_message_in_the_hands_of_many_consumers_is_applied_once() {
    let tables = Tables::start().await;
    let events = shipday_events(1, 10, &mut Rng::with_seed(0));
    let expected = expected(&events).await;
    tables.post_all(events).await;

    let messages = tables.world.receive(10);
    at_once((0..8).map(|seed| {
        let (tables, mut messages) = (tables.clone(), messages.clone());
        Rng::with_seed(seed).shuffle(&mut messages);
        async move { tables.consume(&messages).await }
    }))
    .await;
    tables.world.delete(&tables.world.visible());

    tables.assert_orders_are_as_expected(&expected).await;
    tables.assert_settled().await;
}

#[test]
fn an_id_that_is_used_for_many_bodies_at_once_loses_none_of_them() {
    while_time_stands_still(async {
        let tables = Tables::start().await;
        let webhook = |n: u64| {
            let body = json!({ "code": "1", "status": "dispatched", "delivery_fee": n });
            testkit::armada("order.updated", "wh_1", &sent_at(n), body.to_string())
        };
        let mut webhooks: Vec<_> = (0..64).map(webhook).collect();
        let expected = expected(&webhooks).await;
        // Each body comes twice.
        webhooks.extend(webhooks.clone());

        let words = tables.post_all(webhooks).await;

        let count = |word: &str| words.iter().filter(|said| *said == word).count();
        assert_eq!((count("accepted"), count("duplicate")), (64, 64));
        let records = tables.records().await;
        let bodies: BTreeSet<_> = records
            .iter()
            .map(|record| record["body_sha256"].as_s().unwrap())
            .collect();
        assert_eq!((records.len(), bodies.len()), (64, 64));
        tables.drain(4, 0).await;
        let found = tables.order(&order_key(Provider::Armada, "1")).await;
        assert_eq!(found.entries.len(), 64);
        tables.assert_orders_are_as_expected(&expected).await;
        tables.assert_settled().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn relays_at_once_send_every_overdue_record_once() {
    let tables = Tables::start().await;
    tables.world.fail_always("send", Fault::Before);
    let events = armada_events("1", 60, &mut Rng::with_seed(0));
    let expected = expected(&events).await;
    tables.post_all(events).await;
    tables.world.heal();
    tables.let_time_pass();

    let reports = tables.run_relays(4).await;

    let sum = |of: fn(&RunReport) -> usize| reports.iter().map(of).sum::<usize>();
    assert_eq!(
        (sum(|run| run.claimed), sum(|run| run.sent)),
        (60, 60),
        "{reports:?}"
    );
    let sent: BTreeSet<_> = tables
        .world
        .queued()
        .into_iter()
        .map(|queued| queued.body)
        .collect();
    assert_eq!(sent.len(), 60);
    for record in tables.records().await {
        assert_eq!(record["forward_attempts"].as_n().unwrap(), "1");
    }
    tables.drain(4, 0).await;
    tables.assert_orders_are_as_expected(&expected).await;
    tables.assert_settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn relays_and_replays_in_live_traffic_lose_nothing_and_apply_nothing_twice() {
    for seed in 0..2 {
        live_traffic(seed).await;
    }
}

/// Lets everything happen at once, round after round, and then looks at what is left.
async fn live_traffic(seed: u64) {
    // Shown when it fails.
    eprintln!("seed {seed}");
    let tables = Tables::start().await;
    let mut random = Rng::with_seed(seed);
    let mut traffic: Vec<Webhook> = Vec::new();
    for order in 1..=4 {
        traffic.extend(armada_events(&order.to_string(), 8, &mut random));
        traffic.extend(shipday_events(order, 8, &mut random));
    }
    let expected = expected(&traffic).await;
    // A third of it comes again; a third of the sends is refused, which leaves work to the relay.
    let again = random.choose_multiple(traffic.clone(), traffic.len() / 3);
    traffic.extend(again);
    random.shuffle(&mut traffic);
    let mut luck = random.fork();
    tables
        .world
        .set_weather(move |call| (call == "send" && luck.u8(..3) == 0).then_some(Fault::Before));

    for new in traffic.chunks(18) {
        tables.let_time_pass();
        let applied = applied_keys(&tables.records().await);
        let replayed = random.choose_multiple(applied, 6);
        tokio::join!(
            tables.post_all(new.to_vec()),
            tables.run_relays(3),
            consume_for_a_while(&tables, random.fork()),
            replay_all(&tables, replayed),
        );
    }
    tables.world.heal();
    tables.drain(3, seed).await;
    for _ in 0..10 {
        if tables.database.pending().await.is_empty() {
            break;
        }
        tables.let_time_pass();
        tables.run_relays(2).await;
        tables.drain(3, seed).await;
    }

    let claims = tables.watched.claimed.lock().unwrap().len();
    let replays = tables.watched.became_due.lock().unwrap().len() - claims;
    assert!(
        claims > 20 && replays > 0,
        "{claims} claims, {replays} replays"
    );
    tables
        .watched
        .assert_claimed_once_per_due_time(&tables.records().await);
    tables.assert_orders_are_as_expected(&expected).await;
    tables.assert_settled().await;
}

/// Three consumers, each with a few batches.
async fn consume_for_a_while(tables: &Tables, mut random: Rng) {
    at_once((0..3).map(|_| {
        let (tables, mut random) = (tables.clone(), random.fork());
        async move {
            for _ in 0..2 {
                tables.consume_some(&mut random).await;
            }
        }
    }))
    .await;
}

/// Two operators replay the same records.
async fn replay_all(tables: &Tables, keys: Vec<WebhookKey>) {
    let twice = keys.clone().into_iter().chain(keys);
    at_once(twice.map(|key| {
        let tables = tables.clone();
        async move { tables.replay(&key).await }
    }))
    .await;
}

fn key(record: &Item) -> WebhookKey {
    WebhookKey::parse(record["pk"].as_s().unwrap()).unwrap()
}

fn applied_keys(records: &[Item]) -> Vec<WebhookKey> {
    let mut keys: Vec<_> = records
        .iter()
        .filter(|record| record["state"].as_s().unwrap() == "applied")
        .map(key)
        .collect();
    keys.sort();
    keys
}

/// When a record was due by its receipt.
fn first_due(record: &Item) -> Due {
    let received = record["received_at_ms"].as_n().unwrap().parse().unwrap();
    (
        key(record),
        EpochMillis::new(received) + Millis::from_seconds(180),
    )
}
