//! `hookctl order show`: what became of an order.

mod watch;

use std::fmt;

use aws::OrdersTable;
use domain::{
    Decision, Details, Driver, MAX_EVENTS_PER_ORDER, OrderKey, OrderState, Orders as _, PortError,
    Provider, Status, StatusReason, Timeline, TimelineEntry, fold,
};
use serde::Serialize;

use crate::arguments::{Show, StackChoice};
use crate::emphasis;
use crate::moment;
use crate::output::{Output, OutputError};
use crate::stack::{Stack, StackError};
use crate::table;

/// An order could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// No event of it was ever applied or kept.
    #[error("`{merchant}` has no order `{order}` at {provider}: no event of it has been applied")]
    NotFound {
        /// Whose order it should be.
        merchant: String,
        /// Who should carry it.
        provider: Provider,
        /// The provider's id of it.
        order: String,
    },
    /// Somebody pressed Ctrl-C before it was where it should get to.
    #[error("interrupted: the order has not reached `{0}`")]
    NotReached(Status),
    /// Nothing would be told when somebody pressed Ctrl-C.
    #[error("Ctrl-C cannot be watched for")]
    Signal(#[source] std::io::Error),
    /// The table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Whether names and phone numbers of drivers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PersonalData {
    /// In full.
    Shown,
    /// Only as much as tells two drivers apart.
    Masked,
}

impl PersonalData {
    /// As its option says it.
    pub(crate) const fn if_shown(shown: bool) -> Self {
        if shown { Self::Shown } else { Self::Masked }
    }

    /// A state with as much of it as is shown.
    pub(crate) fn of(self, state: OrderState) -> OrderState {
        match self {
            Self::Shown => state,
            Self::Masked => masked(state),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(
    options: Show,
    choice: &StackChoice,
    output: Output,
) -> Result<(), OrderError> {
    let Show {
        merchant,
        provider,
        order,
        personal_data,
        watching,
    } = options;
    let personal_data = PersonalData::if_shown(personal_data);
    let key = OrderKey {
        merchant_id: merchant,
        provider,
        order_id: order,
    };
    let table = Stack::open(choice).await?.tables()?.orders;
    if watching.watch {
        return watch::watch(&table, &key, personal_data, &watching, output).await;
    }
    let view = read(&table, &key, personal_data)
        .await?
        .ok_or_else(|| OrderError::NotFound {
            merchant: key.merchant_id.to_string(),
            provider,
            order: key.order_id.to_string(),
        })?;
    output.result(&view)?;
    if let Some(warning) = view.warning() {
        output.message(warning);
    }
    Ok(())
}

/// An order as it is stored, with the reason for its state; `None` when nothing is stored of it.
pub(crate) async fn read(
    table: &OrdersTable,
    key: &OrderKey,
    personal_data: PersonalData,
) -> Result<Option<OrderView>, PortError> {
    let timeline = table.read(key).await?;
    let nothing = timeline.state.is_none() && timeline.entries.is_empty();
    Ok((!nothing).then(|| OrderView::new(key, timeline, personal_data)))
}

/// An order and its timeline.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct OrderView {
    merchant_id: String,
    provider: Provider,
    order_id: String,
    /// As stored; absent until the consumer has saved it.
    pub(crate) state: Option<OrderState>,
    revision: u64,
    /// How many events the timeline holds; one more than are folded stands for any number.
    events: usize,
    /// Whether the stored state is what today's code makes of the timeline.
    state_matches_timeline: bool,
    timeline: Vec<EventView>,
}

/// One event of a timeline, and what became of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct EventView {
    occurred_at: String,
    received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_event_id: Option<String>,
    webhook_pk: String,
    changed_status: bool,
    decision: String,
}

impl OrderView {
    fn new(key: &OrderKey, timeline: Timeline, personal_data: PersonalData) -> Self {
        let events = timeline.entries.len();
        let folded = fold(providers::adapter(key.provider), timeline.entries);
        let state_matches_timeline = timeline.state.as_ref() == Some(&folded.state);
        Self {
            merchant_id: key.merchant_id.to_string(),
            provider: key.provider,
            order_id: key.order_id.to_string(),
            state: timeline.state.map(|state| personal_data.of(state)),
            revision: timeline.revision,
            events,
            state_matches_timeline,
            timeline: folded.decisions.into_iter().map(EventView::from).collect(),
        }
    }

