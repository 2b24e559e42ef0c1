//! The status policy: one pure, total function that says for every step whether it is applied, and why.

use std::fmt;

use crate::{Provider, ProviderWord, Status, StatusReason};

/// What a provider's timestamps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderClock {
    /// The event's own time (Shipday): later wins, backwards moves included.
    EventTime,
    /// The time of sending (Armada): a late retry may carry an older status with a newer time.
    SendingTime,
}

/// What a provider's word means today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The delivery reached a status.
    Reached(Step),
    /// Proof of the delivery was uploaded; the status is not touched.
    ProofOfDelivery,
    /// Not in our tables.
    Unknown,
}

/// A status that an event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The status reached.
    pub status: Status,
    /// Why, if the word says so.
    pub reason: Option<StatusReason>,
    /// Whether the word itself says that something was taken back (`ORDER_UNASSIGNED`, `*_REMOVED`). Among
    /// events of the same millisecond such a step comes last; otherwise the further status does.
    pub takes_back: bool,
}

/// What the fold must know of a provider.
pub trait ProviderRules {
    /// Which provider.
    fn provider(&self) -> Provider;
    /// What its timestamps mean.
    fn clock(&self) -> ProviderClock;
    /// What one of its words means today.
    fn meaning(&self, word: &ProviderWord) -> Meaning;
}

/// What became of one event of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It changed the status.
    Applied {
        /// The status before.
        from: Option<Status>,
        /// The status after.
        to: Status,
        /// In which sense.
        change: Change,
    },
    /// Same status again; its details are newer.
    Refreshed,
    /// The same event sent again (same provider id and word); details refreshed, while the status stands.
    Repeated,
    /// Proof of delivery attached.
    Attached,
    /// Kept in the timeline only.
    NotApplied(NotApplied),
}

/// In which sense the status changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first status known.
    First,
    /// Progress; steps may be skipped.
    Forward,
    /// One or more steps back.
    Backward,
    /// A failed or canceled delivery is tried again.
    Reopened,
    /// Something final was unsaid: a closed delivery ended otherwise, or goods on board have no driver.
    Corrected,
}

/// Why an event did not change the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotApplied {
    /// Today's mapping does not know its words.
    Unmapped,
    /// Deleted after it was delivered: the delivery stands.
    DeletedAfterDelivery,
    /// Delivered is final while the provider's clock cannot tell a late retry from news.
    DeliveredIsFinal,
    /// Likewise: canceled yields only to delivered.
    CanceledYieldsOnlyToDelivered,
    /// Likewise: failed reopens only to a status before the pickup, or yields to delivered.
    FailedReopensOnlyBeforePickup,
    /// Likewise: returned is final.
    ReturnedIsFinal,
    /// Likewise: a step back is believed only when a new driver is being found.
    BackwardNotBelieved,
}

impl Decision {
    /// Whether the status changed.
    pub const fn changed_status(&self) -> bool {
        matches!(self, Self::Applied { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied { from: None, to, .. } => write!(f, "applied: {to}"),
            Self::Applied {
                from: Some(from),
                to,
                change,
            } => write!(f, "applied ({change}): {from} -> {to}"),
            Self::Refreshed => f.write_str("same status: details refreshed"),
            Self::Repeated => f.write_str("repeat of an earlier event: details refreshed"),
            Self::Attached => f.write_str("proof of delivery attached"),
            Self::NotApplied(why) => write!(f, "not applied: {why}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Reopened => "reopened",
            Self::Corrected => "corrected",
        })
    }
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unmapped => "meaning unknown",
            Self::DeletedAfterDelivery => "deleted after delivery, the delivery stands",
            Self::DeliveredIsFinal => "delivered is final",
            Self::CanceledYieldsOnlyToDelivered => "canceled yields only to delivered",
            Self::FailedReopensOnlyBeforePickup => {
                "failed reopens only to a status before the pickup"
            }
            Self::ReturnedIsFinal => "returned is final",
            Self::BackwardNotBelieved => "a step back, probably a late retry",
        })
    }
}

