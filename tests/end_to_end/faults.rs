//! The same functions and the same template, with a proxy between functions and services that injects faults.
//!
//! What is promised: a webhook that was answered 200 is applied exactly once, and every other one may be sent
//! again.

use std::thread;

use domain::Provider;
use testkit::Webhook;

use crate::proxy::{Calls, Fault};
use crate::stack::{Merchant, Stack, eventually};
use crate::tests;
use crate::webhooks::{answered, armada, shipday, states};

tests![
    a_put_whose_answer_is_lost_is_known_as_our_own_when_the_sdk_puts_again,
    a_send_whose_answer_is_lost_is_sent_twice_and_applied_once,
    a_put_that_is_never_answered_is_followed_by_the_whole_record_through_the_queue,
    refused_and_reset_calls_of_a_webhook_function_are_absorbed_by_the_sdk,
    a_service_that_says_nothing_costs_an_answer_but_no_webhook,
    while_the_queue_is_down_webhooks_are_accepted_and_relayed_afterwards,
    while_the_tables_are_down_known_merchants_are_accepted_through_the_queue,
    while_tables_and_queue_are_down_nothing_is_accepted_and_nothing_kept,
    a_table_that_fails_under_the_consumer_brings_the_message_back,
    every_answer_to_the_consumer_and_to_the_relay_may_be_lost,
    a_webhook_function_may_be_killed_at_any_call,
    the_consumer_may_be_killed_at_any_call,
    the_relay_may_be_killed_at_any_call,
];

const ARMADA: &str = "armada-webhook";
const SHIPDAY: &str = "shipday-webhook";
const CONSUMER: &str = "order-consumer";
const RELAY: &str = "webhook-relay";

const TABLES: [&str; 4] = ["GetItem", "PutItem", "UpdateItem", "Query"];
const QUEUE: [&str; 3] = ["SendMessage", "SendMessageBatch", "GetQueueAttributes"];
/// How often the SDK tries a call.
const ATTEMPTS: usize = 3;

/// The calls of a webhook function for one webhook of that merchant, in their order.
fn receiving(merchant: &Merchant<'_>, provider: Provider) -> [Calls; 3] {
    let function = || match provider {
        Provider::Armada => Calls::by(ARMADA),
        Provider::Shipday => Calls::by(SHIPDAY),
    };
    let (credential, id) = (merchant.credential(provider), merchant.id.as_str());
    [
        function().to(&["GetItem"]).about(credential.to_string()),
        function().to(&["PutItem"]).about(id),
        function().to(&["SendMessage"]).about(id),
    ]
}

/// The places in [`receiving`].
const REGISTRY: usize = 0;
const PUT: usize = 1;
const SEND: usize = 2;

