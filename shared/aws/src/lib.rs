//! The ports on DynamoDB and SQS, and what every function's `main` needs of its surroundings.
//!
//! One file per resource. SDK errors stop here: a [`domain::PortError`] says which call failed and how, and
//! nothing of what was in it.

mod clients;
mod error;
mod events_queue;
mod installations_table;
mod logging;
mod orders_table;
mod surroundings;
mod webhooks_table;

pub use clients::{Clients, SettingsError, required};
pub use events_queue::{DeadLetterQueue, EventsQueue, message_text};
pub use installations_table::{InstallationsTable, Registration};
pub use logging::{exit_code, log_as_json};
pub use orders_table::OrdersTable;
pub use surroundings::{RandomRequestIds, RandomShard, SystemClock, environment};
pub use webhooks_table::WebhooksTable;
