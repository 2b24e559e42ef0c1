//! DynamoDB, SQS and EventBridge over TLS, with constant answers after a constant wait: what is measured is the function, not
//! the service.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::listener::{answer_all, listen};
use crate::samples::TIMELINE_ENTRY;

/// The order in which operations were called, each with what it carried.
pub(crate) type Recorded = Vec<(String, Value)>;

/// What one operation was called with and answered, summed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// How often it was called.
    pub(crate) calls: u64,
    /// Bytes of its requests: headers and bodies, before encryption.
    pub(crate) request_bytes: u64,
    /// Bytes of the answers' bodies.
    pub(crate) response_bytes: u64,
}

/// What was asked of the services.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// By operation.
    pub(crate) operations: BTreeMap<String, Usage>,
    /// TLS connections that were made.
    pub(crate) connections: u64,
    /// What the wait of a call really took, summed, in microseconds.
    pub(crate) waited_us: u64,
}

impl Tally {
    /// Calls of all operations.
    pub(crate) fn calls(&self) -> u64 {
        self.operations.values().map(|usage| usage.calls).sum()
    }
}

#[derive(Debug, Default)]
struct Shared {
    latency_us: AtomicU64,
    tally: Mutex<Tally>,
    recorded: Mutex<Option<Recorded>>,
    sent: Mutex<Option<mpsc::Sender<String>>>,
}

/// The running services.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    shared: Arc<Shared>,
    dynamodb_port: u16,
    sqs_port: u16,
    eventbridge_port: u16,
}

impl Services {
    /// Starts them.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) fn start(acceptor: &TlsAcceptor, latency: Duration) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let services = Self {
            dynamodb_port: start(acceptor, &shared)?,
            sqs_port: start(acceptor, &shared)?,
            eventbridge_port: start(acceptor, &shared)?,
            shared,
        };
        services.set_latency(latency);
        Ok(services)
    }

    /// How long every call waits from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.shared.latency_us.store(us, Ordering::Relaxed);
    }

    /// DynamoDB's endpoint.
    pub(crate) fn dynamodb(&self) -> String {
        format!("https://localhost:{}", self.dynamodb_port)
    }

    /// EventBridge's endpoint.
    pub(crate) fn eventbridge(&self) -> String {
        format!("https://localhost:{}", self.eventbridge_port)
    }

    /// SQS's endpoint.
    pub(crate) fn sqs(&self) -> String {
        format!("https://localhost:{}", self.sqs_port)
    }

    /// What was asked since the last time.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *lock(&self.shared.tally))
    }

    /// Keeps every call's body from now on, until [`Services::take_recorded`].
    pub(crate) fn record(&self) {
        *lock(&self.shared.recorded) = Some(Recorded::new());
    }

    /// What was kept.
    pub(crate) fn take_recorded(&self) -> Recorded {
        lock(&self.shared.recorded).take().unwrap_or_default()
    }

    /// Passes on the text of every message that is sent.
    pub(crate) fn forward_messages(&self, to: mpsc::Sender<String>) {
        *lock(&self.shared.sent) = Some(to);
    }
}

/// One of the services; all answer the same.
fn start(acceptor: &TlsAcceptor, shared: &Arc<Shared>) -> Result<u16> {
    let (acceptor, shared) = (acceptor.clone(), Arc::clone(shared));
    listen(async move |stream| {
        // A client that hangs up before the handshake is none of ours.
        let stream = acceptor.accept(stream).await.ok()?;
        lock(&shared.tally).connections += 1;
        answer_all(stream, async |request| answer(request, &shared).await).await
    })
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let operation = operation(&request);
    let header_bytes: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let asked = Instant::now();
    thread::sleep(Duration::from_micros(
        shared.latency_us.load(Ordering::Relaxed),
    ));
    let waited = asked.elapsed();
    let answered = content(&operation, &body, shared);

    let mut tally = lock(&shared.tally);
    tally.waited_us += u64::try_from(waited.as_micros()).unwrap_or(0);
    let usage = tally.operations.entry(operation.clone()).or_default();
    usage.calls += 1;
    usage.request_bytes += bytes(header_bytes + body.len());
    usage.response_bytes += bytes(answered.len());
    drop(tally);
    if let Some(recorded) = &mut *lock(&shared.recorded) {
        recorded.push((
            operation,
            serde_json::from_slice(&body).unwrap_or(Value::Null),
        ));
    }
    response(answered)
}

/// The operation's name in the target header; a connection that is only opened early asks for none.
fn operation(request: &Request<Incoming>) -> String {
    request
        .headers()
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok()?.rsplit('.').next())
        .unwrap_or("none")
        .to_owned()
}

fn content(operation: &str, body: &[u8], shared: &Shared) -> String {
    match operation {
        "GetItem" => installation(body),
        "Query" => format!(r#"{{"Count":1,"ScannedCount":1,"Items":[{TIMELINE_ENTRY}]}}"#),
        "SendMessage" => {
            let request: Value = serde_json::from_slice(body).unwrap_or_default();
            let text = request["MessageBody"].as_str().unwrap_or_default();
            if let Some(to) = &*lock(&shared.sent) {
                // Nobody listens any more when the load is over.
                let _ = to.send(text.to_owned());
            }
            json!({ "MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": md5_hex(text.as_bytes()) })
                .to_string()
        }
        "PutEvents" => r#"{"FailedEntryCount":0,"Entries":[{"EventId":"11710aed-b79e-4468-a20b-bb3c0c3b4860"}]}"#.to_owned(),
        _ => "{}".to_owned(),
    }
}

/// The hexadecimal MD5 that SQS proves the receipt of a message with.
pub(crate) fn md5_hex(text: &[u8]) -> String {
    Md5::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn response(body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    let content_type = hyper::header::HeaderValue::from_static("application/x-amz-json-1.0");
    headers.insert(hyper::header::CONTENT_TYPE, content_type);
    let request_id = hyper::header::HeaderValue::from_static("BENCH00000000000000000000000000");
    headers.insert("x-amzn-requestid", request_id);
    response
}

/// A registered installation, whoever is asked for.
fn installation(request: &[u8]) -> String {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    json!({ "Item": {
        "pk": request["Key"]["pk"],
        "merchant_id": { "S": "demo-merchant" },
        "state": { "S": "active" },
        "label": { "S": "bench" },
        "created_at_ms": { "N": "1767816902431" },
    } })
    .to_string()
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A thread that panicked leaves whole numbers behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
