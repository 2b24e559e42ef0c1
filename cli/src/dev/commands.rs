//! `hookctl dev`: the local stack for people.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Duration;

use domain::Provider;
use serde::Serialize;

use super::deployment::{Deployment, STACK_NAME};
use super::error::DevError;
use super::hints::{Hints, program_from_here};
use super::process::ProcessIdentity;
use super::record::Record;
use super::{
    Functions, LocalStack, LocalStackOptions, emulator, endpoint, pack, proxy, samples, template,
    throttle, tools, watch,
};
use crate::arguments::{Board as BoardOptions, Dev, StackChoice, Up};
use crate::board::Board;
use crate::demo;
use crate::interruption::Interruption;
use crate::order::OrderView;
use crate::output::Output;
use crate::repository::repository_root;
use crate::sdk;
use crate::stack::tables;

/// The option that chooses the services' port.
pub(crate) const PORT_OPTION: &str = "--port";
/// The option that chooses the functions' port.
pub(crate) const WATCH_PORT_OPTION: &str = "--watch-port";
/// The option that chooses the board's port.
const BOARD_PORT_OPTION: &str = "--board-port";
/// How long `dev up` may take to stop what it runs.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

/// Runs the command.
pub(crate) async fn run(
    command: Dev,
    choice: &StackChoice,
    output: Output,
) -> Result<(), DevError> {
    let root = repository_root()?;
    match command {
        // On the heap: it is long, and the others are not.
        Dev::Up(options) => Box::pin(up(&root, &options, output)).await,
        Dev::Down => down(&root, output).await,
        Dev::Reset => reset(&root, output).await,
        Dev::Endpoint(options) => Box::pin(endpoint::run(&root, &options, choice, output)).await,
        Dev::Throttle(options) => throttle::run(&root, &options, choice, output).await,
        Dev::Tools => {
            let mut interruption = Interruption::new().map_err(DevError::Signals)?;
            let installed = interruption.before(tools::install(&root, output)).await;
            installed.unwrap_or(Err(DevError::Interrupted))
        }
        Dev::Pack(options) => pack::run(&options, output),
    }
}

// ---------------------------------------------------------------- up

async fn up(root: &Path, options: &Up, output: Output) -> Result<(), DevError> {
    // Held until the end; the system lets go of it even if this process is killed.
    let _lock = lock(root)?;
    if Record::read(root)?.is_some_and(|record| record.is_alive()) {
        return Err(DevError::LeftBehind);
    }
    // Found out now, not after minutes of building.
    emulator::free_port(options.port, PORT_OPTION)?;
    emulator::free_port(options.watch_port, WATCH_PORT_OPTION)?;
    emulator::free_port(options.board_port, BOARD_PORT_OPTION)?;

    let mut interruption = Interruption::new().map_err(DevError::Signals)?;
    let started = interruption.before(Box::pin(start(root, options, output)));
    let (mut stack, _board) = match started.await.unwrap_or(Err(DevError::Interrupted)) {
        Ok(started) => started,
        Err(error) => {
            // What had been started ended with the attempt.
            Record::delete(root);
            output.message("nothing is left running");
            return Err(error);
        }
    };
    let ended = tokio::select! {
        error = stack.ended() => Err(error),
        () = interruption.wait() => Ok(()),
    };
    output.message("\nstopping the local stack");
    stack.stop().await;
    Record::delete(root);
    output.message("stopped: nothing is left running");
    ended
}

/// One local stack for people is enough: the other commands would not know which one is meant.
fn lock(root: &Path) -> Result<File, DevError> {
    let folder = tools::folder(root);
    let path = folder.join("stack.lock");
    let file = fs::create_dir_all(&folder).and_then(|()| File::create(&path));
    let file = file.map_err(|source| DevError::file(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DevError::Running),
        Err(TryLockError::Error(source)) => Err(DevError::file(&path, source)),
    }
}

