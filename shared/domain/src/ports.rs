//! The ports: everything the pipeline needs from outside, one small trait per need, so that a function
//! can do only what it was given.

use std::future::Future;

use crate::{
    BodySha256, CredentialDigest, EpochMillis, HeldMessage, Installation, MerchantId, OrderKey,
    OrderState, PendingShard, Progress, QueueMessage, RecordState, RequestId, Standing,
    StatusChange, TimelineEntry, WebhookKey, WebhookRecord,
};

/// A call to the outside did not succeed. Whether it had an effect is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{call} did not succeed")]
pub struct PortError {
    /// Which call.
    pub call: &'static str,
    /// What the client said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl PortError {
    /// The error and its causes on one line, for a log.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// The wall clock.
pub trait Clock {
    /// Now.
    fn now_ms(&self) -> EpochMillis;
}

/// Where a run of the relay begins.
pub trait FirstShard {
    /// Draws one at random.
    fn draw(&self) -> PendingShard;
}

/// Where request ids come from.
pub trait RequestIds {
    /// Draws a new one at random.
    fn draw(&self) -> RequestId;
}

/// Who may send: the `installations` table.
pub trait Installations {
    /// The installation registered for a credential.
    fn find(
        &self,
        credential: &CredentialDigest,
    ) -> impl Future<Output = Result<Option<Installation>, PortError>> + Send;
}

/// The `webhooks` table, as far as a receiver needs it.
pub trait WebhookRecords {
    /// Writes `record` under `key` if no record has that key, else returns the one that has. While pending it
    /// is listed in the sparse index, first due at [`WebhookRecord::first_due_at_ms`].
    fn put_if_absent(
        &self,
        key: &WebhookKey,
        record: &WebhookRecord,
        state: RecordState,
        order: Option<&OrderKey>,
    ) -> impl Future<Output = Result<PutOutcome, PortError>> + Send;
}

/// What a conditional put found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// Nothing; the record is written.
    Written,
    /// A record under that key.
    Exists(ExistingRecord),
}

/// What matters of a record that was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingRecord {
    /// The handler call that wrote it.
    pub request_id: RequestId,
    /// The digest of its body.
    pub body_sha256: BodySha256,
}

/// The `webhooks` table, as far as the consumer needs it.
pub trait RecordClosing {
    /// Closes the record `key` if it exists, has this body and is pending or parked: it leaves the index; as
    /// applied it also gets its expiry.
    fn close(
        &self,
        key: &WebhookKey,
        body_sha256: &BodySha256,
        closed_as: ClosedAs,
    ) -> impl Future<Output = Result<CloseOutcome, PortError>> + Send;
}

/// As what a record is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedAs {
    /// Its event is in the timeline, and the state says so. It may expire then.
    Applied {
        /// When it may be deleted.
        expires_at: EpochMillis,
    },
    /// Today's mapping does not know what it means.
    Unmapped,
    /// It cannot be read, or its order is beyond [`crate::MAX_EVENTS_PER_ORDER`].
    Quarantined,
}

impl ClosedAs {
    /// The state it is closed in.
    pub const fn state(self) -> RecordState {
        match self {
            Self::Applied { .. } => RecordState::Applied,
            Self::Unmapped => RecordState::Unmapped,
            Self::Quarantined => RecordState::Quarantined,
        }
    }
}

/// The `webhooks` table, as far as the relay needs it.
pub trait PendingRecords {
    /// Up to `limit` records of one shard that are due at `now`, the longest overdue first. The index lags
    /// behind the table, so this is a hint; [`PendingRecords::claim`] decides.
    fn overdue(
        &self,
        shard: PendingShard,
        now: EpochMillis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Overdue>, PortError>> + Send;

    /// Takes an overdue record for this run, if it is still pending and due as seen: counts the attempt and
    /// puts the record off, for [`crate::FIRST_RELAY_DELAY`] after the first attempt and twice as long after
    /// each further one.
    fn claim(
        &self,
        overdue: &Overdue,
        now: EpochMillis,
    ) -> impl Future<Output = Result<ClaimOutcome, PortError>> + Send;

    /// Takes a claimed record out of the index for good, unless something else happened to it since the claim.
    fn set_aside(
        &self,
        claim: &Claim,
        as_what: SetAside,
    ) -> impl Future<Output = Result<CloseOutcome, PortError>> + Send;
}

/// A record as the sparse index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Its key.
    pub key: WebhookKey,
    /// When it was due.
    pub due_at_ms: EpochMillis,
}

/// What claiming found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The record is this run's.
    Claimed(Box<Claim>),
    /// It was closed, or another run took it.
    Gone,
}

