//! A message body to what it carries. Decoded record by record: one unreadable body is one failure.

use domain::{Payload, QueueMessage, SCHEMA_VERSION};
use serde::Deserialize;

/// The message can never succeed, however often it comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the message has no body")]
    NoBody,
    #[error("the message is not of this system's form")]
    NotOurs,
    #[error("the message has schema version {0}, this function reads {SCHEMA_VERSION}")]
    UnknownVersion(u32),
}

impl DecodeError {
    /// The word in logs.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::NoBody => "no_body",
            Self::NotOurs => "malformed",
            Self::UnknownVersion(_) => "unknown_schema_version",
        }
    }
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

pub(crate) fn decode(body: Option<&str>) -> Result<Payload, DecodeError> {
    let body = body
        .filter(|body| !body.is_empty())
        .ok_or(DecodeError::NoBody)?;
    // The version first: what another version looks like is not known here.
    let Version { schema_version } =
        serde_json::from_str(body).map_err(|_| DecodeError::NotOurs)?;
    if schema_version != SCHEMA_VERSION {
        return Err(DecodeError::UnknownVersion(schema_version));
    }
    serde_json::from_str::<QueueMessage>(body)
        .map(|message| message.payload)
        .map_err(|_| DecodeError::NotOurs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_can_never_be_read_says_why() {
        for (body, why) in [
            (None, "the message has no body"),
            (Some(""), "the message has no body"),
            (Some("poison"), "the message is not of this system's form"),
            (Some("{}"), "the message is not of this system's form"),
            (
                Some(r#"{"schema_version":1}"#),
                "the message is not of this system's form",
            ),
            (
                Some(r#"{"schema_version":1,"event":{}}"#),
                "the message is not of this system's form",
            ),
            (
                Some(r#"{"schema_version":2,"event":{}}"#),
                "the message has schema version 2, this function reads 1",
            ),
        ] {
            assert_eq!(decode(body).unwrap_err().to_string(), why, "{body:?}");
        }
    }
}
