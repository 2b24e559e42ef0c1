//! One request, one answer: what is answered, and what is kept.

use std::time::Duration;

use domain::{
    CompanyId, Credential, InstallationState, MerchantId, Millis, Provider, RecordState,
    UrlKeyDigest,
};
use lambda_http::{Context, RequestExt as _};
use serde_json::{Value, json};
use testkit::{
    Fault, MERCHANT, NOW, SHIPDAY_TOKEN, Webhook, armada, armada_credential, http_api_event,
    rest_api_event, sample, sample_bytes, shipday, shipday_credential,
};

use crate::support::{
    Answered, Pipeline, SENT_AT, armada_status, gateway_request, order_key, shipday_event,
};

fn documented_armada() -> Webhook {
    armada(
        "order.updated",
        "wh_1",
        SENT_AT,
        sample_bytes("armada/order.updated/documented.json"),
    )
}

fn documented_shipday() -> Webhook {
    shipday(sample_bytes("shipday/documented.json"))
}

#[track_caller]
fn nothing_was_kept(pipeline: &Pipeline) {
    assert!(
        pipeline.world.records().is_empty(),
        "nothing may be written"
    );
    assert!(pipeline.world.queued().is_empty(), "nothing may be sent");
}

fn states(pipeline: &Pipeline) -> Vec<RecordState> {
    pipeline
        .world
        .records()
        .into_values()
        .map(|stored| stored.state)
        .collect()
}

#[tokio::test]
async fn an_authentic_webhook_is_recorded_then_forwarded_then_accepted() {
    for webhook in [documented_armada(), documented_shipday()] {
        let pipeline = Pipeline::new();

        let answered = pipeline.post(&webhook).await;

        assert_eq!(
            answered,
            Answered {
                status: 200,
                body: json!({ "status": "accepted" })
            }
        );
        assert_eq!(pipeline.world.calls(), ["find", "put_if_absent", "send"]);
        assert_eq!(states(&pipeline), [RecordState::Pending]);
        assert_eq!(
            pipeline.world.queued()[0].group,
            MERCHANT,
            "fair by merchant"
        );
    }
}

#[tokio::test]
async fn the_record_keeps_the_raw_body_and_the_headers_that_matter_but_no_secret() {
    let pipeline = Pipeline::new();
    pipeline.post(&documented_armada()).await;
    pipeline.post(&documented_shipday()).await;

    for (key, stored) in pipeline.world.records() {
        let body = stored.record.body.inflate().unwrap();
        let names: Vec<&str> = stored.record.headers.keys().map(String::as_str).collect();
        if key.as_str().starts_with("armada#") {
            assert_eq!(key.as_str(), "armada#demo-merchant#order.updated#wh_1");
            assert_eq!(body, sample_bytes("armada/order.updated/documented.json"));
            let kept = [
                "x-armada-api-version",
                "x-armada-timestamp",
                "x-armada-webhook-id",
                "x-armada-webhook-topic",
            ];
            assert_eq!(names, kept);
        } else {
            assert_eq!(
                key.as_str(),
                "shipday#demo-merchant#123456#ORDER_PIKEDUP#1684644196349"
            );
            assert_eq!(body, sample_bytes("shipday/documented.json"));
            assert!(names.is_empty(), "the token is a secret");
        }
    }
}

#[tokio::test]
async fn every_answer_is_json_that_nobody_caches_and_carries_the_request_id() {
    let pipeline = Pipeline::new();
    for (webhook, content_type) in [
        (documented_shipday(), "application/json"),
        (
            documented_shipday().without_header("token"),
            "application/problem+json",
        ),
    ] {
        let request = gateway_request(&http_api_event(&webhook));

        let response = pipeline.respond(webhook.provider, request).await;

        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers()["x-request-id"].is_empty());
    }
}