    /// What is wrong with the stored state, if anything is.
    pub(crate) fn warning(&self) -> Option<String> {
        if self.events > MAX_EVENTS_PER_ORDER {
            Some(format!(
                "warning: this order has more than {MAX_EVENTS_PER_ORDER} events, so its state stands still"
            ))
        } else if self.state_matches_timeline {
            None
        } else {
            Some(
                "warning: the stored state is not what the timeline folds to: either the consumer is about to save \
                 it, or the mapping or policy has changed since"
                    .to_owned(),
            )
        }
    }
}

impl From<(TimelineEntry, Decision)> for EventView {
    fn from((entry, decision): (TimelineEntry, Decision)) -> Self {
        Self {
            occurred_at: moment::show(entry.occurred_at_ms),
            received_at: moment::show(entry.received_at_ms),
            provider_event: entry.word.event,
            provider_status: entry.word.status,
            provider_event_id: entry.provider_event_id.map(String::from),
            webhook_pk: entry.webhook_pk.to_string(),
            changed_status: decision.changed_status(),
            decision: decision.to_string(),
        }
    }
}

impl EventView {
    /// Whether it is the same entry of the timeline, whatever became of it.
    fn is_same_event(&self, other: &Self) -> bool {
        let identity = |it: &Self| {
            (
                it.occurred_at.clone(),
                it.words(),
                it.provider_event_id.clone(),
            )
        };
        identity(self) == identity(other)
    }

    fn row(&self) -> [String; 3] {
        [
            self.occurred_at.clone(),
            self.words(),
            self.decision.clone(),
        ]
    }

    fn words(&self) -> String {
        let words = [&self.provider_event, &self.provider_status];
        let said: Vec<_> = words.into_iter().flatten().map(String::as_str).collect();
        if said.is_empty() {
            "(no words)".to_owned()
        } else {
            said.join(" ")
        }
    }
}

fn masked(mut state: OrderState) -> OrderState {
    if let Some(Driver { name, phone, .. }) = &mut state.details.driver {
        *name = name.as_deref().map(mask_name);
        *phone = phone.as_deref().map(mask_phone);
    }
    state
}

/// The first letter.
fn mask_name(name: &str) -> String {
    name.chars().take(1).chain("***".chars()).collect()
}

/// The last two digits, of a number long enough to stay unknown.
fn mask_phone(phone: &str) -> String {
    let length = phone.chars().count();
    let shown = if length >= 7 { 2 } else { 0 };
    "***"
        .chars()
        .chain(phone.chars().skip(length - shown))
        .collect()
}

// ---------------------------------------------------------------- for people

impl fmt::Display for OrderView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Order {} of {} at {}\n",
            self.order_id, self.merchant_id, self.provider
        )?;
        f.write_str(&table::align("  ", &self.facts()))?;
        let milestones = self.milestones();
        if !milestones.is_empty() {
            write!(
                f,
                "\nMilestones of this attempt\n\n{}",
                table::align("  ", &milestones)
            )?;
        }
        let rows: Vec<_> = self.timeline.iter().map(EventView::row).collect();
        write!(
            f,
            "\nTimeline: what {} said, and what became of it\n\n{}",
            self.provider,
            table::align("  ", &rows)
        )
    }
}

impl OrderView {
    /// When the current attempt reached what.
    fn milestones(&self) -> Vec<[String; 2]> {
        let milestones = self.state.iter().flat_map(|state| &state.milestones);
        let mut milestones: Vec<_> = milestones.collect();
        milestones.sort_by_key(|(status, at)| (**at, **status));
        milestones
            .into_iter()
            .map(|(status, at)| [moment::show(*at), status.to_string()])
            .collect()
    }

    /// Where it stands, by name and value.
    pub(crate) fn facts(&self) -> Vec<[String; 2]> {
        let mut facts = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            facts.extend(value.map(|value| [name.to_owned(), value]));
        };
        let Some(state) = &self.state else {
            add("status", Some("not saved yet".to_owned()));
            add("events", Some(self.events.to_string()));
            return facts;
        };
        let details = &state.details;
        add(
            "status",
            Some(match state.status {
                None => "none: no event said one".to_owned(),
                Some(Status::Failed) => emphasis::alarming(Status::Failed.as_str()),
                Some(status) => status.as_str().to_owned(),
            }),
        );
        add("since", state.status_since_ms.map(moment::show));
        add(
            "reason",
            state
                .status_reason
                .map(StatusReason::as_str)
                .map(str::to_owned),
        );
        add(
            "corrected",
            state
                .corrected
                .then(|| "yes: something final was unsaid on the way".to_owned()),
        );
        add(
            "revision",
            Some(format!(
                "{}, from {} event(s)",
                self.revision, state.event_count
            )),
        );
        add("number", details.order_number.clone());
        add(
            "repeats",
            details.parent_order_id.as_ref().map(ToString::to_string),
        );
        add("driver", details.driver.as_ref().map(driver));
        add("fleet", third_party(details));
        add("expected", details.schedule.eta_ms.map(moment::show));
        add("tracking", details.tracking_url.clone());
        for url in &details.proof_of_delivery_urls {
            add("proof", Some(url.clone()));
        }
        add(
            "amount",
            money(details.order_amount.map(|it| it.to_string()), details),
        );
        add(
            "fee",
            money(details.delivery_fee.map(|it| it.to_string()), details),
        );
        facts
    }
}

/// What is known of a driver, on one line.
pub(crate) fn driver(driver: &Driver) -> String {
    let id = driver.id.as_ref().map(|id| format!("id {id}"));
    let known: Vec<_> = [&driver.name, &driver.phone, &id]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    known.join(", ")
}

