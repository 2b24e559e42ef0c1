//! What the pipeline knows about deliveries, and nothing else.
//!
//! Identifiers, times, statuses, events, the fold that turns an order's timeline into its state, the
//! webhook record and the ports to the outside. This crate does no I/O, reads no clock and knows no AWS and
//! no HTTP; a test fails when its dependencies say otherwise. Of the providers it knows what identifies
//! their credentials, webhooks and events, because keys must never change by accident.
//!
//! The path of one webhook through these types:
//!
//! ```text
//! RawWebhook --authenticate--> Authenticated --(provider's adapter)--> Reading
//!     Reading --record--> WebhookRecord (dedupe, audit and outbox in one item)
//!     Reading --> OrderEvent --> TimelineEntry --fold--> OrderState
//! ```
#![warn(clippy::wildcard_enum_match_arm)]

mod authentication;
mod compressed_body;
mod event;
mod identifier;
mod message;
mod order;
mod policy;
mod ports;
mod reading;
mod recording;
mod status;
mod status_change;
mod time;
mod webhook_record;

pub use authentication::{
    Authenticated, Credential, CredentialDigest, Headers, Installation, InstallationState,
    RawWebhook, Refusal, UrlKeyDigest, authenticate,
};
pub use compressed_body::{BodyError, CompressedBody};
pub use event::{Details, Driver, OrderEvent, ProviderWord, Schedule, ThirdParty};
pub use identifier::{
    BodySha256, CompanyId, IdentifierError, MerchantId, OrderId, OrderKey, Provider, RequestId,
    Sha256Hex, Topic, UnknownProvider, WebhookId, WebhookKey, loggable, sha256_hex, short_digest,
};
pub use message::{ForwardedEvent, Payload, QueueMessage, SCHEMA_VERSION};
pub use order::{Folded, MAX_EVENTS_PER_ORDER, OrderState, Reversals, TimelineEntry, fold};
pub use policy::{
    Change, Decision, Meaning, NotApplied, ProviderClock, ProviderRules, Step, decide,
};
pub use ports::{
    Announcements, Claim, ClaimOutcome, Clock, CloseOutcome, ClosedAs, DeadLetters, EntryOutcome,
    EventBatches, EventQueue, ExistingRecord, FirstShard, HeldChanges, Installations, KeepOutcome,
    Orders, Overdue, PendingRecords, PortError, PutOutcome, RecordClosing, Redelivery, RequestIds,
    SaveOutcome, SetAside, StatusChanges, Timeline, WebhookRecords,
};
pub use reading::{Ignored, Interpretation, Quarantined, Reading, Unmapped, believable};
pub use recording::{Recording, RecordingOutcome, record};
pub use status::{Status, StatusReason};
pub use status_change::{
    Announcement, ChangeId, DueChange, HeldMessage, Progress, STATUS_CHANGE_VERSION, SavedState,
    Standing, StatusChange, ToldOf,
};
pub use time::{EpochMillis, Millis};
pub use webhook_record::{
    DismissalReason, DismissalReasonError, FIRST_RELAY_DELAY, MAX_FORWARD_ATTEMPTS, PENDING_SHARDS,
    PendingShard, RecordState, WebhookRecord,
};
