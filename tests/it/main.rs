//! What crosses crates, tested through the public doors, in one binary so that it links once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

// What runs `hookctl` itself is built with it: under the feature of the tests that need it anyway.
#[cfg(feature = "end-to-end")]
mod board;
mod boundaries;
mod canary;
mod clients;
mod consumer;
mod cost;
mod deploy;
// What runs `hookctl` itself is built with it: under the feature of the tests that need it anyway.
#[cfg(feature = "end-to-end")]
mod erase;
mod event_schema;
mod failure_modes;
#[cfg(feature = "end-to-end")]
mod follow;
mod fuzz;
mod hostile_requests;
mod ingest;
#[cfg(feature = "end-to-end")]
mod ledger;
mod limits;
mod logs;
mod merchant_endpoint;
mod message_schema;
mod metrics;
mod mutation;
mod operations;
#[cfg(feature = "end-to-end")]
mod operator;
mod pipeline;
mod publishing;
mod readings;
mod relay;
mod repair;
#[cfg(feature = "end-to-end")]
mod report;
#[cfg(feature = "end-to-end")]
mod runbook;
#[cfg(feature = "end-to-end")]
#[path = "../runbook.rs"]
mod runbook_page;
mod shipday_quirks;
#[cfg(feature = "end-to-end")]
mod simulate;
#[cfg(feature = "end-to-end")]
mod smoke;
mod strict_concurrency;
mod strict_dynamodb;
mod strict_model;
mod strict_relay;
mod support;
mod template;
