//! Serves the page and what it asks for. Nothing here writes anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::OrderKey;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::desk::Desk;
use super::page;
use super::reader::Published;
use super::remedy::{self, Remedy};
use crate::invocation::Invocation;
use crate::order::{self, OrderView, PersonalData};
use crate::records::{self, Shown};
use crate::with_causes;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long after the last word a page hears that there is none: a page that is gone is noticed by it.
const STILL_HERE_EVERY: Duration = Duration::from_secs(15);
/// How long is waited when no connection can be taken, which is when there are too many.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Sent with every answer. No script, style or picture but our own, whatever a provider put into a text.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// What is served.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) port: u16,
    pub(super) desk: Arc<Desk>,
    pub(super) personal_data: PersonalData,
    pub(super) program: Invocation,
    pub(super) published: watch::Receiver<Published>,
    /// Told of every page that opens.
    pub(super) audience: Arc<Notify>,
}

/// Answers all connections, until it is dropped.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let site = Arc::clone(&site);
                    connections.spawn(async move {
                        let service = service_fn(move |request| {
                            let site = Arc::clone(&site);
                            async move { Ok::<_, Infallible>(site.answer(&request).await) }
                        });
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), service);
                        // A browser hangs up when it likes.
                        let _ = connection.await;
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Site {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut response = match self.refusal(request) {
            Some(refusal) => refusal,
            None => self.content(request).await,
        };
        for (name, value) in HEADERS {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// Why a request is not for this page, if it is not.
    fn refusal(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let header = |name| request.headers().get(name)?.to_str().ok();
        // A name of somebody else's that leads here would make this page part of theirs.
        let host = header(HOST.as_str()).and_then(|host| host.rsplit_once(':'));
        let is_ours = matches!(host, Some(("127.0.0.1" | "localhost", port)) if port == self.port.to_string());
        if !is_ours {
            return Some(plain(
                StatusCode::MISDIRECTED_REQUEST,
                "this is not the host of the board",
            ));
        }
        // A foreign page cannot read an answer, but every question costs read units.
        if !matches!(
            header("sec-fetch-site"),
            None | Some("same-origin" | "none")
        ) {
            return Some(plain(StatusCode::FORBIDDEN, "asked for by another site"));
        }
        if request.method() != Method::GET {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "the board is read only");
            let headers = refusal.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
            return Some(refusal);
        }
        None
    }

    async fn content(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if let Some(file) = page::file(path) {
            return full(StatusCode::OK, file.media_type, file.text);
        }
        match path {
            "/changes" => self.changes(),
            "/order" => self.order(request).await,
            "/webhook" => self.webhook(request).await,
            _ => plain(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    /// Everything that is published from now on, as server-sent events.
    fn changes(&self) -> Response<Body> {
        let mut published = self.published.clone();
        published.mark_changed();
        self.audience.notify_one();
        let events = stream::unfold(
            (published, Arc::<str>::default()),
            async |(mut published, shown)| {
                let changed = tokio::time::timeout(STILL_HERE_EVERY, published.changed());
                match changed.await {
                    Err(_) => Some((frame(": still here\n\n".to_owned()), (published, shown))),
                    Ok(Err(_)) => None,
                    Ok(Ok(())) => {
                        let Published { content, reading } = published.borrow_and_update().clone();
                        let mut events = String::new();
                        // What a page shows already is not sent to it again.
                        if !content.is_empty() && content != shown {
                            events.push_str(&format!("event: content\ndata: {content}\n\n"));
                        }
                        if !reading.is_empty() {
                            events.push_str(&format!("event: reading\ndata: {reading}\n\n"));
                        }
                        Some((frame(events), (published, content)))
                    }
                }
            },
        );
        let mut response = Response::new(StreamBody::new(events).boxed_unsync());
        let media_type = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    }

    async fn order(&self, request: &Request<Incoming>) -> Response<Body> {
        let key = key(request).and_then(|key| OrderKey::parse(&key).ok());
        let Some(key) = key else {
            return plain(StatusCode::BAD_REQUEST, "no key of an order");
        };
        let opened = match self.desk.opened().await {
            Ok(opened) => opened,
            Err(error) => return unavailable(&error),
        };
        match order::read(&opened.tables.orders, &key, self.personal_data).await {
            Ok(Some(view)) => {
                let warning = view.warning();
                let remedies = remedy::of_order(&key, warning.is_some(), &self.program);
                json(&OpenedOrder {
                    facts: view.facts(),
                    warning,
                    remedies,
                    order: view,
                })
            }
            Ok(None) => plain(
                StatusCode::NOT_FOUND,
                "no event of this order has been applied",
            ),
            Err(error) => unavailable(&error),
        }
    }

    async fn webhook(&self, request: &Request<Incoming>) -> Response<Body> {
        let Some(key) = key(request) else {
            return plain(StatusCode::BAD_REQUEST, "no key of a webhook");
        };
        let opened = match self.desk.opened().await {
            Ok(opened) => opened,
            Err(error) => return unavailable(&error),
        };
        match records::shown(&opened.tables, &key, self.personal_data).await {
            Ok(Some(shown)) => json(&OpenedWebhook {
                facts: shown.facts(),
                remedies: remedy::of_record(&key, shown.state(), &self.program),
                webhook: shown,
            }),
            Ok(None) => plain(StatusCode::NOT_FOUND, "this webhook is no longer kept"),
            Err(error) => unavailable(&error),
        }
    }
}

/// An order that was opened.
#[derive(Serialize)]
struct OpenedOrder {
    facts: Vec<[String; 2]>,
    warning: Option<String>,
    remedies: Vec<Remedy>,
    #[serde(flatten)]
    order: OrderView,
}

/// A webhook that was opened.
#[derive(Serialize)]
struct OpenedWebhook {
    facts: Vec<[String; 2]>,
    remedies: Vec<Remedy>,
    #[serde(flatten)]
    webhook: Shown,
}

/// The `key` in the query.
fn key(request: &Request<Incoming>) -> Option<String> {
    let key = request.uri().query()?.strip_prefix("key=")?;
    let key = percent_decode_str(key).decode_utf8().ok()?;
    (!key.is_empty()).then(|| key.into_owned())
}

fn frame(text: String) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(text.into()))
}

fn full(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", text)
}

fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => full(StatusCode::OK, "application/json", text),
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &dyn std::error::Error) -> Response<Body> {
    let text = with_causes(error);
    full(
        StatusCode::SERVICE_UNAVAILABLE,
        "text/plain; charset=utf-8",
        text,
    )
}
