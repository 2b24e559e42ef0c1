//! The Lambda Runtime API for one process, and what it saw of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;

use crate::listener::{answer_all, listen};

/// What the process is given as the time it has.
const DEADLINE: Duration = Duration::from_secs(60);

/// A moment: on the wall, and in the processor time of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// On the wall.
    pub(crate) at: Instant,
    /// Processor time of all threads of the process, since it was started.
    pub(crate) cpu: Duration,
}

/// What the process did.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It asked for the next event.
    Polled(Moment),
    /// It is about to get one.
    Handed(Moment),
    /// It answered.
    Answered(Moment, Bytes),
    /// It reported an error.
    Failed(Bytes),
}

/// The API of one process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: String,
    process: Arc<OnceLock<ClockId>>,
    events: mpsc::Sender<Bytes>,
    seen: mpsc::Receiver<Seen>,
}

struct Shared {
    process: Arc<OnceLock<ClockId>>,
    events: Mutex<mpsc::Receiver<Bytes>>,
    seen: mpsc::Sender<Seen>,
}

impl RuntimeApi {
    /// Starts it, for a process that is yet to be started.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) fn start() -> Result<Self> {
        let process = Arc::new(OnceLock::new());
        let (events, to_hand_out) = mpsc::channel();
        let (sender, seen) = mpsc::channel();
        let shared = Arc::new(Shared {
            process: Arc::clone(&process),
            events: Mutex::new(to_hand_out),
            seen: sender,
        });
        let port = listen(async move |stream| {
            answer_all(stream, async |request| answer(request, &shared).await).await
        })?;
        Ok(Self {
            address: format!("127.0.0.1:{port}"),
            process,
            events,
            seen,
        })
    }

    /// `host:port`, as `AWS_LAMBDA_RUNTIME_API` has it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Tells whose processor time is to be read.
    pub(crate) fn watch(&self, clock: ClockId) {
        let _ = self.process.set(clock);
    }

    /// Has an event given to the next poll.
    ///
    /// # Errors
    /// When the API has ended.
    pub(crate) fn hand(&self, event: impl Into<Bytes>) -> Result<()> {
        Ok(self.events.send(event.into())?)
    }

    /// What the process does next.
    ///
    /// # Errors
    /// When it does nothing for a minute.
    pub(crate) fn next(&self) -> Result<Seen> {
        Ok(self.seen.recv_timeout(DEADLINE)?)
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    if request.method() == Method::GET {
        return next_event(shared);
    }
    let now = shared.now();
    let is_answer = request.uri().path().ends_with("/response");
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    shared.saw(if is_answer {
        Seen::Answered(now, body)
    } else {
        Seen::Failed(body)
    });
    let mut response = Response::new(Full::new(Bytes::from_static(br#"{"status":"OK"}"#)));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// Waits on this connection's own thread until there is an event.
fn next_event(shared: &Shared) -> Response<Full<Bytes>> {
    shared.saw(Seen::Polled(shared.now()));
    let event = shared
        .events
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv();
    let Ok(event) = event else {
        let mut gone = Response::new(Full::default());
        *gone.status_mut() = StatusCode::GONE;
        return gone;
    };
    shared.saw(Seen::Handed(shared.now()));
    let deadline = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        + DEADLINE;
    Response::builder()
        .header("Content-Type", "application/json")
        .header(
            "Lambda-Runtime-Aws-Request-Id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        )
        .header(
            "Lambda-Runtime-Deadline-Ms",
            deadline.as_millis().to_string(),
        )
        .header(
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:123456789012:function:bench",
        )
        .header(
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        )
        .body(Full::new(event))
        .unwrap_or_default()
}

impl Shared {
    fn now(&self) -> Moment {
        let at = Instant::now();
        // The process may be heard of before the one who started it has said its id.
        let cpu = self.process.wait().now().map_or(Duration::ZERO, |time| {
            Duration::from_nanos(u64::try_from(time.num_nanoseconds()).unwrap_or(0))
        });
        Moment { at, cpu }
    }

    fn saw(&self, what: Seen) {
        // Nobody looks any more when the process is being ended.
        let _ = self.seen.send(what);
    }
}
