//! `cargo lambda watch`: runs the functions from their sources, and again whenever a file changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::emulator;
use super::error::DevError;
use super::process::ProcessGroup;
use super::template::Function;
use super::tools;
use crate::http;
use crate::sdk::{LOCAL_KEY, LOCAL_REGION};

const NAME: &str = "`cargo lambda watch`";
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
/// A function that was not built before takes minutes.
const COMPILED_WITHIN: Duration = Duration::from_secs(15 * 60);
const POLL: Duration = Duration::from_millis(100);

/// What the functions, or their compilation, must not inherit.
const NOT_INHERITED: [&str; 12] = [
    // Another account, or another endpoint than the one that is set.
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
    // `cargo run` sets these for `hookctl`. A build script that reads them would run again each time, and with
    // `ring`'s half of the dependencies would be compiled anew.
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// A running `cargo lambda watch`. Dropping it ends it, with the functions it runs.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) group: ProcessGroup,
    pub(crate) log: PathBuf,
    port: u16,
    shown: Arc<AtomicBool>,
}

/// Where a function is called, the way Lambda's own API has it.
pub(crate) fn invocations_url(port: u16, binary: &str) -> String {
    format!("http://127.0.0.1:{port}/2015-03-31/functions/{binary}/invocations")
}

/// Builds the functions as `cargo lambda watch` will, so that it finds them built: the same binaries, selected from
/// the whole workspace, because that decides which features their dependencies have.
pub(crate) async fn build(root: &Path, functions: &[Function]) -> Result<(), DevError> {
    let mut command = Command::new("cargo");
    command.arg("build").current_dir(root);
    for function in functions {
        command.args(["--bin", &function.binary]);
    }
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    tools::run("cargo build", &mut command).await
}