/// Decides what a step does to an order that stands at `current`.
///
/// ```
/// use domain::{Change, Decision, NotApplied, ProviderClock, Status, Step, decide};
///
/// let step = |status| Step { status, reason: None, takes_back: false };
/// let late_retry = decide(ProviderClock::SendingTime, Some(Status::Delivered), &step(Status::InTransit));
/// assert_eq!(late_retry, Decision::NotApplied(NotApplied::DeliveredIsFinal));
///
/// let skipped = decide(ProviderClock::SendingTime, Some(Status::Assigned), &step(Status::Delivered));
/// assert!(matches!(skipped, Decision::Applied { change: Change::Forward, .. }));
/// ```
pub fn decide(clock: ProviderClock, current: Option<Status>, step: &Step) -> Decision {
    let to = step.status;
    let applied = |change| Decision::Applied {
        from: current,
        to,
        change,
    };
    let Some(from) = current else {
        return applied(Change::First);
    };
    if from == to {
        return Decision::Refreshed;
    }
    match clock {
        ProviderClock::EventTime
            if from == Status::Delivered && step.reason == Some(StatusReason::Deleted) =>
        {
            Decision::NotApplied(NotApplied::DeletedAfterDelivery)
        }
        ProviderClock::EventTime => applied(change(from, to)),
        ProviderClock::SendingTime => match disbelief(from, to) {
            Some(why) => Decision::NotApplied(why),
            None => applied(change(from, to)),
        },
    }
}

/// Why a move is not believed while the time of the event itself is unknown; `None` when it is.
const fn disbelief(from: Status, to: Status) -> Option<NotApplied> {
    use Status::{
        Assigned, AtDropoff, AtPickup, Canceled, Delivered, EnRouteToPickup, Failed, InTransit,
        Pending, PickedUp, Returned,
    };
    match (from, to) {
        (Delivered, _) => Some(NotApplied::DeliveredIsFinal),
        (Returned, _) => Some(NotApplied::ReturnedIsFinal),
        (Canceled, Delivered) | (Failed, Delivered | Pending | Assigned | EnRouteToPickup) => None,
        (Canceled, _) => Some(NotApplied::CanceledYieldsOnlyToDelivered),
        (Failed, _) => Some(NotApplied::FailedReopensOnlyBeforePickup),
        // A new driver is being found, or has been.
        (_, Pending | EnRouteToPickup) => None,
        (Pending | Assigned | EnRouteToPickup | AtPickup | PickedUp | InTransit | AtDropoff, _) => {
            if to.rank() < from.rank() {
                Some(NotApplied::BackwardNotBelieved)
            } else {
                None
            }
        }
    }
}

