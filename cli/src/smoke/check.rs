//! What is checked, and what a failed check tells somebody who is tired.

use std::fmt;

use domain::{PortError, Provider};
use serde::Serialize;

use crate::erase::EraseError;
use crate::simulate::{Answered, Outcome};

/// A check, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    NoCredential(Provider),
    OtherPath,
    Installations,
    UrlKey,
    Webhooks(Provider),
    Order(Provider),
    Timeline(Provider),
    Records(Provider),
    CleanUp,
}

impl Check {
    /// Its name for programs; with the provider, it is unique.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NoCredential(_) => "no_credential",
            Self::OtherPath => "other_path",
            Self::Installations => "installations",
            Self::UrlKey => "url_key",
            Self::Webhooks(_) => "webhooks",
            Self::Order(_) => "order",
            Self::Timeline(_) => "timeline",
            Self::Records(_) => "records",
            Self::CleanUp => "clean_up",
        }
    }

    /// Whose function it is about.
    pub(super) const fn provider(self) -> Option<Provider> {
        match self {
            Self::NoCredential(provider)
            | Self::Webhooks(provider)
            | Self::Order(provider)
            | Self::Timeline(provider)
            | Self::Records(provider) => Some(provider),
            Self::UrlKey => Some(Provider::Armada),
            Self::OtherPath | Self::Installations | Self::CleanUp => None,
        }
    }

    /// What is true when it is passed.
    pub(super) const fn claim(self) -> &'static str {
        match self {
            Self::NoCredential(_) => "a webhook without a credential gets 401 and is not stored",
            Self::OtherPath => "another path gets the gateway's 404",
            Self::Installations => "two temporary installations are registered",
            Self::UrlKey => "a webhook without the URL's key gets 401 and is not stored",
            Self::Webhooks(_) => {
                "webhooks are accepted, the last first, and a repeat is a duplicate"
            }
            Self::Order(_) => "the order stands where it must",
            Self::Timeline(_) => "its timeline has each event once, in the order of their time",
            Self::Records(_) => "its records are applied",
            Self::CleanUp => "nothing of it is left",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.provider() {
            Some(provider) => write!(f, "{} of {provider}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// Why a check did not come to its end as it should.
#[derive(Debug)]
pub(super) enum Ended {
    /// Something is not as it must be.
    Wrong(Wrong),
    /// Somebody stopped the command.
    Interrupted,
}

impl From<Wrong> for Ended {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<PortError> for Ended {
    fn from(error: PortError) -> Self {
        Self::Wrong(error.into())
    }
}

/// What is not as it must be. Nothing in it is secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    /// A webhook was answered otherwise. Why there was no answer is told without the URL, whose key is a secret.
    #[error("expected {expected}, got {answered}{}", why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Answer {
        expected: Answered,
        answered: Answered,
        why: Option<String>,
    },
    /// A webhook was refused and stored all the same.
    #[error("it was answered 401, and is stored all the same")]
    Stored,
    /// A table refused what the operator asked for.
    #[error("{}", .0.with_causes())]
    Table(#[from] PortError),
    /// Somebody has the same random credential.
    #[error("its credential is registered already")]
    Exists,
    /// Not all events are in the order's state, and the time is over.
    #[error("after {seconds} s: expected {expected}, found {}", or_nothing(.found.as_ref()))]
    Early {
        seconds: u64,
        expected: Outcome,
        found: Option<Outcome>,
    },
    /// All events are, and it says something else.
    #[error(
        "expected {expected}, found {found}{}",
        another_driver(expected, found)
    )]
    Another { expected: Outcome, found: Outcome },
    /// The timeline is not the one that was sent.
    #[error("expected {expected} events, found {found}, of which {known} are among those that were sent{}", if *.in_order { "" } else { ", in another order" })]
    Timeline {
        expected: usize,
        found: usize,
        known: usize,
        in_order: bool,
    },
    /// A record is not applied, and the time is over.
    #[error("{count} of {of} records: {state}")]
    Record {
        count: usize,
        of: usize,
        state: NotApplied,
    },
    /// Something could not be removed.
    #[error("{0} thing(s) could not be removed")]
    Left(usize),
}

/// What a record is instead of applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NotApplied {
    Pending,
    /// Set aside, because this version cannot read it.
    NotUnderstood,
    Parked,
    /// There is none under its key, or it is damaged or dismissed.
    NotThere,
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::NotUnderstood => "unmapped or quarantined",
            Self::Parked => "parked",
            Self::NotThere => "not there under the key that they must have",
        })
    }
}

/// What is probably the matter, and where the runbook speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) likely: &'static str,
    pub(super) entry: Option<Entry>,
}

/// An entry of docs/operations.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Entry {
    R1,
    R2,
    R3,
    R4,
    R5,
    R7,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

const TAKES_IT_FROM_ANYBODY: &str = "this version takes in what it must refuse: go back";
const OTHER_VERSION: &str =
    "this version does something else than this hookctl knows: is it built from the same commit?";

