//! One HTTP request to one answer, for any provider: the use case that both webhook functions share.
//!
//! [`Receiver::handle`] tells the story top to bottom: limits, authentication, reading, the one conditional
//! put, the send, the answer. Nothing is parsed or written before the sender is known, and a 200 says
//! that the webhook is safe: in the table, or in the queue while the table does not answer.
#![warn(clippy::wildcard_enum_match_arm)]

mod answer;
mod config;
mod receiver;
mod registry;
mod request;
mod serve;
mod source_address;

pub use answer::Answer;
pub use config::{Config, ConfigError};
pub use receiver::{Receiver, Stores};
pub use request::readable;
pub use serve::serve;
pub use source_address::{SourceAddresses, SourceIpMode};
