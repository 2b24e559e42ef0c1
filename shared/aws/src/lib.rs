//! The ports on DynamoDB and SQS, and what every function's `main` needs of its surroundings.
//!
//! One file per resource. SDK errors stop here: a [`domain::PortError`] says which call failed and how, and
//! nothing of what was in it.

mod batches;
mod clients;
mod connections;
mod erasure;
mod error;
mod events_queue;
mod held_changes;
mod installations_table;
mod logging;
mod metrics;
mod orders_table;
mod panics;
mod scan;
mod surroundings;
mod webhooks_table;

pub use batches::batches;
pub use clients::{Clients, SettingsError, required};
pub use error::{is_damaged, port_error, refused};
pub use events_queue::{
    DeadLetter, DeadLetterQueue, EventsQueue, UnreadableMessage, message_text, read_message,
};
pub use held_changes::HeldChangesQueue;
pub use installations_table::{InstallationsTable, Registration};
pub use logging::{JsonLines, exit_code, log_as_json};
pub use metrics::{Dimensions, METRICS, Metric, NAMESPACE, PROVIDER, STACK, Unit};
pub use orders_table::{
    Consistency, OrderItems, OrdersTable, Reported, ReportedItem, SavedWrite, StateRead,
    StateWrite, UnreadableRecord, read_state_write,
};
pub use panics::{Panicked, caught};
pub use scan::{Page, Part, Position, Segment};
pub use surroundings::{RandomRequestIds, RandomShard, SystemClock, environment};
pub use webhooks_table::{RecordChange, StoredWebhook, WebhookFilter, WebhookParts, WebhooksTable};