impl Wrong {
    pub(super) fn advice(&self) -> Advice {
        let advice = |likely, entry| Advice {
            likely,
            entry: Some(entry),
        };
        match self {
            Self::Answer {
                expected, answered, ..
            } => of_answer(*expected, *answered),
            Self::Stored => advice(TAKES_IT_FROM_ANYBODY, Entry::R1),
            Self::Table(_) => Advice {
                likely: "your own permissions, or DynamoDB: `hookctl smoke --help` says what an operator needs",
                entry: None,
            },
            Self::Exists => Advice {
                likely: "this machine's random numbers are none",
                entry: None,
            },
            Self::Early { .. } => advice(
                "order-consumer does not run, fails, or has too much to do",
                Entry::R5,
            ),
            Self::Another { .. } | Self::Timeline { .. } => advice(OTHER_VERSION, Entry::R1),
            Self::Record { state, .. } => match state {
                NotApplied::Pending => {
                    advice("order-consumer does not close what it applied", Entry::R5)
                }
                NotApplied::NotUnderstood => {
                    advice("this version does not understand the webhook", Entry::R4)
                }
                NotApplied::Parked => advice("the relay has given it up", Entry::R7),
                NotApplied::NotThere => advice(OTHER_VERSION, Entry::R1),
            },
            Self::Left(_) => Advice {
                likely: "what is named below, with the commands that remove it",
                entry: None,
            },
        }
    }
}

const fn of_answer(expected: Answered, answered: Answered) -> Advice {
    let (likely, entry) = match answered {
        Answered::Accepted | Answered::Duplicate | Answered::Ignored => match expected {
            Answered::Refused | Answered::Other(_) => (TAKES_IT_FROM_ANYBODY, Entry::R1),
            Answered::Accepted
            | Answered::Duplicate
            | Answered::Ignored
            | Answered::Unreadable
            | Answered::Throttled
            | Answered::Unavailable
            | Answered::Nothing => (OTHER_VERSION, Entry::R1),
        },
        Answered::Unreadable => (OTHER_VERSION, Entry::R4),
        Answered::Refused => (
            "the function does not find the new installation, or not its URL key",
            Entry::R3,
        ),
        Answered::Throttled => ("the route is at its limit", Entry::R2),
        Answered::Unavailable => (
            "the function fails, or reaches neither table nor queue",
            Entry::R1,
        ),
        Answered::Other(403) => (
            "source addresses are enforced, and this machine's is not listed: run it from one that is",
            Entry::R3,
        ),
        Answered::Other(_) => (
            "the route does not lead to its function: did the deployment come to its end?",
            Entry::R1,
        ),
        Answered::Nothing => ("the API is not reached from here", Entry::R1),
    };
    Advice {
        likely,
        entry: Some(entry),
    }
}

fn or_nothing(outcome: Option<&Outcome>) -> String {
    outcome.map_or_else(|| "no order".to_owned(), Outcome::to_string)
}

/// The name itself is nobody's business.
fn another_driver(expected: &Outcome, found: &Outcome) -> &'static str {
    if expected.driver == found.driver {
        ""
    } else {
        ", another driver"
    }
}

/// Why something was left.
pub(super) fn why_left(result: Result<u64, EraseError>) -> Option<String> {
    match result {
        Ok(0) => None,
        Ok(_) => Some("its events are not applied yet".to_owned()),
        Err(error) => Some(crate::with_causes(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_that_is_named_is_in_the_runbook() {
        let page = crate::repository_root().unwrap().join("docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();

        for entry in [
            Entry::R1,
            Entry::R2,
            Entry::R3,
            Entry::R4,
            Entry::R5,
            Entry::R7,
        ] {
            assert!(page.contains(&format!("\n### {entry} ")), "{entry}");
        }
    }

    #[test]
    fn a_wrong_answer_leads_to_the_entry_that_speaks_of_it() {
        use Answered::{
            Accepted, Duplicate, Ignored, Nothing, Other, Refused, Throttled, Unavailable,
            Unreadable,
        };
        for (expected, answered, entry) in [
            (Accepted, Duplicate, Entry::R1),
            (Duplicate, Accepted, Entry::R1),
            (Ignored, Accepted, Entry::R1),
            (Accepted, Unreadable, Entry::R4),
            (Accepted, Refused, Entry::R3),
            (Accepted, Throttled, Entry::R2),
            (Accepted, Unavailable, Entry::R1),
            (Refused, Other(403), Entry::R3),
            (Refused, Other(404), Entry::R1),
            (Refused, Nothing, Entry::R1),
        ] {
            let advice = of_answer(expected, answered);
            assert_eq!(advice.entry, Some(entry), "{expected}: {answered}");
        }
        for (expected, answered) in [
            (Refused, Accepted),
            (Refused, Ignored),
            (Other(404), Accepted),
        ] {
            let advice = of_answer(expected, answered);
            assert_eq!(
                advice.likely, TAKES_IT_FROM_ANYBODY,
                "{expected}: {answered}"
            );
        }
    }
}
