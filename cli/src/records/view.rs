//! What is shown of records.

use std::collections::BTreeMap;
use std::fmt;

use aws::StoredWebhook;
use domain::{RecordState, short_digest};
use serde::Serialize;

use super::reading::{Effect, ReadingView, restored, understand};
use crate::emphasis;
use crate::moment;
use crate::order::PersonalData;
use crate::table;

/// What is shown of a record in a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) key: String,
    /// What log lines call it.
    digest: String,
    /// Absent in a damaged record.
    state: Option<&'static str>,
    merchant_id: Option<String>,
    pub(super) order: Option<String>,
    pub(super) received_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    forward_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_reason: Option<String>,
}

impl From<&StoredWebhook> for Summary {
    fn from(stored: &StoredWebhook) -> Self {
        Self {
            key: stored.pk.clone(),
            digest: short_digest(&stored.pk),
            state: stored.state.map(RecordState::as_str),
            merchant_id: stored.merchant_id.as_ref().map(ToString::to_string),
            order: stored.order.as_ref().map(ToString::to_string),
            received_at: stored.received_at_ms.map(moment::show),
            due_at: stored.due_at_ms.map(moment::show),
            forward_attempts: stored.forward_attempts,
            expires_at: stored.expires_at.map(moment::show),
            close_reason: stored.close_reason.clone(),
        }
    }
}

impl Summary {
    fn known_state(&self) -> Option<RecordState> {
        self.state.and_then(RecordState::parse)
    }

    /// Its state in a column, marked if it needs a person.
    pub(super) fn state_cell(&self) -> String {
        emphasis::state_cell(self.known_state())
    }
}

/// A line of a list. Its columns have fixed widths, because lines are written while the table is read.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    webhook: Summary,
}

impl Listed {
    pub(crate) fn new(stored: &StoredWebhook) -> Self {
        Self {
            webhook: stored.into(),
        }
    }

    pub(crate) fn heading() -> String {
        format!(
            "{:<24}  {:<12}  {:<16}  {}",
            "RECEIVED", " STATE", "DIGEST", "KEY, ORDER"
        )
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.webhook;
        write!(
            f,
            "{:<24}  {}  {}  {}",
            it.received_at.as_deref().unwrap_or("-"),
            it.state_cell(),
            it.digest,
            printable(&it.key)
        )?;
        match &it.order {
            Some(order) => write!(f, "  {order}"),
            None => Ok(()),
        }
    }
}

/// A record with everything that is known about it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    webhook: Summary,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    body_sha256: Option<String>,
    /// As it was received; absent when it cannot be restored.
    body_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    reading: ReadingView,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Effect>,
}

impl Shown {
    pub(crate) fn new(
        stored: &StoredWebhook,
        replay: Option<Effect>,
        personal_data: PersonalData,
    ) -> Self {
        let record = stored.record.as_ref();
        let webhook = restored(stored).ok().map(|(_, webhook)| webhook);
        let body = webhook.as_ref().map(|webhook| webhook.body());
        Self {
            webhook: stored.into(),
            headers: record.map(|it| it.headers.clone()).unwrap_or_default(),
            company_id: record.and_then(|it| Some(it.company_id.as_ref()?.to_string())),
            request_id: record.map(|it| it.request_id.to_string()),
            body_sha256: stored.body_sha256.as_ref().map(ToString::to_string),
            body_bytes: body.map(<[u8]>::len),
            body: match personal_data {
                PersonalData::Shown => body.map(|it| String::from_utf8_lossy(it).into_owned()),
                PersonalData::Masked => None,
            },
            reading: (&understand(stored)).into(),
            replay,
        }
    }

    /// The state that it is in; `None` when that is none of ours.
    pub(crate) fn state(&self) -> Option<RecordState> {
        self.webhook.state.and_then(RecordState::parse)
    }

    /// What is known, by name and value.
    pub(crate) fn facts(&self) -> Vec<[String; 2]> {
        let it = &self.webhook;
        let facts = [
            ("digest", Some(it.digest.clone())),
            ("state", Some(emphasis::state_word(it.known_state()))),
            ("because", it.close_reason.as_deref().map(printable)),
            ("merchant", it.merchant_id.clone()),
            ("order", it.order.clone()),
            ("received", it.received_at.clone()),
            ("due", it.due_at.clone()),
            ("attempts", it.forward_attempts.map(|n| n.to_string())),
            ("expires", it.expires_at.clone()),
            ("company", self.company_id.clone()),
            ("request", self.request_id.clone()),
            (
                "body",
                self.body_bytes.map(|bytes| format!("{bytes} bytes")),
            ),
            ("sha-256", self.body_sha256.clone()),
            ("reads as", Some(self.reading.to_string())),
            ("a replay", self.replay.as_ref().map(ToString::to_string)),
        ];
        let known = facts
            .into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?]));
        known.collect()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Webhook {}\n", printable(&self.webhook.key))?;
        f.write_str(&table::align("  ", &self.facts()))?;
        if !self.headers.is_empty() {
            let headers = self.headers.iter();
            let rows: Vec<_> = headers
                .map(|(name, value)| [printable(name), printable(value)])
                .collect();
            write!(f, "\nHeaders\n\n{}", table::align("  ", &rows))?;
        }
        if let Some(body) = &self.body {
            f.write_str("\nBody\n\n")?;
            for line in body.lines() {
                writeln!(f, "{}", printable(line))?;
            }
        }
        Ok(())
    }
}

