//! A message body to what it carries. Decoded record by record: one unreadable body is one failure.

use aws::{UnreadableMessage, read_message};
use domain::Payload;

/// The message can never succeed, however often it comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the message has no body")]
    NoBody,
    #[error(transparent)]
    Unreadable(#[from] UnreadableMessage),
}

impl DecodeError {
    /// The word in logs.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::NoBody => "no_body",
            Self::Unreadable(UnreadableMessage::NotOurs) => "malformed",
            Self::Unreadable(UnreadableMessage::UnknownVersion(_)) => "unknown_schema_version",
        }
    }
}

pub(crate) fn decode(body: Option<&str>) -> Result<Payload, DecodeError> {
    let body = body
        .filter(|body| !body.is_empty())
        .ok_or(DecodeError::NoBody)?;
    Ok(read_message(body)?.payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_can_never_be_read_says_why() {
        for (body, why) in [
            (None, "no_body"),
            (Some(""), "no_body"),
            (Some("poison"), "malformed"),
            (
                Some(r#"{"schema_version":2,"event":{}}"#),
                "unknown_schema_version",
            ),
        ] {
            assert_eq!(decode(body).unwrap_err().as_str(), why, "{body:?}");
        }
    }
}
