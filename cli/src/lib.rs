//! `hookctl`: runs the local stack, plays the providers, operates installations, repairs webhooks and orders.
//!
//! The binary is [`run`]. The tests use the rest: [`dev::LocalStack`] and [`post`] those of a deployed stack, [`run_at`]
//! those that have tables in their own process, [`simulate::Plan`] those that ask what is sent, [`understands`] those of
//! the documents.
//!
//! It decides nothing about webhooks: who a sender is, what a webhook means and where an order stands come from
//! `domain` and `providers`, what is stored from `aws`.

mod arguments;
mod board;
mod completions;
mod dead_letters;
mod demo;
pub mod dev;
mod emphasis;
mod erase;
mod http;
mod installation;
mod interruption;
mod invocation;
mod ledger;
mod moment;
mod order;
mod output;
mod progress;
mod records;
mod refold;
mod report;
mod repository;
mod republish;
mod resume;
mod samples;
mod scan;
mod sdk;
mod secrets;
mod send;
pub mod simulate;
mod smoke;
mod stack;
mod table;
mod webhook;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command, Order, StackChoice};
use dead_letters::DeadLetterError;
use dev::DevError;
use erase::EraseError;
use installation::InstallationError;
use ledger::LedgerError;
use order::OrderError;
use output::{Kept, Output, OutputError};
use records::RecordError;
use refold::RefoldError;
use report::ReportError;
use republish::RepublishError;
use samples::SampleError;
use send::SendError;
use simulate::SimulateError;
use smoke::SmokeError;
use stack::StackError;

pub use board::{Board, BoardError};
pub use http::{HttpAnswer, HttpError, WebhookAddress, post};
pub use repository::{RepositoryError, repository_root};
pub use stack::Place;

/// The `hookctl` command: reads the command line, does what it says, and tells how it went.
pub fn run() -> ExitCode {
    let Arguments { global, command } = Arguments::parse();
    let output = Output::new(global.json);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output.message(format_args!("error: {}", with_causes(&error)));
            return Failure::Failed.into();
        }
    };
    let result = runtime.block_on(carry_out(command, &global.stack, output));
    // A request that was given up may still be waiting for its answer.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.into(),
    }
}

/// How a command that was run by [`run_at`] ended, and what it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: u8,
    /// Its results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

/// Runs `hookctl` with these words in this process, on services that are not a stack's. For tests: what it says is kept
/// in memory for as long as the process runs.
pub async fn run_at(place: &Place, words: &[&str]) -> Ended {
    let words = std::iter::once("hookctl").chain(words.iter().copied());
    let Arguments {
        mut global,
        command,
    } = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            return Ended {
                code: u8::try_from(error.exit_code()).unwrap_or(u8::MAX),
                stdout: String::new(),
                stderr: error.to_string(),
            };
        }
    };
    global.stack.place = Some(place.clone());
    let kept: &'static Kept = Box::leak(Box::default());
    let output = Output::new(global.json).kept(kept);
    let result = carry_out(command, &global.stack, output).await;
    let (stdout, stderr) = kept.take();
    Ended {
        code: result.map_or_else(|failure| failure as u8, |()| 0),
        stdout,
        stderr,
    }
}

