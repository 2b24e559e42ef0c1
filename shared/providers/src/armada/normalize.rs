//! An Armada webhook to its reading.

use std::collections::BTreeMap;

use domain::{
    Authenticated, Details, Ignored, Interpretation, Meaning, OrderEvent, OrderId, OrderKey,
    Provider, ProviderWord, Quarantined, Reading, Schedule, Topic, Unmapped, WebhookId, WebhookKey,
    believable,
};

use super::payload::{Driver, Logistics, Order};
use super::{TIMESTAMP, TOPIC, WEBHOOK_ID, mapping};
use crate::lenient_json::{id, money, object, parse_object, parse_time, text, time};

/// What a topic is about.
enum Kind {
    /// An order with its status.
    Order,
    /// Something nobody here needs.
    Ignored(Ignored),
    /// Nothing we know.
    Unknown,
}

fn kind(topic: &str) -> Kind {
    match topic {
        "order.updated"
        // v2's topics; the body has the same shape, and its status decides.
        | "delivery.accepted" | "delivery.en_route" | "delivery.completed" | "delivery.canceled" | "delivery.failed" => {
            Kind::Order
        }
        // Its body says `en_route` for ever: it must never touch a status.
        "order.location.updated" | "driver.location_updated" => Kind::Ignored(Ignored::DriverPosition),
        "wallet.balance_low" => Kind::Ignored(Ignored::WalletBalance),
        "app.uninstalled" => Kind::Ignored(Ignored::AppUninstalled),
        _ => Kind::Unknown,
    }
}

pub(super) fn read(webhook: &Authenticated) -> Reading {
    let of_body = || {
        WebhookKey::of_body(
            Provider::Armada,
            webhook.merchant_id(),
            webhook.body_sha256(),
        )
    };
    let outcome = |key, order, interpretation| Reading {
        key,
        order,
        interpretation,
    };

    let Some(topic) = webhook.header(TOPIC) else {
        return outcome(
            of_body(),
            None,
            Interpretation::Quarantined(Quarantined::MissingHeader),
        );
    };
    let id_text = webhook.header(WEBHOOK_ID);
    let key = match (Topic::parse(topic), id_text.map(WebhookId::parse)) {
        (Ok(topic), Some(Ok(id))) => WebhookKey::armada(webhook.merchant_id(), &topic, &id),
        _ => of_body(),
    };
    match kind(topic) {
        Kind::Ignored(why) => outcome(key, None, Interpretation::Ignored(why)),
        Kind::Unknown => {
            let why = Unmapped::UnknownTopic(topic.into());
            outcome(key, None, Interpretation::Unmapped(why))
        }
        Kind::Order => {
            let Some(id_text) = id_text else {
                return outcome(
                    key,
                    None,
                    Interpretation::Quarantined(Quarantined::MissingHeader),
                );
            };
            let (order, interpretation) = read_order(webhook, id_text);
            outcome(key, order, interpretation)
        }
    }
}

fn read_order(webhook: &Authenticated, id_text: &str) -> (Option<OrderKey>, Interpretation) {
    let Some(body) = parse_object::<Order<'_>>(webhook.body()) else {
        return (None, Interpretation::Quarantined(Quarantined::NotJson));
    };
    let Some(order_id) = id(body.code).and_then(|code| OrderId::parse(&code).ok()) else {
        return (
            None,
            Interpretation::Quarantined(Quarantined::MissingOrderId),
        );
    };
    let order = OrderKey {
        merchant_id: webhook.merchant_id().clone(),
        provider: Provider::Armada,
        order_id,
    };
    let interpretation = match read_event(webhook, &body, &order, id_text) {
        Ok(event) => Interpretation::Event(Box::new(event)),
        Err(why) => Interpretation::Unmapped(why),
    };
    (Some(order), interpretation)
}

fn read_event(
    webhook: &Authenticated,
    body: &Order<'_>,
    order: &OrderKey,
    id_text: &str,
) -> Result<OrderEvent, Unmapped> {
    let word = ProviderWord {
        event: None,
        status: Some(text(body.status).ok_or(Unmapped::MissingStatus)?),
    };
    let Meaning::Reached(step) = mapping::meaning(&word) else {
        return Err(Unmapped::UnknownStatus(word.to_string().into()));
    };
    let occurred_at_ms = webhook
        .header(TIMESTAMP)
        .and_then(parse_time)
        .ok_or(Unmapped::MissingEventTime)?;
    if !believable(occurred_at_ms, webhook.received_at_ms()) {
        return Err(Unmapped::UnbelievableEventTime);
    }
    Ok(OrderEvent {
        merchant_id: order.merchant_id.clone(),
        provider: order.provider,
        order_id: order.order_id.clone(),
        occurred_at_ms,
        received_at_ms: webhook.received_at_ms(),
        word,
        provider_event_id: Some(WebhookId::or_digest(id_text)),
        status: Some(step.status),
        status_reason: step.reason,
        details: details(body),
    })
}

fn details(body: &Order<'_>) -> Details {
    let driver = object::<Driver<'_>>(body.driver).and_then(|driver| {
        let (name, phone) = (text(driver.name), text(driver.phone));
        (name.is_some() || phone.is_some()).then_some(domain::Driver {
            id: None,
            name,
            phone,
        })
    });
    Details {
        driver,
        third_party: None,
        tracking_url: object::<Logistics<'_>>(body.logistics)
            .and_then(|logistics| text(logistics.tracking_url)),
        proof_of_delivery_urls: Vec::new(),
        order_number: None,
        parent_order_id: None,
        order_amount: money(body.amount),
        delivery_fee: money(body.delivery_fee),
        currency: text(body.currency),
        schedule: Schedule {
            placed_at_ms: time(body.created_at),
            ..Schedule::default()
        },
        reported_milestones: BTreeMap::new(),
    }
}
