//! Shipday's events and order statuses. The status decides; the event overrides it for a deletion and a
//! proof of delivery, and stands in for a status that is missing or unknown.

use domain::{Meaning, ProviderWord, Status, StatusReason, Step};

/// A known `event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Inserted,
    Assigned,
    Unassigned,
    AcceptedAndStarted,
    PickedUp,
    PickedUpRemoved,
    OnTheWay,
    OnTheWayRemoved,
    Completed,
    Failed,
    Incomplete,
    Deleted,
    ProofOfDelivery,
    Location,
}

/// A repaired spelling of `PIKEDUP` is the same event.
const EVENTS: [(&str, Event); 18] = [
    ("ORDER_INSERTED", Event::Inserted),
    ("ORDER_ASSIGNED", Event::Assigned),
    ("ORDER_UNASSIGNED", Event::Unassigned),
    ("ORDER_ACCEPTED_AND_STARTED", Event::AcceptedAndStarted),
    ("ORDER_PIKEDUP", Event::PickedUp),
    ("ORDER_PICKEDUP", Event::PickedUp),
    ("ORDER_PICKED_UP", Event::PickedUp),
    ("ORDER_PIKEDUP_REMOVED", Event::PickedUpRemoved),
    ("ORDER_PICKEDUP_REMOVED", Event::PickedUpRemoved),
    ("ORDER_PICKED_UP_REMOVED", Event::PickedUpRemoved),
    ("ORDER_ONTHEWAY", Event::OnTheWay),
    ("ORDER_ONTHEWAY_REMOVED", Event::OnTheWayRemoved),
    ("ORDER_COMPLETED", Event::Completed),
    ("ORDER_FAILED", Event::Failed),
    ("ORDER_INCOMPLETE", Event::Incomplete),
    ("ORDER_DELETE", Event::Deleted),
    ("ORDER_POD_UPLOAD", Event::ProofOfDelivery),
    ("LOCATION_UPDATE", Event::Location),
];

impl Event {
    /// Reads an event's name. Case and blanks around it do not matter.
    pub(super) fn parse(name: &str) -> Option<Self> {
        find(&EVENTS, name)
    }

    /// Whether it says that something was taken back.
    const fn takes_back(self) -> bool {
        match self {
            Self::Unassigned | Self::PickedUpRemoved | Self::OnTheWayRemoved => true,
            Self::Inserted
            | Self::Assigned
            | Self::AcceptedAndStarted
            | Self::PickedUp
            | Self::OnTheWay
            | Self::Completed
            | Self::Failed
            | Self::Incomplete
            | Self::Deleted
            | Self::ProofOfDelivery
            | Self::Location => false,
        }
    }

    /// The status it stands for when the body gives no usable one.
    const fn fallback(self) -> Option<Reached> {
        Some(match self {
            Self::Inserted | Self::Unassigned => (Status::Pending, None),
            Self::Assigned => (Status::Assigned, None),
            Self::AcceptedAndStarted | Self::PickedUpRemoved => (Status::EnRouteToPickup, None),
            Self::PickedUp | Self::OnTheWayRemoved => (Status::PickedUp, None),
            Self::OnTheWay => (Status::InTransit, None),
            Self::Completed => (Status::Delivered, None),
            Self::Failed => (Status::Failed, Some(StatusReason::AttemptFailed)),
            Self::Incomplete => (Status::Failed, Some(StatusReason::Incomplete)),
            Self::Deleted => (Status::Canceled, Some(StatusReason::Deleted)),
            Self::ProofOfDelivery | Self::Location => return None,
        })
    }
}

type Reached = (Status, Option<StatusReason>);

const ORDER_STATUSES: [(&str, Reached); 9] = [
    ("NOT_ASSIGNED", (Status::Pending, None)),
    // Offered, not accepted yet: the sample pairs it with ORDER_ASSIGNED. It is no rejection.
    ("NOT_ACCEPTED", (Status::Assigned, None)),
    ("NOT_STARTED_YET", (Status::Assigned, None)),
    ("STARTED", (Status::EnRouteToPickup, None)),
    ("PICKED_UP", (Status::PickedUp, None)),
    ("READY_TO_DELIVER", (Status::InTransit, None)),
    ("ALREADY_DELIVERED", (Status::Delivered, None)),
    (
        "INCOMPLETE",
        (Status::Failed, Some(StatusReason::Incomplete)),
    ),
    (
        "FAILED_DELIVERY",
        (Status::Failed, Some(StatusReason::AttemptFailed)),
    ),
];

/// Reads an `order_status`. Case and blanks around it do not matter.
pub(super) fn order_status(name: &str) -> Option<Reached> {
    find(&ORDER_STATUSES, name)
}

