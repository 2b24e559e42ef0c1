//! What is wrong, in words, and the command against it.

use std::fmt;

use domain::OrderKey;
use serde::{Deserialize, Serialize};

use super::check::{OrderFinding, RecordFinding};
use crate::arguments::StackChoice;
use crate::invocation::{Invocation, order_words, quoted};
use crate::records::printable;

/// What kind of difference it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// An applied record whose event is not in its order's timeline.
    EntryMissing,
    /// An applied record that cannot be read again.
    RecordUnreadable,
    /// A record in a state that there is not.
    UnknownState,
    /// An order whose state is not what its timeline folds to.
    StateDiffers,
    /// An order whose state counts more events than its timeline has.
    EntriesLost,
    /// An order whose items cannot be read.
    OrderUnreadable,
}

/// What to do about a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Remedy {
    /// This command mends it.
    Mend(String),
    /// No command mends it; this one shows it.
    Look(String),
}

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Difference {
    pub(super) kind: Kind,
    /// The record's key, or the order.
    about: String,
    why: String,
    #[serde(flatten)]
    remedy: Remedy,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (about, why) = (printable(&self.about), &self.why);
        match &self.remedy {
            Remedy::Mend(command) => write!(f, "  {about}\n    {why}\n    mend: {command}\n"),
            Remedy::Look(command) => write!(f, "  {about}\n    {why}\n    look: {command}\n"),
        }
    }
}

/// The commands for one stack.
pub(super) struct Remedies(Invocation);

impl Remedies {
    pub(super) fn for_stack(choice: &StackChoice) -> Self {
        Self(Invocation::new("hookctl", choice))
    }

    pub(super) fn of_record(&self, key: &str, finding: &RecordFinding) -> Option<Difference> {
        let look = || Remedy::Look(self.0.of(&format!("webhook show {}", quoted(key))));
        let (kind, why, remedy) = match finding {
            RecordFinding::InState(_)
            | RecordFinding::InTimeline(_)
            | RecordFinding::NoEvent
            | RecordFinding::Gone => return None,
            RecordFinding::EntryMissing(order) => (
                Kind::EntryMissing,
                format!("applied, but its event is not in the timeline of {order}"),
                Remedy::Mend(self.0.of(&format!("webhook replay {}", quoted(key)))),
            ),
            RecordFinding::Unreadable(why) => (
                Kind::RecordUnreadable,
                format!("applied, but it cannot be read again: {why}"),
                look(),
            ),
            RecordFinding::UnknownState => {
                let why = "in no known state: no function looks after it".to_owned();
                (Kind::UnknownState, why, look())
            }
        };
        let about = key.to_owned();
        Some(Difference {
            kind,
            about,
            why,
            remedy,
        })
    }

    pub(super) fn of_order(&self, order: &OrderKey, finding: &OrderFinding) -> Option<Difference> {
        let words = order_words(order);
        let look = || Remedy::Look(self.0.of(&format!("order show {words}")));
        let (kind, why, remedy) = match finding {
            OrderFinding::Right
            | OrderFinding::Nothing
            | OrderFinding::StandsStill
            | OrderFinding::BeingApplied => return None,
            OrderFinding::StateDiffers(change) => (
                Kind::StateDiffers,
                format!("its state is not what its timeline folds to: {change}"),
                Remedy::Mend(self.0.of(&format!("order refold {words}"))),
            ),
            OrderFinding::EntriesLost { counted, entries } => (
                Kind::EntriesLost,
                format!(
                    "its state counts {counted} events, its timeline has {entries}: replay the records that this \
                     ledger names for it; what has expired is in a backup only"
                ),
                look(),
            ),
            OrderFinding::Unreadable(why) => (Kind::OrderUnreadable, why.clone(), look()),
        };
        let about = order.to_string();
        Some(Difference {
            kind,
            about,
            why,
            remedy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell_and_speaks_to_the_same_stack() {
        let local = Remedies::for_stack(&StackChoice::default());
        let choice = StackChoice {
            stack_name: Some("delivery-webhooks-prod".to_owned()),
            region: Some("eu-west-1".to_owned()),
            profile: Some("my ops".to_owned()),
            place: None,
        };
        let deployed = Remedies::for_stack(&choice);
        let order = OrderKey::parse("shop-1#armada#it's 7").unwrap();
        let missing = RecordFinding::EntryMissing(order.clone());
        let differs = OrderFinding::StateDiffers("status failed -> delivered".to_owned());
        let command = |difference: Option<Difference>| match difference.unwrap().remedy {
            Remedy::Mend(command) => command,
            Remedy::Look(command) => panic!("`{command}` mends nothing"),
        };

        assert_eq!(
            command(local.of_record("armada#shop-1#order.updated#wh_1", &missing)),
            "hookctl webhook replay 'armada#shop-1#order.updated#wh_1'"
        );
        assert_eq!(
            command(deployed.of_order(&order, &differs)),
            r"hookctl --stack-name delivery-webhooks-prod --region eu-west-1 --profile 'my ops' order refold shop-1 armada 'it'\''s 7'"
        );
    }

    #[test]
    fn only_what_is_wrong_is_a_difference() {
        let remedies = Remedies::for_stack(&StackChoice::default());
        let order = OrderKey::parse("shop-1#armada#A1").unwrap();
        for finding in [
            RecordFinding::NoEvent,
            RecordFinding::Gone,
            RecordFinding::InTimeline(order.clone()),
            RecordFinding::EntryMissing(order.clone()),
            RecordFinding::Unreadable("why".to_owned()),
            RecordFinding::UnknownState,
        ] {
            let told = remedies.of_record("key", &finding).is_some();
            assert_eq!(told, finding.is_difference(), "{finding:?}");
        }
        for finding in [
            OrderFinding::Right,
            OrderFinding::Nothing,
            OrderFinding::StandsStill,
            OrderFinding::BeingApplied,
            OrderFinding::StateDiffers("status".to_owned()),
            OrderFinding::EntriesLost {
                counted: 2,
                entries: 1,
            },
            OrderFinding::Unreadable("why".to_owned()),
        ] {
            let told = remedies.of_order(&order, &finding).is_some();
            assert_eq!(told, finding.is_difference(), "{finding:?}");
        }
    }
}
