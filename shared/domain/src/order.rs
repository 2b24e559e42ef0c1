//! An order's state is a fold over its timeline: it depends on the *set* of events alone, so neither
//! their order of arrival, nor repeats, nor concurrent consumers can change it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{
    Change, Decision, Details, EpochMillis, Meaning, NotApplied, OrderEvent, Provider,
    ProviderClock, ProviderRules, ProviderWord, Status, StatusReason, Step, WebhookId, WebhookKey,
    decide,
};

/// Most events an order's state is folded from. Beyond it events are still kept, the state stands still
/// and an alarm tells: no real delivery has so many, a runaway sender has.
pub const MAX_EVENTS_PER_ORDER: usize = 500;

/// One event as kept in an order's timeline. Immutable, and never deleted singly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// See [`OrderEvent::occurred_at_ms`].
    pub occurred_at_ms: EpochMillis,
    /// The provider's words, mapped anew by every fold.
    #[serde(flatten)]
    pub word: ProviderWord,
    /// The provider's id of the webhook, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_event_id: Option<WebhookId>,
    /// The record it was read from.
    pub webhook_pk: WebhookKey,
    /// When that webhook was received.
    pub received_at_ms: EpochMillis,
    /// What else it tells.
    #[serde(default)]
    pub details: Details,
}

impl TimelineEntry {
    /// The entry for an event read from the record `webhook_pk`.
    pub fn new(event: OrderEvent, webhook_pk: WebhookKey) -> Self {
        let OrderEvent {
            occurred_at_ms,
            received_at_ms,
            word,
            provider_event_id,
            details,
            ..
        } = event;
        Self {
            occurred_at_ms,
            word,
            provider_event_id,
            webhook_pk,
            received_at_ms,
            details,
        }
    }

    /// Its identity, and its sort key in the `orders` table: `event#<ms, 13 digits>#<word>#<id or ->`. It holds
    /// the provider's word and not our status, so that a corrected mapping cannot add the event twice.
    pub fn sort_key(&self, provider: Provider) -> String {
        let id = self
            .provider_event_id
            .as_ref()
            .map_or("-", WebhookId::as_str);
        let word = self.word.key_part(provider);
        let at_ms = self.occurred_at_ms.as_millis();
        let mut key = String::with_capacity("event#".len() + 13 + 1 + word.len() + 1 + id.len());
        let _ = write!(key, "event#{at_ms:013}#{word}#{id}"); // writing to a String cannot fail
        key
    }
}

/// How often an order went another way than forward, in each [`Change`] that is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reversals {
    /// See [`Change::Backward`].
    pub backward: u64,
    /// See [`Change::Reopened`].
    pub reopened: u64,
    /// See [`Change::Corrected`].
    pub corrected: u64,
}

impl Reversals {
    /// Whether the order only ever went forward.
    pub const fn is_none(&self) -> bool {
        self.backward == 0 && self.reopened == 0 && self.corrected == 0
    }

    const fn count(&mut self, change: Change) {
        match change {
            Change::First | Change::Forward => {}
            Change::Backward => self.backward += 1,
            Change::Reopened => self.reopened += 1,
            Change::Corrected => self.corrected += 1,
        }
    }
}

/// Where an order stands. Every time in it is from the timeline: equal timelines have equal states.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderState {
    /// Its status; absent while no event said one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The time of the event that brought this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_since_ms: Option<EpochMillis>,
    /// When the webhook with that event was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_received_at_ms: Option<EpochMillis>,
    /// Why it failed or was canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// Whether something final was unsaid on the way, see [`Change::Corrected`].
    pub corrected: bool,
    /// How often it went another way than forward.
    #[serde(skip_serializing_if = "Reversals::is_none")]
    pub reversals: Reversals,
    /// How many events the timeline holds, applied or not.
    pub event_count: usize,
    /// When the current attempt reached which status. What a backwards move took back is not in it.
    pub milestones: BTreeMap<Status, EpochMillis>,
    /// The newest details.
    #[serde(flatten)]
    pub details: Details,
}

