//! Requests that somebody thought of; `fuzz` has those that nobody did.

use domain::{Provider, RecordState};
use lambda_http::request::LambdaRequest;
use lambda_http::{Context, RequestExt as _};
use serde_json::{Value, json};
use testkit::{
    ARMADA_APP_ID, SHIPDAY_TOKEN, Webhook, http_api_event, rest_api_event, sample_bytes,
    shipday_credential,
};

use crate::logs::lines_of;
use crate::support::{Pipeline, SENT_AT, armada_status, gateway_request, shipday_event};

/// Longest log line of ours, in bytes. CloudWatch Logs cuts a line at 262,144.
const LONGEST_LINE: usize = 2_048;

fn documented_armada() -> Webhook {
    testkit::armada(
        "order.updated",
        "wh_1",
        SENT_AT,
        sample_bytes("armada/order.updated/documented.json"),
    )
}

fn documented_shipday() -> Webhook {
    testkit::shipday(sample_bytes("shipday/documented.json"))
}

#[track_caller]
fn nothing_was_written(pipeline: &Pipeline) {
    assert_eq!(
        (
            pipeline.world.count("put_if_absent"),
            pipeline.world.count("send")
        ),
        (0, 0)
    );
}

// ---------------------------------------------------------------- size and depth

#[tokio::test]
async fn a_body_of_six_megabytes_is_refused_before_anybody_is_asked() {
    let pipeline = Pipeline::new();
    for body in [vec![b' '; 6 * 1_024 * 1_024], vec![0xff; 6 * 1_024 * 1_024]] {
        for webhook in [documented_armada(), documented_shipday()] {
            let large = Webhook {
                body: body.clone(),
                ..webhook
            };

            assert_eq!(pipeline.post(&large).await.status, 413);
            assert_eq!(
                pipeline.post(&large.without_header("token")).await.status,
                413
            );
        }
    }
    assert!(pipeline.world.calls().is_empty());
}

#[tokio::test]
async fn nesting_of_a_hundred_thousand_levels_overflows_no_stack() {
    let depth = 100_000;
    let arrays = "[".repeat(depth) + &"]".repeat(depth);
    let open = "{\"a\":".repeat(depth / 2);
    for deep in [&arrays, &open, &"[".repeat(depth)] {
        for (webhook, closed) in [
            (
                testkit::armada("order.updated", "wh_1", SENT_AT, deep.as_bytes()),
                false,
            ),
            (
                testkit::armada(
                    "order.updated",
                    "wh_1",
                    SENT_AT,
                    format!("{{\"code\":\"A1\",\"status\":\"failed\",\"driver\":{deep}}}"),
                ),
                true,
            ),
            (testkit::shipday(deep.as_bytes()), false),
            (
                testkit::shipday(format!(
                    "{{\"timestamp\":1767816000000,\"event\":\"ORDER_ASSIGNED\",\"order\":{{\"id\":7,\"x\":{deep}}}}}"
                )),
                true,
            ),
        ] {
            let pipeline = Pipeline::new();

            let answered = pipeline.post(&webhook).await;
            pipeline.drain().await;

            // What is nested in a field that nobody reads, or that must be of another type, costs nothing.
            let expected = if closed && *deep == arrays {
                (200, RecordState::Applied)
            } else {
                (400, RecordState::Quarantined)
            };
            let stored = pipeline.world.records().pop_first().unwrap().1;
            assert_eq!((answered.status, stored.state), expected);
        }
        let pipeline = Pipeline::new();
        pipeline
            .world
            .enqueue_text(&format!("{{\"schema_version\":1,\"event\":{deep}}}"));
        pipeline.world.enqueue_text(deep);
        pipeline.drain().await;
        assert_eq!(pipeline.world.dead_letters().len(), 2);
    }
}

