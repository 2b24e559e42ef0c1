//! MiniStack: the AWS services, on this machine.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{io, iter};

use serde_json::Value;
use tokio::time::Instant;

use super::error::DevError;
use super::process::ProcessGroup;
use super::tools;
use crate::http;
use crate::sdk::{LOCAL_KEY, LOCAL_REGION};
use crate::secrets;

const NAME: &str = "MiniStack";
/// Python on a busy machine takes its time.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// How long a request to its own endpoints may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A running MiniStack. Dropping it ends it, with all functions that it started.
#[derive(Debug)]
pub(crate) struct Emulator {
    pub(crate) group: ProcessGroup,
    pub(crate) endpoint: String,
    pub(crate) log: PathBuf,
}

/// How it is started.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) root: &'a Path,
    /// On 127.0.0.1.
    pub(crate) port: u16,
    /// For its log and its temporary files.
    pub(crate) folder: &'a Path,
    pub(crate) enforce_iam: bool,
    /// The endpoint that functions use.
    pub(crate) function_endpoint: &'a str,
}

impl Emulator {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(settings: Settings<'_>) -> Result<Self, DevError> {
        let endpoint = endpoint(settings.port);
        let edition = secrets::nonce()?;
        let log = settings.folder.join("log/ministack.log");
        let temporary = settings.folder.join("tmp");
        let (stdout, stderr) = create_log(&log)?;
        empty(&temporary)?;

        let mut command = Command::new(tools::python(settings.root));
        command
            .args(["-m", "ministack"])
            .current_dir(settings.folder)
            // Functions inherit its environment, and a stray AWS_ or proxy variable would mislead them.
            .env_clear()
            .envs(
                ["PATH", "HOME"]
                    .into_iter()
                    .filter_map(|name| Some((name, aws::environment(name)?))),
            )
            .env("TMPDIR", &temporary)
            .env("PYTHONUNBUFFERED", "1")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", settings.port.to_string())
            // A name: an address cannot be the end of an API's host.
            .env("MINISTACK_HOST", "localhost")
            .env("LAMBDA_EXECUTOR", "local")
            .env("MINISTACK_EDITION", &edition)
            .env("AWS_ENDPOINT_URL", settings.function_endpoint)
            .envs(iter::once(("AUTH", "true")).filter(|_| settings.enforce_iam))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr));
        let group = ProcessGroup::start(&mut command)
            .map_err(|source| DevError::not_started(&tools::python(settings.root), source))?;
        let mut emulator = Self {
            group,
            endpoint,
            log,
        };
        emulator.ready(&edition).await?;
        Ok(emulator)
    }

    /// Waits until it answers: this very one, known by its `edition`, and not one that took the port meanwhile.
    async fn ready(&mut self, edition: &str) -> Result<(), DevError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if !matches!(self.group.status(), Ok(None)) {
                return Err(DevError::Ended {
                    what: NAME,
                    log: self.log.clone(),
                });
            }
            if health(&self.endpoint, POLL * 10).is_some_and(|health| health.contains(edition)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(DevError::NotReady {
                    what: NAME.to_owned(),
                    seconds,
                    log: self.log.clone(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> DevError {
        let _ = self.group.ended().await;
        DevError::Ended {
            what: NAME,
            log: self.log.clone(),
        }
    }
}

/// Where it is on this port.
pub(crate) fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// What a MiniStack says about itself, if one answers. Blocks the thread.
pub(crate) fn health(endpoint: &str, timeout: Duration) -> Option<String> {
    let url = format!("{endpoint}/_ministack/health");
    let answer = http::request("GET", &url, &[], b"", timeout).ok()?;
    answer.is_success().then_some(answer.body)
}

/// Deletes everything in it. Blocks the thread.
pub(crate) fn reset(endpoint: &str) -> Result<(), DevError> {
    request(endpoint, "ministack", "POST", "/_ministack/reset", b"").map(|_| ())
}

/// Sends a request to a service that no SDK client here knows; gives the body of the answer. Blocks the thread.
pub(crate) fn request(
    endpoint: &str,
    service: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<String, DevError> {
    let what = format!("{method} {path}");
    authorized(endpoint, service, method, path, &[], body, what)
}

/// Asks a service in the form of its JSON API. `target` is what is asked, like `AWSEvents.ListRules`.
pub(crate) fn ask(
    endpoint: &str,
    service: &str,
    target: &str,
    question: &Value,
) -> Result<Value, DevError> {
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target),
    ];
    let body = question.to_string();
    let what = target.to_owned();
    let answer = authorized(
        endpoint,
        service,
        "POST",
        "/",
        &headers,
        body.as_bytes(),
        what,
    )?;
    Ok(serde_json::from_str(&answer).unwrap_or_default())
}

fn authorized(
    endpoint: &str,
    service: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    what: String,
) -> Result<String, DevError> {
    // Says which service is meant, and who asks where policies are enforced. Signatures are not checked.
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={LOCAL_KEY}/20260101/{LOCAL_REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    );
    let url = format!("{endpoint}{path}");
    let headers = [&[("authorization", authorization.as_str())], headers].concat();
    let answer = http::request(method, &url, &headers, body, TIMEOUT)?;
    if answer.is_success() {
        Ok(answer.body)
    } else {
        Err(DevError::Service {
            what,
            status: answer.status,
            body: answer.body,
        })
    }
}

/// A port on 127.0.0.1 that is free: this one, or any if it is 0. `option` chooses another.
pub(crate) fn free_port(port: u16, option: &'static str) -> Result<u16, DevError> {
    let listener =
        TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => DevError::PortInUse { port, option },
            _ => DevError::PortUnusable {
                port,
                option,
                source,
            },
        })
}

/// A new log file, twice: for stdout and for stderr.
pub(crate) fn create_log(path: &Path) -> Result<(File, File), DevError> {
    let file = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| File::create(path))
        .and_then(|file| Ok((file.try_clone()?, file)));
    file.map_err(|source| DevError::file(path, source))
}

/// An empty folder: what an earlier run left there is deleted.
fn empty(folder: &Path) -> Result<(), DevError> {
    let deleted = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    deleted
        .and_then(|()| fs::create_dir_all(folder))
        .map_err(|source| DevError::file(folder, source))
}
