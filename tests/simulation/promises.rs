//! What must hold when a history is over, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    EpochMillis, FIRST_RELAY_DELAY, OrderKey, Provider, RecordState, Status, TimelineEntry,
    WebhookKey, fold,
};
use providers::adapter;
use testkit::{Observations, StoredRecord, World};

use crate::deployment::{merchant_id, order_id};
use crate::history::Happened;
use crate::plan::{Faults, Hook, Plan, Schedule};

/// The first promise that is broken, in words.
pub(crate) fn broken(plan: &Plan, happened: &Happened) -> Option<String> {
    let facts = Facts::new(plan, happened);
    happened
        .broken
        .first()
        .cloned()
        .or_else(|| facts.nothing_answered_is_lost())
        .or_else(|| facts.nothing_is_there_twice())
        .or_else(|| facts.entries_never_change_and_have_their_record())
        .or_else(|| facts.every_state_is_the_fold())
        .or_else(|| facts.the_status_changes_once_per_change())
        .or_else(|| facts.every_record_is_closed())
        .or_else(|| facts.nothing_is_there_that_is_no_record())
        .or_else(|| facts.only_poison_is_dead())
        .or_else(|| facts.the_relay_waits_ever_longer())
        .or_else(|| facts.nothing_waits_for_the_relay_without_reason())
}

struct Facts<'a> {
    plan: &'a Plan,
    happened: &'a Happened,
    world: &'a World,
    seen: Observations,
    records: BTreeMap<WebhookKey, StoredRecord>,
    timelines: BTreeMap<OrderKey, BTreeMap<String, TimelineEntry>>,
}

impl<'a> Facts<'a> {
    fn new(plan: &'a Plan, happened: &'a Happened) -> Self {
        let world = &happened.world;
        let orders = world.orders().into_iter();
        Self {
            plan,
            happened,
            world,
            seen: world.observations(),
            records: world.records(),
            timelines: orders
                .map(|order| {
                    let timeline = world.timeline(&order);
                    (order, timeline)
                })
                .collect(),
        }
    }

    fn nothing_answered_is_lost(&self) -> Option<String> {
        let lost = |hook: &&Hook| {
            has_meaning(hook)
                && !self.timelines.iter().any(|(order, timeline)| {
                    is_order_of(hook, order)
                        && timeline
                            .values()
                            .any(|entry| is_entry_of(hook, entry, self.happened.begin))
                })
        };
        let lost = self.happened.accepted.iter().find(lost)?;
        let dead = self.world.dead_letters().len();
        Some(format!(
            "LOST: answered 200 and in no timeline ({dead} dead letters): {lost:?}"
        ))
    }

    fn nothing_is_there_twice(&self) -> Option<String> {
        self.timelines.iter().find_map(|(order, timeline)| {
            let mut met = BTreeSet::new();
            let twice = timeline.values().find(|entry| {
                let id = entry.provider_event_id.as_ref().map(ToString::to_string);
                !met.insert((entry.occurred_at_ms, entry.word.clone(), id))
            })?;
            Some(format!("TWICE: one event, two entries: {order} {twice:?}"))
        })
    }

    fn entries_never_change_and_have_their_record(&self) -> Option<String> {
        if let Some(key) = self.seen.entries_without_record.first() {
            return Some(format!("an entry was put before its record: {key}"));
        }
        self.seen
            .first_entries
            .iter()
            .find_map(|(order, key, first)| {
                let now = self.timelines.get(order).and_then(|all| all.get(key));
                (now != Some(first)).then(|| format!("an entry was changed: {order} {key}"))
            })
    }

    fn every_state_is_the_fold(&self) -> Option<String> {
        self.timelines.iter().find_map(|(order, timeline)| {
            let folded = fold(adapter(order.provider), timeline.values().cloned()).state;
            match self.world.state(order) {
                None => Some(format!("an order without a state: {order}")),
                Some((state, _)) if state != folded => Some(format!(
                    "a state that is not the fold of its timeline: {order} {:?} of {}, not {:?} of {}",
                    state.status, state.event_count, folded.status, folded.event_count
                )),
                Some(_) => None,
            }
        })
    }

    /// The statuses that were saved are those of the timeline as it grew, each change at most once.
    fn the_status_changes_once_per_change(&self) -> Option<String> {
        self.timelines.keys().find_map(|order| {
            let saves = self.seen.saves.iter().filter(|(saved, _)| saved == order);
            let saved: Vec<_> = saves.map(|(_, state)| state).collect();
            if let Some(pair) = saved
                .windows(2)
                .find(|pair| pair[0].event_count > pair[1].event_count)
            {
                return Some(format!(
                    "a smaller set was saved over a larger: {order} {pair:?}"
                ));
            }
            if self.plan.schedule == Schedule::Random {
                // Consumers at the same time may each see another part of the timeline for a moment.
                return None;
            }
            let mut grown = Vec::new();
            let mut statuses: Vec<Option<Status>> = vec![None];
            for (_, _, entry) in self.seen.first_entries.iter().filter(|it| it.0 == *order) {
                grown.push(entry.clone());
                statuses.push(fold(adapter(order.provider), grown.clone()).state.status);
            }
            statuses.dedup();
            let mut changes: Vec<_> = saved.iter().map(|state| state.status).collect();
            changes.insert(0, None);
            changes.dedup();
            let mut rest = statuses.iter();
            let in_order = changes
                .iter()
                .all(|change| rest.any(|status| status == change));
            (!in_order).then(|| {
                format!("the status of {order} changed {changes:?}, its timeline {statuses:?}")
            })
        })
    }