/// The calls of the consumer for one event of that merchant at Armada, in their order.
fn applying(merchant: &str) -> [(&'static str, Calls); 4] {
    let consumer = || Calls::by(CONSUMER);
    let order = format!("{merchant}#armada#");
    let record = format!("armada#{merchant}#");
    [
        ("put", consumer().to(&["PutItem"]).about(&order)),
        ("query", consumer().to(&["Query"]).about(&order)),
        ("save", consumer().to(&["UpdateItem"]).about(&order)),
        ("close", consumer().to(&["UpdateItem"]).about(&record)),
    ]
}

/// The consumer's call that writes a record which never reached the table.
fn writing_the_record(merchant: &str) -> Calls {
    let puts = Calls::by(CONSUMER).to(&["PutItem"]);
    puts.about(merchant).about("request_id")
}

/// The relay's calls for one record of that merchant, in their order.
fn relaying(merchant: &str) -> [(&'static str, Calls); 4] {
    let relay = || Calls::by(RELAY);
    [
        ("length", relay().to(&["GetQueueAttributes"])),
        ("query", relay().to(&["Query"])),
        ("claim", relay().to(&["UpdateItem"]).about(merchant)),
        ("send", relay().to(&["SendMessageBatch"]).about(merchant)),
    ]
}

fn setting_aside(merchant: &str) -> Calls {
    let updates = Calls::by(RELAY).to(&["UpdateItem"]);
    updates.about(merchant).about("unmapped")
}

/// The one webhook of a merchant.
fn webhook(provider: Provider) -> Webhook {
    match provider {
        Provider::Armada => armada("1", "dispatched", "wh_1"),
        Provider::Shipday => shipday(1, "ORDER_ASSIGNED", "NOT_ACCEPTED", 1_767_816_000_000),
    }
}

/// Sends as a provider does, again until the answer is 200; gives all statuses.
#[track_caller]
fn sent_until_accepted(merchant: &Merchant<'_>, webhook: &Webhook) -> Vec<u16> {
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) {
        assert!(statuses.len() < 5, "{}: {statuses:?}", merchant.id);
        statuses.push(merchant.send(webhook.clone()).status);
    }
    statuses
}

/// The merchant's one webhook is applied once, and its record closed. How often the state was saved is not
/// promised: two messages about one event may be worked on at the same time.
#[track_caller]
fn applied_once(stack: &Stack, merchant: &Merchant<'_>, provider: Provider) {
    let order = merchant.order_with(1, provider, "1");
    assert_eq!(order.entries.len(), 1, "{}", merchant.id);
    assert_eq!(states(stack, merchant), ["applied"], "{}", merchant.id);
}

/// The same, and the relay had nothing to do with it.
#[track_caller]
fn applied_without_relay(stack: &Stack, merchant: &Merchant<'_>) {
    applied_once(stack, merchant, Provider::Armada);
    for record in stack.records(&merchant.id) {
        assert_eq!(record["forward_attempts"].as_n().unwrap(), "0");
    }
}

fn a_put_whose_answer_is_lost_is_known_as_our_own_when_the_sdk_puts_again(stack: &Stack) {
    let merchant = stack.merchant("put-answer-lost");
    let [_, puts, _] = receiving(&merchant, Provider::Armada);
    let attempts = stack.proxy().all(puts.clone(), Fault::None);
    let lost = stack.proxy().next(1, puts, Fault::AnswerLost);
    let fallback = writing_the_record("put-answer-lost");
    let fallback = stack.proxy().all(fallback, Fault::None);

    answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

    applied_without_relay(stack, &merchant);
    assert_eq!((lost.met(), attempts.met(), fallback.met()), (1, 2, 0));
}

fn a_send_whose_answer_is_lost_is_sent_twice_and_applied_once(stack: &Stack) {
    let merchant = stack.merchant("send-answer-lost");
    let [_, _, sends] = receiving(&merchant, Provider::Armada);
    let attempts = stack.proxy().all(sends.clone(), Fault::None);
    let lost = stack.proxy().next(1, sends, Fault::AnswerLost);

    answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

    stack.queue_is_empty();
    applied_without_relay(stack, &merchant);
    assert_eq!((lost.met(), attempts.met()), (1, 2));
}

fn a_put_that_is_never_answered_is_followed_by_the_whole_record_through_the_queue(stack: &Stack) {
    let case = |(name, fault): (&str, Fault)| {
        let merchant = stack.merchant(name);
        let [_, puts, _] = receiving(&merchant, Provider::Armada);
        let puts = stack.proxy().all(puts, fault);
        let fallback = stack.proxy().all(writing_the_record(name), Fault::None);

        answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

        applied_without_relay(stack, &merchant);
        assert!(puts.met() > 1 && fallback.met() > 0, "{name}");
    };
    thread::scope(|scope| {
        for put in [
            ("put-is-carried-out", Fault::AnswerLate),
            ("put-is-ignored", Fault::Ignored),
            ("put-answers-are-lost", Fault::AnswerLost),
        ] {
            scope.spawn(move || case(put));
        }
    });
}

fn refused_and_reset_calls_of_a_webhook_function_are_absorbed_by_the_sdk(stack: &Stack) {
    for (kind, fault) in [
        ("throttled", Fault::THROTTLED),
        ("without-capacity", Fault::NO_CAPACITY),
        ("failed", Fault::FAILED),
        ("reset", Fault::Reset),
    ] {
        for call in [REGISTRY, PUT, SEND] {
            let name = format!("{kind}-{call}");
            let merchant = stack.merchant(&name);
            let calls = receiving(&merchant, Provider::Armada)[call].clone();
            let faults = stack.proxy().next(ATTEMPTS - 1, calls, fault);
            let fallback = stack.proxy().all(writing_the_record(&name), Fault::None);

            answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

            applied_without_relay(stack, &merchant);
            assert_eq!((faults.met(), fallback.met()), (ATTEMPTS - 1, 0), "{name}");
        }
    }
}

fn a_service_that_says_nothing_costs_an_answer_but_no_webhook(stack: &Stack) {
    let case = |name: &str, faults: &[(usize, Fault)], status: u16| {
        let merchant = stack.merchant(name);
        let calls = receiving(&merchant, Provider::Armada);
        let standing: Vec<_> = faults
            .iter()
            .map(|(call, fault)| stack.proxy().all(calls[*call].clone(), *fault))
            .collect();

        // Any other status is one of the gateway: the function did not answer in its time.
        let answer = merchant.send(webhook(Provider::Armada));

        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(standing.iter().all(|fault| fault.met() > 0), "{name}");
        drop(standing);
        if status != 200 {
            let kept = usize::from(faults.contains(&(PUT, Fault::AnswerLate)));
            assert_eq!(stack.records(&merchant.id).len(), kept, "{name}");
            sent_until_accepted(&merchant, &webhook(Provider::Armada));
        }
        stack.relay_until_closed(&merchant.id);
        applied_once(stack, &merchant, Provider::Armada);
    };
    let silent_send = (SEND, Fault::Ignored);
    thread::scope(|scope| {
        for (name, faults, status) in [
            ("registry-is-silent", vec![(REGISTRY, Fault::Ignored)], 503),
            ("put-is-silent", vec![(PUT, Fault::Ignored)], 200),
            ("put-is-late", vec![(PUT, Fault::AnswerLate)], 200),
            ("send-is-silent", vec![silent_send], 200),
            ("send-is-late", vec![(SEND, Fault::AnswerLate)], 200),
            (
                "both-are-silent",
                vec![(PUT, Fault::Ignored), silent_send],
                503,
            ),
            (
                "kept-in-silence",
                vec![(PUT, Fault::AnswerLate), silent_send],
                503,
            ),
        ] {
            scope.spawn(move || case(name, &faults, status));
        }
    });
}

fn while_the_queue_is_down_webhooks_are_accepted_and_relayed_afterwards(stack: &Stack) {
    let merchant = stack.merchant("queue-down");
    let down = stack.proxy().all(Calls::of_all().to(&QUEUE), Fault::DOWN);

    for provider in Provider::ALL {
        answered(&merchant.send(webhook(provider)), 200, "accepted");
        answered(&merchant.send(webhook(provider)), 200, "duplicate");
    }
    stack.make_due(&merchant.id);
    let failed = stack.run_relay();
    assert!(failed["errorMessage"].is_string(), "{failed}");
    assert_eq!(states(stack, &merchant), ["pending", "pending"]);
    assert!(down.met() > ATTEMPTS);
    drop(down);

    stack.relay_until_closed(&merchant.id);

    for provider in Provider::ALL {
        let order = merchant.order_with(1, provider, "1");
        assert_eq!(order.entries.len(), 1);
    }
    assert_eq!(states(stack, &merchant), ["applied", "applied"]);
}

fn while_the_tables_are_down_known_merchants_are_accepted_through_the_queue(stack: &Stack) {
    let (known, unknown) = (stack.merchant("regular"), stack.merchant("stranger"));
    answered(&known.send(webhook(Provider::Armada)), 200, "accepted");
    applied_once(stack, &known, Provider::Armada);
    let consumed = stack
        .proxy()
        .all(writing_the_record("regular"), Fault::None);
    let third = Calls::by(ARMADA).to(&["PutItem"]).about("regular#armada#3");
    let killed = stack.proxy().next(1, third, Fault::KilledBefore);
    let down = stack.proxy().all(Calls::of_all().to(&TABLES), Fault::DOWN);

    let (second, third) = (armada("2", "failed", "wh_2"), armada("3", "failed", "wh_3"));
    answered(&known.send(second), 200, "accepted");
    assert_eq!(unknown.send(webhook(Provider::Armada)).status, 503);
    // Nobody would send it again after a 400, so that must wait until it is kept.
    let garbage = testkit::armada("order.updated", "wh_4", "2026-01-07T20:15:01Z", "{");
    assert_eq!(known.send(garbage).status, 503);
    // A function that starts now knows nobody.
    assert_ne!(known.send(third.clone()).status, 200);
    assert_eq!(killed.met(), 1);
    assert_eq!(known.send(third.clone()).status, 503);
    // The consumer holds the only copy, and keeps it.
    eventually("the consumer has tried", || {
        (consumed.met() >= ATTEMPTS).then_some(())
    });
    assert_eq!(states(stack, &known), ["applied"]);
    drop(down);

    let second = known.order_with(1, Provider::Armada, "2");
    assert_eq!(second.entries.len(), 1);
    assert!(known.order(Provider::Armada, "3").entries.is_empty());
    assert_eq!(states(stack, &known), ["applied", "applied"]);
    assert!(stack.records(&unknown.id).is_empty());
    assert_eq!(sent_until_accepted(&known, &third), [200]);
    known.order_with(1, Provider::Armada, "3");
    sent_until_accepted(&unknown, &webhook(Provider::Armada));
    applied_without_relay(stack, &unknown);
}

fn while_tables_and_queue_are_down_nothing_is_accepted_and_nothing_kept(stack: &Stack) {
    let merchant = stack.merchant("all-down");
    // The function knows the merchant, and nothing is under way.
    answered(
        &merchant.send(armada("2", "dispatched", "wh_2")),
        200,
        "accepted",
    );
    merchant.order_with(1, Provider::Armada, "2");
    stack.queue_is_empty();
    // The publisher may still be telling of the order before.
    let down = stack.proxy().all(Calls::by(ARMADA), Fault::DOWN);

    assert_eq!(merchant.send(webhook(Provider::Armada)).status, 503);

    assert_eq!(down.met(), 2 * ATTEMPTS, "of the put, and of the send");
    drop(down);
    assert_eq!((stack.queued(), stack.records(&merchant.id).len()), (0, 1));
    assert_eq!(
        sent_until_accepted(&merchant, &webhook(Provider::Armada)),
        [200]
    );
    let order = merchant.order_with(1, Provider::Armada, "1");
    assert_eq!(order.entries.len(), 1);
}

fn a_table_that_fails_under_the_consumer_brings_the_message_back(stack: &Stack) {
    let case = |call: usize| {
        let name = format!("fails-at-{}", applying("")[call].0);
        let merchant = stack.merchant(&name);
        // Every attempt of the first receive.
        let calls = applying(&name)[call].1.clone();
        let down = stack.proxy().next(ATTEMPTS, calls, Fault::DOWN);

        answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

        applied_without_relay(stack, &merchant);
        assert_eq!(down.met(), ATTEMPTS, "{name}");
    };
    thread::scope(|scope| {
        for call in 0..applying("").len() {
            scope.spawn(move || case(call));
        }
    });
}

fn every_answer_to_the_consumer_and_to_the_relay_may_be_lost(stack: &Stack) {
    for call in 0..applying("").len() {
        let name = format!("unanswered-{}", applying("")[call].0);
        let merchant = stack.merchant(&name);
        let calls = applying(&name)[call].1.clone();
        let lost = stack.proxy().next(1, calls, Fault::AnswerLost);

        answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

        let order = merchant.order_with(1, Provider::Armada, "1");
        assert_eq!((order.entries.len(), lost.met()), (1, 1), "{name}");
        assert_eq!(states(stack, &merchant), ["applied"], "{name}");
    }
    for call in 0..relaying("").len() {
        let name = format!("unanswered-relay-{}", relaying("")[call].0);
        let merchant = stack.merchant(&name);
        merchant.record_without_sending(webhook(Provider::Armada));
        let calls = relaying(&name)[call].1.clone();
        let lost = stack.proxy().next(1, calls, Fault::AnswerLost);

        stack.relay_until_closed(&merchant.id);

        applied_once(stack, &merchant, Provider::Armada);
        assert_eq!(lost.met(), 1, "{name}");
    }
}

const DEATHS: [(&str, Fault); 2] = [
    ("before", Fault::KilledBefore),
    ("after", Fault::KilledAfter),
];

fn a_webhook_function_may_be_killed_at_any_call(stack: &Stack) {
    for provider in Provider::ALL {
        for (when, fault) in DEATHS {
            for call in [REGISTRY, PUT, SEND] {
                let merchant = stack.merchant(&format!("{provider}-dies-{when}-{call}"));
                let calls = receiving(&merchant, provider)[call].clone();
                let killed = stack.proxy().next(1, calls, fault);

                let statuses = sent_until_accepted(&merchant, &webhook(provider));

                assert_eq!((statuses.len(), killed.met()), (2, 1), "{}", merchant.id);
                stack.relay_until_closed(&merchant.id);
                applied_once(stack, &merchant, provider);
            }
        }
    }
}

fn the_consumer_may_be_killed_at_any_call(stack: &Stack) {
    let case = |call: usize, (when, fault): (&str, Fault)| {
        let name = format!("consumer-dies-{when}-{}", applying("")[call].0);
        let merchant = stack.merchant(&name);
        let calls = applying(&name)[call].1.clone();
        let killed = stack.proxy().next(1, calls, fault);

        answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

        applied_without_relay(stack, &merchant);
        assert_eq!(killed.met(), 1, "{name}");
    };
    let only_copy = |(when, fault): (&str, Fault)| {
        let name = format!("consumer-dies-{when}-record");
        let merchant = stack.merchant(&name);
        let [_, puts, _] = receiving(&merchant, Provider::Armada);
        let down = stack.proxy().all(puts, Fault::DOWN);
        let killed = stack.proxy().next(1, writing_the_record(&name), fault);

        answered(&merchant.send(webhook(Provider::Armada)), 200, "accepted");

        applied_without_relay(stack, &merchant);
        assert_eq!((down.met(), killed.met()), (ATTEMPTS, 1), "{name}");
    };
    thread::scope(|scope| {
        for death in DEATHS {
            for call in 0..applying("").len() {
                scope.spawn(move || case(call, death));
            }
            scope.spawn(move || only_copy(death));
        }
    });
}

fn the_relay_may_be_killed_at_any_call(stack: &Stack) {
    for (when, fault) in DEATHS {
        for call in 0..relaying("").len() {
            let name = format!("relay-dies-{when}-{}", relaying("")[call].0);
            let merchant = stack.merchant(&name);
            merchant.record_without_sending(webhook(Provider::Armada));
            let calls = relaying(&name)[call].1.clone();
            let killed = stack.proxy().next(1, calls, fault);

            let run = stack.run_relay();

            assert_eq!(
                (&run["sent"].is_null(), killed.met()),
                (&true, 1),
                "{name}: {run}"
            );
            stack.relay_until_closed(&merchant.id);
            applied_once(stack, &merchant, Provider::Armada);
        }
        let name = format!("relay-dies-{when}-set-aside");
        let merchant = stack.merchant(&name);
        merchant.record_without_sending(armada("1", "teleported", "wh_1"));
        let killed = stack.proxy().next(1, setting_aside(&name), fault);

        stack.run_relay();

        assert_eq!(killed.met(), 1, "{name}");
        stack.relay_until_closed(&merchant.id);
        assert_eq!(states(stack, &merchant), ["unmapped"], "{name}");
        assert!(merchant.order(Provider::Armada, "1").entries.is_empty());
    }
}
