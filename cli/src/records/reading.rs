//! What today's mapping makes of a record, and what a replay would do to its order.

use std::fmt;

use aws::{OrdersTable, StoredWebhook};
use domain::{
    Authenticated, Interpretation, MAX_EVENTS_PER_ORDER, Meaning, OrderEvent, OrderKey,
    Orders as _, PortError, RecordState, Status, Timeline, TimelineEntry, WebhookKey,
    WebhookRecord, fold,
};
use providers::adapter;
use serde::Serialize;

use super::view::printable;
use crate::moment;

/// Most characters that are shown of a word that nobody knows: it may be anything.
const MAX_WORD_CHARS: usize = 64;

/// A record, read anew.
pub(crate) enum Understood<'a> {
    /// It says something about an order.
    Event {
        record: &'a WebhookRecord,
        event: Box<OrderEvent>,
    },
    /// It says nothing that is applied.
    NoEvent {
        record: &'a WebhookRecord,
        as_what: &'static str,
        why: &'static str,
        /// What the provider said and today's mapping does not know.
        unknown_word: Option<String>,
    },
    /// It cannot be read again.
    Damaged(String),
}

/// The webhook in a record, as it was when it was authenticated.
pub(crate) fn restored(stored: &StoredWebhook) -> Result<(&WebhookRecord, Authenticated), String> {
    let record = stored
        .record
        .as_ref()
        .ok_or("a part of the record is missing or unreadable")?;
    let webhook = record.webhook().map_err(|error| error.to_string())?;
    Ok((record, webhook))
}

/// Reads a record with today's mapping.
pub(crate) fn understand(stored: &StoredWebhook) -> Understood<'_> {
    let (record, webhook) = match restored(stored) {
        Ok(restored) => restored,
        Err(why) => return Understood::Damaged(why),
    };
    let no_event = |as_what, why, unknown_word| Understood::NoEvent {
        record,
        as_what,
        why,
        unknown_word,
    };
    match adapter(record.provider).read(&webhook).interpretation {
        Interpretation::Event(event) => Understood::Event { record, event },
        Interpretation::Unmapped(why) => {
            let as_what = RecordState::Unmapped.as_str();
            no_event(as_what, why.as_str(), why.unknown_word().map(str::to_owned))
        }
        Interpretation::Quarantined(why) => {
            no_event(RecordState::Quarantined.as_str(), why.as_str(), None)
        }
        Interpretation::Ignored(why) => no_event("ignored", why.as_str(), None),
    }
}

/// What is shown of a reading.
#[derive(Debug, Serialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub(crate) enum ReadingView {
    Event {
        order: String,
        occurred_at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_event: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_status: Option<String>,
        /// The status that it reports; a proof of delivery reports none.
        status: Option<Status>,
    },
    NoEvent {
        would_be: &'static str,
        why: &'static str,
        /// What the provider said and today's mapping does not know.
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown_word: Option<String>,
    },
    Damaged {
        why: String,
    },
}

impl From<&Understood<'_>> for ReadingView {
    fn from(understood: &Understood<'_>) -> Self {
        match understood {
            Understood::Event { event, .. } => Self::Event {
                order: event.order_key().to_string(),
                occurred_at: moment::show(event.occurred_at_ms),
                provider_event: event.word.event.clone(),
                provider_status: event.word.status.clone(),
                status: match adapter(event.provider).meaning(&event.word) {
                    Meaning::Reached(step) => Some(step.status),
                    Meaning::ProofOfDelivery | Meaning::Unknown => None,
                },
            },
            Understood::NoEvent {
                as_what,
                why,
                unknown_word,
                ..
            } => Self::NoEvent {
                would_be: as_what,
                why,
                unknown_word: unknown_word.as_deref().map(beginning),
            },
            Understood::Damaged(why) => Self::Damaged { why: why.clone() },
        }
    }
}

impl fmt::Display for ReadingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { order, status, .. } => {
                let status = status.map_or("proof of delivery", Status::as_str);
                write!(f, "event of {order}: {status}")
            }
            Self::NoEvent {
                would_be,
                why,
                unknown_word,
            } => {
                write!(f, "{would_be}: {why}")?;
                match unknown_word {
                    Some(word) => write!(f, " `{}`", printable(word)),
                    None => Ok(()),
                }
            }
            Self::Damaged { why } => write!(f, "damaged: {why}"),
        }
    }
}

fn beginning(word: &str) -> String {
    match word.char_indices().nth(MAX_WORD_CHARS) {
        Some((end, _)) => format!("{}…", word.get(..end).unwrap_or_default()),
        None => word.to_owned(),
    }
}

