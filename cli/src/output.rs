//! What the command says: results on stdout, for people or as JSON; everything else on stderr.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    People,
    Json,
    /// Not at all: a test looks at what was done.
    #[cfg(test)]
    Discarded,
}

/// A result could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the result cannot be written to stdout")]
pub struct OutputError(#[source] io::Error);

impl Output {
    /// Writes results as JSON, or for people.
    pub(crate) const fn new(json: bool) -> Self {
        let form = if json { Form::Json } else { Form::People };
        Self { form }
    }

    /// Writes nothing.
    #[cfg(test)]
    pub(crate) const fn discarded() -> Self {
        let form = Form::Discarded;
        Self { form }
    }

    /// Whether results are written for people.
    pub(crate) const fn is_for_people(self) -> bool {
        matches!(self.form, Form::People)
    }

    /// Writes a command's result, one JSON object on one line or the text for people.
    pub(crate) fn result(self, result: &(impl Serialize + Display)) -> Result<(), OutputError> {
        let text = match self.form {
            Form::People => result.to_string(),
            Form::Json => {
                serde_json::to_string(result).map_err(|error| OutputError(error.into()))?
            }
            #[cfg(test)]
            Form::Discarded => return Ok(()),
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.trim_end())
            .and_then(|()| stdout.flush())
            .map_err(OutputError)
    }

    /// Says what is going on.
    pub(crate) fn message(self, text: impl Display) {
        #[cfg(test)]
        if self.form == Form::Discarded {
            return;
        }
        // Nothing can be done for somebody who closed stderr.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
