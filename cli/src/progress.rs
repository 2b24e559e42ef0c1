//! How far a long command has come: a bar on stderr while that is a terminal, and nothing else.

use std::fmt::Display;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::output::{Output, OutputError};

/// A bar, and the results that are written while it stands.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    output: Output,
}

impl Progress {
    /// A bar for about so many steps. There is none for a program that reads the output.
    pub(crate) fn new(output: Output, about: u64) -> Self {
        let template = "{bar:30} {human_pos} of about {human_len} looked at, {elapsed}";
        Self::with_template(output, about, template)
    }

    /// A bar with words beside it, see [`Self::say`]; what does not fit on the line is left out.
    pub(crate) fn in_words(output: Output, steps: u64) -> Self {
        Self::with_template(output, steps, "{bar:10} {wide_msg}")
    }

    fn with_template(output: Output, about: u64, template: &str) -> Self {
        let target = if output.is_for_people() && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(about), target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, output }
    }

    /// No bar, for what takes no time.
    pub(crate) fn none(output: Output) -> Self {
        let bar = ProgressBar::hidden();
        Self { bar, output }
    }

    /// So many steps in all, and in words how far that is.
    pub(crate) fn say(&self, steps: u64, words: impl Display) {
        self.bar.set_message(words.to_string());
        self.bar.set_position(steps);
    }

    /// So many steps more.
    pub(crate) fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        // The estimate was too low.
        if self
            .bar
            .length()
            .is_some_and(|length| length < self.bar.position())
        {
            self.bar.set_length(self.bar.position());
        }
    }

    /// Writes a result above the bar.
    pub(crate) fn result(&self, result: &(impl Serialize + Display)) -> Result<(), OutputError> {
        self.bar.suspend(|| self.output.result(result))
    }

    /// Says something above the bar.
    pub(crate) fn message(&self, text: impl Display) {
        self.bar.suspend(|| self.output.message(text));
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