impl Watch {
    /// Starts it and waits until it listens. The functions have `environment` and use the services at `endpoint`.
    pub(crate) async fn start(
        root: &Path,
        port: u16,
        folder: &Path,
        endpoint: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, DevError> {
        let log = folder.join("log/watch.log");
        let (for_stdout, for_stderr) = emulator::create_log(&log)?;
        let mut command = Command::new(tools::cargo_lambda(root));
        command.current_dir(root).args([
            "lambda",
            "watch",
            "-A",
            "127.0.0.1",
            "-P",
            &port.to_string(),
        ]);
        if io::stderr().is_terminal() {
            command.args(["--color", "always"]);
        }
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command
            .envs(environment)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", LOCAL_REGION)
            .env("AWS_ACCESS_KEY_ID", LOCAL_KEY)
            .env("AWS_SECRET_ACCESS_KEY", LOCAL_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = ProcessGroup::start(&mut command)
            .map_err(|source| DevError::not_started(&tools::cargo_lambda(root), source))?;

        let shown = Arc::new(AtomicBool::new(false));
        let (stdout, stderr) = group.take_output();
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            let (shown_too, shown) = (Arc::clone(&shown), Arc::clone(&shown));
            thread::spawn(move || copy_lines(stdout, for_stdout, &shown));
            thread::spawn(move || copy_lines(stderr, for_stderr, &shown_too));
        }
        let mut watch = Self {
            group,
            log,
            port,
            shown,
        };
        watch.listens().await?;
        Ok(watch)
    }

    async fn listens(&mut self) -> Result<(), DevError> {
        let deadline = Instant::now() + LISTENS_WITHIN;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect_timeout(&address, POLL).is_err() {
            self.still_runs()?;
            if Instant::now() > deadline {
                return Err(self.not_ready(NAME.to_owned(), LISTENS_WITHIN));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Calls each function once and waits for its answer: a function is only built and started when it is called,
    /// and a webhook would not wait for that.
    pub(crate) async fn compiled(&mut self, functions: &[Function]) -> Result<(), DevError> {
        for function in functions {
            let url = invocations_url(self.port, &function.binary);
            let event = harmless_event(function).to_string();
            let mut call = tokio::task::spawn_blocking(move || {
                http::request(
                    "POST",
                    &url,
                    &[("content-type", "application/json")],
                    event.as_bytes(),
                    COMPILED_WITHIN,
                )
            });
            let answered = loop {
                tokio::select! {
                    answered = &mut call => break answered.is_ok_and(|answer| answer.is_ok()),
                    () = tokio::time::sleep(POLL) => self.still_runs()?,
                }
            };
            if !answered {
                return Err(
                    self.not_ready(format!("the function {}", function.binary), COMPILED_WITHIN)
                );
            }
        }
        Ok(())
    }

    /// From now on shows on stderr what it says, and what the functions log.
    pub(crate) fn show_output(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> DevError {
        let _ = self.group.ended().await;
        DevError::Ended {
            what: NAME,
            log: self.log.clone(),
        }
    }

    fn still_runs(&mut self) -> Result<(), DevError> {
        match self.group.status() {
            Ok(None) => Ok(()),
            _ => Err(DevError::Ended {
                what: NAME,
                log: self.log.clone(),
            }),
        }
    }

    fn not_ready(&self, what: String, waited: Duration) -> DevError {
        DevError::NotReady {
            what,
            seconds: waited.as_secs(),
            log: self.log.clone(),
        }
    }
}

/// An event that changes nothing: an unauthenticated request, or an empty batch.
fn harmless_event(function: &Function) -> Value {
    let Some(route) = function.routes.first() else {
        return json!({ "Records": [] });
    };
    json!({
        "version": "2.0",
        "routeKey": format!("{} {}", route.method, route.path),
        "rawPath": route.path,
        "rawQueryString": "",
        "headers": { "host": "localhost" },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "localhost",
            "http": {
                "method": route.method, "path": route.path, "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "hookctl",
            },
            "requestId": "hookctl-dev-up",
            "routeKey": format!("{} {}", route.method, route.path),
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": "not a webhook",
        "isBase64Encoded": false,
    })
}

/// Copies every line to the log, and to stderr while it is to be shown.
fn copy_lines(from: impl Read, mut log: File, shown: &AtomicBool) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = [line.as_slice(), b"\n"].concat();
        // Neither a full disk nor a closed stderr is a reason to stop reading: the writer would block.
        let _ = log.write_all(&line);
        if shown.load(Ordering::Relaxed) {
            let _ = io::stderr().lock().write_all(&without_metrics(&line));
        }
    }
}

/// A function's line without the description of its metrics, which is for CloudWatch and longer than all the rest. It is
/// written last; in a text its quotes would be escaped.
fn without_metrics(line: &[u8]) -> Cow<'_, [u8]> {
    const BEGIN: &[u8] = b",\"_aws\":{";
    let end = line.windows(BEGIN.len()).rposition(|part| part == BEGIN);
    let described = end.and_then(|end| line.get(..end));
    match described.map(|fields| [fields, b"}\n"].concat()) {
        Some(line) if is_json(&line) => line.into(),
        Some(_) | None => line.into(),
    }
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_the_description_of_its_metrics() {
        for (line, shown) in [
            (
                r#"{"level":"INFO","Accepted":1,"stack":"s","_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Metrics":[]}]}}"#,
                r#"{"level":"INFO","Accepted":1,"stack":"s"}"#,
            ),
            (r#"{"level":"INFO"}"#, r#"{"level":"INFO"}"#),
            (
                r#"{"message":"a text with ,\"_aws\":{ in it"}"#,
                r#"{"message":"a text with ,\"_aws\":{ in it"}"#,
            ),
            (r#"no JSON,"_aws":{}"#, r#"no JSON,"_aws":{}"#),
            ("   Compiling domain", "   Compiling domain"),
        ] {
            let line = format!("{line}\n");
            let left = without_metrics(line.as_bytes());

            assert_eq!(left, format!("{shown}\n").as_bytes());
        }
    }
}
