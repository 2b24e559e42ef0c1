//! `hookctl board`: a page on this machine that shows orders and webhooks as they come, and what waits for a person.
//!
//! It reads with the operator's permissions and writes nothing. What a decision or a record means is said by the modules
//! behind `order show` and `webhook show`.

mod desk;
mod page;
mod reader;
mod remedy;
mod server;
mod snapshot;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::Parser as _;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::arguments::{Arguments, Board as Options, Command, StackChoice};
use crate::dev::program_from_here;
use crate::invocation::Invocation;
use crate::order::PersonalData;
use crate::output::{Output, OutputError};
use crate::stack::{Place, StackError};
use desk::Desk;
use reader::{Pace, Question, follow};
use server::{Site, serve};

/// The board cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// Something else listens on its port.
    #[error("port {0} is in use: stop what listens there, or choose another one with `--port`")]
    PortInUse(u16),
    /// Its port cannot be used for another reason.
    #[error("port {port} cannot be used: choose another one with `--port`")]
    PortUnusable {
        /// Which.
        port: u16,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody could end it.
    #[error("Ctrl-C cannot be watched for")]
    Signal(#[source] io::Error),
    /// The command line says something else.
    #[error("these are not the words of `hookctl board`")]
    OtherCommand,
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Its address could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A board that is being served. Dropping it ends that.
#[derive(Debug)]
pub struct Board {
    address: SocketAddr,
    /// The reading and the serving.
    _tasks: JoinSet<()>,
}

impl Board {
    /// Serves the board of services that are not a stack's, with the words that would be typed after `hookctl board`. For
    /// tests.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub async fn at(place: &Place, words: &[&str]) -> Result<Self, BoardError> {
        let words = ["hookctl", "board"]
            .into_iter()
            .chain(words.iter().copied());
        match Arguments::try_parse_from(words) {
            Ok(Arguments {
                mut global,
                command: Command::Board(options),
            }) => {
                global.stack.place = Some(place.clone());
                Self::start(&options, &global.stack, "hookctl").await
            }
            Ok(_) | Err(_) => Err(BoardError::OtherCommand),
        }
    }

    /// Serves the board of a stack; `program` is how the commands on it begin.
    pub(crate) async fn start(
        options: &Options,
        choice: &StackChoice,
        program: &str,
    ) -> Result<Self, BoardError> {
        // Not found out by a page that stays empty.
        let desk = Arc::new(Desk::open(choice).await?);
        let port = options.port;
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BoardError::PortInUse(port),
            _ => BoardError::PortUnusable { port, source },
        })?;
        let personal_data = PersonalData::if_shown(options.personal_data);
        let program = Invocation::new(program, choice);
        let question = Question {
            merchant: options.merchant.clone(),
            hours: options.hours,
            pace: Pace::new(options, choice),
            personal_data,
            program: program.clone(),
        };
        let (publish, published) = watch::channel(reader::Published::default());
        let audience = Arc::new(Notify::new());
        let site = Site {
            port: address.port(),
            desk: Arc::clone(&desk),
            personal_data,
            program,
            published,
            audience: Arc::clone(&audience),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(question, desk, publish, audience));
        tasks.spawn(serve(listener, Arc::new(site)));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// Runs the command: until Ctrl-C.
pub(crate) async fn run(
    options: Options,
    choice: &StackChoice,
    output: Output,
) -> Result<(), BoardError> {
    let program = match choice.stack_name {
        None => program_from_here(),
        Some(_) => "hookctl".to_owned(),
    };
    let board = Board::start(&options, choice, &program).await?;
    output.result(&Shown { url: board.url() })?;
    tokio::signal::ctrl_c().await.map_err(BoardError::Signal)
}

#[derive(Serialize)]
struct Shown {
    url: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The board is at {}. Ctrl-C ends it.", self.url)
    }
}
