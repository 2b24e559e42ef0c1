//! A Shipday webhook to its reading.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::{
    Authenticated, Details, Driver, EpochMillis, Ignored, Interpretation, Meaning, OrderEvent,
    OrderId, OrderKey, Provider, ProviderWord, Quarantined, Reading, Schedule, Status, Topic,
    Unmapped, WebhookKey, believable,
};

use super::mapping::{self, Event};
use super::payload::{Carrier, Company, Order, ThirdParty, Update};
use crate::lenient_json::{id, links, money, object, parse_object, text, time};

pub(super) fn read(webhook: &Authenticated) -> Reading {
    let of_body = || {
        WebhookKey::of_body(
            Provider::Shipday,
            webhook.merchant_id(),
            webhook.body_sha256(),
        )
    };
    let Some(update) = parse_object::<Update<'_>>(webhook.body()) else {
        let interpretation = Interpretation::Quarantined(Quarantined::NotJson);
        return Reading {
            key: of_body(),
            order: None,
            interpretation,
        };
    };
    let word = ProviderWord {
        event: text(update.event),
        status: text(update.order_status),
    };
    let event = word.event.as_deref().and_then(Event::parse);
    if event == Some(Event::Location) {
        let interpretation = Interpretation::Ignored(Ignored::DriverPosition);
        return Reading {
            key: of_body(),
            order: None,
            interpretation,
        };
    }
    let order = object::<Order<'_>>(update.order).unwrap_or_default();
    let Some(order_id) = id(order.id).and_then(|id| OrderId::parse(&id).ok()) else {
        let interpretation = without_order(&word);
        return Reading {
            key: of_body(),
            order: None,
            interpretation,
        };
    };
    let order_key = OrderKey {
        merchant_id: webhook.merchant_id().clone(),
        provider: Provider::Shipday,
        order_id,
    };
    let topic = word
        .event
        .as_deref()
        .and_then(|event| Topic::parse(event).ok());
    let key = match (topic, time(update.timestamp)) {
        (Some(event), Some(at)) => {
            WebhookKey::shipday(webhook.merchant_id(), &order_key.order_id, &event, at)
        }
        _ => of_body(),
    };
    let interpretation = match read_event(webhook, &update, &order, &order_key, word) {
        Ok(event) => Interpretation::Event(Box::new(event)),
        Err(why) => Interpretation::Unmapped(why),
    };
    Reading {
        key,
        order: Some(order_key),
        interpretation,
    }
}

/// A new kind of webhook need not be about an order; one that speaks of a status must be.
fn without_order(word: &ProviderWord) -> Interpretation {
    match (&word.event, mapping::meaning(word)) {
        (Some(event), Meaning::Unknown) => {
            Interpretation::Unmapped(Unmapped::UnknownTopic(event.as_str().into()))
        }
        (None, Meaning::Unknown) | (_, Meaning::Reached(_) | Meaning::ProofOfDelivery) => {
            Interpretation::Quarantined(Quarantined::MissingOrderId)
        }
    }
}

fn read_event(
    webhook: &Authenticated,
    update: &Update<'_>,
    order: &Order<'_>,
    order_key: &OrderKey,
    word: ProviderWord,
) -> Result<OrderEvent, Unmapped> {
    let company = object::<Company<'_>>(update.company.or(order.company));
    if let Some(expected) = webhook.company_id() {
        let named = company.as_ref().and_then(|company| id(company.id));
        if named.as_deref() != Some(expected.as_str()) {
            return Err(Unmapped::OtherCompany);
        }
    }
    let (status, status_reason) = match mapping::meaning(&word) {
        Meaning::Reached(step) => (Some(step.status), step.reason),
        Meaning::ProofOfDelivery => (None, None),
        Meaning::Unknown if word.status.is_none() => return Err(Unmapped::MissingStatus),
        Meaning::Unknown => return Err(Unmapped::UnknownStatus(word.to_string().into())),
    };
    let occurred_at_ms = time(update.timestamp).ok_or(Unmapped::MissingEventTime)?;
    if !believable(occurred_at_ms, webhook.received_at_ms()) {
        return Err(Unmapped::UnbelievableEventTime);
    }
    Ok(OrderEvent {
        merchant_id: order_key.merchant_id.clone(),
        provider: order_key.provider,
        order_id: order_key.order_id.clone(),
        occurred_at_ms,
        received_at_ms: webhook.received_at_ms(),
        word,
        provider_event_id: None,
        status,
        status_reason,
        details: details(webhook.received_at_ms(), update, order, company.as_ref()),
    })
}

fn details(
    received_at: EpochMillis,
    update: &Update<'_>,
    order: &Order<'_>,
    company: Option<&Company<'_>>,
) -> Details {
    let third_party = object::<ThirdParty<'_>>(update.third_party.or(order.third_party));
    let carrier = object::<Carrier<'_>>(update.carrier.or(order.carrier));
    Details {
        driver: driver(carrier.as_ref(), third_party.as_ref()),
        third_party: third_party.as_ref().and_then(fleet),
        tracking_url: None,
        proof_of_delivery_urls: links(order.pod_urls),
        order_number: text(order.order_number),
        parent_order_id: id(order.parent_id).and_then(|id| OrderId::parse(&id).ok()),
        order_amount: money(order.total_cost),
        delivery_fee: money(order.delivery_fee),
        currency: company.and_then(|company| text(company.currency_code)),
        schedule: Schedule {
            placed_at_ms: time(order.placement_time),
            expected_pickup_at_ms: time(order.expected_pickup_time),
            expected_delivery_at_ms: time(order.expected_delivery_time),
            eta_ms: time(order.eta),
            arrived_at_ms: time(order.arrived_time),
        },
        reported_milestones: milestones(received_at, order),
    }
}

/// The carrier; where an outside fleet carries the order he is empty, and the fleet's driver is known.
fn driver(carrier: Option<&Carrier<'_>>, third_party: Option<&ThirdParty<'_>>) -> Option<Driver> {
    let named = |id: Option<Cow<'_, str>>, name: Option<String>, phone: Option<String>| {
        let id = id.map(Cow::into_owned);
        (name.is_some() || phone.is_some()).then_some(Driver { id, name, phone })
    };
    carrier
        .and_then(|carrier| named(id(carrier.id), text(carrier.name), text(carrier.phone)))
        .or_else(|| {
            third_party
                .and_then(|fleet| named(None, text(fleet.driver_name), text(fleet.driver_phone)))
        })
}

fn fleet(third_party: &ThirdParty<'_>) -> Option<domain::ThirdParty> {
    let fleet = domain::ThirdParty {
        name: text(third_party.name),
        reference_id: text(third_party.reference_id),
        status: text(third_party.status),
        handed_over_at_ms: time(third_party.inserted_at),
        fee: money(third_party.fee),
    };
    (fleet != domain::ThirdParty::default()).then_some(fleet)
}

fn milestones(received_at: EpochMillis, order: &Order<'_>) -> BTreeMap<Status, EpochMillis> {
    [
        (Status::Assigned, order.assigned_time),
        (Status::EnRouteToPickup, order.start_time),
        (Status::PickedUp, order.pickedup_time),
        (Status::Delivered, order.delivery_time),
    ]
    .into_iter()
    .filter_map(|(status, field)| Some((status, time(field)?)))
    .filter(|(_, at)| believable(*at, received_at))
    .collect()
}
