//! From a provider's request to the order.

use domain::{InstallationState, Provider, Status, fold};
use hookctl::HttpAnswer;
use providers::adapter;
use serde_json::{Value, json};
use testkit::{Webhook, but_for_the_receipt, sample_bytes};

use crate::stack::{Merchant, Stack, eventually};
use crate::tests;

tests![
    both_documented_webhooks_become_orders,
    a_repeated_webhook_is_answered_duplicate_and_applied_once,
    thirty_two_twins_at_the_same_time_are_one_application,
    a_life_that_arrives_backwards_ends_like_one_that_arrives_in_order,
    an_unknown_sender_gets_401_and_nothing_is_written,
    a_disabled_installation_gets_401_and_nothing_is_written,
    an_oversized_body_gets_413_and_nothing_is_written,
    garbage_gets_400_and_is_quarantined,
    an_unknown_status_is_kept_as_unmapped,
    a_poison_record_goes_to_the_dead_letters_while_its_batch_passes,
    the_location_of_a_driver_is_ignored,
    another_path_is_not_ours,
];

pub(crate) fn armada(order: &str, status: &str, id: &str) -> Webhook {
    let body = json!({ "code": order, "status": status, "delivery_fee": 1.25, "currency": "KWD" });
    testkit::armada(
        "order.updated",
        id,
        "2026-01-07T20:15:01.000Z",
        body.to_string(),
    )
}

pub(crate) fn shipday(order: u64, event: &str, status: &str, at_ms: u64) -> Webhook {
    let body = json!({ "timestamp": at_ms, "event": event, "order_status": status, "order": { "id": order } });
    testkit::shipday(body.to_string())
}

#[track_caller]
pub(crate) fn answered(answer: &HttpAnswer, status: u16, word: &str) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    assert_eq!(
        (answer.status, body["status"].as_str()),
        (status, Some(word)),
        "{}",
        answer.body
    );
}

pub(crate) fn states(stack: &Stack, merchant: &Merchant<'_>) -> Vec<String> {
    stack
        .records(&merchant.id)
        .iter()
        .map(|item| item["state"].as_s().unwrap().clone())
        .collect()
}

fn both_documented_webhooks_become_orders(stack: &Stack) {
    let merchant = stack.merchant("documented");
    let documented = sample_bytes("armada/order.updated/documented.json");
    answered(
        &merchant.send(testkit::armada(
            "order.updated",
            "wh_1",
            "2026-01-07T20:15:01Z",
            documented,
        )),
        200,
        "accepted",
    );
    answered(
        &merchant.send(testkit::shipday(sample_bytes("shipday/documented.json"))),
        200,
        "accepted",
    );

    let armada = merchant.order_with(1, Provider::Armada, "EAA6CAC9D5");
    let shipday = merchant.order_with(1, Provider::Shipday, "123456");

    assert_eq!(armada.state.unwrap().status, Some(Status::EnRouteToPickup));
    let shipday = shipday.state.unwrap();
    assert_eq!(shipday.status, Some(Status::PickedUp));
    assert_eq!(shipday.details.order_amount.unwrap().to_string(), "572.63");
    for record in stack.records(&merchant.id) {
        assert_eq!(record["state"].as_s().unwrap(), "applied");
        assert!(record.contains_key("expires_at") && !record.contains_key("due_at_ms"));
    }
}

fn a_repeated_webhook_is_answered_duplicate_and_applied_once(stack: &Stack) {
    let merchant = stack.merchant("repeated");
    let webhook = armada("R1", "dispatched", "wh_1");

    answered(&merchant.send(webhook.clone()), 200, "accepted");
    answered(&merchant.send(webhook.clone()), 200, "duplicate");
    merchant.order_with(1, Provider::Armada, "R1");
    answered(&merchant.send(webhook), 200, "duplicate");

    let order = merchant.order_with(1, Provider::Armada, "R1");
    assert_eq!((order.entries.len(), order.revision), (1, 1));
}

fn thirty_two_twins_at_the_same_time_are_one_application(stack: &Stack) {
    let merchant = stack.merchant("twins");
    let webhook = merchant.signed(armada("T1", "dispatched", "wh_1"));

    let answers: Vec<HttpAnswer> = std::thread::scope(|scope| {
        let twins: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| merchant.send_as_is(&webhook)))
            .collect();
        twins.into_iter().map(|twin| twin.join().unwrap()).collect()
    });

    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.body.contains("accepted"))
            .count(),
        1,
        "{answers:?}"
    );
    let order = merchant.order_with(1, Provider::Armada, "T1");
    assert_eq!((order.entries.len(), order.revision), (1, 1));
    assert_eq!(states(stack, &merchant), ["applied"]);
}

