//! A batch of queue messages to the orders' timelines and states.
//!
//! Each message is decoded alone and fails alone; messages of one order are applied together, different
//! orders at the same time. The order of work makes every crash harmless: put the entry, query, fold, save,
//! close the record, acknowledge. Whatever is repeated finds its own traces and changes nothing.
//!
//! The event source must have `ReportBatchItemFailures` in its `FunctionResponseTypes` (template.yaml):
//! without it a reported failure is deleted like a success.
#![warn(clippy::wildcard_enum_match_arm)]

mod apply;
mod config;
mod consumer;
mod decode;

pub use config::{Config, ConfigError};
pub use consumer::{Consumer, NamelessFailure, Stores};