    fn every_record_is_closed(&self) -> Option<String> {
        self.records.iter().find_map(|(key, stored)| {
            let read_today = stored.record.webhook().map(|webhook| {
                adapter(stored.record.provider)
                    .read(&webhook)
                    .interpretation
            });
            let has_event = matches!(read_today, Ok(domain::Interpretation::Event(_)));
            match stored.state {
                RecordState::Pending | RecordState::Parked | RecordState::Dismissed => {
                    Some(format!("a record ends {:?}: {key}", stored.state))
                }
                RecordState::Unmapped | RecordState::Quarantined if has_event => Some(format!(
                    "a record with an event ends {:?}: {key}",
                    stored.state
                )),
                RecordState::Unmapped | RecordState::Quarantined => None,
                RecordState::Applied => {
                    let applied = self
                        .timelines
                        .values()
                        .flat_map(BTreeMap::values)
                        .any(|entry| is_of_record(entry, stored));
                    (!applied).then(|| format!("applied, and in no timeline: {key}"))
                }
            }
        })
    }

    fn nothing_is_there_that_is_no_record(&self) -> Option<String> {
        let ghost = self.seen.ghosts.first()?;
        Some(format!("a record without a body: {ghost}"))
    }

    fn only_poison_is_dead(&self) -> Option<String> {
        let dead = self.world.dead_letters().into_iter();
        let mut healthy = dead.filter(|buried| !buried.body.starts_with("poison"));
        healthy
            .next()
            .map(|buried| format!("a healthy message is a dead letter: {}", buried.body))
    }

    fn the_relay_waits_ever_longer(&self) -> Option<String> {
        if self.plan.worn_out {
            // Its delays were set by hand.
            return None;
        }
        let mut last: BTreeMap<&WebhookKey, (EpochMillis, u32)> = BTreeMap::new();
        self.seen.claims.iter().find_map(|(key, at, attempt)| {
            let (before, last_attempt) = last.insert(key, (*at, *attempt))?;
            // After a replay the attempts begin again.
            let delay = FIRST_RELAY_DELAY.as_millis() << last_attempt.saturating_sub(1);
            let too_soon = *attempt > last_attempt && at.since(before).as_millis() < delay;
            too_soon.then(|| format!("the relay sends too often: {key}, attempt {attempt}"))
        })
    }

    /// Without a crash, a fault of the queue or an outage, no record is left to the relay.
    fn nothing_waits_for_the_relay_without_reason(&self) -> Option<String> {
        let calm = match self.plan.faults {
            Faults::No | Faults::OnlyTables { .. } => self.plan.outages.is_empty(),
            Faults::Random { .. } | Faults::At(_) | Faults::FirstAnd(..) => false,
        };
        let undisturbed = calm
            && self.plan.remapped.is_none()
            && self.plan.needless_replays == 0
            && self.plan.erasures == 0
            && self.happened.deaths == 0;
        let (key, _, _) = self.seen.claims.first().filter(|_| undisturbed)?;
        Some(format!("a record had to wait for the relay: {key}"))
    }
}

/// Whether today's mapping has an event for it.
fn has_meaning(hook: &Hook) -> bool {
    hook.word.0 != "teleported"
}

fn is_order_of(hook: &Hook, order: &OrderKey) -> bool {
    order.provider == hook.provider
        && order.merchant_id.as_str() == merchant_id(hook.merchant)
        && order.order_id.as_str() == order_id(hook.provider, hook.order)
}

fn is_entry_of(hook: &Hook, entry: &TimelineEntry, begin: EpochMillis) -> bool {
    let status = entry.word.status.as_deref();
    match hook.provider {
        Provider::Armada => {
            let id = entry.provider_event_id.as_ref().map(ToString::to_string);
            status == Some(hook.word.0) && id.as_deref() == Some(hook.id.as_str())
        }
        Provider::Shipday => {
            entry.word.event.as_deref() == Some(hook.word.0)
                && status == Some(hook.word.1)
                && entry.occurred_at_ms == begin + hook.happened
        }
    }
}

/// Whether a record's event is this entry: same words, same id, and for Shipday the same time.
fn is_of_record(entry: &TimelineEntry, stored: &StoredRecord) -> bool {
    let Ok(webhook) = stored.record.webhook() else {
        return false;
    };
    let reading = adapter(stored.record.provider).read(&webhook);
    let domain::Interpretation::Event(event) = reading.interpretation else {
        return false;
    };
    entry.word == event.word
        && entry.provider_event_id == event.provider_event_id
        && (stored.record.provider == Provider::Armada
            || entry.occurred_at_ms == event.occurred_at_ms)
}