/// In which sense a believed move changes the status.
const fn change(from: Status, to: Status) -> Change {
    match from {
        Status::Failed | Status::Canceled if !to.is_closed() => Change::Reopened,
        Status::Delivered | Status::Failed | Status::Canceled | Status::Returned => {
            Change::Corrected
        }
        Status::PickedUp | Status::InTransit | Status::AtDropoff
            if matches!(to, Status::Pending) =>
        {
            Change::Corrected
        }
        Status::Pending
        | Status::Assigned
        | Status::EnRouteToPickup
        | Status::AtPickup
        | Status::PickedUp
        | Status::InTransit
        | Status::AtDropoff => {
            if to.rank() < from.rank() {
                Change::Backward
            } else {
                Change::Forward
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// The whole policy as a table: a row per current status, a column per step.
    fn table(clock: ProviderClock) -> String {
        let mut text = format!("{:18}", "from \\ to");
        let short = |s: Status| s.as_str().chars().take(8).collect::<String>();
        for to in Status::ALL {
            text.push_str(&format!(" {:8}", short(to)));
        }
        for from in [None].into_iter().chain(Status::ALL.map(Some)) {
            text.push_str(&format!("\n{:18}", from.map_or("(none)", Status::as_str)));
            for status in Status::ALL {
                let cell = match decide(
                    clock,
                    from,
                    &Step {
                        status,
                        reason: None,
                        takes_back: false,
                    },
                ) {
                    Decision::Applied { change, .. } => change.to_string(),
                    Decision::Refreshed => "same".to_owned(),
                    Decision::NotApplied(_) => "-".to_owned(),
                    Decision::Repeated | Decision::Attached => {
                        unreachable!("decide returns neither")
                    }
                };
                text.push_str(&format!(" {:8}", cell.chars().take(8).collect::<String>()));
            }
        }
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
            + "\n"
    }

    fn check(clock: ProviderClock, expected: &Expect) {
        expected.assert_eq(&table(clock));
    }

    #[test]
    fn with_event_times_the_later_event_wins_whatever_it_says() {
        check(
            ProviderClock::EventTime,
            &expect![[r#"
            from \ to          pending  assigned en_route at_picku picked_u in_trans at_dropo delivere failed   canceled returned
            (none)             first    first    first    first    first    first    first    first    first    first    first
            pending            same     forward  forward  forward  forward  forward  forward  forward  forward  forward  forward
            assigned           backward same     forward  forward  forward  forward  forward  forward  forward  forward  forward
            en_route_to_pickup backward backward same     forward  forward  forward  forward  forward  forward  forward  forward
            at_pickup          backward backward backward same     forward  forward  forward  forward  forward  forward  forward
            picked_up          correcte backward backward backward same     forward  forward  forward  forward  forward  forward
            in_transit         correcte backward backward backward backward same     forward  forward  forward  forward  forward
            at_dropoff         correcte backward backward backward backward backward same     forward  forward  forward  forward
            delivered          correcte correcte correcte correcte correcte correcte correcte same     correcte correcte correcte
            failed             reopened reopened reopened reopened reopened reopened reopened correcte same     correcte correcte
            canceled           reopened reopened reopened reopened reopened reopened reopened correcte correcte same     correcte
            returned           correcte correcte correcte correcte correcte correcte correcte correcte correcte correcte same
        "#]],
        );
    }

    #[test]
    fn with_sending_times_a_step_back_is_believed_only_where_it_cannot_be_a_late_retry() {
        check(
            ProviderClock::SendingTime,
            &expect![[r#"
            from \ to          pending  assigned en_route at_picku picked_u in_trans at_dropo delivere failed   canceled returned
            (none)             first    first    first    first    first    first    first    first    first    first    first
            pending            same     forward  forward  forward  forward  forward  forward  forward  forward  forward  forward
            assigned           backward same     forward  forward  forward  forward  forward  forward  forward  forward  forward
            en_route_to_pickup backward -        same     forward  forward  forward  forward  forward  forward  forward  forward
            at_pickup          backward -        backward same     forward  forward  forward  forward  forward  forward  forward
            picked_up          correcte -        backward -        same     forward  forward  forward  forward  forward  forward
            in_transit         correcte -        backward -        -        same     forward  forward  forward  forward  forward
            at_dropoff         correcte -        backward -        -        -        same     forward  forward  forward  forward
            delivered          -        -        -        -        -        -        -        same     -        -        -
            failed             reopened reopened reopened -        -        -        -        correcte same     -        -
            canceled           -        -        -        -        -        -        -        correcte -        same     -
            returned           -        -        -        -        -        -        -        -        -        -        same
        "#]],
        );
    }

    #[test]
    fn a_deletion_after_delivery_is_history_only() {
        let deletion = Step {
            status: Status::Canceled,
            reason: Some(StatusReason::Deleted),
            takes_back: false,
        };

        for clock in [ProviderClock::EventTime, ProviderClock::SendingTime] {
            assert!(!decide(clock, Some(Status::Delivered), &deletion).changed_status());
            assert!(decide(clock, Some(Status::InTransit), &deletion).changed_status());
        }
    }

    #[test]
    fn every_reason_for_not_applying_can_be_read_by_a_person() {
        let text = Decision::NotApplied(NotApplied::BackwardNotBelieved).to_string();

        assert_eq!(text, "not applied: a step back, probably a late retry");
    }
}
