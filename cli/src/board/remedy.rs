//! The command that deals with what waits for a person.

use std::fmt;

use domain::{MerchantId, OrderKey, RecordState};
use serde::Serialize;

use crate::invocation::{Invocation, order_words, quoted};

/// A command to copy, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Remedy {
    what_for: &'static str,
    command: String,
}

/// Why a record is in nobody's hands but a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trouble {
    Parked,
    Unmapped,
    Quarantined,
    /// In no state that there is.
    Damaged,
    Pending,
}

impl Trouble {
    /// Every one, the most urgent first.
    pub(super) const ALL: [Self; 5] = [
        Self::Parked,
        Self::Unmapped,
        Self::Quarantined,
        Self::Damaged,
        Self::Pending,
    ];

    /// What a record in this state is; `None` when it is closed.
    pub(super) const fn of(state: Option<RecordState>) -> Option<Self> {
        match state {
            None => Some(Self::Damaged),
            Some(RecordState::Pending) => Some(Self::Pending),
            Some(RecordState::Unmapped) => Some(Self::Unmapped),
            Some(RecordState::Quarantined) => Some(Self::Quarantined),
            Some(RecordState::Parked) => Some(Self::Parked),
            Some(RecordState::Applied | RecordState::Dismissed) => None,
        }
    }

    /// Whether somebody must look: what is pending is looked after by the relay.
    pub(super) const fn needs_a_person(self) -> bool {
        match self {
            Self::Parked | Self::Unmapped | Self::Quarantined | Self::Damaged => true,
            Self::Pending => false,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Unmapped => "unmapped",
            Self::Quarantined => "quarantined",
            Self::Damaged => "damaged",
            Self::Pending => "pending",
        }
    }

    /// What that means.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Parked => {
                "relayed too often without being applied: find out why, then replay them"
            }
            Self::Unmapped => {
                "readable, meaning unknown: add the word to the mapping, release it, then replay them"
            }
            Self::Quarantined => {
                "authentic but unreadable, or beyond a bound: replay or dismiss each"
            }
            Self::Damaged => "in no known state: no function looks after them",
            Self::Pending => {
                "on their way: the relay sends again what is overdue, there is nothing to do"
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What deals with all records of a kind.
pub(super) fn of_all(
    trouble: Trouble,
    merchant: Option<&MerchantId>,
    program: &Invocation,
) -> Vec<Remedy> {
    let merchant = merchant.map_or_else(String::new, |it| {
        format!(" --merchant {}", quoted(it.as_str()))
    });
    let list = || Remedy {
        what_for: "list them all",
        command: program.of(&format!("webhook list --state {trouble}{merchant}")),
    };
    let replay = |what_for, yes| Remedy {
        what_for,
        command: program.of(&format!("webhook replay --state {trouble}{merchant}{yes}")),
    };
    match trouble {
        Trouble::Parked | Trouble::Unmapped => vec![
            replay("what a replay would do", ""),
            replay("replay them", " --yes"),
        ],
        Trouble::Quarantined | Trouble::Pending => vec![list()],
        // No filter finds a state that there is not.
        Trouble::Damaged => Vec::new(),
    }
}

/// What deals with one record.
pub(super) fn of_record(
    key: &str,
    state: Option<RecordState>,
    program: &Invocation,
) -> Vec<Remedy> {
    let key = quoted(key);
    let remedy = |what_for, command: String| Remedy {
        what_for,
        command: program.of(&command),
    };
    let show = remedy("show it", format!("webhook show {key}"));
    match Trouble::of(state) {
        Some(Trouble::Parked | Trouble::Unmapped | Trouble::Quarantined) => vec![
            show,
            remedy("send it through once more", format!("webhook replay {key}")),
            remedy(
                "dismiss it, if nobody needs it",
                format!("webhook close {key} --reason REASON"),
            ),
        ],
        Some(Trouble::Damaged | Trouble::Pending) | None => vec![show],
    }
}

/// What tells more of an order; `wrong` when its state is not what its timeline folds to.
pub(super) fn of_order(order: &OrderKey, wrong: bool, program: &Invocation) -> Vec<Remedy> {
    let words = order_words(order);
    let mut remedies = vec![Remedy {
        what_for: "show it",
        command: program.of(&format!("order show {words}")),
    }];
    if wrong {
        remedies.push(Remedy {
            what_for: "what folding it anew would change",
            command: program.of(&format!("order refold {words} --dry-run")),
        });
    }
    remedies
}

/// What deals with dead letters.
pub(super) fn of_dead_letters(program: &Invocation) -> Vec<Remedy> {
    vec![
        Remedy {
            what_for: "look at them",
            command: program.of("dlq show"),
        },
        Remedy {
            what_for: "send them again",
            command: program.of("dlq redrive --yes"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, StackChoice};

    /// The words of a command, as a shell makes them.
    fn words(command: &str) -> Vec<String> {
        let parts = command.split('\'').enumerate();
        let words = parts.flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.collect()
    }

    #[test]
    fn every_command_on_the_board_is_one_of_this_program() {
        let choice = StackChoice {
            stack_name: Some("delivery-webhooks-prod".to_owned()),
            region: Some("eu-west-1".to_owned()),
            ..StackChoice::default()
        };
        let program = Invocation::new("hookctl", &choice);
        let merchant = MerchantId::parse("shop-1").unwrap();
        let order = OrderKey::parse("shop-1#armada#A 1").unwrap();
        let states = RecordState::ALL.map(Some).into_iter().chain([None]);
        let mut remedies: Vec<Remedy> = states
            .flat_map(|state| of_record("armada#shop-1#order.updated#wh_1", state, &program))
            .collect();
        for trouble in Trouble::ALL {
            remedies.extend(of_all(trouble, Some(&merchant), &program));
        }
        remedies.extend(of_order(&order, true, &program));
        remedies.extend(of_dead_letters(&program));

        for Remedy { command, .. } in &remedies {
            let read = Arguments::try_parse_from(words(command));
            let stack = read.unwrap_or_else(|error| panic!("{command}: {error}"));
            assert_eq!(
                stack.global.stack.stack_name, choice.stack_name,
                "{command}"
            );
        }
    }

    #[test]
    fn what_waits_for_a_person_can_be_sent_again_or_dismissed() {
        let program = Invocation::new("hookctl", &StackChoice::default());
        for state in RecordState::ALL {
            let commands = of_record("armada#m#t#wh_1", Some(state), &program);
            let is_for = |verb: &str| commands.iter().any(|it| it.command.contains(verb));
            let waits = Trouble::of(Some(state)).is_some_and(Trouble::needs_a_person);
            assert_eq!(is_for("webhook replay"), waits, "{state:?}");
            assert_eq!(is_for("webhook close"), waits, "{state:?}");
            assert!(is_for("webhook show"), "{state:?}");
        }
    }
}
