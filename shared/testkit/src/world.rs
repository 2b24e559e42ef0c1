//! Everything outside the pipeline, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use domain::{
    CompanyId, CredentialDigest, EpochMillis, Installation, InstallationState, MerchantId, Millis,
    OrderKey, OrderState, PendingShard, PortError, Progress, RecordState, StatusChange,
    TimelineEntry, UrlKeyDigest, WebhookKey, WebhookRecord,
};

use crate::queue::{Buried, Queue, Queued};
use crate::stream::StateSaved;
use crate::webhooks::{MERCHANT, armada_credential, shipday_credential};

/// The time in a new world: 2026-03-20T00:00:00Z, after every sample but the one from the far future.
pub const NOW: EpochMillis = EpochMillis::new(1_773_964_800_000);

/// What happens to a call instead of its success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and had no effect.
    Before,
    /// It had its effect, and then fails: the answer is lost.
    After,
    /// It has its effect twice, because the client repeated what had succeeded; the second answer counts.
    Repeated,
    /// It fails, and has its effect so much later.
    Late(Millis),
    /// It never answers, and has no effect.
    HangBefore,
    /// It has its effect, and never answers.
    HangAfter,
    /// It panics.
    Panic,
    /// The process dies before its effect.
    DiesBefore,
    /// The process dies after its effect.
    DiesAfter,
}

/// A record with what has become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The record.
    pub record: WebhookRecord,
    /// Its state.
    pub state: RecordState,
    /// The order it speaks of.
    pub order: Option<OrderKey>,
    /// When it may be deleted.
    pub expires_at: Option<EpochMillis>,
    /// When a relay may send it; there only while pending.
    pub due_at_ms: Option<EpochMillis>,
    /// How often the relay claimed it.
    pub forward_attempts: u32,
    /// How long the relay waits after its next claim; unset before the first.
    pub relay_delay: Option<Millis>,
}

/// What a world has seen that its final state does not tell.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The calls that met a fault, and what each was about: a record's or an order's key.
    pub faulted: Vec<(&'static str, String)>,
    /// The timeline entries in the order of their arrival, each as it was first.
    pub first_entries: Vec<(OrderKey, String, TimelineEntry)>,
    /// The keys of entries that were put when there was no record of theirs.
    pub entries_without_record: Vec<String>,
    /// The states that were saved, in order.
    pub saves: Vec<(OrderKey, OrderState)>,
    /// The claims of the relay: which record, when, and which attempt it was.
    pub claims: Vec<(WebhookKey, EpochMillis, u32)>,
    /// Records that expired or were erased.
    pub removed: BTreeSet<WebhookKey>,
    /// Keys under which something was written that is no record.
    pub ghosts: BTreeSet<WebhookKey>,
}

/// The outside. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<Inside>>);