/// The text, with what could act on a terminal written out.
pub(crate) fn printable(text: &str) -> String {
    let shown = text.chars().map(|c| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    });
    shown.collect()
}

/// What became of a record that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Replayed,
    WouldReplay,
    Closed,
    WouldClose,
    /// Applied, or closed already.
    NothingToDo,
    /// Today's mapping makes no event of it.
    NoEvent,
    /// It cannot be read again.
    Damaged,
    /// Something happened to it after it was read.
    Changed,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::WouldReplay => "would replay",
            Self::Closed => "closed",
            Self::WouldClose => "would close",
            Self::NothingToDo => "nothing to do",
            Self::NoEvent => "no event",
            Self::Damaged => "damaged",
            Self::Changed => "changed since",
        }
    }

    /// As it is said of a number of them.
    const fn of_many(self) -> &'static str {
        match self {
            Self::WouldReplay => "would be replayed",
            Self::WouldClose => "would be closed",
            Self::Replayed
            | Self::Closed
            | Self::NothingToDo
            | Self::NoEvent
            | Self::Damaged
            | Self::Changed => self.as_str(),
        }
    }

    /// Whether it is what was asked for, or as good.
    pub(crate) const fn is_success(self) -> bool {
        match self {
            Self::Replayed
            | Self::WouldReplay
            | Self::Closed
            | Self::WouldClose
            | Self::NothingToDo => true,
            Self::NoEvent | Self::Damaged | Self::Changed => false,
        }
    }
}

/// A line about a record that was chosen.
#[derive(Debug, Serialize)]
pub(crate) struct Handled {
    webhook: Summary,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<ReadingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Effect>,
}

impl Handled {
    pub(crate) fn new(stored: &StoredWebhook, outcome: Outcome) -> Self {
        Self {
            webhook: stored.into(),
            outcome,
            reading: None,
            replay: None,
        }
    }

    #[must_use]
    pub(crate) fn with_reading(mut self, reading: ReadingView, replay: Option<Effect>) -> Self {
        self.reading = Some(reading);
        self.replay = replay;
        self
    }
}

impl fmt::Display for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<13}  {}  {}",
            self.outcome.as_str(),
            self.webhook.state_cell(),
            printable(&self.webhook.key)
        )?;
        if let Some(reading) = &self.reading {
            write!(f, "\n{:15}{reading}", "")?;
        }
        match &self.replay {
            Some(effect) => write!(f, "; {effect}"),
            None => Ok(()),
        }
    }
}

/// The end of a list.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Total {
    summary: Sum,
}

#[derive(Debug, Default, Serialize)]
struct Sum {
    /// How many records were met.
    records: u64,
    /// What became of them, where something was to become of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outcomes: BTreeMap<Outcome, u64>,
    /// Whether `--limit` ended it, so that there may be more.
    at_limit: bool,
}

impl Total {
    pub(crate) fn count(&mut self, outcome: Option<Outcome>) {
        self.summary.records += 1;
        if let Some(outcome) = outcome {
            *self.summary.outcomes.entry(outcome).or_default() += 1;
        }
    }

    pub(crate) const fn records(&self) -> u64 {
        self.summary.records
    }

    pub(crate) fn failures(&self) -> u64 {
        let failed = self
            .summary
            .outcomes
            .iter()
            .filter(|(it, _)| !it.is_success());
        failed.map(|(_, count)| count).sum()
    }