#[tokio::test]
async fn every_failed_authentication_gets_the_same_answer_and_writes_nothing() {
    let pipeline = Pipeline::new();
    let other_token = "x".repeat(32);
    let mut bodies = Vec::new();
    for webhook in [
        documented_shipday().without_header("token"),
        documented_shipday().with_header("token", ""),
        documented_shipday().with_header("token", &other_token),
        documented_shipday().with_header("token", "with blank"),
        documented_shipday().with_repeated_header("token", SHIPDAY_TOKEN),
        documented_shipday()
            .without_header("token")
            .with_header("x-webhook-token", SHIPDAY_TOKEN),
        documented_armada().without_header("x-armada-app-id"),
        documented_armada().with_header("x-armada-installation-id", "unknown"),
        documented_armada().with_repeated_header("x-armada-app-id", "another"),
        // Shipday's token does not open Armada's door.
        documented_armada()
            .without_header("x-armada-app-id")
            .without_header("x-armada-installation-id")
            .with_header("x-armada-key-id", SHIPDAY_TOKEN),
    ] {
        let answered = pipeline.post(&webhook).await;

        assert_eq!(answered.status, 401, "{webhook:?}");
        bodies.push(answered.body);
    }
    bodies.dedup();
    assert_eq!(
        bodies,
        [json!({ "type": "about:blank", "title": "Unauthorized", "status": 401 })]
    );
    nothing_was_kept(&pipeline);
}

#[tokio::test]
async fn a_disabled_or_expired_installation_is_refused_like_an_unknown_one() {
    let changes: [fn(&mut domain::Installation); 2] = [
        |installation| installation.state = InstallationState::Disabled,
        |installation| installation.not_after_ms = Some(NOW),
    ];
    for change in changes {
        let pipeline = Pipeline::new();
        pipeline.world.install(shipday_credential(), change);

        assert_eq!(pipeline.post(&documented_shipday()).await.status, 401);
        nothing_was_kept(&pipeline);
    }
}

#[tokio::test]
async fn a_registered_url_key_must_be_in_the_url_exactly_once() {
    let pipeline = Pipeline::new();
    pipeline.world.install(armada_credential(), |installation| {
        installation.url_key_sha256 = Some(UrlKeyDigest::of("the-key"));
    });
    let with_query = |query: &str| Webhook {
        query: query.to_owned(),
        ..documented_armada()
    };

    for wrong in ["", "k=", "k=other", "k=the-key&k=the-key", "K=the-key"] {
        assert_eq!(
            pipeline.post(&with_query(wrong)).await.status,
            401,
            "{wrong:?}"
        );
    }
    nothing_was_kept(&pipeline);
    assert_eq!(
        pipeline.post(&with_query("a=b&k=the-key")).await.status,
        200
    );
}

#[tokio::test]
async fn neither_a_forger_nor_another_merchant_blocks_the_real_webhook() {
    let pipeline = Pipeline::new();
    let others = Credential::armada_installation("app-2", "installation-2");
    pipeline
        .world
        .install(others.digest(Provider::Armada), |installation| {
            installation.merchant_id = MerchantId::parse("another-merchant").unwrap();
        });
    let forged = documented_armada().with_header("x-armada-installation-id", "unknown");
    let of_another_merchant = documented_armada()
        .with_header("x-armada-app-id", "app-2")
        .with_header("x-armada-installation-id", "installation-2");

    assert_eq!(pipeline.post(&forged).await.status, 401);
    assert_eq!(pipeline.post(&of_another_merchant).await.word(), "accepted");

    assert_eq!(pipeline.post(&documented_armada()).await.word(), "accepted");
    assert_eq!(pipeline.world.queued().len(), 2);
}

#[tokio::test]
async fn a_body_that_names_another_company_is_kept_as_unmapped() {
    for (registered, state) in [
        ("999", RecordState::Unmapped),
        ("14849", RecordState::Pending),
    ] {
        let pipeline = Pipeline::new();
        pipeline
            .world
            .install(shipday_credential(), |installation| {
                installation.company_id = Some(CompanyId::parse(registered).unwrap());
            });

        assert_eq!(
            pipeline.post(&documented_shipday()).await.word(),
            "accepted"
        );
        assert_eq!(states(&pipeline), [state], "{registered}");
    }
}

