//! The pipeline on the real tables, with a meter at every call.

use std::sync::Arc;

use ::ingest::Receiver;
use aws::{InstallationsTable, OrdersTable, WebhooksTable};
use domain::{
    Clock as _, FirstShard, Installation, InstallationState, MerchantId, Millis, OrderState,
    Orders as _, PendingShard, Provider, RequestId, RequestIds, Status, Timeline,
};
use order_consumer::Consumer;
use providers::adapter;
use serde_json::Value;
use status_publisher::{Config, Publisher};
use testkit::{
    MERCHANT, NOW, StateSaved, Webhook, World, armada_credential, http_api_event, sample,
    shipday_credential, sqs_batch, stream_batch,
};
use webhook_relay::Relay;

use super::meter::{Calls, CountedQueue, Meter};
use crate::publishing::batch_of;
use crate::strict_dynamodb::Database;
use crate::support::{gateway_request, order_key};

type MeteredReceiver =
    Receiver<InstallationsTable, WebhooksTable, CountedQueue, World, RealisticIds>;
type MeteredConsumer = Consumer<WebhooksTable, OrdersTable, CountedQueue, CountedQueue, World>;
type MeteredRelay = Relay<WebhooksTable, CountedQueue, World, FromTheFirst>;

/// Request ids as long as real ones: what they cost is their length.
struct RealisticIds(World);

impl RequestIds for RealisticIds {
    fn draw(&self) -> RequestId {
        let short = RequestIds::draw(&self.0);
        RequestId::parse(&format!("{:0>32}", short.as_str().replace('-', ""))).unwrap()
    }
}

/// Every run begins at the same shard.
struct FromTheFirst;

impl FirstShard for FromTheFirst {
    fn draw(&self) -> PendingShard {
        PendingShard::of(0)
    }
}

/// Both receivers, the consumer and the relay around real tables.
pub(super) struct Priced {
    pub(super) database: Database,
    pub(super) meter: Meter,
    pub(super) world: World,
    receivers: [Arc<MeteredReceiver>; 2],
    consumer: MeteredConsumer,
    relay: MeteredRelay,
}

impl Priced {
    pub(super) async fn start() -> Self {
        Self::on(Database::start().await).await
    }

    /// On tables that may hold something already.
    pub(super) async fn on(database: Database) -> Self {
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
            let registered = database.installations().register(&installation).await;
            registered.unwrap();
        }
        let (meter, world) = (Meter::default(), World::new());
        let queue = CountedQueue {
            world: world.clone(),
            meter: meter.clone(),
        };
        let client = meter.client(&database);
        let records = WebhooksTable::new(client.clone(), "WebhooksTable");
        let stores = order_consumer::Stores {
            records: records.clone(),
            orders: OrdersTable::new(client, "OrdersTable"),
            queue: queue.clone(),
            dead_letters: queue.clone(),
            clock: world.clone(),
        };
        let config = order_consumer::Config::from_lookup(|_| None).unwrap();
        let consumer = Consumer::new(config, stores);
        let relay = Relay::new(webhook_relay::Stores {
            records,
            queue,
            clock: world.clone(),
            first_shard: FromTheFirst,
        });
        let receivers = receivers(&database, &meter, &world);
        Self {
            database,
            meter,
            world,
            receivers,
            consumer,
            relay,
        }
    }

    /// Starts both webhook functions anew: they remember no installation.
    pub(super) fn make_cold(&mut self) {
        self.receivers = receivers(&self.database, &self.meter, &self.world);
    }

    /// Sends a webhook; status and word of the answer.
    pub(super) async fn post(&self, webhook: &Webhook) -> (u16, String) {
        let [armada, shipday] = &self.receivers;
        let receiver = match webhook.provider {
            Provider::Armada => armada,
            Provider::Shipday => shipday,
        };
        let request = gateway_request(&http_api_event(webhook));
        let response = receiver.handle(request).await;
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let word = body["status"].as_str().unwrap_or_default();
        (response.status().as_u16(), word.to_owned())
    }

    /// Sends a webhook that is new.
    pub(super) async fn accept(&self, webhook: &Webhook) {
        let answer = self.post(webhook).await;
        assert_eq!(answer, (200, "accepted".to_owned()));
    }

    /// Sends what is new and applies it, one webhook at a time.
    pub(super) async fn take_in(&self, webhooks: impl IntoIterator<Item = Webhook>) {
        for webhook in webhooks {
            self.accept(&webhook).await;
            self.apply(1).await;
        }
    }

    /// Hands the queue to the consumer, in batches of so many messages.
    pub(super) async fn apply(&self, batch: usize) {
        while !self.world.queued().is_empty() {
            let messages = self.world.receive(batch);
            self.meter.count_delivery(&messages);
            let event = serde_json::from_value(sqs_batch(&messages)).unwrap();
            let response = self.consumer.handle(event).await.unwrap();
            assert!(response.batch_item_failures.is_empty());
            let done: Vec<String> = messages.into_iter().map(|done| done.message_id).collect();
            self.world.delete(&done);
        }
        assert_eq!(self.world.dead_letters(), []);
    }

    /// What one webhook costs from its request until its record is closed.
    pub(super) async fn whole_way(&self, webhook: &Webhook) -> Calls {
        self.meter.read();
        self.accept(webhook).await;
        self.apply(10).await;
        self.meter.read()
    }

    /// What the tables are asked for while a change to `delivered` is held back and then published.
    pub(super) async fn hold_and_publish(&self) -> Calls {
        self.take_in((1..=4).map(|n| Sample::ArmadaV2.event(1, n)))
            .await;
        let orders = OrdersTable::new(self.meter.client(&self.database), "OrdersTable");
        let order = order_key(Provider::Armada, &format!("{:010X}", 1));
        let Timeline {
            state, revision, ..
        } = orders.read(&order).await.unwrap();
        let state = state.unwrap();
        assert_eq!(state.status, Some(Status::Delivered));
        let before = OrderState {
            status: Some(Status::PickedUp),
            ..state.clone()
        };
        let saved = StateSaved {
            order,
            old: Some((before, revision - 1)),
            new: Some((state, revision)),
        };
        let publisher = Publisher::new(
            Config::from_lookup(|name| (name == "HOLD_SECONDS").then(|| "10".to_owned())).unwrap(),
            status_publisher::Stores {
                bus: self.world.clone(),
                orders,
                held: self.world.clone(),
                clock: self.world.clone(),
            },
        );
        self.meter.read();
        let stream = batch_of(&stream_batch(&[saved], 0));
        publisher.handle(stream).await.unwrap();
        let due = batch_of(&sqs_batch(&self.world.held()));
        publisher.handle(due).await.unwrap();
        assert_eq!(self.world.published().len(), 1);
        self.meter.read()
    }

    /// Makes a run of the relay; how many records it sent.
    pub(super) async fn relay(&self) -> usize {
        self.relay.run().await.unwrap().sent
    }

    pub(super) fn let_pass(&self, seconds: u64) {
        let now = self.world.now_ms();
        self.world.set_now(now + Millis::from_seconds(seconds));
    }
}

