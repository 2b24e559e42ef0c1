//! Tells subscribers that an order's status changed.
//!
//! The stream of the `orders` table says that a state was saved; what changed its status is published to the stack's own event bus. At
//! least once, and one order's changes one after the other: a change is only sent when the one before it was taken. A change
//! has the same id however often it is published.
//!
//! A change to `delivered` or `failed` may be held back for some seconds, in a queue, and is then published if it still
//! stands. Only for that the publisher keeps, beside the state, how far it has come.
//!
//! Both event sources must have `ReportBatchItemFailures` in their `FunctionResponseTypes` (template.yaml): without it a reported failure
//! counts as a success.
#![warn(clippy::wildcard_enum_match_arm)]

mod batch;
mod config;
mod event_bus;
mod publisher;

pub use batch::Batch;
pub use config::{Config, ConfigError};
pub use event_bus::EventBus;
pub use publisher::{NamelessFailure, Publisher, Stores};