#[tokio::test]
async fn the_merchant_comes_from_the_registry_alone() {
    let pipeline = Pipeline::new();
    pipeline
        .world
        .install(shipday_credential(), |installation| {
            installation.merchant_id = MerchantId::parse("another-merchant").unwrap();
        });
    pipeline.post(&documented_shipday()).await;

    assert_eq!(pipeline.world.queued()[0].group, "another-merchant");
}

#[tokio::test]
async fn limits_are_checked_before_anybody_is_asked() {
    let pipeline = Pipeline::with_environment(&[("MAX_BODY_BYTES", "100")]);
    let long = shipday(vec![b' '; 101]);
    let encoded = shipday_event(1, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000);

    assert_eq!(pipeline.post(&long).await.status, 413);
    assert_eq!(
        pipeline
            .post(&encoded.clone().with_header("content-encoding", "gzip"))
            .await
            .status,
        415
    );
    assert_eq!(
        pipeline
            .post(&encoded.with_header("content-type", "text/plain"))
            .await
            .status,
        415
    );
    assert!(pipeline.world.calls().is_empty());
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
    let exact = documented_shipday().body.len();
    let limit =
        |bytes: usize| Pipeline::with_environment(&[("MAX_BODY_BYTES", bytes.to_string().leak())]);

    assert_eq!(limit(exact).post(&documented_shipday()).await.status, 200);
    assert_eq!(
        limit(exact - 1).post(&documented_shipday()).await.status,
        413
    );
}

#[tokio::test]
async fn only_a_post_is_a_webhook() {
    let pipeline = Pipeline::new();
    let mut event = http_api_event(&documented_shipday());
    event["requestContext"]["http"]["method"] = json!("GET");

    assert_eq!(
        pipeline.hand_over(Provider::Shipday, &event).await.status,
        405
    );
    nothing_was_kept(&pipeline);
}

#[tokio::test]
async fn shipdays_check_of_the_url_is_answered_200_and_stores_nothing() {
    for path in [
        "shipday/url-check-empty.txt",
        "shipday/url-check-braces.json",
    ] {
        let pipeline = Pipeline::new();
        let check = shipday(sample_bytes(path))
            .without_header("token")
            .without_header("content-type");

        let answered = pipeline.post(&check).await;

        assert_eq!(
            (answered.status, answered.word()),
            (200, "ignored"),
            "{path}"
        );
        assert!(pipeline.world.calls().is_empty(), "{path}");
    }
    let empty_armada = armada("order.updated", "wh_1", SENT_AT, "");
    assert_eq!(
        Pipeline::new().post(&empty_armada).await.status,
        400,
        "Armada has no such check"
    );
}

#[tokio::test]
async fn a_source_address_is_off_reported_or_enforced() {
    let from = |ip: &str| Webhook {
        source_ip: ip.to_owned(),
        ..documented_shipday()
    };
    let status = async |mode: &str, ip: &str| {
        let pipeline = Pipeline::with_environment(&[
            ("SOURCE_IP_MODE", mode.to_owned().leak()),
            ("SOURCE_CIDRS", "203.0.113.0/24,2001:db8::/32"),
        ]);
        pipeline.post(&from(ip)).await.status
    };

    for inside in ["203.0.113.24", "2001:db8::24", "::ffff:203.0.113.24"] {
        assert_eq!(status("enforce", inside).await, 200, "{inside}");
    }
    assert_eq!(status("enforce", "198.51.100.1").await, 403);
    assert_eq!(status("enforce", "2001:db9::1").await, 403);
    assert_eq!(status("report", "198.51.100.1").await, 200);
    assert_eq!(status("off", "198.51.100.1").await, 200);
}

