//! The record of a webhook: dedupe, audit and outbox in one item.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Authenticated, BodyError, BodySha256, CompanyId, CompressedBody, EpochMillis, MerchantId,
    Millis, Provider, Reading, RequestId, WebhookKey,
};

/// Over how many keys of the sparse index `pending` the records spread: 32 keys take 16,000 webhooks a second.
pub const PENDING_SHARDS: u8 = 32;
/// How long the relay waits after it sent a record for the first time; twice as long after each further time.
pub const FIRST_RELAY_DELAY: Millis = Millis::from_seconds(360);
/// How often the relay sends a record, over some 13 hours, before it parks the record.
pub const MAX_FORWARD_ATTEMPTS: u32 = 8;
/// How long after its receipt a record counts as overdue. Not less than the queue's visibility timeout, so
/// that the queue's own first redelivery is not doubled.
const FIRST_DUE_AFTER: Millis = Millis::from_seconds(180);

/// One key of the sparse index `pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingShard(u8);

impl PendingShard {
    /// The shard that a number falls into.
    pub const fn of(number: u8) -> Self {
        Self(number % PENDING_SHARDS)
    }

    /// Every shard once, beginning with this one.
    pub fn and_all_others(self) -> impl Iterator<Item = Self> {
        (0..PENDING_SHARDS).map(move |step| Self::of(self.0 + step))
    }
}

impl fmt::Display for PendingShard {
    /// `00` to `31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// What has become of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Its event is on the way to the order's timeline.
    Pending,
    /// Its event is in the timeline and the order's state says so.
    Applied,
    /// Readable, meaning unknown.
    Unmapped,
    /// Authentic but unreadable, or beyond a bound.
    Quarantined,
    /// Relayed too often; a person must look.
    Parked,
    /// A person decided that it is not needed, and said why.
    Dismissed,
}

impl RecordState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Applied,
        Self::Unmapped,
        Self::Quarantined,
        Self::Parked,
        Self::Dismissed,
    ];

    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Unmapped => "unmapped",
            Self::Quarantined => "quarantined",
            Self::Parked => "parked",
            Self::Dismissed => "dismissed",
        }
    }

    /// Reads the word in the table.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Most characters of a [`DismissalReason`].
const MAX_REASON_CHARS: usize = 200;

/// Why a person decided that a webhook is not needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DismissalReason(String);

/// The text is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DismissalReasonError {
    /// Nothing is left after trimming blanks.
    #[error("the reason is empty: say why the webhook is not needed")]
    Empty,
    /// It has more characters than the table should hold.
    #[error("the reason is longer than {MAX_REASON_CHARS} characters")]
    TooLong,
    /// It would spoil a list.
    #[error("the reason has a control character, for example a line break")]
    ControlCharacter,
}

impl DismissalReason {
    /// Parses a reason: blanks around it are dropped, 1 to 200 characters on one line remain.
    ///
    /// # Errors
    /// [`DismissalReasonError`].
    pub fn parse(text: &str) -> Result<Self, DismissalReasonError> {
        let text = text.trim();
        if text.is_empty() {
            Err(DismissalReasonError::Empty)
        } else if text.chars().count() > MAX_REASON_CHARS {
            Err(DismissalReasonError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(DismissalReasonError::ControlCharacter)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for DismissalReason {
    type Err = DismissalReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A webhook as recorded: what is needed to read it again with any later mapping. It never changes;
/// what has become of it is a [`RecordState`] beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookRecord {
    /// The dedupe key.
    pub webhook_pk: WebhookKey,
    /// Who sent it.
    pub provider: Provider,
    /// Whose orders it speaks of.
    pub merchant_id: MerchantId,
    /// The company its body must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_id: Option<CompanyId>,
    /// When it was received.
    pub received_at_ms: EpochMillis,
    /// The headers that matter for reading it, by lower-case name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Its body, deflated; base64 in a queue message.
    pub body: CompressedBody,
    /// The digest of the body as received.
    pub body_sha256: BodySha256,
    /// Drawn for the handler call that received it.
    pub request_id: RequestId,
}

impl WebhookRecord {
    /// The record of `webhook`, received by the handler call `request_id`, under the key of its reading.
    pub fn new(webhook: &Authenticated, reading: &Reading, request_id: RequestId) -> Self {
        Self {
            webhook_pk: reading.key.clone(),
            provider: webhook.provider(),
            merchant_id: webhook.merchant_id().clone(),
            company_id: webhook.company_id().cloned(),
            received_at_ms: webhook.received_at_ms(),
            headers: webhook.headers().clone(),
            body: CompressedBody::deflate(webhook.body()),
            body_sha256: webhook.body_sha256().clone(),
            request_id,
        }
    }

    /// The webhook it was made from, to be read again with today's mapping.
    ///
    /// # Errors
    /// When its body cannot be restored.
    pub fn webhook(&self) -> Result<Authenticated, BodyError> {
        let body = self.body.inflate()?;
        let webhook = Authenticated::new(
            self.provider,
            self.merchant_id.clone(),
            self.company_id.clone(),
            self.headers.clone(),
            body,
            self.received_at_ms,
        );
        if *webhook.body_sha256() == self.body_sha256 {
            Ok(webhook)
        } else {
            Err(BodyError::OtherDigest)
        }
    }

    /// Where the sparse index `pending` lists it: spread evenly, by the body's digest.
    pub fn pending_shard(&self) -> PendingShard {
        let first_byte = self
            .body_sha256
            .as_str()
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        PendingShard::of(first_byte.unwrap_or_default())
    }

    /// When a relay may first send it again.
    pub fn first_due_at_ms(&self) -> EpochMillis {
        self.received_at_ms + FIRST_DUE_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_over_the_shards_meets_each_of_them_once() {
        for first in [0, 7, 31, 255] {
            let mut met: Vec<_> = PendingShard::of(first).and_all_others().collect();
            assert_eq!(met.first(), Some(&PendingShard::of(first)));
            met.sort_unstable();
            met.dedup();
            assert_eq!(met.len(), usize::from(PENDING_SHARDS));
        }
        assert_eq!(PendingShard::of(7).to_string(), "07");
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let longest = "ö".repeat(MAX_REASON_CHARS);

        assert_eq!(
            DismissalReason::parse(" test order ").unwrap().as_str(),
            "test order"
        );
        assert!(DismissalReason::parse(&longest).is_ok());
        for (text, error) in [
            ("  ".to_owned(), DismissalReasonError::Empty),
            (format!("{longest}x"), DismissalReasonError::TooLong),
            ("a\nb".to_owned(), DismissalReasonError::ControlCharacter),
        ] {
            assert_eq!(DismissalReason::parse(&text), Err(error));
        }
    }
}
