//! What Armada sends, and the normalized event made of it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::webhook::sha256_hex;

/// The part of a gateway's event (payload format 2.0) that is used. The gateway writes header names in lower case.
#[derive(Deserialize)]
pub(crate) struct GatewayEvent<'a> {
    #[serde(borrow)]
    pub(crate) headers: Headers<'a>,
    #[serde(borrow, default)]
    pub(crate) body: Cow<'a, str>,
    #[serde(rename = "isBase64Encoded", default)]
    pub(crate) is_base64_encoded: bool,
}

/// Armada's headers; empty where absent.
#[derive(Deserialize)]
pub(crate) struct Headers<'a> {
    #[serde(borrow, default, rename = "x-armada-app-id")]
    pub(crate) app_id: Cow<'a, str>,
    #[serde(borrow, default, rename = "x-armada-installation-id")]
    pub(crate) installation_id: Cow<'a, str>,
    #[serde(borrow, default, rename = "x-armada-webhook-id")]
    pub(crate) webhook_id: Cow<'a, str>,
    #[serde(borrow, default, rename = "x-armada-webhook-topic")]
    pub(crate) topic: Cow<'a, str>,
    #[serde(borrow, default, rename = "x-armada-timestamp")]
    pub(crate) timestamp: Cow<'a, str>,
    #[serde(borrow, default, rename = "x-armada-api-version")]
    pub(crate) api_version: Cow<'a, str>,
}

/// The body of `order.updated`.
#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    amount: Option<&'a RawValue>,
    delivery_fee: Option<&'a RawValue>,
    currency: Option<String>,
    created_at: Option<String>,
    driver: Option<Driver>,
    logistics: Option<Logistics>,
}

#[derive(Deserialize)]
struct Logistics {
    tracking_url: Option<String>,
}

/// A message of the events queue.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) schema_version: u32,
    pub(crate) event: &'a Event<'a>,
}

/// A normalized event and the record it was read from.
#[derive(Serialize)]
pub(crate) struct Event<'a> {
    pub(crate) webhook_pk: String,
    pub(crate) body_sha256: String,
    provider: &'static str,
    pub(crate) merchant_id: &'a str,
    pub(crate) order_id: Cow<'a, str>,
    occurred_at_ms: i64,
    pub(crate) received_at_ms: i64,
    provider_status: Cow<'a, str>,
    pub(crate) provider_event_id: &'a str,
    pub(crate) status: &'static str,
    details: Details<'a>,
}

/// What an event tells beside the status.
#[derive(Serialize)]
struct Details<'a> {
    driver: Option<Driver>,
    tracking_url: Option<String>,
    order_amount: Option<&'a str>,
    delivery_fee: Option<&'a str>,
    currency: Option<String>,
    schedule: Schedule,
}

#[derive(Deserialize, Serialize)]
struct Driver {
    name: Option<String>,
    phone: Option<String>,
}

#[derive(Serialize)]
struct Schedule {
    placed_at_ms: Option<i64>,
}

/// Reads an order's webhook; `None` when a part of it is missing or unknown.
pub(crate) fn read<'a>(
    headers: &'a Headers<'_>,
    body: &'a [u8],
    merchant_id: &'a str,
    received_at_ms: i64,
) -> Option<Event<'a>> {
    if headers.webhook_id.is_empty() || headers.topic.is_empty() {
        return None;
    }
    let order: Order<'_> = serde_json::from_slice(body).ok()?;
    let (topic, webhook_id) = (&headers.topic, &headers.webhook_id);
    Some(Event {
        webhook_pk: format!("armada#{merchant_id}#{topic}#{webhook_id}"),
        body_sha256: sha256_hex(body),
        provider: "armada",
        merchant_id,
        order_id: order.code,
        occurred_at_ms: millis(&headers.timestamp)?,
        received_at_ms,
        status: mapped(&order.status)?,
        provider_status: order.status,
        provider_event_id: webhook_id,
        details: Details {
            driver: order.driver,
            tracking_url: order.logistics.and_then(|it| it.tracking_url),
            order_amount: order.amount.map(RawValue::get),
            delivery_fee: order.delivery_fee.map(RawValue::get),
            currency: order.currency,
            schedule: Schedule {
                placed_at_ms: order.created_at.as_deref().and_then(millis),
            },
        },
    })
}

/// Our word for a status of Armada's.
fn mapped(status: &str) -> Option<&'static str> {
    let status = status.trim().to_lowercase().replace(' ', "_");
    Some(match status.as_str() {
        "pending" => "pending",
        "accepted" => "assigned",
        "dispatched" => "en_route_to_pickup",
        "waiting_pack" => "at_pickup",
        "en_route" => "in_transit",
        "completed" | "complete" => "delivered",
        "canceled" | "cancelled" => "canceled",
        "failed" => "failed",
        _ => return None,
    })
}

/// A time of RFC 3339 in milliseconds since 1970.
fn millis(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}