fn third_party(details: &Details) -> Option<String> {
    let fleet = details.third_party.as_ref()?;
    let known: Vec<_> = [&fleet.name, &fleet.reference_id, &fleet.status]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    Some(known.join(", "))
}

fn money(amount: Option<String>, details: &Details) -> Option<String> {
    let currency = details.currency.as_deref().unwrap_or_default();
    amount.map(|amount| format!("{amount} {currency}").trim_end().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use domain::{EpochMillis, MerchantId, OrderId, ProviderWord, WebhookId, WebhookKey};
    use expect_test::expect;

    use super::*;

    pub(super) fn key() -> OrderKey {
        OrderKey {
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            provider: Provider::Armada,
            order_id: OrderId::parse("7F3A09C2D1").unwrap(),
        }
    }

    pub(super) fn entry(minute: u64, status: &str) -> TimelineEntry {
        TimelineEntry {
            occurred_at_ms: EpochMillis::new(1_767_816_000_000 + 60_000 * minute),
            word: ProviderWord {
                event: None,
                status: Some(status.to_owned()),
            },
            provider_event_id: WebhookId::parse(&format!("wh_{minute}")).ok(),
            webhook_pk: WebhookKey::parse("armada#shop-1#order.updated#wh_1").unwrap(),
            received_at_ms: EpochMillis::new(1_767_816_000_120),
            details: Details {
                driver: Some(Driver {
                    id: None,
                    name: Some("Amina Example".to_owned()),
                    phone: Some("09221909".to_owned()),
                }),
                ..Details::default()
            },
        }
    }

    pub(super) fn timeline(entries: Vec<TimelineEntry>) -> Timeline {
        let state = fold(providers::adapter(Provider::Armada), entries.clone()).state;
        Timeline {
            state: Some(state),
            revision: entries.len() as u64,
            entries,
        }
    }

    #[test]
    fn an_order_is_shown_with_the_reason_for_its_state() {
        let entries = vec![
            entry(0, "pending"),
            entry(5, "completed"),
            entry(6, "en_route"),
            entry(7, "teleported"),
        ];
        let view = OrderView::new(&key(), timeline(entries), PersonalData::Masked);

        expect![[r#"
            Order 7F3A09C2D1 of shop-1 at armada

              status    delivered
              since     2026-01-07T20:05:00.000Z
              revision  4, from 4 event(s)
              driver    A***, ***09

            Milestones of this attempt

              2026-01-07T20:00:00.000Z  pending
              2026-01-07T20:05:00.000Z  delivered

            Timeline: what armada said, and what became of it

              2026-01-07T20:00:00.000Z  pending     applied: pending
              2026-01-07T20:05:00.000Z  completed   applied (forward): pending -> delivered
              2026-01-07T20:06:00.000Z  en_route    not applied: delivered is final
              2026-01-07T20:07:00.000Z  teleported  not applied: meaning unknown
        "#]]
        .assert_eq(&view.to_string());
        assert_eq!(view.warning(), None);
    }

    #[test]
    fn personal_data_is_masked_in_every_form_unless_asked_for() {
        let shown_in = |personal_data| {
            let view = OrderView::new(
                &key(),
                timeline(vec![entry(0, "dispatched")]),
                personal_data,
            );
            format!("{view}{}", serde_json::to_string(&view).unwrap())
        };

        for secret in ["Amina", "Example", "0922", "1909"] {
            assert!(!shown_in(PersonalData::Masked).contains(secret), "{secret}");
        }
        assert!(shown_in(PersonalData::Shown).contains("Amina Example, 09221909"));
    }

    #[test]
    fn a_mask_never_shows_a_whole_number() {
        for (phone, masked) in [
            ("", "***"),
            ("112", "***"),
            ("1234567", "***67"),
            ("+965 5000 1234", "***34"),
        ] {
            assert_eq!(mask_phone(phone), masked);
        }
        assert_eq!(mask_name("É"), "É***");
        assert_eq!(mask_name(""), "***");
    }

    #[test]
    fn a_state_that_differs_from_its_timeline_is_pointed_out() {
        let mut stored = timeline(vec![entry(0, "pending"), entry(5, "completed")]);
        stored.state = Some(timeline(vec![entry(0, "pending")]).state.unwrap());
        let view = OrderView::new(&key(), stored, PersonalData::Masked);

        assert!(
            view.warning()
                .unwrap()
                .contains("not what the timeline folds to")
        );
    }

    #[test]
    fn an_order_whose_state_is_not_saved_yet_shows_its_timeline() {
        let unsaved = Timeline {
            entries: vec![entry(0, "pending")],
            ..Timeline::default()
        };
        let shown = OrderView::new(&key(), unsaved, PersonalData::Masked).to_string();

        assert!(
            shown.contains("not saved yet") && shown.contains("applied: pending"),
            "{shown}"
        );
    }
}