/// The result of a fold: the state, and the reason for it, event by event in the fold's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// Where the order stands.
    pub state: OrderState,
    /// What became of each event.
    pub decisions: Vec<(TimelineEntry, Decision)>,
}

/// Folds a timeline. Pure and total; the result depends on the set of entries only.
pub fn fold(rules: &dyn ProviderRules, entries: impl IntoIterator<Item = TimelineEntry>) -> Folded {
    let mut events: Vec<_> = entries
        .into_iter()
        .map(|entry| Placed::new(rules, entry))
        .collect();
    events.sort_unstable();
    events.dedup_by(|later, earlier| later.sort_key == earlier.sort_key);

    let mut state = OrderState {
        event_count: events.len(),
        ..OrderState::default()
    };
    let mut seen = BTreeSet::new();
    let decisions: Vec<_> = events
        .iter()
        .map(|Placed { entry, meaning, .. }| {
            let repeated = rules.clock() == ProviderClock::SendingTime
                && entry
                    .provider_event_id
                    .as_ref()
                    .is_some_and(|id| !seen.insert((id, &entry.word)));
            apply(&mut state, rules.clock(), entry, *meaning, repeated)
        })
        .collect();
    let entries = events.into_iter().map(|placed| placed.entry);
    Folded {
        state,
        decisions: entries.zip(decisions).collect(),
    }
}

/// An entry and its place in the fold: by time; then proofs and unknown words, further statuses, and
/// steps that take something back; then by identity, so that the order is total.
struct Placed {
    place: (EpochMillis, bool, u8, Option<Status>),
    sort_key: String,
    entry: TimelineEntry,
    meaning: Meaning,
}

impl Placed {
    fn new(rules: &dyn ProviderRules, entry: TimelineEntry) -> Self {
        let meaning = rules.meaning(&entry.word);
        let place = match meaning {
            Meaning::Reached(Step {
                status, takes_back, ..
            }) => (
                entry.occurred_at_ms,
                takes_back,
                status.rank(),
                Some(status),
            ),
            Meaning::ProofOfDelivery | Meaning::Unknown => (entry.occurred_at_ms, false, 0, None),
        };
        Self {
            place,
            sort_key: entry.sort_key(rules.provider()),
            entry,
            meaning,
        }
    }

