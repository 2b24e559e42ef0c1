//! What a crash, or an outage, left behind is sent again.
//!
//! The sparse index `pending` lists every record that the consumer has not closed yet. A run of the relay, one
//! a minute, takes those that are overdue, reads each stored webhook with today's mapping and sends its event
//! once more. It closes nothing that has an event: that is the consumer's, when the event is applied.
//!
//! A record is claimed before it is sent, by one conditional update, so that two runs at once send it once, and
//! a run that dies leaves it for a later one. Sending too often is harmless, because the consumer is idempotent;
//! never sending is what this function exists to prevent.
#![warn(clippy::wildcard_enum_match_arm)]

mod relay;

pub use relay::{Relay, RunFailed, RunReport, Stores};
