//! The ports on DynamoDB and SQS, and what every function's `main` needs of its surroundings.
//!
//! One file per resource. SDK errors stop here: a [`domain::PortError`] says which call failed and how, and
//! nothing of what was in it.

mod clients;
mod connections;
mod erasure;
mod error;
mod events_queue;
mod installations_table;
mod logging;
mod metrics;
mod orders_table;
mod scan;
mod surroundings;
mod webhooks_table;

pub use clients::{Clients, SettingsError, required};
pub use error::is_damaged;
pub use events_queue::{
    DeadLetter, DeadLetterQueue, EventsQueue, UnreadableMessage, message_text, read_message,
};
pub use installations_table::{InstallationsTable, Registration};
pub use logging::{JsonLines, exit_code, log_as_json};
pub use metrics::{Dimensions, METRICS, Metric, NAMESPACE, PROVIDER, STACK, Unit};
pub use orders_table::{Consistency, OrderItems, OrdersTable, Reported, ReportedItem, StateRead};
pub use scan::{Page, Part, Position, Segment};
pub use surroundings::{RandomRequestIds, RandomShard, SystemClock, environment};
pub use webhooks_table::{RecordChange, StoredWebhook, WebhookFilter, WebhookParts, WebhooksTable};