fn receivers(database: &Database, meter: &Meter, world: &World) -> [Arc<MeteredReceiver>; 2] {
    let client = meter.client(database);
    [Provider::Armada, Provider::Shipday].map(|provider| {
        let stores = ::ingest::Stores {
            installations: InstallationsTable::new(client.clone(), "InstallationsTable"),
            records: WebhooksTable::new(client.clone(), "WebhooksTable"),
            queue: CountedQueue {
                world: world.clone(),
                meter: meter.clone(),
            },
            clock: world.clone(),
            request_ids: RealisticIds(world.clone()),
        };
        let config = ::ingest::Config::from_lookup(|_| None).unwrap();
        Arc::new(Receiver::new(adapter(provider), config, stores))
    })
}

/// A provider's own example, of which any number of orders and events can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    ArmadaV1,
    ArmadaV2,
    Shipday,
}

impl Sample {
    pub(super) const ALL: [Self; 3] = [Self::ArmadaV1, Self::ArmadaV2, Self::Shipday];

    /// Its path under `events/`.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::ArmadaV1 => "armada/order.updated/documented.json",
            Self::ArmadaV2 => "armada/delivery.completed/v2.json",
            Self::Shipday => "shipday/documented.json",
        }
    }

    /// What it is called in a table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ArmadaV1 => "Armada v1",
            Self::ArmadaV2 => "Armada v2",
            Self::Shipday => "Shipday",
        }
    }

    /// The `n`th event of an order: the example with the lengths of all its parts, under a time and an id of its own.
    pub(super) fn event(self, order: u64, n: u64) -> Webhook {
        let body = minified(&sample(self.path()));
        match self {
            Self::ArmadaV1 => {
                let body = body.replace("EAA6CAC9D5", &format!("{order:010X}"));
                armada("order.updated", "v1", order, n, body)
            }
            Self::ArmadaV2 => {
                let body = body.replace("B81D40E6F5", &format!("{order:010X}"));
                armada("delivery.completed", "v2", order, n, body)
            }
            Self::Shipday => {
                let time = (1_684_644_196_349 + n * 1_000).to_string();
                let body = body
                    .replace("1684644196349", &time)
                    .replace("\"id\":123456,", &format!("\"id\":{},", 100_000 + order));
                testkit::shipday(body)
            }
        }
    }
}

/// A sample as it is on the wire: without the blanks that make it readable.
pub(super) fn minified(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let on_the_wire = json.chars().filter(|&c| {
        let is_blank = !in_text && c.is_ascii_whitespace();
        if c == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = c == '\\' && !escaped;
        !is_blank
    });
    on_the_wire.collect()
}

/// Armada's webhook, with an id as long as those in the sample requests.
fn armada(topic: &str, version: &str, order: u64, n: u64, body: String) -> Webhook {
    let id = format!("wh_{order:016X}{n:010X}");
    let sent_at = format!("2026-01-07T20:{:02}:{:02}.120Z", 14 + n / 60, n % 60);
    testkit::armada(topic, &id, &sent_at, body).with_header("x-armada-api-version", version)
}
