//! What follows from a day's traffic: events on the bus, figures in the report, orders on the board. The orders are the
//! simulator's, so what must come of each is known beforehand.

use std::collections::BTreeMap;

use domain::{ChangeId, OrderKey, Provider, Status, StatusChange, TimelineEntry, fold};
use hookctl::simulate::{Disturbances, Plan, PlannedOrder, Scenario};
use providers::adapter;
use serde_json::Value;

use crate::board::{Served, browser_on};
use crate::publishing::listening;
use crate::simulate::{Simulated, simulate};
use crate::stack::{Merchant, Stack, eventually};
use crate::tests;

tests![a_simulated_day_is_published_as_the_fold_says_reported_as_simulated_and_on_the_board];

/// With it every way of [`CORRECTED`] and [`REOPENED`] is gone, and orders are still under way in the end.
const SEED: u32 = 65;
const ORDERS: u32 = 40;
const DISTURBANCES: Disturbances = Disturbances {
    duplicates: 40,
    retries: 40,
    reordered: 50,
    late: 20,
    corrupt: 10,
    forged: 10,
    window: domain::Millis::from_seconds(900),
};

/// Shipday's ways on which something final is unsaid once.
const CORRECTED: [&str; 2] = [
    "delivered, corrected to failed",
    "driver taken off with the goods on board",
];
/// Shipday's way on which a failed order is taken up again once.
const REOPENED: &str = "failed, and delivered by a second attempt";

fn a_simulated_day_is_published_as_the_fold_says_reported_as_simulated_and_on_the_board(
    stack: &Stack,
) {
    let merchant = stack.merchant("simulated-day");
    let queue = listening(stack, "simulated-day");
    let orders = planned(&merchant);
    for way in CORRECTED.iter().chain([&REOPENED]) {
        assert!(orders.iter().any(|it| it.way == *way), "{way}");
    }

    let Simulated {
        code,
        verdict,
        stderr,
    } = simulate(stack, &merchant, &disturbed());
    assert_eq!(code, 0, "{verdict:#} {stderr}");

    let saves = saves(stack, &merchant);
    let expected = changes(stack, &saves);
    // With fewer saves than that, nothing came twice or late.
    assert!(
        saves.values().map(Vec::len).sum::<usize>() > expected.len() + orders.len(),
        "{saves:?}"
    );
    let published = eventually("every change is told", || {
        let published = queue.changes(&merchant);
        (published.len() >= expected.len()).then_some(published)
    });
    assert_eq!(by_order(published.clone()), by_order(expected));
    // Who keeps the largest revision of each order knows how it ended.
    let mut known: BTreeMap<OrderKey, (u64, Status)> = BTreeMap::new();
    for change in &published {
        let newest = known.entry(change.order_key()).or_insert((0, change.to));
        if change.revision > newest.0 {
            *newest = (change.revision, change.to);
        }
    }
    for order in &orders {
        let ended = known.remove(&order.key).map(|(_, status)| status);
        assert_eq!(ended, order.outcome.status, "{}", order.key);
    }
    assert!(known.is_empty(), "{known:?}");

    reported_as_simulated(&report(stack, &merchant), &orders);
    shown_as_simulated(stack, &merchant, &orders);
    let late = queue.changes(&merchant).len();
    assert_eq!(late, published.len(), "and nothing is told afterwards");
}

fn disturbed() -> Vec<String> {
    let Disturbances {
        duplicates,
        retries,
        reordered,
        late,
        corrupt,
        forged,
        window,
    } = DISTURBANCES;
    vec![
        format!("--seed={SEED}"),
        format!("--orders={ORDERS}"),
        "--rate=60".to_owned(),
        format!("--duplicates={duplicates}"),
        format!("--retries={retries}"),
        format!("--reordered={reordered}"),
        format!("--late={late}"),
        format!("--corrupt={corrupt}"),
        format!("--forged={forged}"),
        format!("--window={}", window.as_millis() / 1_000),
    ]
}

/// The orders that the simulator is going to play.
fn planned(merchant: &Merchant<'_>) -> Vec<PlannedOrder> {
    let mut scenario = Scenario::demo(SEED, ORDERS, DISTURBANCES).unwrap();
    scenario.merchant = merchant.id.clone();
    let plan = Plan::new(scenario).unwrap();
    (0..ORDERS)
        .map(|order| plan.order(order).unwrap())
        .collect()
}

// ---------------------------------------------------------------- events

/// A save of an order's state, as the table's stream tells it: its revision, and which events the timeline had by then.
#[derive(Debug)]
struct Save {
    revision: u64,
    events: Vec<String>,
}

/// Each order's saves. Of each only its number and its place among the events are taken; what it must say is folded anew.
fn saves(stack: &Stack, merchant: &Merchant<'_>) -> BTreeMap<OrderKey, Vec<Save>> {
    let mut events: BTreeMap<OrderKey, Vec<String>> = BTreeMap::new();
    let mut saves: BTreeMap<OrderKey, Vec<Save>> = BTreeMap::new();
    for record in stack.orders_stream() {
        let text = |image: &str, name: &str| record["dynamodb"][image][name]["S"].as_str();
        let number = |name: &str| record["dynamodb"]["NewImage"][name]["N"].as_str();
        let order = OrderKey::parse(text("Keys", "pk").unwrap()).unwrap();
        let item = text("Keys", "sk").unwrap();
        if order.merchant_id != merchant.id {
            continue;
        }
        let events = events.entry(order.clone()).or_default();
        if item == "state" {
            let count: usize = number("event_count").unwrap().parse().unwrap();
            saves.entry(order).or_default().push(Save {
                revision: number("revision").unwrap().parse().unwrap(),
                // An event that another message brought between this save's reading and its writing is none of it.
                events: events.iter().take(count).cloned().collect(),
            });
        } else if record["eventName"] == "INSERT" {
            events.push(item.to_owned());
        }
    }
    saves
}

