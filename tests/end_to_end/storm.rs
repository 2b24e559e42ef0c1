//! Thousands of webhooks, repeated and out of order, while everything fails at random.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::thread;

use domain::{Provider, fold};
use fastrand::Rng;
use providers::adapter;
use serde_json::json;
use testkit::Webhook;

use crate::proxy::{Fault, Odds};
use crate::stack::{Merchant, Stack};
use crate::tests;
use crate::webhooks::{shipday, states};

tests![a_storm_of_webhooks_and_faults_ends_in_exact_sums];

const MERCHANTS: usize = 4;
/// Of each merchant, at each provider.
const ORDERS: usize = 23;
/// Of each order; Armada has some more, where an id is used more than once.
const EVENTS: usize = 9;
/// So many of the webhooks, in hundredths, are sent twice by the provider.
const SENT_TWICE: usize = 40;
/// Connections of the providers.
const SENDERS: usize = 8;
/// How often a provider sends a webhook that is not answered 200.
const TRIES: usize = 10;
/// How often the relay runs meanwhile, on everything that is pending just then.
const RELAY_RUNS: usize = 3;

const ODDS: Odds = &[
    (Fault::AnswerLost, 200),
    (Fault::Reset, 200),
    (Fault::THROTTLED, 200),
    (Fault::NO_CAPACITY, 100),
    (Fault::FAILED, 100),
    (Fault::DOWN, 100),
    (Fault::Ignored, 15),
    (Fault::AnswerLate, 15),
    (Fault::KilledBefore, 10),
    (Fault::KilledAfter, 10),
];

const ARMADA: [&str; 8] = [
    "pending",
    "accepted",
    "dispatched",
    "waiting_pack",
    "en_route",
    "completed",
    "failed",
    "canceled",
];
const SHIPDAY: [(&str, &str); 8] = [
    ("ORDER_INSERTED", "NOT_ASSIGNED"),
    ("ORDER_ASSIGNED", "NOT_ACCEPTED"),
    ("ORDER_ACCEPTED_AND_STARTED", "STARTED"),
    ("ORDER_PIKEDUP", "PICKED_UP"),
    ("ORDER_PIKEDUP_REMOVED", "STARTED"),
    ("ORDER_ONTHEWAY", "READY_TO_DELIVER"),
    ("ORDER_COMPLETED", "ALREADY_DELIVERED"),
    ("ORDER_FAILED", "FAILED_DELIVERY"),
];
/// When the orders' events begin: 2026-01-07T20:15:00Z.
const FIRST_EVENT_MS: u64 = 1_767_816_900_000;

/// What is sent, and what that must leave behind.
struct Plan {
    deliveries: Vec<Delivery>,
    /// How many different webhooks there are of each merchant.
    webhooks: [usize; MERCHANTS],
    /// The timeline of each order, as its sort keys.
    timelines: BTreeMap<(usize, Provider, String), BTreeSet<String>>,
}

/// A webhook of the merchant with that number.
#[derive(Clone)]
struct Delivery {
    merchant: usize,
    webhook: Webhook,
    /// Where it stands in the order of sending.
    place: f64,
}

impl Plan {
    fn draw(random: &mut Rng) -> Self {
        let mut plan = Self {
            deliveries: Vec::new(),
            webhooks: [0; MERCHANTS],
            timelines: BTreeMap::new(),
        };
        for merchant in 0..MERCHANTS {
            for order in 1..=ORDERS {
                let first = plan.deliveries.len();
                for event in 0..EVENTS {
                    plan.draw_armada(merchant, order, event, random);
                    plan.draw_shipday(merchant, order, event, random);
                }
                // Half of the orders have their webhooks all at once, so that consumers meet on one order.
                let (place, at_once) = (random.f64(), random.bool());
                for delivery in plan.deliveries.iter_mut().skip(first) {
                    let spread = if at_once { 0.001 } else { 1.0 };
                    delivery.place = place + random.f64() * spread;
                }
            }
        }
        random.shuffle(&mut plan.deliveries);
        let sent_twice = plan.deliveries.len() * SENT_TWICE / 100;
        plan.deliveries.extend_from_within(..sent_twice);
        for again in plan.deliveries.iter_mut().rev().take(sent_twice) {
            again.place += random.f64();
        }
        let deliveries = &mut plan.deliveries;
        deliveries.sort_by(|one, other| one.place.total_cmp(&other.place));
        plan
    }

    /// Some of its events happen at the same time, and some ids are used twice for the same event with other
    /// details, or thrice, the last time for another status.
    fn draw_armada(&mut self, merchant: usize, order: usize, event: usize, random: &mut Rng) {
        let order = format!("A{order}");
        let id = format!("wh_{order}_{event}");
        let second = random.u64(0..40);
        let sent_at = format!("2026-01-07T20:15:{second:02}.000Z");
        let first = random.usize(0..ARMADA.len());
        let uses = [1, 1, 1, 2, 3];
        let statuses = [first, first, first + 1].map(|n| ARMADA[n % ARMADA.len()]);
        let uses = uses[random.usize(0..uses.len())];
        for (fee, status) in statuses.into_iter().take(uses).enumerate() {
            let body = json!({ "code": order, "status": status, "delivery_fee": fee });
            let webhook = testkit::armada("order.updated", &id, &sent_at, body.to_string());
            let at_ms = FIRST_EVENT_MS + second * 1_000;
            self.add(merchant, webhook, &order, at_ms, status, &id);
        }
    }

