//! The normalized event: this order reached this status at this time, said in the provider's words too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    EpochMillis, MerchantId, OrderId, OrderKey, Provider, Status, StatusReason, WebhookId,
    short_digest,
};

/// What the provider itself called the step. It identifies the event and is mapped to a [`Status`]
/// each time the timeline is folded, so that a corrected mapping also corrects the past.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderWord {
    /// Shipday's `event`, trimmed. Armada's topic says nothing of its own, so it is absent there.
    #[serde(
        rename = "provider_event",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub event: Option<String>,
    /// Armada's `status`, Shipday's `order_status`, trimmed.
    #[serde(
        rename = "provider_status",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<String>,
}

/// Shipday's event and the status, as far as they are there.
impl fmt::Display for ProviderWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.event, &self.status) {
            (Some(event), Some(status)) => write!(f, "{event} {status}"),
            (Some(word), None) | (None, Some(word)) => f.write_str(word),
            (None, None) => Ok(()),
        }
    }
}

impl ProviderWord {
    /// The word as part of a timeline key: Armada's status, Shipday's `EVENT.STATUS`. Kept when it is
    /// 1 to 64 of `A-Z a-z 0-9 _ .`, else the first 16 hexadecimal digits of its SHA-256.
    pub fn key_part(&self, provider: Provider) -> Cow<'_, str> {
        let status = self.status.as_deref().unwrap_or_default();
        let word = match provider {
            Provider::Armada => Cow::Borrowed(status),
            Provider::Shipday => {
                Cow::Owned([self.event.as_deref().unwrap_or_default(), status].join("."))
            }
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        if (1..=64).contains(&word.len()) && word.bytes().all(plain) {
            word
        } else {
            Cow::Owned(short_digest(&word))
        }
    }
}

/// Who drives, as far as the provider says at the time of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Driver {
    /// The provider's id of the driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The driver's name. Personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The driver's phone number, as text: it may start with `0` or `+`. Personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// An outside fleet that carries the order for the provider (Shipday).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ThirdParty {
    /// The fleet's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The fleet's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    /// What the fleet says. It lags behind the order's status and never decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When the order was handed over to the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_at_ms: Option<EpochMillis>,
    /// The fleet's fee, in major units of the order's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub fee: Option<Decimal>,
}

/// Times around the delivery that are no steps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Schedule {
    /// When the order was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_at_ms: Option<EpochMillis>,
    /// When the pickup was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_pickup_at_ms: Option<EpochMillis>,
    /// When the delivery was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_delivery_at_ms: Option<EpochMillis>,
    /// When the provider now expects the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<EpochMillis>,
    /// Shipday's `arrived_time`. At the pickup or at the customer: Shipday does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at_ms: Option<EpochMillis>,
}

/// What an event tells beside the status. No customer data, see decision 10 in docs/architecture.md.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Details {
    /// Who drives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// The outside fleet, if one carries the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub third_party: Option<ThirdParty>,
    /// Where the customer can follow the delivery; as sent, not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_url: Option<String>,
    /// Photos and signatures that prove the delivery; as sent, not checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proof_of_delivery_urls: Vec<String>,
    /// The number people know the order by. Not unique (Shipday).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    /// The order this one repeats after a failed attempt (Shipday).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_order_id: Option<OrderId>,
    /// Value of the goods, in major units; three decimal places are possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub order_amount: Option<Decimal>,
    /// Price of the delivery, in major units; three decimal places are possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub delivery_fee: Option<Decimal>,
    /// ISO 4217 as sent: letters from Armada (`KWD`), digits from Shipday (`840`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Promised and expected times.
    pub schedule: Schedule,
    /// When the provider says that steps were reached, beside the event's own time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reported_milestones: BTreeMap<Status, EpochMillis>,
}

/// One fact about one order, read from one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderEvent {
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// Who carries it.
    pub provider: Provider,
    /// The provider's id of the order.
    pub order_id: OrderId,
    /// Shipday: when it happened. Armada: when the webhook was sent.
    pub occurred_at_ms: EpochMillis,
    /// When the webhook was received.
    pub received_at_ms: EpochMillis,
    /// The provider's words for it.
    #[serde(flatten)]
    pub word: ProviderWord,
    /// The provider's id of the webhook, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_event_id: Option<WebhookId>,
    /// What the words meant when the event was forwarded; absent for a proof of delivery. For readers of
    /// the queue: the consumer maps the words again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Why, if the words say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// What else it tells.
    pub details: Details,
}

impl OrderEvent {
    /// Which order it is about.
    pub fn order_key(&self) -> OrderKey {
        OrderKey {
            merchant_id: self.merchant_id.clone(),
            provider: self.provider,
            order_id: self.order_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(event: Option<&str>, status: Option<&str>) -> ProviderWord {
        ProviderWord {
            event: event.map(str::to_owned),
            status: status.map(str::to_owned),
        }
    }

    #[test]
    fn a_plain_word_is_kept_in_the_key() {
        assert_eq!(
            word(None, Some("en_route")).key_part(Provider::Armada),
            "en_route"
        );
        assert_eq!(
            word(Some("ORDER_PIKEDUP"), Some("PICKED_UP")).key_part(Provider::Shipday),
            "ORDER_PIKEDUP.PICKED_UP"
        );
        assert_eq!(
            word(None, Some("STARTED")).key_part(Provider::Shipday),
            ".STARTED"
        );
    }

    #[test]
    fn any_other_word_becomes_a_digest_that_cannot_break_the_key() {
        for odd in ["en route", "a#b", "", "\n", &"x".repeat(65)] {
            let word = word(None, Some(odd));
            let part = word.key_part(Provider::Armada);

            assert_eq!(part.len(), 16, "{odd:?}");
            assert!(part.bytes().all(|b| b.is_ascii_hexdigit()), "{odd:?}");
        }
    }
}