/// What must be published: where the fold of a save's events has another status than that of the save before.
fn changes(stack: &Stack, saves: &BTreeMap<OrderKey, Vec<Save>>) -> Vec<StatusChange> {
    let mut changes = Vec::new();
    for (order, saves) in saves {
        let rules = adapter(order.provider);
        let timeline = stack.timeline(order).entries;
        let entries: BTreeMap<String, TimelineEntry> = timeline
            .into_iter()
            .map(|entry| (entry.sort_key(order.provider), entry))
            .collect();
        let mut from: Option<Status> = None;
        for Save { revision, events } in saves {
            let state = fold(rules, events.iter().map(|event| entries[event].clone())).state;
            if state.status == from {
                continue;
            }
            changes.push(StatusChange {
                schema_version: 1,
                id: ChangeId::of(order, *revision),
                merchant_id: order.merchant_id.clone(),
                provider: order.provider,
                order_id: order.order_id.clone(),
                revision: *revision,
                from,
                to: state.status.unwrap(),
                occurred_at_ms: state.status_since_ms.unwrap(),
                received_at_ms: state.status_received_at_ms,
                reason: state.status_reason,
                corrected: from.is_some_and(Status::is_closed),
                republished: false,
                driver: None,
                tracking_url: None,
            });
            from = state.status;
        }
    }
    changes
}

/// The changes of each order, in the order in which they came.
fn by_order(changes: Vec<StatusChange>) -> BTreeMap<OrderKey, Vec<StatusChange>> {
    let mut orders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for change in changes {
        orders.entry(change.order_key()).or_default().push(change);
    }
    orders
}

// ---------------------------------------------------------------- figures

fn report(stack: &Stack, merchant: &Merchant<'_>) -> Value {
    let said = stack
        .hookctl()
        .args(["report", "--json", "--merchant", merchant.id.as_str()])
        .args(["--since", "2025-01-01T00:00:00Z"])
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    serde_json::from_slice(&said.stdout).unwrap()
}

fn reported_as_simulated(report: &Value, orders: &[PlannedOrder]) {
    let counted = |provider: Option<Provider>| -> BTreeMap<&str, usize> {
        let of = orders
            .iter()
            .filter(|it| provider.is_none_or(|provider| it.key.provider == provider));
        let mut counts = BTreeMap::from([
            ("orders", 0),
            ("delivered", 0),
            ("failed", 0),
            ("canceled", 0),
            ("returned", 0),
            ("under_way", 0),
            ("without_status", 0),
        ]);
        let mut count = |name| *counts.entry(name).or_default() += 1;
        for order in of {
            count("orders");
            match order.outcome.status {
                Some(status) if status.is_closed() => count(status.as_str()),
                Some(_) => count("under_way"),
                None => count("without_status"),
            }
        }
        counts
    };
    let said = |group: &Value| -> BTreeMap<&str, usize> {
        counted(None)
            .into_keys()
            .map(|name| {
                (
                    name,
                    usize::try_from(group[name].as_u64().unwrap()).unwrap(),
                )
            })
            .collect()
    };
    assert_eq!(said(&report["all"]), counted(None));
    for provider in Provider::ALL {
        let mut groups = report["providers"].as_array().unwrap().iter();
        let group = groups.find(|it| it["provider"] == provider.as_str());
        assert_eq!(said(group.unwrap()), counted(Some(provider)), "{provider}");
        // What Armada sends again looks like a step of its own, and may go back and forth once more.
        if provider == Provider::Shipday {
            let on = |ways: &[&str]| orders.iter().filter(|it| ways.contains(&it.way)).count();
            assert_eq!(group.unwrap()["corrected"], on(&CORRECTED));
            assert_eq!(group.unwrap()["reopened"], on(&[REOPENED]));
        }
    }
}

// ---------------------------------------------------------------- the board

fn shown_as_simulated(stack: &Stack, merchant: &Merchant<'_>, orders: &[PlannedOrder]) {
    let served = Served::start(stack, merchant, "0");
    let browser = browser_on(&served, "simulated-day");
    browser.until(&format!(
        "document.querySelectorAll('#orders .item').length === {ORDERS}"
    ));
    let columns = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#orders .status')].map((column) => \
         [column.querySelector('h3').firstChild.textContent.trim(), \
          [...column.querySelectorAll('.id')].map((id) => id.textContent).sort()]))",
    );
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for order in orders {
        let status = order.outcome.status.unwrap().as_str().replace('_', " ");
        let ids = expected.entry(status).or_default();
        ids.push(order.key.order_id.to_string());
    }
    for ids in expected.values_mut() {
        ids.sort();
    }
    let columns: BTreeMap<String, Vec<String>> = serde_json::from_value(columns).unwrap();
    assert_eq!(columns, expected);
    browser.screenshot("simulated-day");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