type Weather = Box<dyn FnMut(&'static str) -> Option<Fault> + Send>;
type LateEffect = Box<dyn FnOnce(&mut Inside) + Send>;

#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) now: EpochMillis,
    pub(crate) drawn: u64,
    pub(crate) installations: BTreeMap<CredentialDigest, Installation>,
    pub(crate) records: BTreeMap<WebhookKey, StoredRecord>,
    pub(crate) entries: BTreeMap<OrderKey, BTreeMap<String, TimelineEntry>>,
    pub(crate) states: BTreeMap<OrderKey, (OrderState, u64)>,
    pub(crate) queue: Queue,
    pub(crate) dead_letters: Vec<Buried>,
    pub(crate) progress: BTreeMap<OrderKey, Progress>,
    pub(crate) stream: Vec<StateSaved>,
    pub(crate) held: Queue,
    pub(crate) published: Vec<StatusChange>,
    pub(crate) requests_to_bus: Vec<usize>,
    pub(crate) refused_orders: BTreeSet<OrderKey>,
    pub(crate) postponed: Vec<(String, u32)>,
    pub(crate) seen: Observations,
    calls: Vec<&'static str>,
    next_faults: VecDeque<(&'static str, Fault)>,
    lasting_faults: BTreeMap<&'static str, Fault>,
    weather: Option<Weather>,
    late_effects: Vec<(EpochMillis, LateEffect)>,
    died: bool,
    interleaved: bool,
    index: BTreeMap<WebhookKey, (PendingShard, EpochMillis)>,
    index_changes: VecDeque<(EpochMillis, WebhookKey)>,
    index_lag: Option<fastrand::Rng>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl World {
    /// A world at [`NOW`] in which the demo merchant has both demo installations.
    pub fn new() -> Self {
        let world = Self::default();
        world.set_now(NOW);
        for credential in [armada_credential(), shipday_credential()] {
            world.install(credential, |_| {});
        }
        world
    }

    /// A world for many processes at once: each call lets others go first, before and after its effect, a
    /// timeline is read entry by entry while others write, and the index lags behind the table at random.
    pub fn interleaved(seed: u64) -> Self {
        let world = Self::new();
        world.inside().interleaved = true;
        world.inside().index_lag = Some(fastrand::Rng::with_seed(seed));
        world
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0
            .lock()
            .expect("no test panics while it holds the world")
    }

    /// Moves the wall clock; what was late by then takes place.
    pub fn set_now(&self, now: EpochMillis) {
        let mut inside = self.inside();
        inside.now = now;
        inside.catch_up();
    }

    /// Registers an active installation of the demo merchant, changed by `change`; replaces one with the same
    /// credential.
    pub fn install(&self, credential: CredentialDigest, change: impl FnOnce(&mut Installation)) {
        let mut installation = Installation {
            credential: credential.clone(),
            merchant_id: MerchantId::parse(MERCHANT).expect("it is a merchant id"),
            state: InstallationState::Active,
            label: "Demo".to_owned(),
            created_at_ms: EpochMillis::new(0),
            not_after_ms: None,
            url_key_sha256: None::<UrlKeyDigest>,
            company_id: None::<CompanyId>,
        };
        change(&mut installation);
        self.inside().installations.insert(credential, installation);
    }

    /// Takes an installation away.
    pub fn uninstall(&self, credential: &CredentialDigest) {
        self.inside().installations.remove(credential);
    }

    /// The next call named `call` meets `fault`; faults of one name queue up.
    pub fn fail_next(&self, call: &'static str, fault: Fault) {
        self.inside().next_faults.push_back((call, fault));
    }

    /// Every call named `call` meets `fault`, until [`World::heal`].
    pub fn fail_always(&self, call: &'static str, fault: Fault) {
        self.inside().lasting_faults.insert(call, fault);
    }

    /// Asks `weather`, by the name of each call, which fault it meets, until [`World::heal`].
    pub fn set_weather(&self, weather: impl FnMut(&'static str) -> Option<Fault> + Send + 'static) {
        self.inside().weather = Some(Box::new(weather));
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut inside = self.inside();
        inside.lasting_faults.clear();
        inside.next_faults.clear();
        inside.weather = None;
    }

    /// Whether a fault killed the process that was polled last; asking takes the answer back.
    pub fn process_died(&self) -> bool {
        std::mem::take(&mut self.inside().died)
    }

    /// When the next late effect, index change or hidden message is due, if any is later than now.
    pub fn next_change(&self) -> Option<EpochMillis> {
        let inside = self.inside();
        let late = inside.late_effects.iter().map(|(at, _)| *at);
        let index = inside.index_changes.iter().map(|(at, _)| *at);
        let hidden = inside.queue.messages().map(|message| message.visible_at);
        late.chain(index)
            .chain(hidden)
            .filter(|at| *at > inside.now)
            .min()
    }

    /// When the next pending record is due, if there is any.
    pub fn next_due(&self) -> Option<EpochMillis> {
        let inside = self.inside();
        inside
            .records
            .values()
            .filter_map(|stored| stored.due_at_ms)
            .min()
    }

    /// Whether an effect or an index change is still to come.
    pub fn has_late_effects(&self) -> bool {
        let inside = self.inside();
        !inside.late_effects.is_empty() || !inside.index_changes.is_empty()
    }

    /// The calls made so far, in order.
    pub fn calls(&self) -> Vec<&'static str> {
        self.inside().calls.clone()
    }

    /// How many calls of one name were made so far.
    pub fn count(&self, call: &str) -> usize {
        self.inside()
            .calls
            .iter()
            .filter(|made| **made == call)
            .count()
    }

    /// All records.
    pub fn records(&self) -> BTreeMap<WebhookKey, StoredRecord> {
        self.inside().records.clone()
    }

    /// Deletes the records whose time to live is over, as DynamoDB does some time later.
    pub fn expire_records(&self) {
        let mut inside = self.inside();
        let now = inside.now;
        let expired: Vec<_> = inside
            .records
            .iter()
            .filter(|(_, stored)| stored.expires_at.is_some_and(|at| at <= now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in expired {
            inside.remove(&key);
        }
    }

    /// Erases a record, as an operator does whom a customer asked to.
    pub fn erase(&self, key: &WebhookKey) {
        self.inside().remove(key);
    }

    /// How many calls met a fault so far.
    pub fn fault_count(&self) -> usize {
        self.inside().seen.faulted.len()
    }

    /// What was seen so far.
    pub fn observations(&self) -> Observations {
        self.inside().seen.clone()
    }

    /// Makes a record pending again, due now, as an operator's replay does, if it is in the state that the
    /// operator saw; whether it was.
    pub fn replay(&self, key: &WebhookKey, seen: RecordState) -> bool {
        let mut inside = self.inside();
        let now = inside.now;
        let as_seen = |stored: &&mut StoredRecord| stored.state == seen;
        let Some(stored) = inside.records.get_mut(key).filter(as_seen) else {
            return false;
        };
        stored.state = RecordState::Pending;
        stored.due_at_ms = Some(now);
        stored.forward_attempts = 0;
        stored.relay_delay = None;
        stored.expires_at = None;
        inside.index_changed(key);
        true
    }

    /// Replaces a record's state, as if an older version had written it.
    pub fn change_record(&self, key: &WebhookKey, change: impl FnOnce(&mut StoredRecord)) {
        let mut inside = self.inside();
        change(inside.records.get_mut(key).expect("there is such a record"));
        inside.index_changed(key);
    }

    /// The timeline of an order, by sort key.
    pub fn timeline(&self, order: &OrderKey) -> BTreeMap<String, TimelineEntry> {
        self.inside()
            .entries
            .get(order)
            .cloned()
            .unwrap_or_default()
    }

    /// All orders that have a timeline.
    pub fn orders(&self) -> Vec<OrderKey> {
        self.inside().entries.keys().cloned().collect()
    }

    /// The saved state of an order, and its revision.
    pub fn state(&self, order: &OrderKey) -> Option<(OrderState, u64)> {
        self.inside().states.get(order).cloned()
    }

    /// What is in the queue.
    pub fn queued(&self) -> Vec<Queued> {
        self.inside().queue.messages().cloned().collect()
    }

    /// Puts a text into the queue, as nobody of ours would.
    pub fn enqueue_text(&self, body: &str) {
        self.inside()
            .enqueue(body.to_owned(), MERCHANT.to_owned(), None);
    }

    /// Makes the queue look as if so many messages of others waited in it.
    pub fn set_backlog(&self, messages: u64) {
        self.inside().queue.backlog_of_others = messages;
    }

    /// Hands out up to `count` messages, hidden or not; they stay in the queue until [`World::delete`].
    pub fn receive(&self, count: usize) -> Vec<Queued> {
        self.inside().queue.receive_first(count)
    }

    /// The ids of the messages that are visible now.
    pub fn visible(&self) -> Vec<String> {
        let inside = self.inside();
        let visible = inside
            .queue
            .messages()
            .filter(|message| message.visible_at <= inside.now);
        visible.map(|message| message.message_id.clone()).collect()
    }

    /// Hands out messages by id and hides them for so long; one that was received `max_receives` times already
    /// becomes a dead letter instead.
    pub fn take(&self, message_ids: &[String], hidden: Millis, max_receives: u32) -> Vec<Queued> {
        let mut inside = self.inside();
        let visible_at = inside.now + hidden;
        let (taken, exhausted) = inside.queue.take(message_ids, visible_at, max_receives);
        inside
            .dead_letters
            .extend(exhausted.into_iter().map(|message| Buried {
                merchant: MerchantId::parse(&message.group).ok(),
                body: message.body,
            }));
        taken
    }

    /// Deletes messages from the queue.
    pub fn delete(&self, message_ids: &[String]) {
        self.inside().queue.delete(message_ids);
    }

    /// What is in the dead-letter queue.
    pub fn dead_letters(&self) -> Vec<Buried> {
        self.inside().dead_letters.clone()
    }

    /// Which messages were postponed, and for how many seconds.
    pub fn postponed(&self) -> Vec<(String, u32)> {
        self.inside().postponed.clone()
    }

    /// Makes one call: its effect, its fault, or both. `about` is the key of what it touches.
    pub(crate) async fn call<T>(
        &self,
        call: &'static str,
        about: &impl fmt::Display,
        effect: impl Fn(&mut Inside) -> T + Send + 'static,
    ) -> Result<T, PortError> {
        self.let_others_go_first().await;
        let outcome = self.meet_fault(call, about, effect);
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        };
        self.let_others_go_first().await;
        outcome
    }

    /// `None`: there will never be an answer.
    fn meet_fault<T>(
        &self,
        call: &'static str,
        about: &impl fmt::Display,
        effect: impl Fn(&mut Inside) -> T + Send + 'static,
    ) -> Option<Result<T, PortError>> {
        let mut guard = self.inside();
        let inside = &mut *guard;
        inside.catch_up();
        let lost = || PortError {
            call,
            source: "a fault of this test".into(),
        };
        let fault = inside.fault_of(call);
        if fault.is_some() {
            inside.seen.faulted.push((call, about.to_string()));
        }
        match fault {
            None => Some(Ok(effect(inside))),
            Some(Fault::Before) => Some(Err(lost())),
            Some(Fault::After) => {
                effect(inside);
                Some(Err(lost()))
            }
            Some(Fault::Repeated) => {
                effect(inside);
                Some(Ok(effect(inside)))
            }
            Some(Fault::Late(after)) => {
                let late: LateEffect = Box::new(move |inside| drop(effect(inside)));
                inside.late_effects.push((inside.now + after, late));
                Some(Err(lost()))
            }
            Some(Fault::HangBefore) => None,
            Some(Fault::HangAfter) => {
                effect(inside);
                None
            }
            Some(Fault::Panic) => {
                drop(guard);
                panic!("a fault of this test in {call}")
            }
            Some(Fault::DiesBefore) => {
                inside.died = true;
                None
            }
            Some(Fault::DiesAfter) => {
                effect(inside);
                inside.died = true;
                None
            }
        }
    }

    /// In an interleaved world, gives the other processes a turn.
    pub(crate) async fn let_others_go_first(&self) {
        let mut waited = !self.inside().interleaved;
        poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl Inside {
    fn fault_of(&mut self, call: &'static str) -> Option<Fault> {
        self.calls.push(call);
        let planned = self.next_faults.iter().position(|(name, _)| *name == call);
        planned
            .and_then(|index| self.next_faults.remove(index))
            .map(|(_, fault)| fault)
            .or_else(|| self.lasting_faults.get(call).copied())
            .or_else(|| self.weather.as_mut().and_then(|weather| weather(call)))
    }

    /// Lets take place what is late by now.
    fn catch_up(&mut self) {
        let now = self.now;
        let mut later = Vec::new();
        for (at, effect) in std::mem::take(&mut self.late_effects) {
            if at <= now {
                effect(self);
            } else {
                later.push((at, effect));
            }
        }
        self.late_effects.append(&mut later);
        while let Some((at, _)) = self.index_changes.front()
            && *at <= now
            && let Some((_, key)) = self.index_changes.pop_front()
        {
            self.list(&key);
        }
    }

    pub(crate) fn enqueue(&mut self, body: String, group: String, trace_header: Option<String>) {
        let now = self.now;
        self.queue.push(body, group, trace_header, now);
    }

    fn remove(&mut self, key: &WebhookKey) {
        self.records.remove(key);
        self.seen.removed.insert(key.clone());
        self.index_changed(key);
    }

    /// Must be called for every record that was written or removed.
    pub(crate) fn index_changed(&mut self, key: &WebhookKey) {
        let lag_seconds = match &mut self.index_lag {
            None => return self.list(key),
            Some(random) => random.choice([0, 0, 0, 3, 90]).unwrap_or_default(),
        };
        let at = self.now + Millis::from_seconds(lag_seconds);
        // The index follows the table in order.
        let at = self
            .index_changes
            .back()
            .map_or(at, |(last, _)| at.max(*last));
        self.index_changes.push_back((at, key.clone()));
        self.catch_up();
    }

    fn list(&mut self, key: &WebhookKey) {
        let listed = self.records.get(key).and_then(|stored| {
            let due = stored.due_at_ms?;
            Some((stored.record.pending_shard(), due))
        });
        match listed {
            Some(listed) => drop(self.index.insert(key.clone(), listed)),
            None => drop(self.index.remove(key)),
        }
    }

    pub(crate) fn listed(
        &self,
        shard: PendingShard,
        until: EpochMillis,
    ) -> impl Iterator<Item = (&WebhookKey, EpochMillis)> {
        self.index
            .iter()
            .filter(move |(_, (listed_in, due))| *listed_in == shard && *due <= until)
            .map(|(key, (_, due))| (key, *due))
    }

    pub(crate) fn is_interleaved(&self) -> bool {
        self.interleaved
    }
}
