//! The bugs that a pipeline like this one has had elsewhere, planted into the ports on purpose.
//!
//! A simulation that does not notice them proves nothing. None of them leaves a trace in the shipped code.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use domain::{
    BodySha256, Claim, ClaimOutcome, Clock, CloseOutcome, ClosedAs, CredentialDigest, DeadLetters,
    EntryOutcome, EpochMillis, EventBatches, EventQueue, ExistingRecord, FirstShard, Installation,
    Installations, MerchantId, Millis, OrderEvent, OrderKey, OrderState, Orders, Overdue,
    PendingRecords, PendingShard, PortError, PutOutcome, QueueMessage, RecordClosing, RecordState,
    Redelivery, RequestId, RequestIds, SaveOutcome, SetAside, Timeline, TimelineEntry, WebhookKey,
    WebhookRecord, WebhookRecords,
};

use crate::world::World;

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The webhook is answered before it is put.
    AckBeforePut,
    /// A known id is a duplicate, whatever the body.
    IdOnlyDedupe,
    /// A state is saved over one that was folded from more events.
    SaveUnconditionally,
    /// Events count in the order of their receipt.
    NewestReceivedWins,
    /// An entry is put over the one that is there.
    EntryOverwrites,
    /// An entry's identity holds our status instead of the provider's word.
    IdentityWithStatus,
    /// Closing a record that is not there makes one.
    CloseUpserts,
    /// A record gets its expiry when it is put.
    ExpiryAtPut,
    /// The relay waits for the backlog to go away, however long that takes.
    GuardWithoutEnd,
    /// A message that failed is acknowledged.
    FailureSwallowed,
    /// The consumer writes the record of a fallback message last.
    FallbackRecordLast,
    /// A message becomes a dead letter after five receives.
    FiveReceives,
    /// The event is sent before its record is put.
    ForwardBeforePut,
    /// A put that meets its own earlier write takes it for another's.
    OwnWriteIsDuplicate,
    /// One failed message brings its whole batch back.
    WholeBatchFails,
    /// The relay sends at every run.
    RelayWithoutBackoff,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::AckBeforePut,
        Self::IdOnlyDedupe,
        Self::SaveUnconditionally,
        Self::NewestReceivedWins,
        Self::EntryOverwrites,
        Self::IdentityWithStatus,
        Self::CloseUpserts,
        Self::ExpiryAtPut,
        Self::GuardWithoutEnd,
        Self::FailureSwallowed,
        Self::FallbackRecordLast,
        Self::FiveReceives,
        Self::ForwardBeforePut,
        Self::OwnWriteIsDuplicate,
        Self::WholeBatchFails,
        Self::RelayWithoutBackoff,
    ];
}

/// Which function a port belongs to: some bugs are one function's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A webhook function.
    Ingest,
    /// The consumer.
    Consumer,
    /// The relay.
    Relay,
}

/// A put that a flaw puts off.
#[derive(Clone, Debug)]
struct OpenPut {
    key: WebhookKey,
    record: WebhookRecord,
    state: RecordState,
    order: Option<OrderKey>,
}

/// Reads a record's event, as the deployed functions do.
pub type ReadEvent = fn(&WebhookRecord) -> Option<OrderEvent>;

/// The ports of a [`World`], with one bug at most.
#[derive(Clone, Debug)]
pub struct Ports {
    world: World,
    side: Side,
    flaw: Option<Flaw>,
    /// From when on today's mapping is deployed.
    remapped_at: EpochMillis,
    read_event: ReadEvent,
    open_puts: Arc<Mutex<BTreeMap<String, OpenPut>>>,
}

impl Ports {
    /// The ports of `world` as one function has them.
    pub fn new(
        world: &World,
        side: Side,
        flaw: Option<Flaw>,
        remapped_at: EpochMillis,
        read_event: ReadEvent,
    ) -> Self {
        Self {
            world: world.clone(),
            side,
            flaw,
            remapped_at,
            read_event,
            open_puts: Arc::default(),
        }
    }

