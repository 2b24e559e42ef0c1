//! The provider simulator's plans, sent through the pipeline in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::{EpochMillis, Millis, Orders as _, Provider, fold};
use fastrand::Rng;
use hookctl::simulate::{
    Answered, Delivery, Disturbances, Expected, Plan, PlannedOrder, Scenario, ways,
};
use testkit::Webhook;

use crate::support::Pipeline;

/// So many that every way an order can go is met many times over.
const SEEDS: u32 = 60;
const ORDERS: u32 = 20;

pub(crate) fn plan(seed: u32, orders: u32, disturbances: Disturbances) -> Arc<Plan> {
    let scenario = Scenario::demo(seed, orders, disturbances).unwrap();
    Arc::new(Plan::new(scenario).unwrap())
}

/// Every disturbance, from hardly to always.
fn disturbances(random: &mut Rng) -> Disturbances {
    let mut share = || [0, 5, 30, 100][random.usize(..4)];
    Disturbances {
        duplicates: share(),
        retries: share(),
        reordered: share(),
        late: share(),
        corrupt: share(),
        forged: share(),
        window: Millis::from_seconds([0, 1, 900, 20_000][random.usize(..4)]),
    }
}

pub(crate) const ALL_AT_ONCE: Disturbances = Disturbances {
    duplicates: 50,
    retries: 50,
    reordered: 50,
    late: 20,
    corrupt: 20,
    forged: 20,
    window: Millis::from_seconds(900),
};

fn bytes(plan: &Arc<Plan>) -> String {
    let line = |it: Delivery| {
        let body = String::from_utf8_lossy(it.body()).into_owned();
        format!(
            "{} {} {:?} {body}\n",
            it.provider(),
            it.expected,
            it.headers()
        )
    };
    plan.deliveries().map(line).collect()
}

pub(crate) fn orders(plan: &Plan) -> impl Iterator<Item = PlannedOrder> {
    let count = plan.scenario().orders;
    (0..count).map(|order| plan.order(order).unwrap())
}

fn as_sent(delivery: &Delivery) -> Webhook {
    let headers = delivery.headers().iter();
    Webhook {
        provider: delivery.provider(),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        query: String::new(),
        body: delivery.body().to_vec(),
        source_ip: "203.0.113.24".to_owned(),
    }
}

/// Sends a plan, with the consumer running in between now and then.
pub(crate) async fn send(plan: &Arc<Plan>, random: &mut Rng) -> Pipeline {
    let pipeline = Pipeline::new();
    for delivery in plan.deliveries() {
        let answer = pipeline.post(&as_sent(&delivery)).await;
        let answered = Answered::new(answer.status, &answer.body.to_string());
        assert!(
            delivery.expected.is_met_by(answered),
            "expected {}, got {answered}: {}",
            delivery.expected,
            String::from_utf8_lossy(delivery.body()),
        );
        if random.u32(..8) == 0 {
            pipeline.consume().await;
        }
    }
    pipeline.drain().await;
    pipeline
}

#[test]
fn equal_seeds_are_equal_webhooks_and_different_ones_share_no_order() {
    for seed in 0..5 {
        assert_eq!(
            bytes(&plan(seed, 30, ALL_AT_ONCE)),
            bytes(&plan(seed, 30, ALL_AT_ONCE)),
            "seed {seed}"
        );
        let keys = |seed| -> BTreeSet<_> {
            orders(&plan(seed, 30, ALL_AT_ONCE))
                .map(|order| order.key)
                .collect()
        };
        assert_eq!(keys(seed).len(), 30);
        assert!(keys(seed).is_disjoint(&keys(seed + 1)), "seed {seed}");
    }
}

