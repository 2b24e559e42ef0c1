//! Why the local stack does not run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use domain::PortError;

use super::record::RecordError;
use super::template::TemplateError;
use crate::board::BoardError;
use crate::demo::DemoError;
use crate::http::HttpError;
use crate::output::OutputError;
use crate::repository::RepositoryError;
use crate::secrets::NoRandomness;
use crate::stack::StackError;

/// The local stack does not run, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// There is no Python that can make a virtual environment.
    #[error(
        "Python 3.11 or newer with its `venv` module is needed: install it, on Debian as `python3` and `python3-venv`"
    )]
    NoPython,
    /// The tools are not installed, or in another version.
    #[error("the local tools are not installed, or not up to date: run `hookctl dev tools`")]
    ToolsMissing,
    /// A program is not there.
    #[error("`{0}` is needed: install it, or add it to the PATH")]
    NotInstalled(PathBuf),
    /// A program cannot be started.
    #[error("`{program}` cannot be started")]
    NotStarted {
        /// Which.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A command failed, and said why.
    #[error("`{what}` failed with {status}: its own output says why")]
    CommandFailed {
        /// Which.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// Something else listens on a port.
    #[error(
        "port {port} is in use: stop what listens there, or choose another one with `{option}`"
    )]
    PortInUse {
        /// Which.
        port: u16,
        /// The option that chooses another.
        option: &'static str,
    },
    /// A port cannot be used for another reason.
    #[error("port {port} cannot be used: choose another one with `{option}`")]
    PortUnusable {
        /// Which.
        port: u16,
        /// The option that chooses another.
        option: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The proxy between functions and services cannot listen.
    #[error("the proxy between the functions and the services cannot be started")]
    Proxy(#[source] io::Error),
    /// A file or folder cannot be read or written.
    #[error("`{path}` cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A process of the stack ended when it should run.
    #[error("{what} ended by itself: see {log}")]
    Ended {
        /// Which.
        what: &'static str,
        /// Where it said why.
        log: PathBuf,
    },
    /// A process of the stack was not ready in time.
    #[error("{what} was not ready after {seconds} s: see {log}")]
    NotReady {
        /// Which.
        what: String,
        /// How long was waited.
        seconds: u64,
        /// Where it may have said why.
        log: PathBuf,
    },
    /// A function's binary is missing.
    #[error("`{0}` is missing: build the functions with `cargo lambda build`")]
    NoBootstrap(PathBuf),
    /// A function's binary cannot be packed.
    #[error("`{path}` cannot be packed")]
    Unpackable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A service of the stack answered with an error.
    #[error("{what} was answered {status}: {body}")]
    Service {
        /// The request.
        what: String,
        /// The status of the answer.
        status: u16,
        /// The body of the answer.
        body: String,
    },
    /// A service of the stack created something and did not say how it is called.
    #[error("{what} was answered without a name: is it the pinned MiniStack that runs?")]
    NoName {
        /// The request.
        what: String,
    },
    /// CloudFormation did not answer, or refused.
    #[error("CloudFormation did not take the template: {0}")]
    CloudFormation(String),
    /// The stack was not created or updated.
    #[error("the stack ended in {status}: {reasons}")]
    NotDeployed {
        /// Its status.
        status: String,
        /// What its resources said.
        reasons: String,
    },
    /// The template has no such output.
    #[error("template.yaml has no output `{0}`, which the local stack needs")]
    NoOutput(String),
    /// Two functions want different values of one variable.
    #[error(
        "two functions have different values of `{0}`, and `cargo lambda watch` gives all functions the same"
    )]
    EnvironmentsDiffer(String),
    /// The process cannot be told to stop in order.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// A local stack runs already.
    #[error(
        "a local stack is running or starting already: use it, or stop it with `hookctl dev down`"
    )]
    Running,
    /// A local stack was left behind.
    #[error("an earlier `dev up` left processes behind: end them with `hookctl dev down`")]
    LeftBehind,
    /// No local stack runs.
    #[error("no local stack is running: start one with `hookctl dev up`")]
    NothingRunning,
    /// It was stopped while it started.
    #[error("stopped before the local stack was ready")]
    Interrupted,
    /// A sample was not taken.
    #[error("the {provider} sample was answered {status}: {body}")]
    SampleRefused {
        /// Whose sample.
        provider: domain::Provider,
        /// The status of the answer.
        status: u16,
        /// The body of the answer.
        body: String,
    },
    /// A sample was taken, but never applied.
    #[error("the sample order `{order}` has no state after {seconds} s: see {log}")]
    SampleNotApplied {
        /// Whose order.
        order: String,
        /// How long was waited.
        seconds: u64,
        /// Where a function may have said why.
        log: PathBuf,
    },
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The record of the running stack cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The demo data cannot be used.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// No random word could be made up.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A service of the stack did not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The stack lacks something.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A table of the stack did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// The board cannot be shown.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The repository was not found.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl DevError {
    pub(crate) fn not_started(program: &Path, source: io::Error) -> Self {
        let program = program.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotInstalled(program),
            _ => Self::NotStarted { program, source },
        }
    }

    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}
