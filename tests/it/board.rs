//! `hookctl board` as a server: who gets an answer, what is in it, and what it reads for that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Provider;
use hookctl::{Board, BoardError, Place};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use testkit::Webhook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::operator::place;
use crate::strict_concurrency::Tables;
use crate::strict_dynamodb::Database;
use crate::support::order_key;

/// The dead letters that every queue of these tests has.
const DEAD_LETTERS: u64 = 3;
/// The demo webhooks are years old by any other clock than their own.
const ALL_TIME: &str = "--hours=1000000";
const PATIENCE: Duration = Duration::from_secs(60);

/// A database with the queues that belong to it, which counts what it is asked and can be out of reach.
#[derive(Clone, Default)]
struct Services {
    is_down: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Services {
    async fn in_front_of(database: &Database) -> (Self, Place) {
        let services = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut place = place(&listener.local_addr().unwrap().to_string());
        for queue in ["EventsQueueUrl", "DeadLetterQueueUrl"] {
            let url = format!("{}/1/{queue}", place.endpoint);
            place.outputs.insert(queue.to_owned(), url);
        }
        let (this, behind) = (services.clone(), database.address());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (this, behind) = (this.clone(), behind.clone());
                let service = service_fn(move |request| {
                    let (this, behind) = (this.clone(), behind.clone());
                    async move { Ok::<_, hyper::Error>(this.answer(request, &behind).await) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        (services, place)
    }

    async fn answer(&self, request: Request<Incoming>, behind: &str) -> Response<Full<Bytes>> {
        let operation = request.headers()["x-amz-target"]
            .to_str()
            .unwrap()
            .to_owned();
        let (_, name) = operation.split_once('.').unwrap();
        self.asked.lock().unwrap().push(name.to_owned());
        if self.is_down.load(Ordering::SeqCst) {
            let mut refusal = Response::new(Full::default());
            *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return refusal;
        }
        if operation.starts_with("AmazonSQS.") {
            let count = DEAD_LETTERS.to_string();
            let answer = json!({ "Attributes": { "ApproximateNumberOfMessages": count } });
            return Response::new(Full::new(answer.to_string().into()));
        }
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("http://{behind}/").parse().unwrap();
        let body = body.collect().await.unwrap().to_bytes();
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let answer = client
            .request(Request::from_parts(parts, Full::new(body)))
            .await
            .unwrap();
        let (parts, body) = answer.into_parts();
        Response::from_parts(parts, Full::new(body.collect().await.unwrap().to_bytes()))
    }

    fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap().iter().cloned().collect()
    }
}

/// An answer of the board.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Connects, and sends a request in these very words.
async fn send(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn answered(address: &str, request: &str) -> Answer {
    let mut stream = send(address, request).await;
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    Answer {
        status: status.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

fn address(board: &Board) -> String {
    let url = board.url();
    url.strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/')
        .to_owned()
}

async fn get(board: &Board, path: &str) -> Answer {
    let address = address(board);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    answered(&address, &request).await
}

/// A page that is open: what it hears.
struct Page {
    stream: TcpStream,
    heard: String,
}

impl Page {
    async fn open(board: &Board) -> Self {
        let address = address(board);
        let request = format!("GET /changes HTTP/1.1\r\nHost: {address}\r\n\r\n");
        Self {
            stream: send(&address, &request).await,
            heard: String::new(),
        }
    }

    /// The next event of this kind that is as wanted.
    async fn hears(&mut self, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                while let Some((event, rest)) = self.heard.split_once("\n\n") {
                    let data = event.split_once(&format!("event: {kind}\ndata: "));
                    let data = data.map(|(_, data)| serde_json::from_str(data).unwrap());
                    self.heard = rest.to_owned();
                    if let Some(data) = data.filter(&is_wanted) {
                        return data;
                    }
                }
                let mut bytes = vec![0; 1 << 16];
                let read = self.stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "the board hung up");
                self.heard
                    .push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }
}

fn armada(order: &str, status: &str, id: &str) -> Webhook {
    let body = json!({
        "code": order, "status": status,
        "customer": { "name": "Salem Sample", "phone": "96500000017" },
        "driver": { "name": "Fahad Fictional", "phone": "00000142" },
    });
    let sent_at = format!("2026-01-07T20:1{}:00.000Z", id.len());
    testkit::armada("order.updated", id, &sent_at, body.to_string())
}

/// A board on the tables of a pipeline.
async fn board(words: &[&str]) -> (Tables, Services, Board) {
    let tables = Tables::start().await;
    let (services, place) = Services::in_front_of(&tables.database).await;
    let words: Vec<_> = ["--port=0", "--interval=1", ALL_TIME]
        .iter()
        .chain(words)
        .copied()
        .collect();
    let board = Board::at(&place, &words).await.unwrap();
    (tables, services, board)
}

#[tokio::test]
async fn no_answer_lets_a_foreign_script_style_or_page_in() {
    let (_tables, _services, board) = board(&[]).await;
    for (path, status) in [
        ("/", 200),
        ("/page.css", 200),
        ("/page.js", 200),
        ("/order?key=demo-merchant%23armada%23A1", 404),
        ("/order?key=A1", 400),
        ("/order", 400),
        ("/webhook?key=none", 404),
        ("/webhook", 400),
        ("/../Cargo.toml", 404),
    ] {
        let answer = get(&board, path).await;

        assert_eq!(answer.status, status, "{path}");
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let shared = answer
            .headers
            .keys()
            .find(|name| name.starts_with("access-control"));
        assert_eq!(shared, None, "{path}");
    }
    let page = get(&board, "/").await.body;
    for inline in [
        "<style", " style=", "<script>", " onclick", "http://", "https://",
    ] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn only_the_name_of_this_machine_gets_an_answer() {
    let (_tables, _services, board) = board(&[]).await;
    let address = address(&board);
    let port = address.rsplit(':').next().unwrap();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("board.example.com:{port}"), 421),
        (format!("127.0.0.1.example.com:{port}"), 421),
        ("127.0.0.1:1".to_owned(), 421),
        ("127.0.0.1".to_owned(), 421),
        ("localhost".to_owned(), 421),
        (String::new(), 421),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(answered(&address, &request).await.status, status, "{host}");
    }
    let nameless = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(answered(&address, nameless).await.status, 421);
}

#[tokio::test]
async fn whatever_is_no_plain_question_of_the_page_itself_is_refused() {
    let (_tables, services, board) = board(&[]).await;
    let address = address(&board);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        let request =
            format!("{method} /changes HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = answered(&address, &request).await;
        assert_eq!(
            (answer.status, answer.headers["allow"].as_str()),
            (405, "GET"),
            "{method}"
        );
    }
    for (site, status) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 400),
        ("none", 400),
    ] {
        let request = format!(
            "GET /order HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: {site}\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(answered(&address, &request).await.status, status, "{site}");
    }
    assert_eq!(
        services.asked(),
        BTreeSet::new(),
        "nothing is read while no page is open"
    );
}

#[tokio::test]
async fn a_webhook_that_is_applied_reaches_an_open_page() {
    let (tables, services, board) = board(&[]).await;
    tables.post(&armada("A1", "accepted", "wh_1")).await;
    tables.drain(1, 0).await;
    let mut page = Page::open(&board).await;
    let first = page.hears("content", |_| true).await;
    assert_eq!(first["orders"][0]["status"], "assigned");
    assert_eq!(first["webhooks"][0]["state"], "applied");
    assert_eq!(first["dead_letters"]["count"], DEAD_LETTERS);
    assert_eq!(
        first["dead_letters"]["remedies"][0]["command"],
        "hookctl dlq show"
    );
    let cost = page.hears("reading", |_| true).await;
    assert!(cost["read_units"].as_f64() > Some(0.0), "{cost}");

    tables.post(&armada("A1", "completed", "wh_10")).await;
    tables.post(&armada("A2", "teleported", "wh_2")).await;
    tables.drain(1, 0).await;

    let delivered = |content: &Value| {
        let orders = content["orders"].as_array().unwrap();
        orders
            .iter()
            .any(|it| it["order_id"] == "A1" && it["status"] == "delivered")
    };
    let content = page.hears("content", delivered).await;
    let groups = content["groups"].as_array().unwrap();
    let unmapped = groups.iter().find(|it| it["name"] == "unmapped").unwrap();
    assert_eq!(
        (&unmapped["count"], &unmapped["needs_a_person"]),
        (&json!(1), &json!(true))
    );
    let webhook = &unmapped["webhooks"][0];
    assert_eq!(webhook["why"], "unmapped: unknown_status `teleported`");
    assert_eq!(
        webhook["remedies"][1]["command"],
        "hookctl webhook replay 'armada#demo-merchant#order.updated#wh_2'"
    );

    let order = get(&board, "/order?key=demo-merchant%23armada%23A1")
        .await
        .json();
    let decisions = order["timeline"].as_array().unwrap().iter();
    let decisions: Vec<_> = decisions
        .map(|it| it["decision"].as_str().unwrap())
        .collect();
    assert_eq!(
        decisions,
        [
            "applied: assigned",
            "applied (forward): assigned -> delivered"
        ]
    );
    let webhook = get(
        &board,
        "/webhook?key=armada%23demo-merchant%23order.updated%23wh_2",
    )
    .await
    .json();
    assert!(webhook["facts"].as_array().unwrap().contains(&json!([
        "reads as",
        "unmapped: unknown_status `teleported`"
    ])));
    let reading = ["GetItem", "GetQueueAttributes", "Query", "Scan"].map(str::to_owned);
    assert_eq!(services.asked(), reading.into(), "it only reads");
}

#[tokio::test]
async fn personal_data_is_masked_unless_it_is_asked_for() {
    let secrets = ["Fahad", "Fictional", "00000142", "Salem", "96500000017"];
    for (words, shown) in [(&[][..], &[][..]), (&["--personal-data"], &secrets)] {
        let (tables, _services, board) = board(words).await;
        tables.post(&armada("A1", "accepted", "wh_1")).await;
        tables.drain(1, 0).await;
        let mut page = Page::open(&board).await;
        let content = page
            .hears("content", |it| it["orders"][0]["is_saved"] == true)
            .await;
        let order = get(&board, "/order?key=demo-merchant%23armada%23A1")
            .await
            .json();
        let webhook = get(
            &board,
            "/webhook?key=armada%23demo-merchant%23order.updated%23wh_1",
        )
        .await
        .json();
        let all = format!("{content}{order}{webhook}");

        let found: Vec<_> = secrets.into_iter().filter(|it| all.contains(it)).collect();
        assert_eq!(found, shown, "{words:?}");
        let driver = if shown.is_empty() {
            "F***, ***42"
        } else {
            "Fahad Fictional, 00000142"
        };
        assert_eq!(content["orders"][0]["driver"], driver);
    }
}

#[tokio::test]
async fn only_the_merchant_and_the_hours_that_were_asked_for_are_shown() {
    for (words, orders) in [
        (["--merchant=demo-merchant", ALL_TIME], 1),
        (["--merchant=another", ALL_TIME], 0),
        (["--merchant=demo-merchant", "--hours=1"], 0),
    ] {
        let tables = Tables::start().await;
        let (_services, place) = Services::in_front_of(&tables.database).await;
        let board = Board::at(&place, &[&["--port=0"][..], &words[..]].concat())
            .await
            .unwrap();
        tables.post(&armada("A1", "accepted", "wh_1")).await;
        tables.drain(1, 0).await;
        tables.post(&armada("A1", "teleported", "wh_10")).await;
        let content = Page::open(&board).await.hears("content", |_| true).await;

        let shown = content["webhooks"].as_array().unwrap().len();
        assert_eq!(shown, orders * 2, "{words:?}");
        // What waits for a person is shown however old it is.
        let is_mine = usize::from(words[0].ends_with("demo-merchant"));
        assert_eq!(content["groups"][1]["count"], is_mine, "{words:?}");
    }
}

#[tokio::test]
async fn a_stack_that_is_lost_is_said_and_found_again() {
    let (tables, services, board) = board(&[]).await;
    tables.post(&armada("A1", "accepted", "wh_1")).await;
    tables.drain(1, 0).await;
    let mut page = Page::open(&board).await;
    page.hears("reading", |it| it["trouble"].is_null()).await;

    services.is_down.store(true, Ordering::SeqCst);

    let lost = page.hears("reading", |it| !it["trouble"].is_null()).await;
    assert!(
        lost["trouble"].as_str().unwrap().contains("webhook scan"),
        "{lost}"
    );
    let order = get(&board, "/order?key=demo-merchant%23armada%23A1").await;
    assert_eq!(order.status, 503);
    services.is_down.store(false, Ordering::SeqCst);
    page.hears("reading", |it| it["trouble"].is_null()).await;
    let order = get(&board, "/order?key=demo-merchant%23armada%23A1").await;
    assert_eq!(
        order.json()["order_id"],
        order_key(Provider::Armada, "A1").order_id.as_str()
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_the_option_that_chooses_another() {
    let (tables, _services, board) = board(&[]).await;
    let (_services, place) = Services::in_front_of(&tables.database).await;
    let port = address(&board).rsplit(':').next().unwrap().to_owned();

    let taken = Board::at(&place, &["--port", &port]).await;

    let error = taken.unwrap_err();
    assert!(matches!(error, BoardError::PortInUse(_)), "{error}");
    assert!(error.to_string().contains("`--port`"), "{error}");
}