    fn key(
        &self,
    ) -> (
        &(EpochMillis, bool, u8, Option<Status>),
        &str,
        &TimelineEntry,
    ) {
        (&self.place, &self.sort_key, &self.entry)
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Placed {}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

fn apply(
    state: &mut OrderState,
    clock: ProviderClock,
    entry: &TimelineEntry,
    meaning: Meaning,
    repeated: bool,
) -> Decision {
    let step = match meaning {
        Meaning::Unknown => return Decision::NotApplied(NotApplied::Unmapped),
        Meaning::ProofOfDelivery => {
            attach_proof(&mut state.details, &entry.details);
            return Decision::Attached;
        }
        Meaning::Reached(step) => step,
    };
    if repeated {
        if state.status == Some(step.status) {
            refresh(state, entry, &step);
        }
        return Decision::Repeated;
    }
    let decision = decide(clock, state.status, &step);
    match decision {
        Decision::Applied { from, to, change } => {
            state.status = Some(to);
            state.status_since_ms = Some(entry.occurred_at_ms);
            state.status_received_at_ms = Some(entry.received_at_ms);
            state.status_reason = step.reason.or_else(|| reason_of_failure(from, to));
            state.corrected |= change == Change::Corrected;
            state.reversals.count(change);
            state
                .milestones
                .retain(|milestone, _| milestone.rank() < to.rank());
            state.milestones.insert(to, entry.occurred_at_ms);
            refresh(state, entry, &step);
        }
        Decision::Refreshed => {
            state.status_reason = step.reason.or(state.status_reason);
            refresh(state, entry, &step);
        }
        Decision::Repeated | Decision::Attached | Decision::NotApplied(_) => {}
    }
    decision
}

/// Armada's `failed` does not say why; before the pickup it means that no driver was found.
fn reason_of_failure(from: Option<Status>, to: Status) -> Option<StatusReason> {
    match (to, from) {
        (Status::Failed, Some(from)) if from.is_past_pickup() => Some(StatusReason::AttemptFailed),
        (Status::Failed, _) => Some(StatusReason::NoDriverFound),
        _ => None,
    }
}

/// Takes over what the entry tells beside its status. What it does not tell stays.
fn refresh(state: &mut OrderState, entry: &TimelineEntry, step: &Step) {
    let told = &entry.details;
    let known = &mut state.details;
    if step.status == Status::Pending {
        // Un-assigned: whoever drove before does not drive now.
        known.driver = None;
        known.third_party = None;
    }
    take(&mut known.driver, &told.driver);
    take(&mut known.third_party, &told.third_party);
    take(&mut known.tracking_url, &told.tracking_url);
    take(&mut known.order_number, &told.order_number);
    take(&mut known.parent_order_id, &told.parent_order_id);
    take(&mut known.order_amount, &told.order_amount);
    take(&mut known.delivery_fee, &told.delivery_fee);
    take(&mut known.currency, &told.currency);
    take(
        &mut known.schedule.placed_at_ms,
        &told.schedule.placed_at_ms,
    );
    take(
        &mut known.schedule.expected_pickup_at_ms,
        &told.schedule.expected_pickup_at_ms,
    );
    take(
        &mut known.schedule.expected_delivery_at_ms,
        &told.schedule.expected_delivery_at_ms,
    );
    take(&mut known.schedule.eta_ms, &told.schedule.eta_ms);
    take(
        &mut known.schedule.arrived_at_ms,
        &told.schedule.arrived_at_ms,
    );
    attach_proof(known, told);

    for (milestone, at) in &told.reported_milestones {
        if milestone.rank() < step.status.rank() || *milestone == step.status {
            state.milestones.insert(*milestone, *at);
        }
    }
    if matches!(step.status, Status::InTransit | Status::AtDropoff) {
        // Moving to the customer implies picked up, and some providers never say so.
        state
            .milestones
            .entry(Status::PickedUp)
            .or_insert(entry.occurred_at_ms);
    }
}

fn attach_proof(known: &mut Details, told: &Details) {
    if !told.proof_of_delivery_urls.is_empty() {
        known
            .proof_of_delivery_urls
            .clone_from(&told.proof_of_delivery_urls);
    }
}

fn take<T: Clone + PartialEq>(known: &mut Option<T>, told: &Option<T>) {
    if told.is_some() && known != told {
        known.clone_from(told);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rules whose words are statuses: `status`, `-status` for a step that takes something back, `proof`.
    struct Words(ProviderClock);

    impl ProviderRules for Words {
        fn provider(&self) -> Provider {
            match self.0 {
                ProviderClock::EventTime => Provider::Shipday,
                ProviderClock::SendingTime => Provider::Armada,
            }
        }

        fn clock(&self) -> ProviderClock {
            self.0
        }

        fn meaning(&self, word: &ProviderWord) -> Meaning {
            let text = word.status.as_deref().unwrap_or_default();
            if text == "proof" {
                return Meaning::ProofOfDelivery;
            }
            let deleted = text == "deleted";
            let name = if deleted {
                "canceled"
            } else {
                text.trim_start_matches('-')
            };
            match Status::ALL
                .into_iter()
                .find(|status| status.as_str() == name)
            {
                None => Meaning::Unknown,
                Some(status) => Meaning::Reached(Step {
                    status,
                    reason: deleted.then_some(StatusReason::Deleted),
                    takes_back: text.starts_with('-'),
                }),
            }
        }
    }

    const EVENT_TIMES: Words = Words(ProviderClock::EventTime);
    const SENDING_TIMES: Words = Words(ProviderClock::SendingTime);

    fn entry(at_ms: u64, word: &str) -> TimelineEntry {
        entry_with_id(at_ms, word, None)
    }

    fn entry_with_id(at_ms: u64, word: &str, id: Option<&str>) -> TimelineEntry {
        TimelineEntry {
            occurred_at_ms: EpochMillis::new(at_ms),
            word: ProviderWord {
                event: None,
                status: Some(word.to_owned()),
            },
            provider_event_id: id.map(|id| WebhookId::parse(id).unwrap()),
            webhook_pk: WebhookKey::parse("shipday#shop-1#body#x").unwrap(),
            received_at_ms: EpochMillis::new(at_ms),
            details: Details::default(),
        }
    }

    fn driven_by(name: &str, mut entry: TimelineEntry) -> TimelineEntry {
        entry.details.driver = Some(crate::Driver {
            name: Some(name.to_owned()),
            ..crate::Driver::default()
        });
        entry
    }

    fn status(rules: &Words, entries: &[TimelineEntry]) -> Option<Status> {
        fold(rules, entries.to_vec()).state.status
    }

    fn decisions(rules: &Words, entries: &[TimelineEntry]) -> Vec<String> {
        fold(rules, entries.to_vec())
            .decisions
            .iter()
            .map(|(_, decision)| decision.to_string())
            .collect()
    }

    #[test]
    fn an_empty_timeline_has_no_status() {
        assert_eq!(fold(&EVENT_TIMES, []).state, OrderState::default());
    }

    #[test]
    fn steps_may_be_skipped() {
        let life = [
            entry(1, "assigned"),
            entry(2, "in_transit"),
            entry(3, "delivered"),
        ];

        for rules in [EVENT_TIMES, SENDING_TIMES] {
            let state = fold(&rules, life.to_vec()).state;

            assert_eq!(state.status, Some(Status::Delivered));
            assert_eq!(
                state.milestones.get(&Status::PickedUp),
                Some(&EpochMillis::new(2)),
                "implied by in_transit"
            );
        }
    }

    #[test]
    fn an_unassignment_clears_the_driver_and_what_was_reached() {
        for rules in [EVENT_TIMES, SENDING_TIMES] {
            let life = [
                entry(1, "pending"),
                driven_by("A", entry(2, "en_route_to_pickup")),
                entry(3, "pending"),
            ];
            let state = fold(&rules, life.to_vec()).state;

            assert_eq!(state.status, Some(Status::Pending));
            assert_eq!(state.details.driver, None);
            assert_eq!(
                state.milestones.keys().copied().collect::<Vec<_>>(),
                [Status::Pending]
            );
        }
    }

    #[test]
    fn a_pickup_mark_that_is_removed_is_believed_with_event_times() {
        let life = [
            entry(1, "en_route_to_pickup"),
            entry(2, "picked_up"),
            entry(3, "-en_route_to_pickup"),
        ];
        let state = fold(&EVENT_TIMES, life.to_vec()).state;

        assert_eq!(state.status, Some(Status::EnRouteToPickup));
        assert_eq!(state.milestones.get(&Status::PickedUp), None);
        assert!(!state.corrected);
    }

    #[test]
    fn goods_on_board_without_a_driver_are_flagged_as_a_correction() {
        let state = fold(&EVENT_TIMES, [entry(1, "in_transit"), entry(2, "-pending")]).state;

        assert_eq!(
            (state.status, state.corrected),
            (Some(Status::Pending), true)
        );
    }

    #[test]
    fn a_driver_may_correct_completed_to_failed_where_the_event_time_is_known() {
        let life = [entry(1, "delivered"), entry(2, "failed")];

        assert_eq!(
            decisions(&EVENT_TIMES, &life)[1],
            "applied (corrected): delivered -> failed"
        );
        assert!(fold(&EVENT_TIMES, life.to_vec()).state.corrected);
        assert_eq!(
            decisions(&SENDING_TIMES, &life)[1],
            "not applied: delivered is final"
        );
    }

    #[test]
    fn every_step_that_is_not_forward_is_counted_in_its_sense() {
        let life = [
            entry(1, "picked_up"),
            entry(2, "-en_route_to_pickup"),
            entry(3, "picked_up"),
            entry(4, "-pending"),
            entry(5, "failed"),
            entry(6, "assigned"),
            entry(7, "delivered"),
            entry(8, "failed"),
        ];

        let state = fold(&EVENT_TIMES, life.to_vec()).state;
        let forward = fold(&EVENT_TIMES, life[..1].to_vec()).state;

        assert_eq!(
            state.reversals,
            Reversals {
                backward: 1,
                reopened: 1,
                corrected: 2
            }
        );
        assert!(forward.reversals.is_none());
    }

    #[test]
    fn a_failed_delivery_is_reopened_and_counts_anew() {
        let life = [
            entry(1, "in_transit"),
            entry(2, "failed"),
            entry(3, "pending"),
            entry(4, "assigned"),
        ];

        for rules in [EVENT_TIMES, SENDING_TIMES] {
            let state = fold(&rules, life.to_vec()).state;

            assert_eq!(state.status, Some(Status::Assigned));
            assert_eq!(state.status_reason, None);
            assert_eq!(state.milestones.get(&Status::Failed), None);
            assert!(!state.corrected);
        }
    }

    #[test]
    fn a_failure_says_whether_anybody_was_found() {
        let reason =
            |life: &[TimelineEntry]| fold(&SENDING_TIMES, life.to_vec()).state.status_reason;

        assert_eq!(
            reason(&[entry(1, "pending"), entry(2, "failed")]),
            Some(StatusReason::NoDriverFound)
        );
        assert_eq!(
            reason(&[entry(1, "in_transit"), entry(2, "failed")]),
            Some(StatusReason::AttemptFailed)
        );
    }

    #[test]
    fn a_late_retry_of_an_older_status_is_history_when_only_the_sending_time_is_known() {
        let life = [
            entry(1, "at_pickup"),
            entry(2, "in_transit"),
            entry(3, "at_pickup"),
            entry(4, "delivered"),
            entry(5, "in_transit"),
        ];

        assert_eq!(status(&SENDING_TIMES, &life), Some(Status::Delivered));
        assert_eq!(
            decisions(&SENDING_TIMES, &life)[2],
            "not applied: a step back, probably a late retry"
        );
    }

    #[test]
    fn a_repeat_with_a_known_id_counts_once_at_its_earliest_time() {
        let life = [
            entry_with_id(1, "en_route_to_pickup", Some("a")),
            entry_with_id(2, "in_transit", Some("b")),
            entry_with_id(3, "en_route_to_pickup", Some("a")),
        ];

        assert_eq!(status(&SENDING_TIMES, &life), Some(Status::InTransit));
        assert_eq!(
            decisions(&SENDING_TIMES, &life)[2],
            "repeat of an earlier event: details refreshed"
        );
        let without_ids = [
            entry(1, "en_route_to_pickup"),
            entry(2, "in_transit"),
            entry(3, "en_route_to_pickup"),
        ];
        assert_eq!(
            status(&SENDING_TIMES, &without_ids),
            Some(Status::EnRouteToPickup),
            "a new driver is being found"
        );
    }

    #[test]
    fn a_repeat_refreshes_the_driver_only_while_its_status_stands() {
        let first = driven_by("A", entry_with_id(1, "en_route_to_pickup", Some("a")));
        let repeat = driven_by("B", entry_with_id(3, "en_route_to_pickup", Some("a")));
        let driver = |life: &[TimelineEntry]| {
            fold(&SENDING_TIMES, life.to_vec())
                .state
                .details
                .driver
                .unwrap()
                .name
        };

        assert_eq!(
            driver(&[first.clone(), repeat.clone()]).as_deref(),
            Some("B")
        );
        assert_eq!(
            driver(&[first, entry(2, "in_transit"), repeat]).as_deref(),
            Some("A")
        );
    }

    #[test]
    fn a_deletion_after_delivery_changes_nothing_and_before_it_cancels() {
        assert_eq!(
            status(&EVENT_TIMES, &[entry(1, "delivered"), entry(2, "deleted")]),
            Some(Status::Delivered)
        );
        let state = fold(&EVENT_TIMES, [entry(1, "assigned"), entry(2, "deleted")]).state;
        assert_eq!(
            (state.status, state.status_reason),
            (Some(Status::Canceled), Some(StatusReason::Deleted))
        );
    }

    #[test]
    fn proof_of_delivery_never_changes_the_status() {
        let mut proof = entry(2, "proof");
        proof.details.proof_of_delivery_urls = vec!["https://example.com/pod.jpg".to_owned()];
        let state = fold(
            &EVENT_TIMES,
            [entry(1, "in_transit"), proof.clone(), entry(3, "failed")],
        )
        .state;

        assert_eq!(state.status, Some(Status::Failed));
        assert_eq!(state.details.proof_of_delivery_urls.len(), 1);
        assert_eq!(fold(&EVENT_TIMES, [proof]).state.status, None);
    }

    #[test]
    fn at_the_same_time_the_further_status_wins_unless_a_step_takes_back() {
        assert_eq!(
            status(
                &EVENT_TIMES,
                &[entry(1, "in_transit"), entry(1, "picked_up")]
            ),
            Some(Status::InTransit)
        );
        assert_eq!(
            status(&EVENT_TIMES, &[entry(1, "-pending"), entry(1, "picked_up")]),
            Some(Status::Pending)
        );
    }

    #[test]
    fn what_the_provider_reports_about_a_step_is_better_than_the_time_of_its_event() {
        let mut told = entry(10, "in_transit");
        told.details.reported_milestones = BTreeMap::from([
            (Status::Assigned, EpochMillis::new(1)),
            (Status::PickedUp, EpochMillis::new(7)),
            (Status::Delivered, EpochMillis::new(99)),
        ]);
        let milestones = fold(&EVENT_TIMES, [entry(2, "assigned"), told])
            .state
            .milestones;

        assert_eq!(
            milestones.get(&Status::Assigned),
            Some(&EpochMillis::new(1))
        );
        assert_eq!(
            milestones.get(&Status::PickedUp),
            Some(&EpochMillis::new(7))
        );
        assert_eq!(
            milestones.get(&Status::Delivered),
            None,
            "not reached yet, whatever the body says"
        );
    }

    #[test]
    fn an_unknown_word_stays_in_the_timeline_and_is_counted() {
        let folded = fold(&EVENT_TIMES, [entry(1, "assigned"), entry(2, "teleported")]);

        assert_eq!(
            (folded.state.status, folded.state.event_count),
            (Some(Status::Assigned), 2)
        );
        assert_eq!(
            folded.decisions[1].1,
            Decision::NotApplied(NotApplied::Unmapped)
        );
    }

    fn any_entry() -> impl Strategy<Value = TimelineEntry> {
        let words = Status::ALL.map(Status::as_str).into_iter().chain([
            "-pending",
            "-picked_up",
            "deleted",
            "proof",
            "?",
        ]);
        let word = prop::sample::select(words.collect::<Vec<_>>());
        let id = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
        let driver = prop::option::of(prop::sample::select(vec!["A", "B"]));
        (0..6u64, word, id, driver).prop_map(|(at, word, id, driver)| {
            let entry = entry_with_id(at, word, id);
            driver.map_or(entry.clone(), |name| driven_by(name, entry))
        })
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_of_the_same_events_fold_to_the_same_state(
            (events, shuffled) in prop::collection::vec(any_entry(), 0..12).prop_flat_map(|events| {
                let repeated = events.iter().cloned().cycle().take(events.len() * 2).collect::<Vec<_>>();
                (Just(events), Just(repeated).prop_shuffle())
            })
        ) {
            for rules in [EVENT_TIMES, SENDING_TIMES] {
                prop_assert_eq!(fold(&rules, events.clone()), fold(&rules, shuffled.clone()));
            }
        }

        #[test]
        fn the_status_is_the_last_one_applied(events in prop::collection::vec(any_entry(), 0..12)) {
            for rules in [EVENT_TIMES, SENDING_TIMES] {
                let folded = fold(&rules, events.clone());
                let last = folded.decisions.iter().rev().find_map(|(_, decision)| match decision {
                    Decision::Applied { to, .. } => Some(*to),
                    Decision::Refreshed | Decision::Repeated | Decision::Attached | Decision::NotApplied(_) => None,
                });
                prop_assert_eq!(folded.state.status, last);
                prop_assert_eq!(folded.state.event_count, folded.decisions.len());
                prop_assert_eq!(folded.state.corrected, folded.state.reversals.corrected > 0);
            }
        }
    }
}