#[tokio::test]
async fn the_senders_own_word_for_its_address_counts_for_nothing() {
    let pipeline = Pipeline::with_environment(&[
        ("SOURCE_IP_MODE", "enforce"),
        ("SOURCE_CIDRS", "203.0.113.0/24"),
    ]);
    let forged = Webhook {
        source_ip: "198.51.100.1".to_owned(),
        ..documented_shipday()
    }
    .with_header("x-forwarded-for", "203.0.113.24");

    assert_eq!(pipeline.post(&forged).await.status, 403);
}

#[tokio::test]
async fn every_gateway_sample_is_answered_as_its_name_says() {
    for (name, provider, status) in [
        ("http-api-v2-armada", Provider::Armada, 200),
        ("http-api-v2-shipday", Provider::Shipday, 200),
        ("http-api-v2-base64", Provider::Armada, 200),
        ("http-api-v2-url-key", Provider::Armada, 200),
        ("http-api-v2-mixed-case-headers", Provider::Armada, 200),
        ("http-api-v2-repeated-token", Provider::Shipday, 401),
        ("rest-api-v1-armada", Provider::Armada, 200),
        ("rest-api-v1-shipday", Provider::Shipday, 200),
        ("rest-api-v1-repeated-token", Provider::Shipday, 401),
    ] {
        let pipeline = Pipeline::new();
        if name.ends_with("url-key") {
            let key = UrlKeyDigest::of("demo-url-key-demo-url-key-demo-url-key-demo");
            pipeline.world.install(armada_credential(), |installation| {
                installation.url_key_sha256 = Some(key)
            });
        }
        let event: Value = serde_json::from_str(&sample(&format!("gateway/{name}.json"))).unwrap();
        let event_provider = if event.to_string().contains("/webhooks/shipday") {
            Provider::Shipday
        } else {
            Provider::Armada
        };
        assert_eq!(event_provider, provider, "{name}");

        assert_eq!(
            pipeline.hand_over(provider, &event).await.status,
            status,
            "{name}"
        );
        assert_eq!(
            pipeline.world.records().len(),
            usize::from(status == 200),
            "{name}"
        );
    }
    assert_eq!(
        testkit::all_samples("gateway").len(),
        9,
        "a new gateway sample needs a line above"
    );
}

#[tokio::test]
async fn a_rest_api_and_an_http_api_record_the_same_webhook() {
    let pipeline = Pipeline::new();

    pipeline
        .hand_over(Provider::Shipday, &http_api_event(&documented_shipday()))
        .await;
    let again = pipeline
        .hand_over(Provider::Shipday, &rest_api_event(&documented_shipday()))
        .await;

    assert_eq!(again.word(), "duplicate");
}

#[tokio::test]
async fn a_repeated_webhook_is_forwarded_once_and_answered_like_a_success() {
    let pipeline = Pipeline::new();

    assert_eq!(pipeline.post(&documented_armada()).await.word(), "accepted");
    let again = pipeline.post(&documented_armada()).await;

    assert_eq!((again.status, again.word()), (200, "duplicate"));
    assert_eq!(pipeline.world.queued().len(), 1);
    assert_eq!(pipeline.world.records().len(), 1);
}