/// Everything until the stack is ready. Dropping the future, or an error, ends what it has started.
async fn start(root: &Path, options: &Up, output: Output) -> Result<(LocalStack, Board), DevError> {
    let mut record = Record {
        endpoint: emulator::endpoint(options.port),
        function_endpoint: String::new(),
        stack_name: STACK_NAME.to_owned(),
        outputs: BTreeMap::new(),
        watch_port: options.watch_port,
        owner: ProcessIdentity::own(),
        processes: Vec::new(),
    };
    record.write(root)?;
    tools::install(root, output).await?;
    output.message("building the functions");
    watch::build(root, &template::functions(&template::read(root)?)?).await?;

    output.message(format_args!(
        "starting the AWS services on port {}",
        options.port
    ));
    let mut stack = LocalStack::start_services(LocalStackOptions {
        repository: root.to_owned(),
        port: options.port,
        functions: Functions::Watched {
            port: options.watch_port,
        },
        enforce_iam: false,
        folder: tools::folder(root),
        change_template: None,
        function_endpoint: None,
    })
    .await?;
    record.function_endpoint = stack.function_endpoint().to_owned();
    record.processes = stack.processes();
    record.write(root)?;

    output.message(format_args!(
        "deploying template.yaml as the stack {STACK_NAME}"
    ));
    stack.deploy().await?;
    stack.register_demo_installations().await?;

    output.message(format_args!(
        "starting the functions on port {}",
        options.watch_port
    ));
    stack.start_watch().await?;
    record.processes = stack.processes();
    record.outputs.clone_from(stack.outputs());
    record.write(root)?;
    stack.functions_answer().await?;

    let mut orders = Vec::new();
    if !options.no_samples {
        output.message("sending each provider's documented example");
        for provider in Provider::ALL {
            orders.push(samples::send(&stack, &stack.tables()?.orders, provider).await?);
        }
    }
    let board = BoardOptions::on_port(options.board_port);
    let board = Board::start(&board, &StackChoice::default(), &program_from_here()).await?;
    output.result(&Ready {
        stack_name: STACK_NAME,
        endpoint: stack.endpoint().to_owned(),
        watch_port: options.watch_port,
        board: board.url(),
        outputs: stack.outputs().clone(),
        hints: Hints::new(root, stack.endpoint(), stack.outputs()),
        orders,
    })?;
    stack.show_function_output();
    Ok((stack, board))
}

/// A stack that is ready.
#[derive(Serialize)]
struct Ready {
    stack_name: &'static str,
    endpoint: String,
    watch_port: u16,
    board: String,
    outputs: BTreeMap<String, String>,
    #[serde(flatten)]
    hints: Hints,
    orders: Vec<OrderView>,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for order in &self.orders {
            write!(f, "\n{order}")?;
        }
        writeln!(
            f,
            "\nThe local stack is ready: AWS services at {}, region us-east-1, both keys `test`.",
            self.endpoint
        )?;
        writeln!(f, "Orders and webhooks as they come: {}", self.board)?;
        writeln!(
            f,
            "The functions are rebuilt when a file changes. All logs are in .dev/log.\n"
        )?;
        write!(f, "{}", self.hints)?;
        writeln!(
            f,
            "\nCtrl-C stops everything. What the functions say from now on:\n"
        )
    }
}

// ---------------------------------------------------------------- down and reset

async fn down(root: &Path, output: Output) -> Result<(), DevError> {
    let Some(record) = Record::read(root)?.filter(Record::is_alive) else {
        Record::delete(root);
        return Ok(output.result(&Down { stopped: None })?);
    };
    // It stops what it runs by itself, and in order.
    record.owner.terminate();
    let mut waited = Duration::ZERO;
    while record.owner.is_alive() && waited < STOPPED_WITHIN {
        tokio::time::sleep(POLL).await;
        waited += POLL;
    }
    for process in &record.processes {
        process.end_group();
    }
    Record::delete(root);
    Ok(output.result(&Down {
        stopped: Some(record.endpoint),
    })?)
}

#[derive(Serialize)]
struct Down {
    stopped: Option<String>,
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stopped {
            Some(endpoint) => writeln!(f, "Stopped the local stack at {endpoint}."),
            None => writeln!(f, "Nothing is running."),
        }
    }
}

async fn reset(root: &Path, output: Output) -> Result<(), DevError> {
    let mut record = Record::running(root)?.ok_or(DevError::NothingRunning)?;
    proxy::throttle_nothing(&record.function_endpoint)?;
    emulator::reset(&record.endpoint)?;
    let deployment = Deployment {
        root: root.to_owned(),
        endpoint: record.endpoint.clone(),
        functions: Functions::Watched {
            port: record.watch_port,
        },
        enforce_iam: false,
        change_template: None,
    };
    record.outputs = deployment.run().await?.outputs;
    record.write(root)?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk::local(&record.endpoint));
    demo::register(&tables(STACK_NAME, &record.outputs, &dynamodb)?.installations).await?;
    Ok(output.result(&Reset {
        hints: Hints::new(root, &record.endpoint, &record.outputs),
    })?)
}

#[derive(Serialize)]
struct Reset {
    #[serde(flatten)]
    hints: Hints,
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The local stack is empty, but for the demo installations.\n"
        )?;
        write!(f, "{}", self.hints)
    }
}
