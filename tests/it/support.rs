//! The whole pipeline around a [`World`].

use std::sync::Arc;

use ::ingest::{Config, Receiver, Stores};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use domain::{MerchantId, OrderId, OrderKey, OrderState, Provider};
use lambda_http::http::Response;
use lambda_http::{Body, Request};
use order_consumer::{Consumer, NamelessFailure};
use providers::adapter;
use serde_json::Value;
use testkit::{MERCHANT, Webhook, World, http_api_event, sqs_batch};
use webhook_relay::Relay;

type AnyReceiver = Receiver<World, World, World, World, World>;
type AnyConsumer = Consumer<World, World, World, World, World>;
type AnyRelay = Relay<World, World, World, World>;

/// Both receivers, the consumer and the relay around one world.
#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) world: World,
    armada: Arc<AnyReceiver>,
    shipday: Arc<AnyReceiver>,
    consumer: Arc<AnyConsumer>,
    pub(crate) relay: Arc<AnyRelay>,
}

/// An answer as the provider sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answered {
    /// The word in the body of a success.
    pub(crate) fn word(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

impl Pipeline {
    pub(crate) fn new() -> Self {
        Self::with_environment(&[])
    }

    /// A pipeline whose receivers were configured with these variables.
    pub(crate) fn with_environment(variables: &[(&str, &str)]) -> Self {
        let world = World::new();
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let receiver = |provider| {
            let stores = Stores {
                installations: world.clone(),
                records: world.clone(),
                queue: world.clone(),
                clock: world.clone(),
                request_ids: world.clone(),
            };
            Arc::new(Receiver::new(
                adapter(provider),
                Config::from_lookup(lookup).unwrap(),
                stores,
            ))
        };
        let stores = order_consumer::Stores {
            records: world.clone(),
            orders: world.clone(),
            queue: world.clone(),
            dead_letters: world.clone(),
            clock: world.clone(),
        };
        let consumer = Consumer::new(order_consumer::Config::from_lookup(lookup).unwrap(), stores);
        let relay = Relay::new(webhook_relay::Stores {
            records: world.clone(),
            queue: world.clone(),
            clock: world.clone(),
            first_shard: world.clone(),
        });
        Self {
            relay: Arc::new(relay),
            armada: receiver(Provider::Armada),
            shipday: receiver(Provider::Shipday),
            consumer: Arc::new(consumer),
            world,
        }
    }

    /// Sends a webhook through the HTTP API.
    pub(crate) async fn post(&self, webhook: &Webhook) -> Answered {
        self.hand_over(webhook.provider, &http_api_event(webhook))
            .await
    }

    /// Hands a gateway event to the function of `provider`.
    pub(crate) async fn hand_over(&self, provider: Provider, gateway_event: &Value) -> Answered {
        let request = gateway_request(gateway_event);
        let response = self.respond(provider, request).await;
        let body = serde_json::from_slice(response.body()).unwrap();
        Answered {
            status: response.status().as_u16(),
            body,
        }
    }

    pub(crate) async fn respond(&self, provider: Provider, request: Request) -> Response<Body> {
        match provider {
            Provider::Armada => self.armada.handle(request).await,
            Provider::Shipday => self.shipday.handle(request).await,
        }
    }

    /// Hands one batch of at most ten messages to the consumer, and deletes what it did not report.
    pub(crate) async fn consume(&self) -> Vec<String> {
        let batch = self.world.receive(10);
        let response = self.consume_event(&sqs_batch(&batch)).await.unwrap();
        let failed: Vec<String> = response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect();
        let done: Vec<String> = batch
            .into_iter()
            .map(|message| message.message_id)
            .filter(|id| !failed.contains(id))
            .collect();
        self.world.delete(&done);
        failed
    }

    pub(crate) async fn consume_event(
        &self,
        event: &Value,
    ) -> Result<SqsBatchResponse, NamelessFailure> {
        let event: SqsEvent = serde_json::from_value(event.clone()).unwrap();
        self.consumer.handle(event).await
    }

    /// Consumes until the queue is empty.
    pub(crate) async fn drain(&self) {
        for _ in 0..1_000 {
            if self.world.queued().is_empty() {
                return;
            }
            self.consume().await;
        }
        panic!("the queue does not become empty: {:?}", self.world.queued());
    }

    /// The saved state of one of the demo merchant's orders.
    pub(crate) fn state(&self, provider: Provider, order: &str) -> OrderState {
        self.world
            .state(&order_key(provider, order))
            .expect("the order has a state")
            .0
    }
}

/// The request in a gateway event, as the function sees it.
pub(crate) fn gateway_request(event: &Value) -> Request {
    ::ingest::readable(serde_json::from_value(event.clone()).unwrap()).into()
}

/// The key of one of the demo merchant's orders.
pub(crate) fn order_key(provider: Provider, order: &str) -> OrderKey {
    OrderKey {
        merchant_id: MerchantId::parse(MERCHANT).unwrap(),
        provider,
        order_id: OrderId::parse(order).unwrap(),
    }
}

/// When the demo webhooks of Armada were sent: a second before the world's clock.
pub(crate) const SENT_AT: &str = "2026-01-07T20:15:01.000Z";

/// An authentic `order.updated` for an order, with a webhook id of its own.
pub(crate) fn armada_status(order: &str, status: &str, id: &str, sent_at: &str) -> Webhook {
    let body = serde_json::json!({ "code": order, "status": status, "delivery_fee": 1.25 });
    testkit::armada("order.updated", id, sent_at, body.to_string())
}

/// An authentic Shipday event for an order.
pub(crate) fn shipday_event(order: u64, event: &str, status: &str, at_ms: u64) -> Webhook {
    let body = serde_json::json!({ "timestamp": at_ms, "event": event, "order_status": status, "order": { "id": order } });
    testkit::shipday(body.to_string())
}
