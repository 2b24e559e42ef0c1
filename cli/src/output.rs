//! What the command says: results on stdout, for people or as JSON; everything else on stderr.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

/// A result could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the result cannot be written to stdout")]
pub struct OutputError(#[source] io::Error);

impl Output {
    /// Writes results as JSON, or for people.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are written for people.
    pub(crate) const fn is_for_people(self) -> bool {
        !self.json
    }

    /// Writes a command's result, one JSON object on one line or the text for people.
    pub(crate) fn result(self, result: &(impl Serialize + Display)) -> Result<(), OutputError> {
        let text = if self.json {
            serde_json::to_string(result).map_err(|error| OutputError(error.into()))?
        } else {
            result.to_string()
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.trim_end())
            .and_then(|()| stdout.flush())
            .map_err(OutputError)
    }

    /// Says what is going on.
    pub(crate) fn message(self, text: impl Display) {
        // Nothing can be done for somebody who closed stderr.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