#[test]
fn the_bytes_of_a_seed_stay_what_they_are() {
    let body = |order: u32| {
        let plan = plan(7, 2, Disturbances::NONE);
        let first = plan.deliveries().find(|it| it.order == order).unwrap();
        String::from_utf8(first.body().to_vec()).unwrap()
    };

    assert!(body(0).contains(r#""code":"sim-7-0""#), "{}", body(0));
    assert!(
        body(1).contains(r#""id":900000000070000001,"#),
        "{}",
        body(1)
    );
}

#[test]
fn disturbances_change_no_life() {
    for seed in 0..20 {
        let quiet = plan(seed, ORDERS, Disturbances::NONE);
        let disturbed = plan(seed, ORDERS, ALL_AT_ONCE);
        for (quiet, disturbed) in orders(&quiet).zip(orders(&disturbed)) {
            assert_eq!(quiet.way, disturbed.way, "seed {seed}");
            assert_eq!(quiet.outcome.status, disturbed.outcome.status);
            assert!(quiet.outcome.events <= disturbed.outcome.events);
        }
    }
}

#[tokio::test]
async fn every_simulated_order_ends_as_planned_whatever_happens_on_the_way() {
    let mut met = BTreeSet::new();
    for seed in 0..SEEDS {
        // Said when a test fails.
        eprintln!("seed {seed}");
        let mut random = Rng::with_seed(u64::from(seed));
        let plan = plan(seed, ORDERS, disturbances(&mut random));
        let pipeline = send(&plan, &mut random).await;

        for planned in orders(&plan) {
            let PlannedOrder {
                key,
                way,
                outcome,
                timeline,
            } = planned;
            let state = pipeline.state(key.provider, key.order_id.as_str());
            assert!(
                outcome.is_met_by(&state),
                "{key}, {way}: {outcome} and not {state:?}"
            );
            let entries = pipeline.world.read(&key).await.unwrap().entries;
            assert_eq!(entries.len(), timeline.len(), "{key}, {way}");
            for (entry, planned) in entries.iter().zip(&timeline) {
                let record = entry.webhook_pk.as_str();
                assert_eq!(entry.occurred_at_ms, planned.at, "{record}");
                assert_eq!(entry.word.status.as_deref(), Some(planned.status));
                let rest = record.strip_prefix(planned.record.as_str()).unwrap();
                assert!(rest.is_empty() || rest.starts_with('#'), "{record}");
            }
            let folded = fold(providers::adapter(key.provider), entries).state;
            assert_eq!(folded, state, "{key}, {way}");
            met.insert((key.provider, way));
        }
        assert!(pipeline.world.dead_letters().is_empty());
    }
    for provider in Provider::ALL {
        for way in ways(provider) {
            assert!(met.contains(&(provider, way)), "{provider}: {way}");
        }
    }
}

#[tokio::test]
async fn a_plan_that_is_sent_again_is_all_duplicates() {
    let plan = plan(3, ORDERS, Disturbances::NONE);
    let pipeline = send(&plan, &mut Rng::with_seed(3)).await;

    for delivery in plan.deliveries() {
        let again = pipeline.post(&as_sent(&delivery)).await;
        let word = match delivery.expected {
            Expected::Stored => "duplicate",
            Expected::Ignored => "ignored",
            Expected::Unreadable | Expected::Refused => unreachable!("nothing is disturbed"),
        };
        assert_eq!(again.word(), word);
    }
}

#[tokio::test]
async fn a_wrong_end_is_noticed() {
    let plan = plan(5, ORDERS, Disturbances::NONE);
    let pipeline = send(&plan, &mut Rng::with_seed(5)).await;
    let order = orders(&plan)
        .find(|order| order.way == "delivered")
        .unwrap();
    let right = pipeline.state(order.key.provider, order.key.order_id.as_str());
    assert!(order.outcome.is_met_by(&right));

    let mut status = right.clone();
    status.status = Some(domain::Status::InTransit);
    let mut events = right.clone();
    events.event_count -= 1;
    let mut driver = right.clone();
    driver.details.driver = None;
    for wrong in [status, events, driver] {
        assert!(!order.outcome.is_met_by(&wrong), "{wrong:?}");
    }
}

#[test]
fn a_step_happened_before_any_clock_that_reads_it() {
    let plan = plan(1, 2_000, Disturbances::NONE);
    let latest = plan
        .deliveries()
        .filter(|delivery| delivery.provider() == Provider::Shipday)
        .filter_map(|delivery| {
            let body: serde_json::Value = serde_json::from_slice(delivery.body()).unwrap();
            body["timestamp"].as_u64()
        })
        .max();

    assert!(latest.map(EpochMillis::new) < Some(testkit::NOW));
}
