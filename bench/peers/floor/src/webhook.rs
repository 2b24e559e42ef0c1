//! One webhook, from the gateway's event to the answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use miniz_oxide::deflate::compress_to_vec;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::armada::{Event, GatewayEvent, Headers, Message, read};
use crate::connection::Error;
use crate::dynamodb::{GetItem, GotInstallation, Key, PutItem, Value};
use crate::service::{CallError, Service};

const REGISTRY_TTL: Duration = Duration::from_secs(60);
const FIRST_DUE_AFTER_MS: i64 = 180_000;
const PENDING_SHARDS: u8 = 32;
const COMPRESSION_LEVEL: u8 = 6;

/// Where things are.
pub(crate) struct Places {
    pub(crate) installations_table: String,
    pub(crate) webhooks_table: String,
    pub(crate) events_queue_url: String,
}

/// The webhook function.
pub(crate) struct Webhook {
    pub(crate) places: Places,
    pub(crate) dynamodb: Service,
    pub(crate) sqs: Service,
    /// Merchants of active installations, by key, and when they were read.
    pub(crate) registry: HashMap<String, (Instant, String)>,
}

/// The answer to a webhook.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Duplicate,
    BadRequest,
    Unauthorized,
    Unavailable,
}

impl Answer {
    const fn status_and_word(self) -> (u16, &'static str) {
        match self {
            Self::Accepted => (200, "accepted"),
            Self::Duplicate => (200, "duplicate"),
            Self::BadRequest => (400, "bad_request"),
            Self::Unauthorized => (401, "unauthorized"),
            Self::Unavailable => (503, "unavailable"),
        }
    }
}

/// What the log line says of a webhook.
#[derive(Default)]
struct Story {
    merchant: Option<String>,
    order: Option<String>,
    webhook: Option<String>,
    status: Option<&'static str>,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage<'a> {
    queue_url: &'a str,
    message_group_id: &'a str,
    message_body: &'a str,
}

impl Webhook {
    /// Answers one invocation, and writes one line about it.
    pub(crate) async fn handle(&mut self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let event: GatewayEvent<'_> = serde_json::from_slice(payload)?;
        let request_id = request_id()?;
        let received_at_ms = now_ms()?;
        let mut story = Story::default();
        let answer = match self
            .receive(&event, &request_id, received_at_ms, &mut story)
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                story.error = Some(error.to_string());
                Answer::Unavailable
            }
        };
        log(answer, &story, &request_id, received_at_ms);
        Ok(response(answer, &request_id))
    }

    async fn receive(
        &mut self,
        event: &GatewayEvent<'_>,
        request_id: &str,
        received_at_ms: i64,
        story: &mut Story,
    ) -> Result<Answer, CallError> {
        let headers = &event.headers;
        if headers.app_id.is_empty() || headers.installation_id.is_empty() {
            return Ok(Answer::Unauthorized);
        }
        let Some(merchant_id) = self.merchant(headers).await? else {
            return Ok(Answer::Unauthorized);
        };
        story.merchant = Some(merchant_id.clone());
        let Some(body) = body(event) else {
            return Ok(Answer::BadRequest);
        };
        let Some(order) = read(headers, &body, &merchant_id, received_at_ms) else {
            return Ok(Answer::BadRequest);
        };
        story.order = Some(order.order_id.to_string());
        story.webhook = Some(order.provider_event_id.to_owned());
        story.status = Some(order.status);
        match self.put(&order, headers, &body, request_id).await {
            Err(error) if error.is("ConditionalCheckFailedException") => {
                return Ok(Answer::Duplicate);
            }
            put => put?,
        };
        // The record is stored and pending: a refused send is no refused webhook.
        if let Err(error) = self.send(&order).await {
            story.error = Some(error.to_string());
        }
        Ok(Answer::Accepted)
    }

    /// Whose active installation it is, from memory if it was read in the last minute.
    async fn merchant(&mut self, headers: &Headers<'_>) -> Result<Option<String>, CallError> {
        let credential = format!("{}\u{1f}{}", headers.app_id, headers.installation_id);
        let pk = format!("armada#{}", sha256_hex(credential.as_bytes()));
        if let Some((read_at, merchant_id)) = self.registry.get(&pk)
            && read_at.elapsed() < REGISTRY_TTL
        {
            return Ok(Some(merchant_id.clone()));
        }
        let get = GetItem {
            table_name: &self.places.installations_table,
            key: Key { pk: Value::S(&pk) },
        };
        let got: GotInstallation = self.dynamodb.call("GetItem", &get).await?;
        let Some(item) = got.item.filter(|item| item.state.text == "active") else {
            return Ok(None);
        };
        let merchant_id = item.merchant_id.text;
        self.registry
            .insert(pk, (Instant::now(), merchant_id.clone()));
        Ok(Some(merchant_id))
    }

    async fn put(
        &mut self,
        event: &Event<'_>,
        headers: &Headers<'_>,
        body: &[u8],
        request_id: &str,
    ) -> Result<IgnoredAny, CallError> {
        let order_key = format!("{}#armada#{}", event.merchant_id, event.order_id);
        let shard = pending_shard(&event.body_sha256);
        let number = |value: i64| Value::N(value.to_string());
        let put = PutItem {
            table_name: &self.places.webhooks_table,
            item: BTreeMap::from([
                ("pk", Value::S(&event.webhook_pk)),
                ("state", Value::S("pending")),
                ("merchant_id", Value::S(event.merchant_id)),
                ("received_at_ms", number(event.received_at_ms)),
                (
                    "body",
                    Value::B(BASE64.encode(compress_to_vec(body, COMPRESSION_LEVEL))),
                ),
                ("body_sha256", Value::S(&event.body_sha256)),
                ("request_id", Value::S(request_id)),
                ("forward_attempts", number(0)),
                ("order_key", Value::S(&order_key)),
                ("headers", retained(headers)),
                ("pending_shard", Value::S(&shard)),
                (
                    "due_at_ms",
                    number(event.received_at_ms + FIRST_DUE_AFTER_MS),
                ),
            ]),
            condition_expression: "attribute_not_exists(pk)",
            return_values_on_condition_check_failure: "ALL_OLD",
        };
        self.dynamodb.call("PutItem", &put).await
    }

    async fn send(&mut self, event: &Event<'_>) -> Result<IgnoredAny, CallError> {
        let message = Message {
            schema_version: 1,
            event,
        };
        let message = serde_json::to_string(&message).map_err(|e| CallError::Failed(e.into()))?;
        let send = SendMessage {
            queue_url: &self.places.events_queue_url,
            message_group_id: event.merchant_id,
            message_body: &message,
        };
        self.sqs.call("SendMessage", &send).await
    }
}