    fn has(&self, flaw: Flaw, side: Side) -> bool {
        self.flaw == Some(flaw) && self.side == side
    }

    fn put_off(&self, put: OpenPut) -> PutOutcome {
        let mut open = self.open_puts.lock().expect("nobody panics with it");
        open.insert(put.record.body_sha256.as_str().to_owned(), put);
        PutOutcome::Written
    }

    /// Makes the put that was put off, if there is one; whether it succeeds does not matter to the bug.
    async fn make_open_put(&self, body_sha256: &BodySha256) {
        let put = self
            .open_puts
            .lock()
            .expect("nobody panics with it")
            .remove(body_sha256.as_str());
        if let Some(put) = put {
            let order = put.order.as_ref();
            let _ = self
                .world
                .put_if_absent(&put.key, &put.record, put.state, order)
                .await;
        }
    }
}

impl Clock for Ports {
    fn now_ms(&self) -> EpochMillis {
        self.world.now_ms()
    }
}

impl RequestIds for Ports {
    fn draw(&self) -> RequestId {
        RequestIds::draw(&self.world)
    }
}

impl FirstShard for Ports {
    fn draw(&self) -> PendingShard {
        FirstShard::draw(&self.world)
    }
}

impl Installations for Ports {
    async fn find(&self, credential: &CredentialDigest) -> Result<Option<Installation>, PortError> {
        self.world.find(credential).await
    }
}

impl WebhookRecords for Ports {
    async fn put_if_absent(
        &self,
        key: &WebhookKey,
        record: &WebhookRecord,
        state: RecordState,
        order: Option<&OrderKey>,
    ) -> Result<PutOutcome, PortError> {
        if self.has(Flaw::ForwardBeforePut, Side::Ingest)
            && let Some(event) = (self.read_event)(record)
        {
            let message = QueueMessage::event(key.clone(), record.body_sha256.clone(), event);
            let _ = self.world.send(&message, None).await;
        }
        if self.has(Flaw::AckBeforePut, Side::Ingest)
            || self.has(Flaw::FallbackRecordLast, Side::Consumer)
        {
            return Ok(self.put_off(OpenPut {
                key: key.clone(),
                record: record.clone(),
                state,
                order: order.cloned(),
            }));
        }
        let outcome = self.world.put_if_absent(key, record, state, order).await?;
        Ok(match (outcome, self.flaw) {
            (PutOutcome::Exists(old), Some(Flaw::IdOnlyDedupe)) => {
                PutOutcome::Exists(ExistingRecord {
                    body_sha256: record.body_sha256.clone(),
                    ..old
                })
            }
            (PutOutcome::Exists(old), Some(Flaw::OwnWriteIsDuplicate)) => {
                PutOutcome::Exists(ExistingRecord {
                    request_id: RequestId::parse("somebody-else").expect("it is an id"),
                    ..old
                })
            }
            (PutOutcome::Written, Some(Flaw::ExpiryAtPut)) => {
                let expires_at = record.received_at_ms + Millis::from_days(30);
                self.world
                    .change_record(key, |stored| stored.expires_at = Some(expires_at));
                PutOutcome::Written
            }
            (outcome, _) => outcome,
        })
    }
}

impl RecordClosing for Ports {
    async fn close(
        &self,
        key: &WebhookKey,
        body_sha256: &BodySha256,
        closed_as: ClosedAs,
    ) -> Result<CloseOutcome, PortError> {
        if self.has(Flaw::FallbackRecordLast, Side::Consumer) {
            self.make_open_put(body_sha256).await;
        }
        let outcome = self.world.close(key, body_sha256, closed_as).await?;
        if self.flaw == Some(Flaw::CloseUpserts) {
            let mut inside = self.world.inside();
            if !inside.records.contains_key(key) {
                inside.seen.ghosts.insert(key.clone());
            }
        }
        Ok(outcome)
    }
}