#[tokio::test]
async fn another_body_under_a_known_id_is_kept_and_forwarded_too() {
    let pipeline = Pipeline::new();

    pipeline
        .post(&armada_status("A1", "dispatched", "wh_1", SENT_AT))
        .await;
    let reused = pipeline
        .post(&armada_status("A1", "en_route", "wh_1", SENT_AT))
        .await;
    let again = pipeline
        .post(&armada_status("A1", "en_route", "wh_1", SENT_AT))
        .await;

    assert_eq!((reused.word(), again.word()), ("accepted", "duplicate"));
    assert_eq!(
        (
            pipeline.world.records().len(),
            pipeline.world.queued().len()
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn our_own_write_whose_answer_was_lost_is_no_duplicate() {
    // What an SDK's retry meets: the first attempt was written, its answer got lost, the second one fails.
    let pipeline = Pipeline::new();
    let twin = Pipeline::new();
    twin.post(&documented_armada()).await;
    let (key, stored) = twin.world.records().pop_first().unwrap();
    domain::WebhookRecords::put_if_absent(
        &pipeline.world,
        &key,
        &stored.record,
        stored.state,
        stored.order.as_ref(),
    )
    .await
    .unwrap();

    let answered = pipeline.post(&documented_armada()).await;

    assert_eq!(answered.word(), "accepted");
    assert_eq!(pipeline.world.queued().len(), 1, "it must be sent");
}

#[tokio::test]
async fn a_refused_send_after_the_put_is_still_a_200_and_stays_pending_for_the_relay() {
    for fault in [Fault::Before, Fault::After] {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("send", fault);

        assert_eq!(pipeline.post(&documented_armada()).await.word(), "accepted");
        let stored = pipeline.world.records().pop_first().unwrap().1;
        assert_eq!(stored.state, RecordState::Pending);
        assert!(stored.due_at_ms.is_some(), "the relay finds it");
    }
}

#[tokio::test]
async fn a_table_that_refuses_the_put_sends_the_whole_record_through_the_queue() {
    for fault in [Fault::Before, Fault::After] {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("put_if_absent", fault);

        assert_eq!(
            pipeline.post(&documented_shipday()).await.word(),
            "accepted"
        );

        let message: Value = serde_json::from_str(&pipeline.world.queued()[0].body).unwrap();
        assert_eq!(
            message["record"]["webhook_pk"],
            "shipday#demo-merchant#123456#ORDER_PIKEDUP#1684644196349"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_leaves_time_for_the_queue() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("put_if_absent", fault);
        let started = tokio::time::Instant::now();

        assert_eq!(pipeline.post(&documented_armada()).await.word(), "accepted");

        assert_eq!(started.elapsed(), Duration::from_millis(3_500));
        assert_eq!(pipeline.world.queued().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_stores_hang_the_answer_is_503_within_the_budget() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("put_if_absent", Fault::HangBefore);
    pipeline.world.fail_next("send", Fault::HangBefore);
    let started = tokio::time::Instant::now();

    let answered = pipeline.post(&documented_armada()).await;

    assert_eq!(answered.status, 503);
    assert!(started.elapsed() <= Duration::from_millis(5_010));
}

#[tokio::test]
async fn a_503_asks_for_a_retry() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_always("put_if_absent", Fault::Before);
    pipeline.world.fail_always("send", Fault::Before);
    let request = gateway_request(&http_api_event(&documented_armada()));

    let response = pipeline.respond(Provider::Armada, request).await;

    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "30")
    );
}

#[tokio::test]
async fn a_503_is_no_final_answer() {
    for (put, send, again) in [
        (Fault::Before, Fault::Before, "accepted"),
        // The put took effect, and nobody heard of it: the record is pending, and the relay sends it.
        (Fault::After, Fault::Before, "duplicate"),
        // The queue took the record, and nobody heard of it.
        (Fault::Before, Fault::After, "accepted"),
    ] {
        let pipeline = Pipeline::new();
        pipeline.world.fail_next("put_if_absent", put);
        pipeline.world.fail_next("send", send);
        assert_eq!(pipeline.post(&documented_armada()).await.status, 503);

        assert_eq!(pipeline.post(&documented_armada()).await.word(), again);

        pipeline.world.set_now(NOW + Millis::from_seconds(181));
        pipeline.relay.run().await.unwrap();
        pipeline.drain().await;
        let order = order_key(Provider::Armada, "EAA6CAC9D5");
        assert_eq!(
            (pipeline.world.timeline(&order).len(), states(&pipeline)),
            (1, vec![RecordState::Applied]),
            "{put:?}, {send:?}"
        );
    }
}

#[tokio::test]
async fn a_cold_function_during_a_table_outage_answers_503_and_lets_nobody_in() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_always("find", Fault::Before);

    assert_eq!(pipeline.post(&documented_shipday()).await.status, 503);
    nothing_was_kept(&pipeline);
}

#[tokio::test]
async fn an_unreadable_body_is_kept_and_answered_400_every_time() {
    let pipeline = Pipeline::new();
    let garbage = shipday(sample_bytes("shipday/truncated.txt"));

    for _ in 0..2 {
        let answered = pipeline.post(&garbage).await;
        assert_eq!(
            (answered.status, answered.body["title"].as_str().unwrap()),
            (400, "Bad Request")
        );
    }
    assert_eq!(states(&pipeline), [RecordState::Quarantined]);
    assert!(pipeline.world.queued().is_empty());
}

#[tokio::test]
async fn an_unreadable_body_with_the_table_down_answers_503() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_always("put_if_absent", Fault::Before);

    assert_eq!(
        pipeline
            .post(&shipday(sample_bytes("shipday/truncated.txt")))
            .await
            .status,
        503
    );
    assert!(pipeline.world.queued().is_empty());
}

#[tokio::test]
async fn an_unknown_meaning_is_kept_as_unmapped_and_answered_200() {
    let pipeline = Pipeline::new();
    let unknown = armada(
        "order.updated",
        "wh_1",
        SENT_AT,
        sample_bytes("armada/order.updated/unknown-status.json"),
    );

    assert_eq!(pipeline.post(&unknown).await.word(), "accepted");
    assert_eq!(pipeline.post(&unknown).await.word(), "duplicate");
    assert_eq!(states(&pipeline), [RecordState::Unmapped]);
    assert!(pipeline.world.queued().is_empty());
    assert_eq!(
        pipeline.world.records().pop_first().unwrap().1.due_at_ms,
        None,
        "the relay does not see it"
    );
}

#[tokio::test]
async fn an_unknown_meaning_survives_a_table_outage_too() {
    let pipeline = Pipeline::new();
    pipeline.world.fail_next("put_if_absent", Fault::Before);
    let unknown = armada(
        "order.updated",
        "wh_1",
        SENT_AT,
        sample_bytes("armada/order.updated/unknown-status.json"),
    );

    assert_eq!(pipeline.post(&unknown).await.word(), "accepted");
    pipeline.drain().await;

    assert_eq!(states(&pipeline), [RecordState::Unmapped]);
}

#[tokio::test]
async fn a_topic_nobody_needs_is_ignored_and_not_stored() {
    let pipeline = Pipeline::new();
    for (topic, path) in [
        (
            "order.location.updated",
            "armada/order.location.updated/position.json",
        ),
        (
            "driver.location_updated",
            "armada/driver.location_updated/position.json",
        ),
        (
            "wallet.balance_low",
            "armada/wallet.balance_low/balance.json",
        ),
        ("app.uninstalled", "armada/app.uninstalled/uninstalled.json"),
    ] {
        assert_eq!(
            pipeline
                .post(&armada(topic, "wh_1", SENT_AT, sample_bytes(path)))
                .await
                .word(),
            "ignored"
        );
    }
    assert_eq!(
        pipeline
            .post(&shipday(sample_bytes("shipday/LOCATION_UPDATE.json")))
            .await
            .word(),
        "ignored"
    );
    nothing_was_kept(&pipeline);
}

#[tokio::test]
async fn armada_without_a_topic_or_an_id_has_broken_its_contract() {
    let pipeline = Pipeline::new();
    for missing in ["x-armada-webhook-topic", "x-armada-webhook-id"] {
        assert_eq!(
            pipeline
                .post(&documented_armada().without_header(missing))
                .await
                .status,
            400,
            "{missing}"
        );
    }
    assert_eq!(
        states(&pipeline),
        [RecordState::Quarantined],
        "one body, one record"
    );
}

#[tokio::test]
async fn an_id_that_cannot_be_a_key_loses_no_event() {
    let pipeline = Pipeline::new();
    let odd = documented_armada().with_header("x-armada-webhook-id", "a#b");

    assert_eq!(pipeline.post(&odd).await.word(), "accepted");
    assert_eq!(pipeline.post(&odd).await.word(), "duplicate");
    pipeline.drain().await;

    assert!(
        pipeline
            .world
            .state(&order_key(Provider::Armada, "EAA6CAC9D5"))
            .is_some()
    );
}

#[tokio::test]
async fn v2_is_known_by_its_key_id() {
    let pipeline = Pipeline::new();
    let key = domain::Credential::single("key-1").digest(Provider::Armada);
    pipeline.world.install(key, |_| {});
    let v2 = armada(
        "delivery.en_route",
        "wh_1",
        SENT_AT,
        sample_bytes("armada/delivery.en_route/v2.json"),
    )
    .without_header("x-armada-app-id")
    .without_header("x-armada-installation-id")
    .with_header("x-armada-key-id", "key-1");

    assert_eq!(pipeline.post(&v2).await.word(), "accepted");
    assert_eq!(states(&pipeline), [RecordState::Pending]);
}

#[tokio::test]
async fn the_trace_header_travels_with_the_event() {
    let pipeline = Pipeline::new();
    let request = gateway_request(&http_api_event(&documented_armada()));
    let mut context = Context::default();
    context.xray_trace_id = Some("Root=1-695ebec6-000000000000000000000001;Sampled=1".to_owned());

    pipeline
        .respond(Provider::Armada, request.with_lambda_context(context))
        .await;

    let carried = pipeline.world.queued()[0].trace_header.clone();
    assert_eq!(
        carried.as_deref(),
        Some("Root=1-695ebec6-000000000000000000000001;Sampled=1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_known_installation_is_asked_for_once_a_minute_and_an_unknown_one_every_five_seconds() {
    let pipeline = Pipeline::new();
    let unknown = documented_shipday().with_header("token", &"x".repeat(32));
    let asked_after = async |webhook: &Webhook, seconds: u64| {
        let before = pipeline.world.count("find");
        tokio::time::advance(Duration::from_secs(seconds)).await;
        pipeline.post(webhook).await;
        pipeline.world.count("find") - before
    };

    assert_eq!(asked_after(&documented_shipday(), 0).await, 1);
    assert_eq!(asked_after(&documented_shipday(), 59).await, 0);
    assert_eq!(asked_after(&documented_shipday(), 2).await, 1);
    assert_eq!(asked_after(&unknown, 0).await, 1);
    assert_eq!(asked_after(&unknown, 4).await, 0);
    assert_eq!(asked_after(&unknown, 2).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_installation_is_let_in_after_five_seconds_and_a_disabled_one_kept_out_after_a_minute()
 {
    let pipeline = Pipeline::new();
    pipeline.world.uninstall(&shipday_credential());
    assert_eq!(pipeline.post(&documented_shipday()).await.status, 401);

    pipeline.world.install(shipday_credential(), |_| {});
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(pipeline.post(&documented_shipday()).await.status, 200);

    pipeline
        .world
        .install(shipday_credential(), |installation| {
            installation.state = InstallationState::Disabled
        });
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(pipeline.post(&documented_shipday()).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_stale_installation_is_used_while_the_table_is_down_or_hangs() {
    for (fault, waited) in [(Fault::Before, 0), (Fault::HangBefore, 300)] {
        let pipeline = Pipeline::new();
        pipeline.post(&documented_shipday()).await;
        tokio::time::advance(Duration::from_secs(3_600)).await;
        pipeline.world.fail_always("find", fault);
        let started = tokio::time::Instant::now();

        assert_eq!(
            pipeline.post(&documented_armada()).await.status,
            503,
            "never seen here: not let in"
        );
        let started = if fault == Fault::Before {
            started
        } else {
            tokio::time::Instant::now()
        };
        assert_eq!(pipeline.post(&documented_shipday()).await.status, 200);
        assert_eq!(started.elapsed(), Duration::from_millis(waited));
    }
}