    /// Its webhooks have no id, so no two of an order are at the same time.
    fn draw_shipday(&mut self, merchant: usize, order: usize, event: usize, random: &mut Rng) {
        let (order, event) = (u64::try_from(order).unwrap(), u64::try_from(event).unwrap());
        let (word, status) = SHIPDAY[random.usize(0..SHIPDAY.len())];
        let at_ms = FIRST_EVENT_MS + event * 1_000 + random.u64(0..1_000);
        let webhook = shipday(order, word, status, at_ms);
        let word = format!("{word}.{status}");
        self.add(merchant, webhook, &order.to_string(), at_ms, &word, "-");
    }

    fn add(
        &mut self,
        merchant: usize,
        webhook: Webhook,
        order: &str,
        at_ms: u64,
        word: &str,
        id: &str,
    ) {
        let order = (merchant, webhook.provider, order.to_owned());
        let sort_key = format!("event#{at_ms:013}#{word}#{id}");
        self.timelines.entry(order).or_default().insert(sort_key);
        self.webhooks[merchant] += 1;
        self.deliveries.push(Delivery {
            merchant,
            webhook,
            place: 0.0,
        });
    }
}

fn a_storm_of_webhooks_and_faults_ends_in_exact_sums(stack: &Stack) {
    // The same plan each time, unless another is asked for: only how processes interleave differs.
    let seed = aws::environment("STORM_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = Rng::with_seed(seed);
    let plan = Plan::draw(&mut random);
    let merchants: Vec<Merchant<'_>> = (0..MERCHANTS)
        .map(|n| stack.merchant(&format!("storm-{n}")))
        .collect();

    stack.proxy().begin_random_faults(random.u64(..), ODDS);
    let retries = deliver(stack, &merchants, &plan.deliveries);
    let faults = stack.proxy().end_random_faults();

    eprintln!(
        "STORM_SEED={seed}: {} deliveries of {} webhooks about {} events, {retries} retries, {faults:?}",
        plan.deliveries.len(),
        plan.webhooks.iter().sum::<usize>(),
        plan.timelines.values().map(BTreeSet::len).sum::<usize>(),
    );
    assert!(faults.iter().all(|(_, injected)| *injected > 0));
    stack.queue_is_empty();
    for (merchant, webhooks) in merchants.iter().zip(plan.webhooks) {
        stack.relay_until_closed(&merchant.id);
        let states = states(stack, merchant);
        let applied = states.iter().filter(|state| *state == "applied").count();
        assert_eq!((states.len(), applied), (webhooks, webhooks), "{states:?}");
    }
    for ((merchant, provider, order), expected) in plan.timelines {
        let timeline = merchants[merchant].order(provider, &order);
        let entries = timeline.entries.iter();
        let sort_keys: Vec<_> = entries.map(|entry| entry.sort_key(provider)).collect();
        assert_eq!(
            sort_keys,
            Vec::from_iter(expected),
            "order {order} of storm-{merchant}"
        );
        let folded = fold(adapter(provider), timeline.entries).state;
        assert_eq!(
            timeline.state,
            Some(folded),
            "order {order} of storm-{merchant}"
        );
    }
}

/// Sends webhooks on several connections at once, each until it is answered 200; gives how many were sent again.
fn deliver(stack: &Stack, merchants: &[Merchant<'_>], deliveries: &[Delivery]) -> usize {
    let waiting: Mutex<VecDeque<(usize, usize)>> =
        Mutex::new((0..deliveries.len()).map(|n| (n, 1)).collect());
    let send = || {
        let mut retries = 0;
        loop {
            let Some((n, tries)) = waiting.lock().unwrap().pop_front() else {
                return retries;
            };
            let Delivery {
                merchant, webhook, ..
            } = &deliveries[n];
            let answer = merchants[*merchant].send(webhook.clone());
            if answer.status != 200 {
                let may_try_again = answer.status >= 500 && tries < TRIES;
                assert!(may_try_again, "try {tries}: {answer:?}");
                waiting.lock().unwrap().push_back((n, tries + 1));
                retries += 1;
            } else if n % (deliveries.len() / RELAY_RUNS) == deliveries.len() / RELAY_RUNS / 2 {
                for merchant in merchants {
                    stack.make_due(&merchant.id);
                }
                stack.run_relay();
            }
        }
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        let retries = senders.into_iter().map(|sender| sender.join().unwrap());
        retries.sum()
    })
}