impl PendingRecords for Ports {
    async fn overdue(
        &self,
        shard: PendingShard,
        now: EpochMillis,
        limit: usize,
    ) -> Result<Vec<Overdue>, PortError> {
        let found = self.world.overdue(shard, now, limit).await?;
        if self.flaw == Some(Flaw::GuardWithoutEnd) && self.world.waiting().await? >= 1_000 {
            return Ok(Vec::new());
        }
        Ok(found)
    }

    async fn claim(&self, overdue: &Overdue, now: EpochMillis) -> Result<ClaimOutcome, PortError> {
        let claimed = self.world.claim(overdue, now).await?;
        if self.flaw == Some(Flaw::RelayWithoutBackoff) && claimed != ClaimOutcome::Gone {
            self.world
                .change_record(&overdue.key, |stored| stored.due_at_ms = Some(now));
        }
        Ok(claimed)
    }

    async fn set_aside(&self, claim: &Claim, as_what: SetAside) -> Result<CloseOutcome, PortError> {
        self.world.set_aside(claim, as_what).await
    }
}

impl Orders for Ports {
    async fn put_entry(
        &self,
        order: &OrderKey,
        entry: &TimelineEntry,
    ) -> Result<EntryOutcome, PortError> {
        match self.flaw {
            Some(Flaw::EntryOverwrites) => {
                let (order, entry) = (order.clone(), entry.clone());
                self.world
                    .call("put_entry", &order.clone(), move |inside| {
                        let key = entry.sort_key(order.provider);
                        let outcome = inside.put_entry(&order, key.clone(), &entry);
                        let timeline = inside.entries.entry(order.clone()).or_default();
                        timeline.insert(key, entry.clone());
                        outcome
                    })
                    .await
            }
            Some(Flaw::IdentityWithStatus) if self.world.now_ms() < self.remapped_at => {
                let (order, entry) = (order.clone(), entry.clone());
                self.world
                    .call("put_entry", &order.clone(), move |inside| {
                        // What the old mapping said of it.
                        let key = format!("{}-as-it-was-mapped", entry.sort_key(order.provider));
                        inside.put_entry(&order, key, &entry)
                    })
                    .await
            }
            _ => self.world.put_entry(order, entry).await,
        }
    }

    async fn read(&self, order: &OrderKey) -> Result<Timeline, PortError> {
        let mut timeline = Orders::read(&self.world, order).await?;
        if self.flaw == Some(Flaw::NewestReceivedWins) {
            for entry in &mut timeline.entries {
                entry.occurred_at_ms = entry.received_at_ms;
            }
        }
        Ok(timeline)
    }

    async fn save(&self, order: &OrderKey, state: &OrderState) -> Result<SaveOutcome, PortError> {
        if self.flaw != Some(Flaw::SaveUnconditionally) {
            return Orders::save(&self.world, order, state).await;
        }
        let (order, state) = (order.clone(), state.clone());
        self.world
            .call("save", &order.clone(), move |inside| {
                inside.save(&order, &state);
                SaveOutcome::Saved
            })
            .await
    }
}

impl EventQueue for Ports {
    async fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> Result<(), PortError> {
        let sent = self.world.send(message, trace_header).await;
        if let domain::Payload::Event(forwarded) = &message.payload
            && self.has(Flaw::AckBeforePut, Side::Ingest)
        {
            self.make_open_put(&forwarded.body_sha256).await;
        }
        sent
    }
}

impl EventBatches for Ports {
    async fn send_all(&self, messages: &[QueueMessage]) -> Result<(), PortError> {
        self.world.send_all(messages).await
    }

    async fn waiting(&self) -> Result<u64, PortError> {
        self.world.waiting().await
    }
}

impl Redelivery for Ports {
    async fn postpone(&self, receipt_handle: &str, seconds: u32) -> Result<(), PortError> {
        self.world.postpone(receipt_handle, seconds).await
    }
}

impl DeadLetters for Ports {
    async fn bury(&self, body: &str, merchant: Option<&MerchantId>) -> Result<(), PortError> {
        self.world.bury(body, merchant).await
    }
}