/// Whether `hookctl` takes these words as a command line. For tests: nothing is done.
///
/// # Errors
/// What it would say if it does not.
pub fn understands(words: &[String]) -> Result<(), String> {
    let words = std::iter::once("hookctl").chain(words.iter().map(String::as_str));
    Arguments::try_parse_from(words)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Does what the command line says, and tells why it failed, if it did.
async fn carry_out(command: Command, choice: &StackChoice, output: Output) -> Result<(), Failure> {
    let result = chosen(command, choice, output).await;
    result.map_err(|error| {
        output.message(format_args!("error: {}", with_causes(&error)));
        error.failure()
    })
}

async fn chosen(
    command: Command,
    choice: &StackChoice,
    output: Output,
) -> Result<(), CommandError> {
    match command {
        Command::Dev(command) => dev::run(command, choice, output).await?,
        Command::Board(options) => board::run(options, choice, output).await?,
        Command::Installation(command) => installation::run(command, choice, output).await?,
        Command::Order(Order::Show(options)) => order::run(options, choice, output).await?,
        Command::Order(Order::Refold(options)) => refold::run(options, choice, output).await?,
        Command::Order(Order::Republish(options)) => {
            republish::run(options, choice, output).await?;
        }
        Command::Webhook(command) => records::run(command, choice, output).await?,
        Command::Dlq(command) => dead_letters::run(command, choice, output).await?,
        Command::Ledger(options) => ledger::run(options, choice, output).await?,
        Command::Report(options) => report::run(options, choice, output).await?,
        Command::Erase(options) => erase::run(options, choice, output).await?,
        Command::Send(command) => send::run(command, choice, output).await?,
        Command::Simulate(options) => simulate::run(&options, choice, output).await?,
        Command::Smoke(options) => smoke::run(&options, choice, output).await?,
        Command::Completions(options) => completions::run(&options, output)?,
    }
    Ok(())
}

/// The error and its causes on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// How a command failed, for scripts. The help text lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Failed = 1,
    NotFound = 3,
    NotRunning = 4,
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure as u8)
    }
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Dev(#[from] DevError),
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error(transparent)]
    Refold(#[from] RefoldError),
    #[error(transparent)]
    Republish(#[from] RepublishError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    DeadLetter(#[from] DeadLetterError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Erase(#[from] EraseError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    #[error(transparent)]
    Smoke(#[from] SmokeError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl CommandError {
    fn failure(&self) -> Failure {
        match self {
            Self::Dev(DevError::NothingRunning) => Failure::NotRunning,
            Self::Dev(_) => Failure::Failed,
            Self::Installation(InstallationError::NotFound { .. })
            | Self::Order(OrderError::NotFound { .. })
            | Self::Refold(RefoldError::NotFound { .. })
            | Self::Republish(RepublishError::NotFound { .. })
            | Self::Record(
                RecordError::NotFound(_)
                | RecordError::SomeNotFound { .. }
                | RecordError::NoOrder(_),
            )
            | Self::DeadLetter(DeadLetterError::NotFound(_)) => Failure::NotFound,
            Self::Board(BoardError::Stack(error))
            | Self::Installation(InstallationError::Stack(error))
            | Self::Order(OrderError::Stack(error))
            | Self::Refold(RefoldError::Stack(error))
            | Self::Republish(RepublishError::Stack(error))
            | Self::Record(RecordError::Stack(error))
            | Self::DeadLetter(DeadLetterError::Stack(error))
            | Self::Send(SendError::Stack(error))
            | Self::Simulate(SimulateError::Stack(error))
            | Self::Smoke(SmokeError::Stack(error))
            | Self::Ledger(LedgerError::Stack(error))
            | Self::Report(ReportError::Stack(error))
            | Self::Erase(EraseError::Stack(error)) => stack_failure(error),
            Self::Send(SendError::Sample(SampleError::NotFound { .. })) => Failure::NotFound,
            Self::Send(SendError::Http(HttpError::NoAnswer { .. })) => Failure::NotRunning,
            Self::Board(_)
            | Self::Installation(_)
            | Self::Order(_)
            | Self::Refold(_)
            | Self::Republish(_)
            | Self::Record(_)
            | Self::DeadLetter(_)
            | Self::Send(_)
            | Self::Simulate(_)
            | Self::Smoke(_)
            | Self::Ledger(_)
            | Self::Report(_)
            | Self::Erase(_)
            | Self::Output(_) => Failure::Failed,
        }
    }
}

const fn stack_failure(error: &StackError) -> Failure {
    match error {
        StackError::NothingRunning
        | StackError::StillStarting
        | StackError::NotAnswering(_)
        | StackError::NotReached { .. } => Failure::NotRunning,
        StackError::NoSuchStack { .. } => Failure::NotFound,
        StackError::NoRegion
        | StackError::NoCredentials(_)
        | StackError::Refused { .. }
        | StackError::NoOutput { .. }
        | StackError::Repository(_)
        | StackError::Record(_) => Failure::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_can_tell_the_kinds_of_failure_apart() {
        let no_stack = || StackError::NothingRunning;
        let unknown = || StackError::NoSuchStack {
            name: String::new(),
            region: String::new(),
        };
        for (error, failure) in [
            (CommandError::Send(SendError::Refused(401)), Failure::Failed),
            (
                CommandError::Send(SendError::Stack(no_stack())),
                Failure::NotRunning,
            ),
            (
                CommandError::Order(OrderError::Stack(unknown())),
                Failure::NotFound,
            ),
            (
                CommandError::Installation(InstallationError::Stack(StackError::NoRegion)),
                Failure::Failed,
            ),
            (
                CommandError::Record(RecordError::NotFound(String::new())),
                Failure::NotFound,
            ),
            (
                CommandError::Record(RecordError::NotDone(1)),
                Failure::Failed,
            ),
            (
                CommandError::Record(RecordError::Stack(unknown())),
                Failure::NotFound,
            ),
            (
                CommandError::Refold(RefoldError::Stack(no_stack())),
                Failure::NotRunning,
            ),
            (
                CommandError::DeadLetter(DeadLetterError::Stack(no_stack())),
                Failure::NotRunning,
            ),
            (
                CommandError::DeadLetter(DeadLetterError::NotMoved(1)),
                Failure::Failed,
            ),
            (
                CommandError::DeadLetter(DeadLetterError::WouldLose(1)),
                Failure::Failed,
            ),
            (
                CommandError::DeadLetter(DeadLetterError::NotFound(Vec::new())),
                Failure::NotFound,
            ),
            (
                CommandError::Ledger(LedgerError::Differences(1)),
                Failure::Failed,
            ),
            (
                CommandError::Ledger(LedgerError::Stack(unknown())),
                Failure::NotFound,
            ),
            (
                CommandError::Report(ReportError::Damaged(1)),
                Failure::Failed,
            ),
            (
                CommandError::Report(ReportError::Stack(unknown())),
                Failure::NotFound,
            ),
            (CommandError::Erase(EraseError::Left(1)), Failure::Failed),
            (
                CommandError::Erase(EraseError::Stack(no_stack())),
                Failure::NotRunning,
            ),
            (
                CommandError::Dev(DevError::NothingRunning),
                Failure::NotRunning,
            ),
            (CommandError::Dev(DevError::NoPython), Failure::Failed),
            (
                CommandError::Simulate(SimulateError::Stack(no_stack())),
                Failure::NotRunning,
            ),
            (
                CommandError::Smoke(SmokeError::Stack(unknown())),
                Failure::NotFound,
            ),
            (
                CommandError::Smoke(SmokeError::Failed(Vec::new())),
                Failure::Failed,
            ),
        ] {
            assert_eq!(error.failure(), failure, "{error}");
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_on_one_line() {
        let source = std::io::Error::other("disk full");
        let error = DevError::File {
            path: "a".into(),
            source,
        };

        assert_eq!(with_causes(&error), "`a` cannot be used: disk full");
    }
}