    pub(crate) fn is_at_limit(&mut self) {
        self.summary.at_limit = true;
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum {
            records,
            outcomes,
            at_limit,
        } = &self.summary;
        write!(f, "{records} webhook(s)")?;
        for (n, (outcome, count)) in outcomes.iter().enumerate() {
            let separator = if n == 0 { ": " } else { ", " };
            write!(f, "{separator}{count} {}", outcome.of_many())?;
        }
        f.write_str(if *at_limit { ", and perhaps more" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use domain::EpochMillis;
    use expect_test::expect;

    use super::super::reading::tests::stored;
    use super::*;

    /// Without its colours.
    fn shown(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_record_is_shown_whole_but_for_what_is_personal() {
        let mut it = stored(RecordState::Dismissed, "completed", 5);
        it.close_reason = Some("test order\u{1b}[2J".to_owned());
        it.expires_at = Some(EpochMillis::new(1_770_000_000_000));
        let masked = Shown::new(&it, None, PersonalData::Masked);

        expect![[r#"
            Webhook armada#shop-1#order.updated#wh_5

              digest    3137dc9e9a74a14c
              state     dismissed
              because   test order\u{1b}[2J
              merchant  shop-1
              order     shop-1#armada#A1
              received  2026-01-07T21:06:40.120Z
              attempts  0
              expires   2026-02-02T02:40:00.000Z
              request   request-1
              body      58 bytes
              sha-256   69c72e2d9425d855b20fd96cf5c5f867f9aa765154c6da103211c5cd08ec1913
              reads as  event of shop-1#armada#A1: delivered

            Headers

              x-armada-timestamp      2026-01-07T20:05:00.000Z
              x-armada-webhook-id     wh_5
              x-armada-webhook-topic  order.updated
        "#]]
        .assert_eq(&masked.to_string());
        let shown = Shown::new(&it, None, PersonalData::Shown);
        let body =
            "\nBody\n\n{\"code\":\"A1\",\"status\":\"completed\",\"customer_name\":\"Amina\"}\n";
        assert!(shown.to_string().ends_with(body), "{shown}");
        assert!(!serde_json::to_string(&masked).unwrap().contains("Amina"));
        assert!(serde_json::to_string(&shown).unwrap().contains("Amina"));
    }

    #[test]
    fn a_list_has_a_line_for_each_record_even_for_a_damaged_one() {
        let whole = stored(RecordState::Unmapped, "completed", 5);
        let damaged = StoredWebhook {
            state: None,
            received_at_ms: None,
            order: None,
            pk: "what\nis this".to_owned(),
            ..whole.clone()
        };
        let lines = [
            Listed::heading(),
            Listed::new(&whole).to_string(),
            Listed::new(&damaged).to_string(),
        ];

        expect![[r#"
            RECEIVED                   STATE        DIGEST            KEY, ORDER
            2026-01-07T21:06:40.120Z  !unmapped     3137dc9e9a74a14c  armada#shop-1#order.updated#wh_5  shop-1#armada#A1
            -                         !damaged      71e818789ea41bf2  what\nis this"#]].assert_eq(&shown(&lines.join("\n")));
    }

    #[test]
    fn what_became_of_a_record_is_said_with_its_reading() {
        let it = stored(RecordState::Unmapped, "completed", 5);
        let effect = Effect {
            in_timeline: false,
            order_stands_still: false,
            state_changes: true,
            status_before: None,
            status_after: Some(domain::Status::Delivered),
        };
        let reading = (&understand(&it)).into();
        let handled = Handled::new(&it, Outcome::WouldReplay).with_reading(reading, Some(effect));

        expect![[r#"
            would replay   !unmapped     armada#shop-1#order.updated#wh_5
                           event of shop-1#armada#A1: delivered; new in the timeline, the order goes no status -> delivered"#]].assert_eq(&shown(&handled.to_string()));
        expect![[r#"{"webhook":{"key":"armada#shop-1#order.updated#wh_5","digest":"3137dc9e9a74a14c","state":"unmapped","merchant_id":"shop-1","order":"shop-1#armada#A1","received_at":"2026-01-07T21:06:40.120Z","forward_attempts":0},"outcome":"would_replay","reading":{"as":"event","order":"shop-1#armada#A1","occurred_at":"2026-01-07T20:05:00.000Z","provider_status":"completed","status":"delivered"},"replay":{"in_timeline":false,"order_stands_still":false,"state_changes":true,"status_before":null,"status_after":"delivered"}}"#]].assert_eq(&serde_json::to_string(&handled).unwrap());
    }

    #[test]
    fn the_total_counts_by_outcome() {
        let mut total = Total::default();
        for outcome in [Outcome::Replayed, Outcome::Damaged, Outcome::Replayed] {
            total.count(Some(outcome));
        }
        total.is_at_limit();

        assert_eq!(
            total.to_string(),
            "3 webhook(s): 2 replayed, 1 damaged, and perhaps more"
        );
        assert_eq!(total.failures(), 1);
        assert_eq!(
            serde_json::to_string(&total).unwrap(),
            r#"{"summary":{"records":3,"outcomes":{"replayed":2,"damaged":1},"at_limit":true}}"#
        );
    }
}