#[tokio::test]
async fn a_name_that_comes_twice_is_unreadable_where_it_could_decide() {
    for (body, status) in [
        (r#"{"code":"A1","status":"failed","code":"A2"}"#, 400),
        (
            r#"{"code":"A1","status":"failed","status":"completed"}"#,
            400,
        ),
        (
            r#"{"code":"A1","status":"failed","nobody_reads_this":1,"nobody_reads_this":2}"#,
            200,
        ),
    ] {
        let pipeline = Pipeline::new();
        let webhook = testkit::armada("order.updated", "wh_1", SENT_AT, body);

        assert_eq!(pipeline.post(&webhook).await.status, status, "{body}");
        assert_eq!(pipeline.world.records().len(), 1, "kept either way");
    }
}

// ---------------------------------------------------------------- who sends

#[tokio::test(start_paused = true)]
async fn ten_thousand_unauthenticated_requests_write_nothing() {
    let pipeline = Pipeline::new();
    for number in 0..10_000 {
        let webhook = match number % 8 {
            0 => documented_shipday().with_header("token", &format!("wrong-{number}")),
            1 => documented_shipday().without_header("token"),
            2 => documented_shipday().with_header("token", "always the same"),
            3 => documented_shipday().with_header("token", "always-the-same"),
            4 => documented_armada()
                .with_header("x-armada-installation-id", &format!("wrong-{number}")),
            5 => documented_armada().without_header("x-armada-app-id"),
            6 => documented_armada().with_repeated_header("x-armada-app-id", &number.to_string()),
            _ => testkit::shipday(format!("{{\"number\":{number}"))
                .with_header("token", &"x".repeat(number % 300)),
        };

        assert_eq!(pipeline.post(&webhook).await.status, 401, "{number}");
    }
    nothing_was_written(&pipeline);
    assert!(pipeline.world.records().is_empty() && pipeline.world.queued().is_empty());
    assert_eq!(
        pipeline.world.count("find"),
        1_250 + 1 + 1_250 + 64,
        "one read for each credential that could be one, and none for the others"
    );
}

#[tokio::test]
async fn a_credential_counts_once_in_its_own_header_as_it_was_registered() {
    let bare = documented_shipday().without_header("token");
    let right = SHIPDAY_TOKEN;
    for (webhook, why) in [
        (
            bare.clone()
                .with_header("token", &format!("{right},{right}")),
            "joined by a gateway",
        ),
        (
            bare.clone().with_header("token", &format!("{right}, ")),
            "joined with nothing",
        ),
        (
            bare.clone().with_header("token", &format!(" {right}")),
            "a blank before it",
        ),
        (
            bare.clone().with_header("token", &format!("{right}\t")),
            "a tab behind it",
        ),
        (
            bare.clone().with_header("token", &format!("\u{a0}{right}")),
            "a blank that is no ASCII",
        ),
        (
            bare.clone().with_header("token", &right.to_uppercase()),
            "another case",
        ),
        (
            bare.clone()
                .with_header("authorization", &format!("Bearer {right}")),
            "another header",
        ),
        (
            bare.clone().with_header("x-token", right),
            "nearly its header",
        ),
        (
            bare.clone()
                .with_header("cookie", &format!("token={right}")),
            "a cookie",
        ),
        (
            Webhook {
                query: format!("token={right}"),
                ..bare.clone()
            },
            "the URL",
        ),
        (
            Webhook {
                body: format!("{{\"token\":\"{right}\"}}").into_bytes(),
                ..bare.clone()
            },
            "the body",
        ),
        (
            documented_armada().with_header(
                "x-armada-app-id",
                &format!("{ARMADA_APP_ID},{ARMADA_APP_ID}"),
            ),
            "joined",
        ),
        (
            documented_armada().with_repeated_header("X-Armada-App-Id", ARMADA_APP_ID),
            "another case of the name",
        ),
    ] {
        for event in [http_api_event(&webhook), rest_api_event(&webhook)] {
            let pipeline = Pipeline::new();
            assert_eq!(
                pipeline.hand_over(webhook.provider, &event).await.status,
                401,
                "{why}"
            );
            nothing_was_written(&pipeline);
        }
    }
}

#[tokio::test]
async fn what_a_rest_api_says_twice_counts_where_every_occurrence_is() {
    let status = async |headers: Value, multi_value_headers: Value| {
        let mut event = rest_api_event(&documented_shipday());
        event["headers"] = headers;
        event["multiValueHeaders"] = multi_value_headers;
        Pipeline::new()
            .hand_over(Provider::Shipday, &event)
            .await
            .status
    };

    for (headers, multi_value_headers, expected) in [
        (
            json!({ "token": SHIPDAY_TOKEN }),
            json!({ "token": [SHIPDAY_TOKEN] }),
            200,
        ),
        (json!({ "token": SHIPDAY_TOKEN }), Value::Null, 200),
        (Value::Null, json!({ "token": [SHIPDAY_TOKEN] }), 200),
        (
            json!({ "token": SHIPDAY_TOKEN }),
            json!({ "token": ["wrong"] }),
            401,
        ),
        (
            json!({ "TOKEN": SHIPDAY_TOKEN }),
            json!({ "token": ["wrong"] }),
            401,
        ),
        (
            json!({ "token": SHIPDAY_TOKEN }),
            json!({ "token": ["wrong", SHIPDAY_TOKEN] }),
            401,
        ),
        (
            json!({ "token": SHIPDAY_TOKEN }),
            json!({ "Token": ["wrong"], "token": [SHIPDAY_TOKEN] }),
            401,
        ),
        (
            json!({ "token": SHIPDAY_TOKEN }),
            json!({ "token": [] }),
            200,
        ),
    ] {
        let case = format!("{headers} {multi_value_headers}");
        assert_eq!(
            status(headers, multi_value_headers).await,
            expected,
            "{case}"
        );
    }
}

#[tokio::test]
async fn headers_that_other_hops_obey_change_nothing() {
    for (name, value) in [
        ("x-http-method-override", "GET"),
        ("x-forwarded-proto", "no scheme"),
        ("x-forwarded-host", "<>"),
        ("host", "no host at all"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
        ("content-length", "99999999999999999999"),
        ("expect", "100-continue"),
        ("connection", "token"),
    ] {
        for webhook in [documented_armada(), documented_shipday()] {
            let odd = webhook.with_header(name, value);
            let mut http_api = http_api_event(&odd);
            http_api["headers"][name] = json!(value);
            for event in [http_api, rest_api_event(&odd)] {
                assert_eq!(
                    Pipeline::new().hand_over(odd.provider, &event).await.word(),
                    "accepted",
                    "{name}: {value}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_no_reason_to_fall_over() {
    for query in [
        "a b", "\"", "<script>", "{}", "^`|\\", "é", "%", "%zz", "#", "k", "&&==&", "\u{2028}",
    ] {
        let pipeline = Pipeline::new();
        let odd = Webhook {
            query: query.to_owned(),
            ..documented_shipday()
        };
        let mut rest_api = rest_api_event(&odd);
        rest_api["multiValueQueryStringParameters"] = json!({ query: [query] });
        rest_api["path"] = json!(query);
        let mut http_api = http_api_event(&odd);
        http_api["rawPath"] = json!(query);

        assert_eq!(
            pipeline
                .hand_over(Provider::Shipday, &http_api)
                .await
                .word(),
            "accepted",
            "{query}"
        );
        assert_eq!(
            pipeline
                .hand_over(Provider::Shipday, &rest_api)
                .await
                .word(),
            "duplicate",
            "{query}"
        );
    }
}

#[test]
fn a_gateway_event_that_cannot_be_read_is_an_error_that_repeats_nothing() {
    for break_it in [
        (|event| event["headers"]["token"] = json!("canary\u{7f}")) as fn(&mut Value),
        |event| event["headers"]["bad name canary"] = json!("x"),
        |event| event["body"] = json!({ "canary": 1 }),
        |event| event["requestContext"] = json!("canary"),
    ] {
        let mut event = http_api_event(&documented_shipday());
        break_it(&mut event);

        let error = serde_json::from_value::<LambdaRequest>(event).unwrap_err();

        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
}

// ---------------------------------------------------------------- logs

/// Texts that make a second line, a second field or a mess of a log that believes them.
fn injections() -> Vec<String> {
    let mut texts: Vec<String> = [
        "a\nb",
        "a\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
        "\u{1b}[2J\u{1b}[31mred",
        "\"},{\"forged\":\"",
        "\0",
        "a\u{2028}b\u{2029}c",
        "\u{85}\u{9b}31m",
        "\u{7f}\u{8}",
        "\u{202e}gnp",
        "\\",
        "${jndi:ldap://x}",
        "<script>",
        "%n%s",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(20_000));
    texts
}

#[test]
fn whatever_a_sender_writes_each_request_and_message_is_one_short_line_of_json() {
    for text in injections() {
        let quoted = json!(text).to_string();
        let printable: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(5_000)
            .collect();
        let armada = armada_status("A1", "dispatched", "wh_1", SENT_AT);
        let at = 1_767_816_000_000_u64;
        let shipday = |event: &str, order: &str| {
            testkit::shipday(format!(
                "{{\"timestamp\":{at},\"event\":{event},\"order_status\":{event},\"order\":{{\"id\":{order}}}}}"
            ))
        };
        let mut webhooks = vec![
            Webhook {
                body: format!("{{\"code\":{quoted},\"status\":\"dispatched\"}}").into_bytes(),
                ..armada.clone()
            },
            Webhook {
                body: format!("{{\"code\":\"A1\",\"status\":{quoted}}}").into_bytes(),
                ..armada.clone()
            },
            Webhook {
                body: text.clone().into_bytes(),
                ..armada.clone()
            },
            Webhook {
                query: format!("k={printable}"),
                ..armada.clone()
            },
            Webhook {
                source_ip: text.clone(),
                ..armada.clone()
            },
            shipday(&quoted, "7"),
            shipday("\"ORDER_ASSIGNED\"", &quoted),
            shipday_event(7, "ORDER_ASSIGNED", "STARTED", at).with_header("token", &printable),
        ];
        for name in [
            "x-armada-webhook-id",
            "x-armada-webhook-topic",
            "x-armada-timestamp",
            "x-armada-app-id",
            "user-agent",
            "content-type",
        ] {
            webhooks.push(armada.clone().with_header(name, &printable));
        }
        for webhook in webhooks {
            let mut messages = 0;
            let lines = lines_of(async {
                let pipeline = Pipeline::new();
                pipeline
                    .world
                    .install(shipday_credential(), |installation| {
                        installation.label.clone_from(&text)
                    });
                let mut context = Context::default();
                context.xray_trace_id = Some(text.clone());
                let request =
                    gateway_request(&http_api_event(&webhook)).with_lambda_context(context);
                pipeline.respond(webhook.provider, request).await;
                pipeline.world.enqueue_text(&text);
                messages = pipeline.world.queued().len();
                assert!(
                    pipeline
                        .world
                        .queued()
                        .iter()
                        .all(|queued| queued.trace_header.as_deref() != Some(&text))
                );
                pipeline.consume().await;
            });

            assert_eq!(lines.len(), 1 + messages, "{lines:#?}");
            for line in lines {
                let fields: Value = serde_json::from_str(&line).unwrap();
                assert!(
                    fields["message"]
                        .as_str()
                        .is_some_and(|message| !message.contains("forged")),
                    "{line}"
                );
                assert!(line.len() <= LONGEST_LINE, "{} bytes: {line}", line.len());
                let odd =
                    |c: char| c.is_control() || ['\u{2028}', '\u{2029}', '\u{202e}'].contains(&c);
                assert!(!line.contains(odd), "{line:?}");
                assert!(
                    !line.contains("forged") && !line.contains("xxxxxxxxxx"),
                    "{line}"
                );
            }
        }
    }
}
