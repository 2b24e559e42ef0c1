//! One execution environment: a process as Lambda would start it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::contestants::Contestant;
use crate::quota::Quota;
use crate::runtime_api::{Moment, RuntimeApi, Seen};
use crate::services::Services;

/// A running environment.
#[derive(Debug)]
pub(crate) struct Environment {
    name: &'static str,
    child: Child,
    api: RuntimeApi,
    started: Instant,
    quota: Option<Quota>,
    idle: Option<Moment>,
}

/// One invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// When its event was handed out.
    pub(crate) handed: Moment,
    /// When it was answered.
    pub(crate) answered: Moment,
    /// When the process asked for the next event.
    pub(crate) polled: Moment,
    /// The answer.
    pub(crate) answer: Bytes,
}

impl Invocation {
    /// From the event to the answer.
    pub(crate) fn wall(&self) -> Duration {
        self.answered.at - self.handed.at
    }
}

/// How a process is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// Put before the command: a profiler and its arguments.
    pub(crate) under: Vec<String>,
    /// The share of a processor it has from its first poll on.
    pub(crate) quota: Option<f64>,
}

impl Environment {
    /// Starts a process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        contestant: &Contestant,
        services: &Services,
        launch: &Launch,
    ) -> Result<Self> {
        let api = RuntimeApi::start()?;
        let mut argv = launch.under.iter().chain(&contestant.command);
        let program = argv.next().context("a contestant has no command")?;
        let quota = launch.quota.map(Quota::prepare).transpose()?;
        let mut command = Command::new(program);
        command
            .args(argv)
            .env_clear()
            .envs(variables(contestant, services, api.address()))
            .current_dir(&contestant.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(match std::env::var_os("BENCH_STDERR") {
                Some(_) => Stdio::inherit(),
                None => Stdio::null(),
            });
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        api.watch(clock_getcpuclockid(pid(&child)?)?);
        Ok(Self {
            name: contestant.name,
            child,
            api,
            started,
            quota,
            idle: None,
        })
    }

    /// When it was started.
    pub(crate) const fn started(&self) -> Instant {
        self.started
    }

    /// Waits until the process asks for an event. From its first time on it is held to its quota, as in Lambda,
    /// where the init phase has a processor of its own.
    ///
    /// # Errors
    /// When it ends instead.
    pub(crate) fn idle(&mut self) -> Result<Moment> {
        if let Some(moment) = self.idle {
            return Ok(moment);
        }
        let moment = match self.next()? {
            Seen::Polled(moment) => moment,
            other => bail!("{}: expected a poll, saw {other:?}", self.name),
        };
        if let Some(quota) = &mut self.quota {
            quota.impose(pid(&self.child)?)?;
        }
        self.idle = Some(moment);
        Ok(moment)
    }

    /// Has one event processed.
    ///
    /// # Errors
    /// When the process fails instead.
    pub(crate) fn invoke(&mut self, event: String) -> Result<Invocation> {
        self.idle()?;
        self.idle = None;
        self.api.hand(event)?;
        let (mut handed, mut answered, mut polled, mut answer) = (None, None, None, Bytes::new());
        // A runtime may ask for the next event before its answer has been read here.
        while answered.is_none() || polled.is_none() {
            match self.next()? {
                Seen::Handed(moment) => handed = Some(moment),
                Seen::Polled(moment) => polled = Some(moment),
                Seen::Answered(moment, bytes) => {
                    answered = Some(moment);
                    answer = bytes;
                }
                Seen::Failed(error) => {
                    bail!("{} failed: {}", self.name, String::from_utf8_lossy(&error))
                }
            }
        }
        self.idle = polled;
        Ok(Invocation {
            handed: handed.context("an answer without an event")?,
            answered: answered.context("no answer")?,
            polled: polled.context("no poll")?,
            answer,
        })
    }

    /// The most memory the process has had in use, in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn peak_rss_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok())
            .context("no VmHWM")
    }

    /// Ends the process by a signal that a profiler notices, and waits for it.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub(crate) fn end(mut self) -> Result<()> {
        kill(pid(&self.child)?, Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }

    fn next(&mut self) -> Result<Seen> {
        self.api
            .next()
            .with_context(|| format!("{} does nothing more (BENCH_STDERR=1 shows why)", self.name))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

/// Lambda's variables, the product's, and how to trust the services.
fn variables(
    contestant: &Contestant,
    services: &Services,
    runtime_api: &str,
) -> Vec<(String, String)> {
    let path = |path: &PathBuf| path.display().to_string();
    let mut variables: Vec<(String, String)> = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/bench".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
        ("LAMBDA_TASK_ROOT", path(&contestant.folder)),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEEXAMPLE00".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "0".repeat(40)),
        // As long as Lambda's.
        ("AWS_SESSION_TOKEN", "A".repeat(880)),
        ("AWS_ENDPOINT_URL_DYNAMODB", services.dynamodb()),
        ("AWS_ENDPOINT_URL_SQS", services.sqs()),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", services.eventbridge()),
        ("INSTALLATIONS_TABLE", "bench-installations".to_owned()),
        ("WEBHOOKS_TABLE", "bench-webhooks".to_owned()),
        ("ORDERS_TABLE", "bench-orders".to_owned()),
        ("EVENTS_QUEUE_URL", queue_url(services, "events")),
        ("DEAD_LETTER_QUEUE_URL", queue_url(services, "dead")),
        ("HOLD_QUEUE_URL", queue_url(services, "held")),
        ("ORDER_EVENTS_BUS", "bench-orders".to_owned()),
        ("SOURCE_IP_MODE", "report".to_owned()),
        ("STACK_NAME", "bench".to_owned()),
        ("RUST_BACKTRACE", "0".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("HOME", "/tmp".to_owned()),
        ("PATH", std::env::var("PATH").unwrap_or_default()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    variables.extend(contestant.variables.iter().cloned());
    variables
}

fn queue_url(services: &Services, name: &str) -> String {
    format!("{}/123456789012/{name}", services.sqs())
}
