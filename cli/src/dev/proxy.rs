//! A proxy between the functions and the AWS services: it passes calls on, or says in DynamoDB's place that a table has
//! no capacity left.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::InvalidUri;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::DevError;
use crate::http;

/// Where the proxy is told what to refuse; no AWS service has such a path.
const THROTTLES: &str = "/_hookctl/throttles";
/// How long it may take to take that in.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// The beginning of every call's name in DynamoDB's protocol.
const DYNAMODB: &str = "DynamoDB_20120810.";

/// Passes calls on to the AWS services of a local stack.
#[derive(Debug)]
pub struct Forwarder {
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A call could not be passed on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The services' address and the call's path make no URL.
    #[error("the call cannot be addressed")]
    Address(#[from] InvalidUri),
    /// The services did not answer.
    #[error("the services did not answer")]
    NoAnswer(#[from] hyper_util::client::legacy::Error),
    /// A request or an answer broke off.
    #[error("the connection broke off")]
    BrokenOff(#[from] hyper::Error),
}

impl Default for Forwarder {
    fn default() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new())
                // MiniStack ends idle connections after five seconds; none may be chosen just then.
                .pool_idle_timeout(Duration::from_secs(1))
                .pool_timer(TokioTimer::new())
                .build_http(),
        }
    }
}

impl Forwarder {
    /// What the services at that address answer to a call.
    ///
    /// # Errors
    /// When they did not.
    pub async fn forward(
        &self,
        services: &str,
        mut call: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, ForwardError> {
        *call.uri_mut() = format!("{services}{}", call.uri()).parse()?;
        let (head, body) = self.client.request(call).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

/// An error as DynamoDB and SQS write it.
pub fn refusal(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"injected"}}"#);
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A table that has no capacity left, for some time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Throttle {
    /// The table's full name.
    pub(crate) table: String,
    pub(crate) seconds: u32,
}

/// Tells the proxy at that address to refuse calls. Blocks the thread.
pub(crate) fn throttle(endpoint: &str, throttle: &Throttle) -> Result<(), DevError> {
    let body = serde_json::json!(throttle).to_string();
    tell(endpoint, "PUT", body.as_bytes())
}

/// Tells the proxy at that address to pass all calls on. Blocks the thread.
pub(crate) fn throttle_nothing(endpoint: &str) -> Result<(), DevError> {
    tell(endpoint, "DELETE", b"")
}

fn tell(endpoint: &str, method: &str, body: &[u8]) -> Result<(), DevError> {
    let url = format!("{endpoint}{THROTTLES}");
    let answer = http::request(method, &url, &[], body, TOLD_WITHIN)?;
    if answer.is_success() {
        Ok(())
    } else {
        Err(DevError::Service {
            what: format!("{method} {url}"),
            status: answer.status,
            body: answer.body,
        })
    }
}

/// A running proxy, in a thread of its own: whoever runs the stack may block. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, for calls to the services at that address.
    pub(crate) fn start(services: String) -> Result<Self, DevError> {
        let (endpoint, end, thread) = listen(services).map_err(DevError::Proxy)?;
        Ok(Self {
            endpoint,
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has ended, which is what was wanted
        }
    }
}

fn listen(services: String) -> io::Result<(String, oneshot::Sender<()>, JoinHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (end, ended) = oneshot::channel();
    let calls = Arc::new(Calls {
        services,
        forwarder: Forwarder::default(),
        throttled: Mutex::default(),
    });
    let thread = thread::Builder::new()
        .name("proxy".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = calls.serve(&listener) => {}
                }
            });
        })?;
    Ok((endpoint, end, thread))
}

/// What happens to calls.
#[derive(Debug)]
struct Calls {
    services: String,
    forwarder: Forwarder,
    /// The tables without capacity, and until when.
    throttled: Mutex<BTreeMap<String, Instant>>,
}

impl Calls {
    async fn serve(self: Arc<Self>, listener: &tokio::net::TcpListener) {
        loop {
            let Ok((connection, _)) = listener.accept().await else {
                continue; // the caller gave up
            };
            let calls = Arc::clone(&self);
            tokio::spawn(async move {
                let answer = service_fn(|call| calls.answer(call));
                // The caller notices by itself when its connection ends.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(connection), answer)
                    .await;
            });
        }
    }