/// The headers that the record keeps.
fn retained<'a>(headers: &'a Headers<'_>) -> Value<'a> {
    let all = [
        ("x-armada-webhook-id", &headers.webhook_id),
        ("x-armada-webhook-topic", &headers.topic),
        ("x-armada-timestamp", &headers.timestamp),
        ("x-armada-api-version", &headers.api_version),
    ];
    let there = all.into_iter().filter(|(_, value)| !value.is_empty());
    Value::M(there.map(|(name, value)| (name, Value::S(value))).collect())
}

fn body<'a>(event: &'a GatewayEvent<'_>) -> Option<Cow<'a, [u8]>> {
    if event.is_base64_encoded {
        BASE64.decode(event.body.as_bytes()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(event.body.as_bytes()))
    }
}

/// `00` to `31`, by the first byte of the body's digest.
fn pending_shard(body_sha256: &str) -> String {
    let first_byte = body_sha256
        .get(..2)
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .unwrap_or_default();
    format!("{:02}", first_byte % PENDING_SHARDS)
}

fn response(answer: Answer, request_id: &str) -> Vec<u8> {
    let (status, word) = answer.status_and_word();
    json!({
        "statusCode": status,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "x-request-id": request_id,
        },
        "body": json!({ "status": word }).to_string(),
        "isBase64Encoded": false,
    })
    .to_string()
    .into_bytes()
}

/// One line that is log and metric (CloudWatch's embedded metric format) in one.
fn log(answer: Answer, story: &Story, request_id: &str, now_ms: i64) {
    let (status, word) = answer.status_and_word();
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
        "Accepted": u8::from(answer == Answer::Accepted),
        "level": if status < 400 { "INFO" } else { "WARN" },
        "message": word,
        "request_id": request_id,
        "merchant": story.merchant,
        "order": story.order,
        "webhook": story.webhook,
        "status": story.status,
        "error": story.error,
    });
    println!("{line}");
}

fn request_id() -> Result<String, Error> {
    let mut bits = [0u8; 16];
    getrandom::fill(&mut bits)?;
    Ok(hex(&bits))
}

fn now_ms() -> Result<i64, Error> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(since_epoch.as_millis())?)
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
    }
    text
}
