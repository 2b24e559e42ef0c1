//! `hookctl smoke`, on functions and tables in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Clock as _, EpochMillis, Millis, Provider};
use hookctl::Place;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use testkit::Webhook;
use tokio::net::TcpListener;

use crate::operator::{Said, hookctl_in, in_front_of, place};
use crate::strict_concurrency::Tables;
use crate::strict_dynamodb::Item;

/// What happens to a webhook on its way to the function.
enum Way {
    Through,
    /// It is changed before.
    Changed(Webhook),
    /// The function does not get it.
    Instead(u16, &'static str),
}

/// What is seen of a request: its path and the webhook.
type Road = Arc<dyn Fn(&str, &Webhook) -> Way + Send + Sync>;

/// The routes of the API, and a consumer that applies what was taken at once.
#[derive(Clone)]
struct Gateway {
    tables: Tables,
    road: Road,
    is_consuming: bool,
    /// Where a record's state is set after its event was applied.
    then: Option<&'static str>,
    seen: Arc<Mutex<Vec<Webhook>>>,
    /// One webhook after the other is taken and applied.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Gateway {
    async fn start() -> Self {
        Self {
            tables: Tables::start().await,
            road: Arc::new(|_, _| Way::Through),
            is_consuming: true,
            then: None,
            seen: Arc::default(),
            turn: Arc::default(),
        }
    }

    fn with_road(self, road: impl Fn(&str, &Webhook) -> Way + Send + Sync + 'static) -> Self {
        let road = Arc::new(road);
        Self { road, ..self }
    }

    /// Begins to answer.
    async fn place(&self) -> Place {
        self.place_at(&self.tables.database.address()).await
    }

    /// The same, with a database that is reached at this address.
    async fn place_at(&self, database: &str) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gateway = self.clone();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let gateway = gateway.clone();
                let service = service_fn(move |request| {
                    let gateway = gateway.clone();
                    async move { Ok::<_, Infallible>(gateway.answer(request).await) }
                });
                let connection = TokioIo::new(connection);
                tokio::spawn(http1::Builder::new().serve_connection(connection, service));
            }
        });
        let mut place = place(database);
        for (output, provider) in [
            ("ArmadaWebhookUrl", "armada"),
            ("ShipdayWebhookUrl", "shipday"),
        ] {
            let url = format!("{url}/webhooks/{provider}");
            place.outputs.insert(output.to_owned(), url);
        }
        place
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let webhook = Webhook {
            provider: if path.starts_with("/webhooks/armada") {
                Provider::Armada
            } else {
                Provider::Shipday
            },
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
            source_ip: "203.0.113.24".to_owned(),
        };
        let (status, body) = match (self.road)(path, &webhook) {
            Way::Through => self.carry_out(path, &webhook).await,
            Way::Changed(webhook) => self.carry_out(path, &webhook).await,
            Way::Instead(status, word) => (status, json!({ "status": word }).to_string()),
        };
        self.seen.lock().unwrap().push(webhook);
        let answer = Response::builder().status(status);
        answer.body(Full::from(body)).unwrap()
    }

    async fn carry_out(&self, path: &str, webhook: &Webhook) -> (u16, String) {
        if path != format!("/webhooks/{}", webhook.provider) {
            return (404, String::new());
        }
        let _turn = self.turn.lock().await;
        let answer = self.tables.receive(webhook).await;
        if self.is_consuming {
            self.tables.drain(1, 0).await;
        }
        if let Some(state) = self.then {
            self.set_states(state).await;
        }
        answer
    }

    async fn set_states(&self, state: &str) {
        for item in self.tables.database.items("WebhooksTable").await {
            let update = self
                .tables
                .database
                .client
                .update_item()
                .table_name("WebhooksTable");
            update
                .key("pk", item["pk"].clone())
                .update_expression("SET #state = :state")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":state", AttributeValue::S(state.to_owned()))
                .send()
                .await
                .unwrap();
        }
    }

    /// How many rows there are of it: installations beside the two that were there, records, orders and entries.
    async fn rows(&self) -> usize {
        let mut rows = 0;
        for table in ["InstallationsTable", "WebhooksTable", "OrdersTable"] {
            rows += self.tables.database.items(table).await.len();
        }
        rows - 2
    }
}

