//! Everything outside the pipeline, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use domain::{
    BodySha256, Clock, CloseOutcome, ClosedAs, CompanyId, CredentialDigest, DeadLetters,
    EntryOutcome, EpochMillis, EventQueue, ExistingRecord, Installation, InstallationState,
    Installations, MerchantId, OrderKey, OrderState, Orders, PortError, PutOutcome, QueueMessage,
    RecordClosing, RecordState, Redelivery, RequestId, RequestIds, SaveOutcome, Timeline,
    TimelineEntry, UrlKeyDigest, WebhookKey, WebhookRecord, WebhookRecords,
};
use serde_json::{Value, json};

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
    /// It never answers, and has no effect.
    HangBefore,
    /// It has its effect, and never answers.
    HangAfter,
    /// It panics.
    Panic,
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
}

/// A message in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its id.
    pub message_id: String,
    /// Its text.
    pub body: String,
    /// Its message group.
    pub group: String,
    /// The trace header it carries.
    pub trace_header: Option<String>,
    /// How often it was handed out.
    pub receives: u32,
}

/// A message in the dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buried {
    /// Its text.
    pub body: String,
    /// Whose it was.
    pub merchant: Option<MerchantId>,
}

/// The outside. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    now_ms: u64,
    drawn: u64,
    installations: BTreeMap<CredentialDigest, Installation>,
    records: BTreeMap<WebhookKey, StoredRecord>,
    entries: BTreeMap<OrderKey, BTreeMap<String, TimelineEntry>>,
    states: BTreeMap<OrderKey, (OrderState, u64)>,
    queue: VecDeque<Queued>,
    sent: u64,
    dead_letters: Vec<Buried>,
    postponed: Vec<(String, u32)>,
    calls: Vec<&'static str>,
    next_faults: VecDeque<(&'static str, Fault)>,
    lasting_faults: BTreeMap<&'static str, Fault>,
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

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0
            .lock()
            .expect("no test panics while it holds the world")
    }

    /// Moves the wall clock.
    pub fn set_now(&self, now: EpochMillis) {
        self.inside().now_ms = now.as_millis();
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

    /// Ends all faults.
    pub fn heal(&self) {
        let mut inside = self.inside();
        inside.lasting_faults.clear();
        inside.next_faults.clear();
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
        self.inside().queue.iter().cloned().collect()
    }

    /// Puts a text into the queue, as nobody of ours would.
    pub fn enqueue_text(&self, body: &str) {
        self.inside()
            .enqueue(body.to_owned(), MERCHANT.to_owned(), None);
    }

    /// Hands out up to `count` messages; they stay in the queue until [`World::delete`].
    pub fn receive(&self, count: usize) -> Vec<Queued> {
        let mut inside = self.inside();
        inside
            .queue
            .iter_mut()
            .take(count)
            .for_each(|message| message.receives += 1);
        inside.queue.iter().take(count).cloned().collect()
    }

    /// Deletes messages from the queue.
    pub fn delete(&self, message_ids: &[String]) {
        self.inside()
            .queue
            .retain(|message| !message_ids.contains(&message.message_id));
    }

    /// What is in the dead-letter queue.
    pub fn dead_letters(&self) -> Vec<Buried> {
        self.inside().dead_letters.clone()
    }

    /// Which messages were postponed, and for how many seconds.
    pub fn postponed(&self) -> Vec<(String, u32)> {
        self.inside().postponed.clone()
    }

    /// Makes one call: its effect, its fault, or both.
    async fn call<T>(
        &self,
        call: &'static str,
        effect: impl FnOnce(&mut Inside) -> T,
    ) -> Result<T, PortError> {
        let fault = {
            let mut inside = self.inside();
            inside.calls.push(call);
            let planned = inside
                .next_faults
                .iter()
                .position(|(name, _)| *name == call);
            planned
                .and_then(|index| inside.next_faults.remove(index))
                .map(|(_, fault)| fault)
                .or_else(|| inside.lasting_faults.get(call).copied())
        };
        let lost = || PortError {
            call,
            source: "a fault of this test".into(),
        };
        match fault {
            None => Ok(effect(&mut self.inside())),
            Some(Fault::Before) => Err(lost()),
            Some(Fault::After) => {
                effect(&mut self.inside());
                Err(lost())
            }
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                effect(&mut self.inside());
                std::future::pending().await
            }
            Some(Fault::Panic) => panic!("a fault of this test in {call}"),
        }
    }
}

impl Inside {
    fn enqueue(&mut self, body: String, group: String, trace_header: Option<String>) {
        self.sent += 1;
        let message_id = format!("message-{}", self.sent);
        self.queue.push_back(Queued {
            message_id,
            body,
            group,
            trace_header,
            receives: 0,
        });
    }
}

impl Clock for World {
    fn now_ms(&self) -> EpochMillis {
        EpochMillis::new(self.inside().now_ms)
    }
}

