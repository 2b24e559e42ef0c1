//! The Armada webhook as a first project with `cargo lambda new --http` has it.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use lambda_http::{Body, Error, Request, Response, run, service_fn, tracing};
use plain_rust::{Event, QueueMessage, map_status};
use serde::Deserialize;
use serde_json::{Number, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use uuid::Uuid;

const REGISTRY_TTL: Duration = Duration::from_secs(60);
const FIRST_DUE_AFTER_MS: i64 = 180_000;
const PENDING_SHARDS: u8 = 32;
const RETAINED_HEADERS: [&str; 4] = [
    "x-armada-webhook-id",
    "x-armada-webhook-topic",
    "x-armada-timestamp",
    "x-armada-api-version",
];

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let app = App {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
        installations_table: std::env::var("INSTALLATIONS_TABLE")?,
        webhooks_table: std::env::var("WEBHOOKS_TABLE")?,
        queue_url: std::env::var("EVENTS_QUEUE_URL")?,
        registry: Mutex::new(HashMap::new()),
    };
    run(service_fn(|request| app.handle(request))).await
}

struct App {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    installations_table: String,
    webhooks_table: String,
    queue_url: String,
    registry: Mutex<HashMap<String, (Instant, Installation)>>,
}

#[derive(Clone, Deserialize)]
struct Installation {
    merchant_id: String,
    state: String,
}

#[derive(Deserialize)]
struct Order {
    code: String,
    status: String,
    amount: Option<Number>,
    delivery_fee: Option<Number>,
    currency: Option<String>,
    created_at: Option<String>,
    driver: Option<Driver>,
    logistics: Option<Logistics>,
}

#[derive(Deserialize)]
struct Driver {
    name: Option<String>,
    phone: Option<String>,
}

#[derive(Deserialize)]
struct Logistics {
    tracking_url: Option<String>,
}

impl App {
    async fn handle(&self, request: Request) -> Result<Response<Body>, Error> {
        let request_id = Uuid::new_v4().simple().to_string();
        let (status, word) = self.receive(&request, &request_id).await?;
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("cache-control", "no-store")
            .header("x-request-id", request_id)
            .body(json!({ "status": word }).to_string().into())?;
        Ok(response)
    }

    async fn receive(
        &self,
        request: &Request,
        request_id: &str,
    ) -> Result<(u16, &'static str), Error> {
        let (Some(app), Some(installation)) = (
            header(request, "x-armada-app-id"),
            header(request, "x-armada-installation-id"),
        ) else {
            tracing::warn!(request_id, "credential missing");
            return Ok((401, "unauthorized"));
        };
        let credential = sha256_hex(format!("{app}\u{1f}{installation}").as_bytes());
        let installation = self.installation(format!("armada#{credential}")).await?;
        let Some(installation) = installation.filter(|i| i.state == "active") else {
            tracing::warn!(request_id, "credential unknown or disabled");
            return Ok((401, "unauthorized"));
        };

        let received_at_ms = Utc::now().timestamp_millis();
        let Some((event, webhook_id)) = read(request, &installation.merchant_id, received_at_ms)
        else {
            tracing::warn!(request_id, "unreadable webhook");
            return Ok((400, "bad_request"));
        };
        if !self.put_record(request, &event, request_id).await? {
            tracing::info!(request_id, webhook_id, order = event.order_id, "duplicate");
            return Ok((200, "duplicate"));
        }
        self.send(&event).await?;
        tracing::info!(
            request_id,
            webhook_id,
            merchant = event.merchant_id,
            order = event.order_id,
            status = event.status,
            "accepted"
        );
        count_accepted(received_at_ms);
        Ok((200, "accepted"))
    }

    /// The installation with that key, from memory if it was read in the last minute.
    async fn installation(&self, pk: String) -> Result<Option<Installation>, Error> {
        let mut registry = self.registry.lock().await;
        if let Some((read_at, installation)) = registry.get(&pk)
            && read_at.elapsed() < REGISTRY_TTL
        {
            return Ok(Some(installation.clone()));
        }
        let output = self
            .dynamodb
            .get_item()
            .table_name(&self.installations_table)
            .key("pk", AttributeValue::S(pk.clone()))
            .send()
            .await?;
        let Some(item) = output.item else {
            return Ok(None);
        };
        let installation: Installation = serde_dynamo::from_item(item)?;
        registry.insert(pk, (Instant::now(), installation.clone()));
        Ok(Some(installation))
    }

