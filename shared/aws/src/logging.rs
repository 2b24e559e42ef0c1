//! One JSON object per line on stdout, as CloudWatch Logs wants it.

use std::error::Error;
use std::process::ExitCode;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The crates whose lines are ours. Of all others only warnings are shown: at lower levels an SDK may write
/// what is in a request.
const OURS: [&str; 5] = ["aws", "domain", "ingest", "order_consumer", "webhook_relay"];

/// Starts logging at the level of `AWS_LAMBDA_LOG_LEVEL` (default `INFO`), and makes a panic a log line that
/// says where, but not what: its message could hold a piece of a body.
pub fn log_as_json(lookup: impl Fn(&str) -> Option<String>) {
    let level = lookup("AWS_LAMBDA_LOG_LEVEL")
        .and_then(|text| text.parse::<Level>().ok())
        .unwrap_or(Level::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false);
    let shown = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(OURS.map(|target| (target, level)));
    // A second call, in a test, keeps the first subscriber.
    let _ = tracing_subscriber::registry()
        .with(shown)
        .with(lines)
        .try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

/// How a function's process ends: an error is logged with its message, which names what to mend, and not as the
/// type that `main` would print.
pub fn exit_code(outcome: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}