/// What applying an event would do to its order, as it is stored now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Effect {
    /// Whether the timeline has the event already, and a replay adds nothing to it.
    pub(crate) in_timeline: bool,
    /// Whether the order has more events than are folded, so that its state stands still.
    pub(crate) order_stands_still: bool,
    /// Whether another state would be saved than the one that is stored.
    pub(crate) state_changes: bool,
    pub(crate) status_before: Option<Status>,
    pub(crate) status_after: Option<Status>,
}

impl Effect {
    /// Reads the order and folds it with the event. Nothing is written.
    pub(crate) async fn foreseen(
        orders: &OrdersTable,
        event: &OrderEvent,
        key: &WebhookKey,
    ) -> Result<Self, PortError> {
        let order = event.order_key();
        let timeline = orders.read(&order).await?;
        let entry = TimelineEntry::new(event.clone(), key.clone());
        Ok(Self::of(&order, timeline, entry))
    }

    fn of(order: &OrderKey, timeline: Timeline, entry: TimelineEntry) -> Self {
        let Timeline {
            state, mut entries, ..
        } = timeline;
        let sort_key = entry.sort_key(order.provider);
        let is_it = |it: &TimelineEntry| it.sort_key(order.provider) == sort_key;
        let in_timeline = entries.iter().any(is_it);
        if !in_timeline {
            entries.push(entry);
        }
        let status_before = state.as_ref().and_then(|state| state.status);
        if entries.len() > MAX_EVENTS_PER_ORDER {
            return Self {
                in_timeline,
                order_stands_still: true,
                state_changes: false,
                status_before,
                status_after: status_before,
            };
        }
        let folded = fold(adapter(order.provider), entries).state;
        Self {
            in_timeline,
            order_stands_still: false,
            state_changes: state.as_ref() != Some(&folded),
            status_before,
            status_after: folded.status,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.order_stands_still {
            return write!(
                f,
                "the order has more than {MAX_EVENTS_PER_ORDER} events and stands still"
            );
        }
        let known = if self.in_timeline {
            "in the timeline already"
        } else {
            "new in the timeline"
        };
        let word = |status: Option<Status>| status.map_or("no status", Status::as_str);
        let (before, after) = (word(self.status_before), word(self.status_after));
        write!(f, "{known}, the order ")?;
        if before != after {
            write!(f, "goes {before} -> {after}")
        } else if self.in_timeline && self.state_changes {
            write!(f, "stays {after}, its details are put right")
        } else {
            write!(f, "stays {after}")
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use domain::{CompressedBody, EpochMillis, MerchantId, Provider, RequestId, Sha256Hex};

    use super::*;

    /// An Armada record that says that the order A1 reached a status.
    pub(in crate::records) fn stored(
        state: RecordState,
        status: &str,
        minute: u64,
    ) -> StoredWebhook {
        let key = format!("armada#shop-1#order.updated#wh_{minute}");
        let body = format!(r#"{{"code":"A1","status":"{status}","customer_name":"Amina"}}"#);
        let headers = [
            ("x-armada-webhook-topic", "order.updated".to_owned()),
            ("x-armada-webhook-id", format!("wh_{minute}")),
            (
                "x-armada-timestamp",
                format!("2026-01-07T20:{minute:02}:00.000Z"),
            ),
        ];
        let record = WebhookRecord {
            webhook_pk: WebhookKey::parse(&key).unwrap(),
            provider: Provider::Armada,
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            company_id: None,
            received_at_ms: EpochMillis::new(1_767_820_000_120),
            headers: BTreeMap::from(headers.map(|(name, value)| (name.to_owned(), value))),
            body: CompressedBody::deflate(body.as_bytes()),
            body_sha256: Sha256Hex::of(body.as_bytes()),
            request_id: RequestId::parse("request-1").unwrap(),
        };
        StoredWebhook {
            pk: key,
            state: Some(state),
            merchant_id: Some(record.merchant_id.clone()),
            order: OrderKey::parse("shop-1#armada#A1").ok(),
            received_at_ms: Some(record.received_at_ms),
            due_at_ms: None,
            forward_attempts: Some(0),
            expires_at: None,
            close_reason: None,
            body_sha256: Some(record.body_sha256.clone()),
            record: Some(record),
        }
    }

    fn said(stored: &StoredWebhook) -> String {
        ReadingView::from(&understand(stored)).to_string()
    }

    fn entry(stored: &StoredWebhook) -> (OrderKey, TimelineEntry) {
        match understand(stored) {
            Understood::Event { record, event } => (
                event.order_key(),
                TimelineEntry::new(*event, record.webhook_pk.clone()),
            ),
            Understood::NoEvent { .. } | Understood::Damaged(_) => panic!("it is an event"),
        }
    }

    /// The order as it is after these webhooks.
    fn timeline(webhooks: &[StoredWebhook]) -> Timeline {
        let entries: Vec<_> = webhooks.iter().map(|it| entry(it).1).collect();
        Timeline {
            state: Some(fold(adapter(Provider::Armada), entries.clone()).state),
            revision: 1,
            entries,
        }
    }

    fn foreseen(stored: &StoredWebhook, timeline: Timeline) -> String {
        let (order, entry) = entry(stored);
        Effect::of(&order, timeline, entry).to_string()
    }

    #[test]
    fn a_record_is_read_with_todays_mapping_whatever_its_state_says() {
        for state in RecordState::ALL {
            assert_eq!(
                said(&stored(state, "completed", 1)),
                "event of shop-1#armada#A1: delivered"
            );
        }
        assert_eq!(
            said(&stored(RecordState::Pending, "teleported", 1)),
            "unmapped: unknown_status `teleported`"
        );
    }

    #[test]
    fn an_unknown_word_is_shown_as_far_as_a_word_goes_and_acts_on_no_terminal() {
        let long = "x".repeat(MAX_WORD_CHARS);
        for (status, shown) in [
            (long.clone(), long.clone()),
            (format!("{long}y"), format!("{long}…")),
            ("\\u001b[2J".to_owned(), "\\u{1b}[2J".to_owned()),
        ] {
            let said = said(&stored(RecordState::Unmapped, &status, 1));
            assert_eq!(said, format!("unmapped: unknown_status `{shown}`"));
        }
    }

    #[test]
    fn a_damaged_record_is_called_damaged() {
        let whole = stored(RecordState::Unmapped, "completed", 1);
        let without_record = StoredWebhook {
            record: None,
            ..whole.clone()
        };
        let with_body = |body| {
            let mut damaged = whole.clone();
            damaged.record.as_mut().unwrap().body = body;
            damaged
        };
        for (damaged, why) in [
            (
                without_record,
                "damaged: a part of the record is missing or unreadable",
            ),
            (
                with_body(CompressedBody::from_stored(vec![0xff])),
                "damaged: the stored body cannot be inflated",
            ),
            (
                with_body(CompressedBody::deflate(b"{}")),
                "damaged: the stored body has another digest than its record",
            ),
        ] {
            assert_eq!(said(&damaged), why);
        }
    }

    #[test]
    fn what_a_replay_would_do_is_foreseen() {
        let pending = stored(RecordState::Applied, "pending", 1);
        let delivered = stored(RecordState::Unmapped, "completed", 5);
        let late = stored(RecordState::Unmapped, "en_route", 9);
        let both = [pending.clone(), delivered.clone()];

        assert_eq!(
            foreseen(&delivered, Timeline::default()),
            "new in the timeline, the order goes no status -> delivered"
        );
        assert_eq!(
            foreseen(&delivered, timeline(std::slice::from_ref(&pending))),
            "new in the timeline, the order goes pending -> delivered"
        );
        assert_eq!(
            foreseen(&delivered, timeline(&both)),
            "in the timeline already, the order stays delivered"
        );
        assert_eq!(
            foreseen(&late, timeline(&both)),
            "new in the timeline, the order stays delivered"
        );
        let mut wrong = timeline(&both);
        wrong.state.as_mut().unwrap().status = Some(Status::Failed);
        assert_eq!(
            foreseen(&delivered, wrong),
            "in the timeline already, the order goes failed -> delivered"
        );
        let mut wrong = timeline(&both);
        wrong.state.as_mut().unwrap().corrected = true;
        assert_eq!(
            foreseen(&delivered, wrong),
            "in the timeline already, the order stays delivered, its details are put right"
        );
    }

    #[test]
    fn an_order_beyond_the_bound_stands_still_whatever_is_replayed() {
        let template = entry(&stored(RecordState::Applied, "pending", 1)).1;
        let full = |events: usize| Timeline {
            entries: (0..events)
                .map(|n| TimelineEntry {
                    occurred_at_ms: EpochMillis::new(1_600_000_000_000 + u64::try_from(n).unwrap()),
                    ..template.clone()
                })
                .collect(),
            ..Timeline::default()
        };
        let replayed = stored(RecordState::Quarantined, "completed", 5);
        let stands_still = "the order has more than 500 events and stands still";

        assert_eq!(
            foreseen(&replayed, full(MAX_EVENTS_PER_ORDER)),
            stands_still
        );
        assert_eq!(
            foreseen(&replayed, full(MAX_EVENTS_PER_ORDER - 1)),
            "new in the timeline, the order goes no status -> delivered"
        );
    }
}