async fn smoke(gateway: &Gateway) -> Said {
    hookctl_in(&gateway.place().await, "smoke --timeout 1").await
}

/// The names of the checks that ended so.
fn checks(said: &Said, verdict: &str) -> Vec<String> {
    let ended = said
        .all("check")
        .into_iter()
        .filter(|it| it["verdict"] == verdict);
    let name = |it: &serde_json::Value| {
        let parts = [&it["name"], &it["provider"]].into_iter();
        let parts: Vec<&str> = parts.filter_map(|part| part.as_str()).collect();
        parts.join(" of ")
    };
    ended.map(name).collect()
}

/// What a failed check tells.
fn told<'a>(said: &'a Said, name: &str) -> &'a serde_json::Value {
    let checks = said.all("check").into_iter();
    checks
        .filter(|it| it["verdict"] == "failed")
        .find(|it| it["name"] == name)
        .unwrap()
}

fn shows_a_credential(webhook: &Webhook) -> bool {
    ["token", "x-armada-app-id"]
        .iter()
        .any(|name| !header(webhook, name).is_empty())
}

fn header(webhook: &Webhook, name: &str) -> String {
    let found = webhook.headers.iter().find(|(it, _)| it == name);
    found.map_or_else(String::new, |(_, value)| value.clone())
}

#[tokio::test]
async fn a_healthy_stack_passes_and_nothing_of_the_check_is_left() {
    let gateway = Gateway::start().await;

    let said = smoke(&gateway).await.done();

    assert_eq!(checks(&said, "passed").len(), 14, "{}", said.stdout);
    let summary = said.summary();
    assert_eq!(
        (&summary["passed"], &summary["checks"]),
        (&json!(true), &json!(14))
    );
    assert_eq!(gateway.rows().await, 0);
    let seen = gateway.seen.lock().unwrap();
    let of = |provider| {
        seen.iter()
            .filter(move |webhook| webhook.provider == provider)
    };
    for provider in Provider::ALL {
        let bodies: Vec<_> = of(provider).map(|webhook| webhook.body.clone()).collect();
        let different: BTreeSet<_> = bodies.iter().collect();
        assert!(different.len() >= 4, "a few webhooks");
        assert_ne!(bodies.first(), bodies.get(3), "not the first of them first");
    }
}

#[tokio::test]
async fn two_runs_at_once_do_not_meet() {
    let gateway = Gateway::start().await;
    let place = gateway.place().await;

    let runs = futures_util::future::join(
        hookctl_in(&place, "smoke --timeout 5"),
        hookctl_in(&place, "smoke --timeout 5"),
    );
    let (one, other) = Box::pin(runs).await;

    let (one, other) = (one.done(), other.done());
    assert_ne!(one.summary()["merchant_id"], other.summary()["merchant_id"]);
    assert_eq!(gateway.rows().await, 0);
}

#[tokio::test]
async fn its_credentials_are_shown_nowhere_and_end_within_the_hour() {
    let gateway = Gateway::start().await;
    let rows: Arc<Mutex<BTreeMap<String, Item>>> = Arc::default();
    let place = gateway.place().await;
    let watched = async {
        let now = aws::SystemClock.now_ms();
        loop {
            for item in gateway.tables.database.items("InstallationsTable").await {
                let merchant = item["merchant_id"].as_s().unwrap().clone();
                if merchant.starts_with("smoke-test-") {
                    rows.lock()
                        .unwrap()
                        .insert(item["pk"].as_s().unwrap().clone(), item);
                }
            }
            if rows.lock().unwrap().len() == 2 {
                return now;
            }
        }
    };

    let run = hookctl_in(&place, "smoke --timeout 5");
    let (said, began) = Box::pin(futures_util::future::join(run, watched)).await;

    let said = said.done();
    let hour = Millis::from_seconds(3_600);
    for row in rows.lock().unwrap().values() {
        let not_after: u64 = row["not_after_ms"].as_n().unwrap().parse().unwrap();
        let not_after = EpochMillis::new(not_after);
        assert!(not_after > began && not_after < began + hour);
        assert!(row["label"].as_s().unwrap().contains("hookctl smoke"));
        let is_armada = row["pk"].as_s().unwrap().starts_with("armada#");
        assert_eq!(row.contains_key("url_key_sha256"), is_armada);
    }
    let seen = gateway.seen.lock().unwrap();
    let headers = ["token", "x-armada-installation-id"];
    let secrets = seen.iter().flat_map(|webhook| {
        let key = webhook
            .query
            .strip_prefix("k=")
            .unwrap_or_default()
            .to_owned();
        headers
            .map(|name| header(webhook, name))
            .into_iter()
            .chain([key])
    });
    let secrets: BTreeSet<_> = secrets.filter(|secret| !secret.is_empty()).collect();
    assert_eq!(secrets.len(), 3);
    for secret in secrets {
        assert!(!format!("{}{}", said.stdout, said.stderr).contains(&secret));
    }
}