impl RequestIds for World {
    fn draw(&self) -> RequestId {
        let mut inside = self.inside();
        inside.drawn += 1;
        RequestId::parse(&format!("request-{}", inside.drawn)).expect("it is an id")
    }
}

impl Installations for World {
    async fn find(&self, credential: &CredentialDigest) -> Result<Option<Installation>, PortError> {
        self.call("find", |inside| {
            inside.installations.get(credential).cloned()
        })
        .await
    }
}

impl WebhookRecords for World {
    async fn put_if_absent(
        &self,
        key: &WebhookKey,
        record: &WebhookRecord,
        state: RecordState,
        order: Option<&OrderKey>,
    ) -> Result<PutOutcome, PortError> {
        self.call("put_if_absent", |inside| {
            if let Some(old) = inside.records.get(key) {
                return PutOutcome::Exists(ExistingRecord {
                    request_id: old.record.request_id.clone(),
                    body_sha256: old.record.body_sha256.clone(),
                });
            }
            let due_at_ms = (state == RecordState::Pending).then(|| record.first_due_at_ms());
            let stored = StoredRecord {
                record: record.clone(),
                state,
                order: order.cloned(),
                expires_at: None,
                due_at_ms,
            };
            inside.records.insert(key.clone(), stored);
            PutOutcome::Written
        })
        .await
    }
}

impl RecordClosing for World {
    async fn close(
        &self,
        key: &WebhookKey,
        body_sha256: &BodySha256,
        closed_as: ClosedAs,
    ) -> Result<CloseOutcome, PortError> {
        self.call("close", |inside| {
            let open = |stored: &&mut StoredRecord| {
                stored.record.body_sha256 == *body_sha256
                    && matches!(stored.state, RecordState::Pending | RecordState::Parked)
            };
            let Some(stored) = inside.records.get_mut(key).filter(open) else {
                return CloseOutcome::NothingToClose;
            };
            stored.state = closed_as.state();
            stored.due_at_ms = None;
            if let ClosedAs::Applied { expires_at } = closed_as {
                stored.expires_at = Some(expires_at);
            }
            CloseOutcome::Closed
        })
        .await
    }
}

impl Orders for World {
    async fn put_entry(
        &self,
        order: &OrderKey,
        entry: &TimelineEntry,
    ) -> Result<EntryOutcome, PortError> {
        self.call("put_entry", |inside| {
            let timeline = inside.entries.entry(order.clone()).or_default();
            let key = entry.sort_key(order.provider);
            if timeline.contains_key(&key) {
                return EntryOutcome::Exists;
            }
            timeline.insert(key, entry.clone());
            EntryOutcome::Added
        })
        .await
    }

    async fn read(&self, order: &OrderKey) -> Result<Timeline, PortError> {
        self.call("read", |inside| {
            let saved = inside.states.get(order).cloned();
            let entries = inside
                .entries
                .get(order)
                .into_iter()
                .flat_map(BTreeMap::values)
                .cloned();
            Timeline {
                revision: saved.as_ref().map_or(0, |(_, revision)| *revision),
                state: saved.map(|(state, _)| state),
                entries: entries.take(domain::MAX_EVENTS_PER_ORDER + 1).collect(),
            }
        })
        .await
    }

    async fn save(&self, order: &OrderKey, state: &OrderState) -> Result<SaveOutcome, PortError> {
        self.call("save", |inside| {
            let revision = match inside.states.get(order) {
                Some((saved, _)) if saved.event_count > state.event_count => {
                    return SaveOutcome::Superseded;
                }
                Some((_, revision)) => revision + 1,
                None => 1,
            };
            inside
                .states
                .insert(order.clone(), (state.clone(), revision));
            SaveOutcome::Saved
        })
        .await
    }
}

impl EventQueue for World {
    async fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> Result<(), PortError> {
        let body = serde_json::to_string(message).expect("a message is JSON");
        let group = message.merchant_id().as_str().to_owned();
        self.call("send", |inside| {
            inside.enqueue(body, group, trace_header.map(str::to_owned))
        })
        .await
    }
}

impl Redelivery for World {
    async fn postpone(&self, receipt_handle: &str, seconds: u32) -> Result<(), PortError> {
        let handle = receipt_handle.to_owned();
        self.call("postpone", |inside| {
            inside.postponed.push((handle, seconds))
        })
        .await
    }
}

impl DeadLetters for World {
    async fn bury(&self, body: &str, merchant: Option<&MerchantId>) -> Result<(), PortError> {
        let buried = Buried {
            body: body.to_owned(),
            merchant: merchant.cloned(),
        };
        self.call("bury", |inside| inside.dead_letters.push(buried))
            .await
    }
}

/// Messages as Lambda hands them to the consumer.
pub fn sqs_batch(messages: &[Queued]) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.message_id,
                "receiptHandle": format!("handle of {}", message.message_id),
                "body": message.body,
                "attributes": { "ApproximateReceiveCount": message.receives.to_string() },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:events",
                "awsRegion": "us-east-1",
            })
        })
        .collect();
    json!({ "Records": records })
}