    async fn answer(&self, call: Request<Incoming>) -> Result<Response<Full<Bytes>>, ForwardError> {
        let (head, body) = call.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.uri.path() == THROTTLES {
            return Ok(self.told(&head.method, &body));
        }
        if self.is_throttled(&head, &body) {
            let code = "ProvisionedThroughputExceededException";
            return Ok(refusal(StatusCode::BAD_REQUEST, code));
        }
        let call = Request::from_parts(head, Full::new(body));
        let answer = self.forwarder.forward(&self.services, call).await?;
        Ok(answer.map(Full::new))
    }

    fn told(&self, method: &Method, body: &[u8]) -> Response<Full<Bytes>> {
        let mut throttled = self
            .throttled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if method == Method::DELETE {
            throttled.clear();
            return Response::default();
        }
        match serde_json::from_slice(body) {
            Ok(Throttle { table, seconds }) => {
                let until = Instant::now() + Duration::from_secs(seconds.into());
                throttled.insert(table, until);
                Response::default()
            }
            Err(_) => refusal(StatusCode::BAD_REQUEST, "ValidationException"),
        }
    }

    fn is_throttled(&self, head: &Parts, body: &[u8]) -> bool {
        let target = head.headers.get("x-amz-target");
        if !target.is_some_and(|it| it.as_bytes().starts_with(DYNAMODB.as_bytes())) {
            return false;
        }
        let mut throttled = self
            .throttled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        throttled.retain(|_, until| *until > now);
        let text = String::from_utf8_lossy(body);
        throttled
            .keys()
            .any(|table| text.contains(&format!("\"{table}\"")))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// Services that answer every call with `passed on`, each over a connection of its own.
    fn services() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let _ = connection.read(&mut [0; 4_096]).unwrap();
                let answer =
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\npassed on";
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        endpoint
    }

    fn call(proxy: &Proxy, target: &str, body: &str) -> (u16, String) {
        let headers = [("x-amz-target", target)];
        let answer = http::request(
            "POST",
            &proxy.endpoint,
            &headers,
            body.as_bytes(),
            TOLD_WITHIN,
        );
        answer.map(|answer| (answer.status, answer.body)).unwrap()
    }

    #[test]
    fn a_throttled_tables_calls_are_refused_and_all_others_are_passed_on() {
        const PUT: &str = "DynamoDB_20120810.PutItem";
        let proxy = Proxy::start(services()).unwrap();
        let orders = r#"{"TableName":"orders"}"#;
        let passed_on = (200, "passed on".to_owned());
        assert_eq!(call(&proxy, PUT, orders), passed_on);

        let throttled = Throttle {
            table: "orders".to_owned(),
            seconds: 600,
        };
        throttle(&proxy.endpoint, &throttled).unwrap();

        let (status, body) = call(&proxy, PUT, orders);
        assert_eq!(status, 400);
        assert!(
            body.contains("ProvisionedThroughputExceededException"),
            "{body}"
        );
        let in_a_batch = r#"{"RequestItems":{"orders":[]}}"#;
        assert_eq!(
            call(&proxy, "DynamoDB_20120810.BatchGetItem", in_a_batch).0,
            400
        );
        for (target, body, why) in [
            (PUT, r#"{"TableName":"orders-of-others"}"#, "another table"),
            ("AmazonSQS.SendMessage", orders, "another service"),
        ] {
            assert_eq!(call(&proxy, target, body), passed_on, "{why}");
        }

        throttle_nothing(&proxy.endpoint).unwrap();
        assert_eq!(call(&proxy, PUT, orders), passed_on);
    }

    #[test]
    fn a_throttle_ends_by_itself() {
        let proxy = Proxy::start(services()).unwrap();
        let over = Throttle {
            table: "orders".to_owned(),
            seconds: 0,
        };
        throttle(&proxy.endpoint, &over).unwrap();

        let body = r#"{"TableName":"orders"}"#;
        assert_eq!(call(&proxy, "DynamoDB_20120810.Query", body).0, 200);
    }

    #[test]
    fn a_proxy_that_is_dropped_listens_no_more() {
        let proxy = Proxy::start(services()).unwrap();
        let endpoint = proxy.endpoint.clone();

        drop(proxy);

        assert!(throttle_nothing(&endpoint).is_err());
    }
}