#[tokio::test]
async fn every_wrong_answer_fails_the_check_that_is_about_it() {
    type Wrong = fn(&str, &Webhook) -> bool;
    const ARMADA: &str = "/webhooks/armada";
    const SHIPDAY: &str = "/webhooks/shipday";
    let cases: [(&str, Wrong, (u16, &str), &str); 8] = [
        (
            "no_credential of shipday",
            |path, it| path == SHIPDAY && !shows_a_credential(it),
            (200, "accepted"),
            "R1",
        ),
        (
            "no_credential of armada",
            |path, it| path == ARMADA && !shows_a_credential(it),
            (403, ""),
            "R3",
        ),
        (
            "other_path",
            |path, _| ![ARMADA, SHIPDAY].contains(&path),
            (401, ""),
            "R3",
        ),
        (
            "url_key of armada",
            |path, it| path == ARMADA && shows_a_credential(it) && it.query.is_empty(),
            (200, "accepted"),
            "R1",
        ),
        (
            "webhooks of armada",
            |_, it| !it.query.is_empty(),
            (503, ""),
            "R1",
        ),
        (
            "webhooks of armada",
            |_, it| !it.query.is_empty(),
            (401, ""),
            "R3",
        ),
        (
            "webhooks of shipday",
            |path, it| path == SHIPDAY && shows_a_credential(it),
            (429, ""),
            "R2",
        ),
        (
            "webhooks of shipday",
            |path, it| path == SHIPDAY && shows_a_credential(it),
            (400, ""),
            "R4",
        ),
    ];
    for (name, is_wrong, (status, word), entry) in cases {
        let gateway = Gateway::start().await.with_road(move |path, webhook| {
            if is_wrong(path, webhook) {
                Way::Instead(status, word)
            } else {
                Way::Through
            }
        });

        let said = smoke(&gateway).await;

        assert_eq!(said.code, 1, "{name}");
        assert_eq!(checks(&said, "failed"), [name], "{}", said.stdout);
        assert!(
            said.stderr.contains(&format!("check(s) failed: {name}")),
            "{}",
            said.stderr
        );
        let failed = told(&said, name.split(' ').next().unwrap());
        assert_eq!(failed["runbook"], entry, "{failed}");
        assert!(failed["likely"].as_str() > Some(""));
        assert_eq!(gateway.rows().await, 0, "{name}");
        if let Some(provider) = name.strip_prefix("webhooks of ") {
            let not_tried =
                ["order", "timeline", "records"].map(|it| format!("{it} of {provider}"));
            assert_eq!(checks(&said, "not_tried"), not_tried);
        }
    }
}

#[tokio::test]
async fn a_repeat_that_is_taken_for_news_is_noticed() {
    let before: Mutex<BTreeSet<(String, Vec<u8>)>> = Mutex::default();
    let gateway = Gateway::start().await.with_road(move |_, webhook| {
        let shown = header(webhook, "token");
        let is_new = before
            .lock()
            .unwrap()
            .insert((shown.clone(), webhook.body.clone()));
        if is_new || shown.is_empty() {
            Way::Through
        } else {
            Way::Instead(200, "accepted")
        }
    });

    let said = smoke(&gateway).await;

    assert_eq!(
        checks(&said, "failed"),
        ["webhooks of shipday"],
        "{}",
        said.stdout
    );
    assert_eq!(gateway.rows().await, 0);
}