fn find<T: Copy>(known: &[(&str, T)], name: &str) -> Option<T> {
    let is_it = |(spelling, _): &&(&str, T)| spelling.eq_ignore_ascii_case(name.trim());
    known.iter().find(is_it).map(|(_, meant)| *meant)
}

/// What an event and its order status mean together.
pub(super) fn meaning(word: &ProviderWord) -> Meaning {
    let event = word.event.as_deref().and_then(Event::parse);
    let reached = match event {
        Some(Event::ProofOfDelivery) => return Meaning::ProofOfDelivery,
        Some(Event::Location) => return Meaning::Unknown,
        // The status of a deleted order is whatever it was before.
        Some(Event::Deleted) => Event::Deleted.fallback(),
        _ => word
            .status
            .as_deref()
            .and_then(order_status)
            .or_else(|| event.and_then(Event::fallback)),
    };
    match reached {
        Some((status, reason)) => Meaning::Reached(Step {
            status,
            reason,
            takes_back: event.is_some_and(Event::takes_back),
        }),
        None => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(event: &str, status: &str) -> Option<Reached> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match meaning(&ProviderWord {
            event: some(event),
            status: some(status),
        }) {
            Meaning::Reached(step) => Some((step.status, step.reason)),
            Meaning::ProofOfDelivery | Meaning::Unknown => None,
        }
    }

    #[test]
    fn the_order_status_decides() {
        for (status, expected) in [
            ("NOT_ASSIGNED", Status::Pending),
            ("NOT_ACCEPTED", Status::Assigned),
            ("NOT_STARTED_YET", Status::Assigned),
            ("STARTED", Status::EnRouteToPickup),
            ("PICKED_UP", Status::PickedUp),
            ("READY_TO_DELIVER", Status::InTransit),
            ("ALREADY_DELIVERED", Status::Delivered),
            ("INCOMPLETE", Status::Failed),
            ("FAILED_DELIVERY", Status::Failed),
        ] {
            for event in ["ORDER_INSERTED", "ORDER_COMPLETED", "ORDER_TELEPORTED", ""] {
                assert_eq!(
                    reached(event, status).map(|(status, _)| status),
                    Some(expected),
                    "{event} {status}"
                );
            }
        }
    }

    #[test]
    fn the_event_stands_in_for_a_missing_or_unknown_status() {
        for (event, expected) in [
            ("ORDER_INSERTED", Status::Pending),
            ("ORDER_ASSIGNED", Status::Assigned),
            ("ORDER_ACCEPTED_AND_STARTED", Status::EnRouteToPickup),
            ("ORDER_PIKEDUP", Status::PickedUp),
            ("ORDER_PICKEDUP", Status::PickedUp),
            ("order_picked_up", Status::PickedUp),
            ("ORDER_ONTHEWAY", Status::InTransit),
            ("ORDER_COMPLETED", Status::Delivered),
            ("ORDER_FAILED", Status::Failed),
            ("ORDER_INCOMPLETE", Status::Failed),
            ("ORDER_UNASSIGNED", Status::Pending),
            ("ORDER_PIKEDUP_REMOVED", Status::EnRouteToPickup),
            ("ORDER_PICKED_UP_REMOVED", Status::EnRouteToPickup),
            ("ORDER_ONTHEWAY_REMOVED", Status::PickedUp),
        ] {
            for status in ["", "ACTIVE", "TELEPORTED"] {
                assert_eq!(
                    reached(event, status).map(|(status, _)| status),
                    Some(expected),
                    "{event} {status}"
                );
            }
        }
    }

    #[test]
    fn a_deletion_cancels_whatever_the_status_says() {
        assert_eq!(
            reached("ORDER_DELETE", "PICKED_UP"),
            Some((Status::Canceled, Some(StatusReason::Deleted)))
        );
    }

    #[test]
    fn a_proof_of_delivery_is_no_status() {
        let word = ProviderWord {
            event: Some("ORDER_POD_UPLOAD".to_owned()),
            status: Some("ALREADY_DELIVERED".to_owned()),
        };

        assert_eq!(meaning(&word), Meaning::ProofOfDelivery);
    }

    #[test]
    fn names_that_only_integrators_guessed_are_unknown() {
        for event in [
            "ORDER_DELIVERED",
            "ORDER_FAILED_DELIVERY",
            "ORDER_DELETED",
            "ORDER_ONTHEWAY_STATUS",
        ] {
            assert_eq!(reached(event, ""), None, "{event}");
        }
    }

    #[test]
    fn why_it_failed_is_kept() {
        assert_eq!(
            reached("ORDER_FAILED", "FAILED_DELIVERY"),
            Some((Status::Failed, Some(StatusReason::AttemptFailed)))
        );
        assert_eq!(
            reached("ORDER_INCOMPLETE", ""),
            Some((Status::Failed, Some(StatusReason::Incomplete)))
        );
    }
}
