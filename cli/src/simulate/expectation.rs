//! What must come of what is sent, and whether it did.

use std::fmt;

use domain::{OrderState, Status, StatusReason};
use serde::Serialize;

/// What a webhook must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// 200, `accepted` or `duplicate`. Which of the two depends on what came before: on which of two twins is faster,
    /// on an answer that was lost, and on an earlier run with the same seed.
    Stored,
    /// 200, `ignored`.
    Ignored,
    /// 400: authentic, and not to be read.
    Unreadable,
    /// 401: not authentic.
    Refused,
}

impl Expected {
    /// Whether this answer is the right one.
    pub fn is_met_by(self, answer: Answered) -> bool {
        match self {
            Self::Stored => matches!(answer, Answered::Accepted | Answered::Duplicate),
            Self::Ignored => answer == Answered::Ignored,
            Self::Unreadable => answer == Answered::Unreadable,
            Self::Refused => answer == Answered::Refused,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "200 accepted or duplicate",
            Self::Ignored => "200 ignored",
            Self::Unreadable => "400",
            Self::Refused => "401",
        })
    }
}

/// What a webhook was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answered {
    /// 200 `accepted`.
    Accepted,
    /// 200 `duplicate`.
    Duplicate,
    /// 200 `ignored`.
    Ignored,
    /// 400.
    Unreadable,
    /// 401.
    Refused,
    /// 429: over the route's rate.
    Throttled,
    /// 5xx.
    Unavailable,
    /// Anything else.
    Other(u16),
    /// Nothing at all.
    Nothing,
}

impl Answered {
    /// What an HTTP answer says.
    pub fn new(status: u16, body: &str) -> Self {
        match (status, word(body).as_deref()) {
            (200, Some("accepted")) => Self::Accepted,
            (200, Some("duplicate")) => Self::Duplicate,
            (200, Some("ignored")) => Self::Ignored,
            (400, _) => Self::Unreadable,
            (401, _) => Self::Refused,
            (429, _) => Self::Throttled,
            (500..=599, _) => Self::Unavailable,
            (other, _) => Self::Other(other),
        }
    }

    /// Whether a provider would send the webhook again.
    pub const fn asks_for_a_retry(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable | Self::Nothing => true,
            Self::Accepted
            | Self::Duplicate
            | Self::Ignored
            | Self::Unreadable
            | Self::Refused
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("200 accepted"),
            Self::Duplicate => f.write_str("200 duplicate"),
            Self::Ignored => f.write_str("200 ignored"),
            Self::Unreadable => f.write_str("400"),
            Self::Refused => f.write_str("401"),
            Self::Throttled => f.write_str("429"),
            Self::Unavailable => f.write_str("5xx"),
            Self::Other(status) => write!(f, "{status}"),
            Self::Nothing => f.write_str("no answer"),
        }
    }
}

/// The word of a success: `{"status": "<word>"}`.
fn word(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body.get("status")?.as_str()?.to_owned())
}

/// Where an order stands, as far as a plan can know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its status.
    pub status: Option<Status>,
    /// Why it failed or was canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// How many events its timeline has.
    pub events: usize,
    /// The name of who drives, which is compared and never shown.
    #[serde(skip)]
    pub driver: Option<String>,
}

impl Outcome {
    /// What a state says.
    pub fn of(state: &OrderState) -> Self {
        let driver = state.details.driver.as_ref();
        Self {
            status: state.status,
            reason: state.status_reason,
            events: state.event_count,
            driver: driver.and_then(|driver| driver.name.clone()),
        }
    }

    /// Whether a state says just this.
    pub fn is_met_by(&self, state: &OrderState) -> bool {
        Self::of(state) == *self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.map_or("no status", Status::as_str))?;
        if let Some(reason) = self.reason {
            write!(f, " ({})", reason.as_str())?;
        }
        write!(f, " from {} event(s)", self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_status_and_its_word() {
        for (status, body, answered) in [
            (200, r#"{"status":"accepted"}"#, Answered::Accepted),
            (200, r#"{"status":"duplicate"}"#, Answered::Duplicate),
            (200, r#"{"status":"ignored"}"#, Answered::Ignored),
            (200, "ok", Answered::Other(200)),
            (202, r#"{"status":"accepted"}"#, Answered::Other(202)),
            (400, r#"{"status":400}"#, Answered::Unreadable),
            (401, "", Answered::Refused),
            (404, "", Answered::Other(404)),
            (429, "", Answered::Throttled),
            (503, "", Answered::Unavailable),
        ] {
            assert_eq!(Answered::new(status, body), answered, "{status} {body}");
        }
    }

    #[test]
    fn only_what_was_planned_meets_the_plan() {
        use Answered::{Accepted, Duplicate, Ignored, Nothing, Refused, Unavailable, Unreadable};
        let all = [
            Accepted,
            Duplicate,
            Ignored,
            Unreadable,
            Refused,
            Unavailable,
            Nothing,
        ];
        for (expected, right) in [
            (Expected::Stored, &[Accepted, Duplicate][..]),
            (Expected::Ignored, &[Ignored]),
            (Expected::Unreadable, &[Unreadable]),
            (Expected::Refused, &[Refused]),
        ] {
            for answered in all {
                let is_right = right.contains(&answered);
                assert_eq!(
                    expected.is_met_by(answered),
                    is_right,
                    "{expected}: {answered}"
                );
            }
        }
    }
}