#[tokio::test]
async fn what_cannot_be_removed_yet_is_named_with_the_command_that_does() {
    let mut gateway = Gateway::start().await;
    gateway.is_consuming = false;
    let place = gateway.place().await;

    let said = hookctl_in(&place, "smoke --timeout 1").await;

    assert_eq!(said.code, 1);
    assert_eq!(
        checks(&said, "failed"),
        ["order of armada", "order of shipday", "clean_up"]
    );
    assert_eq!(told(&said, "order")["runbook"], "R5");
    let installations = gateway.tables.database.items("InstallationsTable").await;
    assert_eq!(
        installations.len(),
        2,
        "the credentials are gone in any case"
    );

    gateway.tables.drain(1, 0).await;
    let left = said.summary()["left"].as_array().unwrap();
    assert_eq!(left.len(), 2);
    for left in left {
        let command = left["command"].as_str().unwrap();
        hookctl_in(&place, command.strip_prefix("hookctl ").unwrap())
            .await
            .done();
    }
    assert_eq!(gateway.rows().await, 0);
}

#[tokio::test]
async fn an_event_at_another_time_than_it_was_sent_with_is_noticed() {
    let gateway = Gateway::start().await.with_road(|_, webhook| {
        let mut changed = webhook.clone();
        let is_last = String::from_utf8_lossy(&webhook.body).contains("completed");
        for (name, value) in &mut changed.headers {
            if name == "x-armada-timestamp" && is_last {
                "2025-02-01T00:00:00.000Z".clone_into(value);
            }
        }
        Way::Changed(changed)
    });

    let said = smoke(&gateway).await;

    assert_eq!(
        checks(&said, "failed"),
        ["timeline of armada"],
        "{}",
        said.stdout
    );
    assert_eq!(told(&said, "timeline")["runbook"], "R1");
    assert_eq!(gateway.rows().await, 0);
}

#[tokio::test]
async fn a_record_that_is_not_applied_is_noticed() {
    for (state, entry) in [
        ("unmapped", "R4"),
        ("quarantined", "R4"),
        ("parked", "R7"),
        ("dismissed", "R1"),
    ] {
        let mut gateway = Gateway::start().await;
        gateway.then = Some(state);

        let said = smoke(&gateway).await;

        assert_eq!(
            checks(&said, "failed"),
            ["records of armada", "records of shipday"],
            "{}",
            said.stdout
        );
        assert_eq!(told(&said, "records")["runbook"], entry);
        assert_eq!(gateway.rows().await, 0, "{state}");
    }
}

#[tokio::test]
async fn an_operator_who_may_not_register_or_remove_installations_is_told_so() {
    let gateway = Gateway::start().await;
    let database = &gateway.tables.database;
    let denied = |operation: &'static str| {
        in_front_of(database, move |request: String| async move {
            !(request.contains(operation) && request.contains("smoke-test"))
        })
    };
    let place = gateway.place_at(&denied("PutItem").await).await;

    let said = hookctl_in(&place, "smoke --timeout 1").await;

    assert_eq!(
        checks(&said, "failed"),
        ["installations"],
        "{}",
        said.stdout
    );
    assert!(
        told(&said, "installations")["likely"]
            .as_str()
            .unwrap()
            .contains("permissions")
    );
    assert_eq!(gateway.rows().await, 0);

    let address = in_front_of(database, |request: String| async move {
        !(request.contains("DeleteItem") && request.contains("InstallationsTable"))
    });
    let place = gateway.place_at(&address.await).await;

    let said = hookctl_in(&place, "smoke --timeout 1").await;

    assert_eq!(checks(&said, "failed"), ["clean_up"], "{}", said.stdout);
    assert_eq!(gateway.rows().await, 2);
    for left in said.summary()["left"].as_array().unwrap() {
        let command = left["command"].as_str().unwrap();
        let disabled = hookctl_in(&place, command.strip_prefix("hookctl ").unwrap());
        assert_eq!(disabled.await.done().lines[0]["state"], "disabled");
    }
}