/// A record that one run of the relay has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its key.
    pub key: WebhookKey,
    /// When it is due again; no other claim has the same.
    pub due_at_ms: EpochMillis,
    /// How often it was claimed, this time included.
    pub attempts: u32,
    /// The record; `None` when the item is damaged and holds none.
    pub record: Option<WebhookRecord>,
}

/// As what the relay takes a record out of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAside {
    /// It was sent too often without being closed.
    Parked,
    /// Today's mapping has no event for it.
    Unmapped,
    /// It cannot be read.
    Quarantined,
}

impl SetAside {
    /// The state it is set aside in.
    pub const fn state(self) -> RecordState {
        match self {
            Self::Parked => RecordState::Parked,
            Self::Unmapped => RecordState::Unmapped,
            Self::Quarantined => RecordState::Quarantined,
        }
    }
}

/// What closing found. Both are success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseOutcome {
    /// The record is closed now.
    Closed,
    /// It was closed before, or there is none with this body.
    NothingToClose,
}

/// The `orders` table.
pub trait Orders {
    /// Adds an entry to the timeline if it is not in it.
    fn put_entry(
        &self,
        order: &OrderKey,
        entry: &TimelineEntry,
    ) -> impl Future<Output = Result<EntryOutcome, PortError>> + Send;

    /// Reads the stored state and the timeline, consistently, at most one entry more than
    /// [`crate::MAX_EVENTS_PER_ORDER`].
    fn read(&self, order: &OrderKey) -> impl Future<Output = Result<Timeline, PortError>> + Send;

    /// Saves the state unless the stored one is folded from more events; `revision` grows by one.
    fn save(
        &self,
        order: &OrderKey,
        state: &OrderState,
    ) -> impl Future<Output = Result<SaveOutcome, PortError>> + Send;
}

/// What adding an entry found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryOutcome {
    /// It was not there; now it is.
    Added,
    /// It was there.
    Exists,
}

/// What saving a state found. Both are success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The state is saved.
    Saved,
    /// A state folded from more events is there.
    Superseded,
}

/// An order as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The state, if any was saved.
    pub state: Option<OrderState>,
    /// How often the state was saved; 0 without one.
    pub revision: u64,
    /// The entries, in the order of their keys.
    pub entries: Vec<TimelineEntry>,
}

/// The events queue, as far as a sender needs it.
pub trait EventQueue {
    /// Sends a message in its merchant's message group; `trace_header` is the X-Ray header to carry on.
    fn send(
        &self,
        message: &QueueMessage,
        trace_header: Option<&str>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The events queue, as far as the relay needs it.
pub trait EventBatches {
    /// Sends messages, each in its merchant's message group, in as few requests as their sizes allow.
    ///
    /// # Errors
    /// When the queue did not take all of them; which ones it took is then unknown.
    fn send_all(
        &self,
        messages: &[QueueMessage],
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// About how many messages wait to be received.
    fn waiting(&self) -> impl Future<Output = Result<u64, PortError>> + Send;
}

/// The events queue, as far as the consumer decides when a message comes again.
pub trait Redelivery {
    /// Hides a received message for so many seconds.
    fn postpone(
        &self,
        receipt_handle: &str,
        seconds: u32,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The dead-letter queue.
pub trait DeadLetters {
    /// Sends the body of a message that can never succeed.
    fn bury(
        &self,
        body: &str,
        merchant: Option<&MerchantId>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The bus that subscribers listen to.
pub trait StatusChanges {
    /// Publishes changes, no two of which are one order's: what one request has in it is in no order. Says of each, in their
    /// order, whether it was taken.
    fn publish(
        &self,
        changes: &[StatusChange],
    ) -> impl Future<Output = Vec<Result<(), PortError>>> + Send;
}

/// The `orders` table, as far as the publisher needs it.
pub trait Announcements {
    /// Reads an order's state and the publisher's progress, consistently; nothing, where there is no state.
    fn standing(
        &self,
        order: &OrderKey,
    ) -> impl Future<Output = Result<Option<Standing>, PortError>> + Send;

    /// Keeps the progress with an order whose progress is still the one that was seen.
    fn keep(
        &self,
        order: &OrderKey,
        seen: Option<Progress>,
        progress: Progress,
    ) -> impl Future<Output = Result<KeepOutcome, PortError>> + Send;
}

/// What keeping the progress found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepOutcome {
    /// It is kept.
    Kept,
    /// Another progress than was seen, perhaps our own from a call whose answer was lost; or no order.
    NotAsSeen,
}

/// The queue of what is published later.
pub trait HeldChanges {
    /// Sends a message that comes after so many seconds.
    fn hold(
        &self,
        message: &HeldMessage,
        seconds: u16,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}