    /// Writes the record; `false` when it was there already.
    async fn put_record(
        &self,
        request: &Request,
        event: &Event,
        request_id: &str,
    ) -> Result<bool, Error> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(request.body().as_ref())?;
        let headers = RETAINED_HEADERS
            .into_iter()
            .filter_map(|name| Some((name.to_string(), string(header(request, name)?))))
            .collect();
        let order_key = format!("{}#armada#{}", event.merchant_id, event.order_id);
        let shard = u8::from_str_radix(&event.body_sha256[..2], 16)? % PENDING_SHARDS;
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.webhooks_table)
            .item("pk", string(&event.webhook_pk))
            .item("state", string("pending"))
            .item("merchant_id", string(&event.merchant_id))
            .item("received_at_ms", number(event.received_at_ms))
            .item("body", AttributeValue::B(Blob::new(encoder.finish()?)))
            .item("body_sha256", string(&event.body_sha256))
            .item("request_id", string(request_id))
            .item("forward_attempts", number(0))
            .item("order_key", string(&order_key))
            .item("headers", AttributeValue::M(headers))
            .item("pending_shard", string(&format!("{shard:02}")))
            .item(
                "due_at_ms",
                number(event.received_at_ms + FIRST_DUE_AFTER_MS),
            )
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn send(&self, event: &Event) -> Result<(), Error> {
        let message = QueueMessage {
            schema_version: 1,
            event: event.clone(),
        };
        self.sqs
            .send_message()
            .queue_url(&self.queue_url)
            .message_group_id(&event.merchant_id)
            .message_body(serde_json::to_string(&message)?)
            .send()
            .await?;
        Ok(())
    }
}

/// The event in a webhook and the webhook's id; `None` when it cannot be read.
fn read(request: &Request, merchant_id: &str, received_at_ms: i64) -> Option<(Event, String)> {
    let body: &[u8] = request.body().as_ref();
    let order: Order = serde_json::from_slice(body).ok()?;
    let webhook_id = header(request, "x-armada-webhook-id")?;
    let topic = header(request, "x-armada-webhook-topic")?;
    let sent_at = header(request, "x-armada-timestamp")?;
    let event = Event {
        webhook_pk: format!("armada#{merchant_id}#{topic}#{webhook_id}"),
        body_sha256: sha256_hex(body),
        provider: "armada".to_string(),
        merchant_id: merchant_id.to_string(),
        order_id: order.code.clone(),
        occurred_at_ms: millis(sent_at)?,
        received_at_ms,
        provider_status: order.status.clone(),
        provider_event_id: Some(webhook_id.to_string()),
        status: map_status(&order.status)?.to_string(),
        details: details(order),
    };
    Some((event, webhook_id.to_string()))
}

fn details(order: Order) -> serde_json::Value {
    let mut details = json!({});
    if let Some(driver) = order.driver {
        details["driver"] = json!({ "name": driver.name, "phone": driver.phone });
    }
    if let Some(url) = order.logistics.and_then(|l| l.tracking_url) {
        details["tracking_url"] = url.into();
    }
    if let Some(amount) = order.amount {
        details["order_amount"] = amount.to_string().into();
    }
    if let Some(fee) = order.delivery_fee {
        details["delivery_fee"] = fee.to_string().into();
    }
    if let Some(currency) = order.currency {
        details["currency"] = currency.into();
    }
    details["schedule"] = json!({});
    if let Some(placed_at_ms) = order.created_at.as_deref().and_then(millis) {
        details["schedule"]["placed_at_ms"] = placed_at_ms.into();
    }
    details
}

/// One line in CloudWatch's embedded metric format.
fn count_accepted(now_ms: i64) {
    let line = json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{
                "Namespace": "Webhooks",
                "Dimensions": [["Provider"]],
                "Metrics": [{ "Name": "Accepted", "Unit": "Count" }],
            }],
        },
        "Provider": "armada",
        "Accepted": 1,
    });
    println!("{line}");
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let value = request.headers().get(name)?.to_str().ok()?;
    (!value.is_empty()).then_some(value)
}

fn millis(time: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(time).ok()?.timestamp_millis())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn string(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
