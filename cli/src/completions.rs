//! `hookctl completions`: what a shell needs to complete its command line.

use std::fmt;

use clap::CommandFactory as _;
use serde::Serialize;

use crate::arguments::{Arguments, Completions};
use crate::output::{Output, OutputError};

/// A script for a shell.
#[derive(Debug, Serialize)]
struct Script {
    completions: String,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.completions)
    }
}

/// Runs the command.
pub(crate) fn run(options: &Completions, output: Output) -> Result<(), OutputError> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    output.result(&Script {
        completions: String::from_utf8_lossy(&script).into_owned(),
    })
}
