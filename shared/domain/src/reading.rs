//! What came out of reading an authenticated webhook. Not knowing is an outcome, never a guess.

use crate::{EpochMillis, Millis, OrderEvent, OrderKey, RecordState, WebhookKey};

/// Earliest event time believed: 2015-01-01T00:00:00Z. Neither provider is older.
const EARLIEST_EVENT_TIME: EpochMillis = EpochMillis::new(1_420_070_400_000);
/// How far a provider's clock may be ahead of ours. One clock error further ahead would outrank every
/// later event of its order.
const MAX_CLOCK_LEAD: Millis = Millis::from_days(1);

/// Whether an event time can be true for a webhook received at `received_at`.
pub fn believable(event_time: EpochMillis, received_at: EpochMillis) -> bool {
    event_time >= EARLIEST_EVENT_TIME && event_time <= received_at + MAX_CLOCK_LEAD
}

/// A webhook as its provider's adapter understood it: its identity and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The key of its record.
    pub key: WebhookKey,
    /// The order it speaks of, where that could be read.
    pub order: Option<OrderKey>,
    /// What it says.
    pub interpretation: Interpretation,
}

/// What a webhook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interpretation {
    /// A fact about an order.
    Event(Box<OrderEvent>),
    /// Known, and nobody here needs it: answered, counted, not stored.
    Ignored(Ignored),
    /// Readable, meaning unknown: kept until a later mapping understands it.
    Unmapped(Unmapped),
    /// Authentic, but unreadable: kept for a person, answered 400.
    Quarantined(Quarantined),
}

impl Interpretation {
    /// The state in which its record is first written; `None` when nothing is stored.
    pub const fn initial_state(&self) -> Option<RecordState> {
        match self {
            Self::Event(_) => Some(RecordState::Pending),
            Self::Ignored(_) => None,
            Self::Unmapped(_) => Some(RecordState::Unmapped),
            Self::Quarantined(_) => Some(RecordState::Quarantined),
        }
    }
}

/// Why a webhook is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// A driver's position.
    DriverPosition,
    /// The balance of the merchant's wallet.
    WalletBalance,
    /// The merchant removed the application. Unsigned, so it switches nothing off by itself.
    AppUninstalled,
}

/// What is not known about a readable webhook. The provider's own words are for operators alone: whatever stands there is no
/// word of ours, so none of them is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// The topic, or Shipday's event, is none we know.
    UnknownTopic(Box<str>),
    /// The status is none we know, and nothing else decides: Shipday's event and it.
    UnknownStatus(Box<str>),
    /// No status, and nothing else decides.
    MissingStatus,
    /// No time, or none that can be read.
    MissingEventTime,
    /// A time that cannot be true.
    UnbelievableEventTime,
    /// The body names another company than the installation's.
    OtherCompany,
}

/// What makes an authentic webhook unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantined {
    /// A header without which the contract is broken.
    MissingHeader,
    /// Not a JSON object.
    NotJson,
    /// No order id, or one that cannot be a key.
    MissingOrderId,
}

impl Ignored {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DriverPosition => "driver_position",
            Self::WalletBalance => "wallet_balance",
            Self::AppUninstalled => "app_uninstalled",
        }
    }
}

impl Unmapped {
    /// The word in logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::UnknownTopic(_) => "unknown_topic",
            Self::UnknownStatus(_) => "unknown_status",
            Self::MissingStatus => "missing_status",
            Self::MissingEventTime => "missing_event_time",
            Self::UnbelievableEventTime => "unbelievable_event_time",
            Self::OtherCompany => "other_company",
        }
    }

    /// What the provider said and nobody knows, as it was sent.
    pub fn unknown_word(&self) -> Option<&str> {
        match self {
            Self::UnknownTopic(word) | Self::UnknownStatus(word) => Some(word),
            Self::MissingStatus
            | Self::MissingEventTime
            | Self::UnbelievableEventTime
            | Self::OtherCompany => None,
        }
    }
}

impl Quarantined {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::NotJson => "not_json",
            Self::MissingOrderId => "missing_order_id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_2015_or_a_day_ahead_is_not_believed() {
        let received = EpochMillis::new(1_700_000_000_000);

        assert!(believable(received, received));
        assert!(believable(received + Millis::from_days(1), received));
        assert!(!believable(received + Millis::new(86_400_001), received));
        assert!(believable(EARLIEST_EVENT_TIME, received));
        assert!(!believable(EpochMillis::new(1_420_070_399_999), received));
    }
}