fn a_life_that_arrives_backwards_ends_like_one_that_arrives_in_order(stack: &Stack) {
    let merchant = stack.merchant("backwards");
    let life = [
        ("ORDER_INSERTED", "NOT_ASSIGNED"),
        ("ORDER_ASSIGNED", "NOT_ACCEPTED"),
        ("ORDER_ACCEPTED_AND_STARTED", "STARTED"),
        ("ORDER_PIKEDUP", "PICKED_UP"),
        ("ORDER_PIKEDUP_REMOVED", "STARTED"),
        ("ORDER_ONTHEWAY", "READY_TO_DELIVER"),
        ("ORDER_COMPLETED", "ALREADY_DELIVERED"),
        ("ORDER_FAILED", "FAILED_DELIVERY"),
    ];
    let at = |n: usize| 1_767_816_000_000 + u64::try_from(n).unwrap() * 1_000;
    for (n, (event, status)) in life.into_iter().enumerate() {
        merchant.send(shipday(1, event, status, at(n)));
        let (event, status) = life[life.len() - 1 - n];
        merchant.send(shipday(2, event, status, at(life.len() - 1 - n)));
    }

    let forwards = merchant.order_with(life.len(), Provider::Shipday, "1");
    let backwards = merchant.order_with(life.len(), Provider::Shipday, "2");

    let [one, other] =
        [&forwards, &backwards].map(|order| order.state.as_ref().map(but_for_the_receipt));
    assert_eq!(one, other);
    assert_eq!(
        forwards.state.as_ref().unwrap().status,
        Some(Status::Failed)
    );
    assert_eq!(
        forwards.state,
        Some(fold(adapter(Provider::Shipday), forwards.entries).state)
    );
}

fn an_unknown_sender_gets_401_and_nothing_is_written(stack: &Stack) {
    let merchant = stack.merchant("unknown-sender");
    let wrong = [
        shipday(1, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000)
            .with_header("token", "wrong"),
        shipday(1, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000).without_header("token"),
        merchant
            .signed(armada("U1", "dispatched", "wh_1"))
            .with_header("x-armada-installation-id", "another"),
        merchant
            .signed(armada("U1", "dispatched", "wh_1"))
            .without_header("x-armada-app-id"),
    ];

    for webhook in &wrong {
        assert_eq!(merchant.send_as_is(webhook).status, 401, "{webhook:?}");
    }
    assert!(stack.records(&merchant.id).is_empty());
    assert!(merchant.order(Provider::Armada, "U1").entries.is_empty());
}

fn a_disabled_installation_gets_401_and_nothing_is_written(stack: &Stack) {
    let merchant = stack.merchant("disabled");
    merchant.install(Provider::Armada, InstallationState::Disabled);

    assert_eq!(
        merchant.send(armada("D1", "dispatched", "wh_1")).status,
        401
    );
    assert!(stack.records(&merchant.id).is_empty());
}

fn an_oversized_body_gets_413_and_nothing_is_written(stack: &Stack) {
    let merchant = stack.merchant("oversized");

    assert_eq!(
        merchant.send(testkit::shipday(vec![b' '; 262_145])).status,
        413
    );
    assert!(stack.records(&merchant.id).is_empty());
}

fn garbage_gets_400_and_is_quarantined(stack: &Stack) {
    let merchant = stack.merchant("garbage");

    assert_eq!(
        merchant
            .send(testkit::shipday("{\"timestamp\": 16846"))
            .status,
        400
    );
    assert_eq!(
        merchant
            .send(testkit::shipday("{\"timestamp\": 16846"))
            .status,
        400
    );

    assert_eq!(states(stack, &merchant), ["quarantined"]);
    assert!(stack.pending(&merchant.id).is_empty());
}

fn an_unknown_status_is_kept_as_unmapped(stack: &Stack) {
    let merchant = stack.merchant("unknown-status");

    answered(
        &merchant.send(armada("X1", "teleported", "wh_1")),
        200,
        "accepted",
    );

    assert_eq!(states(stack, &merchant), ["unmapped"]);
    assert!(merchant.order(Provider::Armada, "X1").entries.is_empty());
}

fn a_poison_record_goes_to_the_dead_letters_while_its_batch_passes(stack: &Stack) {
    let merchant = stack.merchant("poison");
    let event = |order: &str| {
        json!({
            "schema_version": 1,
            "event": {
                "webhook_pk": format!("armada#poison#order.updated#{order}"),
                "body_sha256": "0".repeat(64),
                "merchant_id": "poison",
                "provider": "armada",
                "order_id": order,
                "occurred_at_ms": 1_767_816_902_120_u64,
                "received_at_ms": 1_767_816_902_431_u64,
                "provider_status": "dispatched",
                "details": { "schedule": {} },
            }
        })
        .to_string()
    };

    stack.enqueue(&[
        &event("P1"),
        "poison of this test",
        "{\"schema_version\":99}",
        &event("P2"),
    ]);

    for order in ["P1", "P2"] {
        merchant.order_with(1, Provider::Armada, order);
    }
    for poison in ["poison of this test", "{\"schema_version\":99}"] {
        eventually(poison, || {
            stack.dead_letters().into_iter().find(|body| body == poison)
        });
    }
}

fn the_location_of_a_driver_is_ignored(stack: &Stack) {
    let merchant = stack.merchant("location");
    let position = sample_bytes("armada/order.location.updated/position.json");
    let location = testkit::armada(
        "order.location.updated",
        "wh_1",
        "2026-01-07T20:15:01Z",
        position,
    );

    answered(&merchant.send(location), 200, "ignored");
    answered(
        &merchant.send(testkit::shipday(sample_bytes(
            "shipday/LOCATION_UPDATE.json",
        ))),
        200,
        "ignored",
    );
    assert!(stack.records(&merchant.id).is_empty());
}

fn another_path_is_not_ours(stack: &Stack) {
    let merchant = stack.merchant("paths");
    let webhook = merchant.signed(armada("N1", "dispatched", "wh_1"));

    assert_eq!(
        merchant.send_to("/webhooks/armada/extra", &webhook).status,
        404
    );
    assert_eq!(merchant.send_to("/", &webhook).status, 404);
}
