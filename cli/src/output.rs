//! What the command says: results on stdout, for people or as JSON; everything else on stderr. Colours reach a terminal
//! alone.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use anstream::adapter::strip_str;
use serde::Serialize;

use crate::emphasis;

/// How results are written, and where to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    form: Form,
    sink: Sink,
}

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
enum Sink {
    /// To stdout and stderr.
    Standard,
    /// Into memory: a test runs the command in its own process.
    Kept(&'static Kept),
}

/// What a command said to whoever keeps it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    stdout: Mutex<String>,
    stderr: Mutex<String>,
}

impl Kept {
    /// What went to stdout and to stderr since the last time.
    pub(crate) fn take(&self) -> (String, String) {
        let [stdout, stderr] = [&self.stdout, &self.stderr]
            .map(|text| std::mem::take(&mut *text.lock().unwrap_or_else(PoisonError::into_inner)));
        (stdout, stderr)
    }
}

fn keep(text: &Mutex<String>, line: &str) {
    let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
    text.push_str(line);
    text.push('\n');
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
        let sink = Sink::Standard;
        Self { form, sink }
    }

    /// The same, into memory.
    pub(crate) const fn kept(self, into: &'static Kept) -> Self {
        Self {
            form: self.form,
            sink: Sink::Kept(into),
        }
    }

    /// Writes nothing.
    #[cfg(test)]
    pub(crate) const fn discarded() -> Self {
        let (form, sink) = (Form::Discarded, Sink::Standard);
        Self { form, sink }
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
        if let Sink::Kept(kept) = self.sink {
            keep(&kept.stdout, &strip_str(text.trim_end()).to_string());
            return Ok(());
        }
        let mut stdout = anstream::stdout().lock();
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
        if let Sink::Kept(kept) = self.sink {
            keep(&kept.stderr, &strip_str(&text.to_string()).to_string());
            return;
        }
        // Nothing can be done for somebody who closed stderr.
        let text = emphasis::message(&text.to_string());
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }
}
