//! The normalized vocabulary of a delivery, common to all providers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a delivery stands, in this project's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Known to the provider, no driver.
    Pending,
    /// A driver is named, not known to be moving.
    Assigned,
    /// The driver is heading to the pickup.
    EnRouteToPickup,
    /// The driver is at the pickup and waits.
    AtPickup,
    /// The goods are on board.
    PickedUp,
    /// The goods are moving to the customer.
    InTransit,
    /// The driver is at the customer's door. Reserved: no provider says it clearly yet.
    AtDropoff,
    /// Done.
    Delivered,
    /// The attempt ended without delivery; it may be reopened.
    Failed,
    /// Called off, or deleted at the provider.
    Canceled,
    /// The goods went back. Reserved: no provider says it yet.
    Returned,
}

impl Status {
    /// Every status, in the order of progress.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Assigned,
        Self::EnRouteToPickup,
        Self::AtPickup,
        Self::PickedUp,
        Self::InTransit,
        Self::AtDropoff,
        Self::Delivered,
        Self::Failed,
        Self::Canceled,
        Self::Returned,
    ];

    /// How far along the delivery is. It tells forwards from backwards and is never stored.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Pending => 10,
            Self::Assigned => 20,
            Self::EnRouteToPickup => 30,
            Self::AtPickup => 40,
            Self::PickedUp => 50,
            Self::InTransit => 60,
            Self::AtDropoff => 70,
            Self::Delivered | Self::Failed | Self::Canceled => 90,
            Self::Returned => 95,
        }
    }

    /// Whether the delivery has come to an end.
    pub const fn is_closed(self) -> bool {
        self.rank() >= Self::Delivered.rank()
    }

    /// Whether the goods have left the pickup, or the delivery is over.
    pub const fn is_past_pickup(self) -> bool {
        self.rank() >= Self::PickedUp.rank()
    }

    /// The word used on every wire and in every table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::EnRouteToPickup => "en_route_to_pickup",
            Self::AtPickup => "at_pickup",
            Self::PickedUp => "picked_up",
            Self::InTransit => "in_transit",
            Self::AtDropoff => "at_dropoff",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Returned => "returned",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a delivery failed or was canceled, as far as the provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// It failed before the pickup: nobody could be found to carry it.
    NoDriverFound,
    /// It failed after the pickup, or the driver reported a failed attempt.
    AttemptFailed,
    /// It was closed as incomplete (Shipday).
    Incomplete,
    /// The order was deleted at the provider (Shipday).
    Deleted,
}

impl StatusReason {
    /// The word used on every wire and in every table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoDriverFound => "no_driver_found",
            Self::AttemptFailed => "attempt_failed",
            Self::Incomplete => "incomplete",
            Self::Deleted => "deleted",
        }
    }
}
