//! Random histories, and the proof that they would notice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::Flaw;

use crate::history::happen;
use crate::plan::Plan;
use crate::promises::broken;
use crate::{on_a_paused_clock, on_all_cores};

const COMMAND: &str = "cargo test --workspace --test simulation";
/// How many histories are told unless `HISTORIES` says otherwise.
const DEFAULT_HISTORIES: u64 = 100_000;
/// Within so many histories every planted flaw must be noticed.
const MOST_FOR_A_FLAW: u64 = 20_000;

/// What the histories contained, all together.
#[derive(Default)]
struct Totals {
    accepted: AtomicUsize,
    faults: AtomicUsize,
    deaths: AtomicUsize,
    relay_claims: AtomicUsize,
    entries: AtomicUsize,
}

pub(crate) fn no_random_history_breaks_a_promise() {
    if let Some(seed) = number("SEED") {
        tell(seed);
        return;
    }
    let count = number("HISTORIES").unwrap_or(DEFAULT_HISTORIES);
    let totals = Totals::default();
    on_all_cores(count, |seed| explore(seed, &totals)).unwrap_or_else(|what| panic!("{what}"));
    let total = |it: &AtomicUsize| it.load(Ordering::Relaxed);
    println!(
        "{count} histories: {} webhooks answered 200, {} timeline entries, {} faults, {} deaths, {} claims of the relay, no broken promise",
        total(&totals.accepted),
        total(&totals.entries),
        total(&totals.faults),
        total(&totals.deaths),
        total(&totals.relay_claims),
    );
    for (name, value) in [
        ("faults", &totals.faults),
        ("deaths", &totals.deaths),
        ("claims of the relay", &totals.relay_claims),
    ] {
        assert!(
            count < 1_000 || total(value) > 0,
            "no {name} in {count} histories"
        );
    }
}

async fn explore(seed: u64, totals: &Totals) -> Result<(), String> {
    if seed > 0 && seed.is_multiple_of(DEFAULT_HISTORIES) {
        eprintln!("{seed} histories so far");
    }
    let plan = Plan::random(seed);
    let happened = happen(&plan, None, false).await;
    if let Some(what) = broken(&plan, &happened) {
        return Err(format!(
            "history {seed}: {what}\nreplay it with: SEED={seed} {COMMAND} -- no_random_history"
        ));
    }
    let seen = happened.world.observations();
    let add = |to: &AtomicUsize, value| to.fetch_add(value, Ordering::Relaxed);
    add(&totals.accepted, happened.accepted.len());
    add(&totals.faults, happened.faults);
    add(&totals.deaths, happened.deaths);
    add(&totals.relay_claims, seen.claims.len());
    add(&totals.entries, seen.first_entries.len());
    Ok(())
}

/// Tells one history with its trace.
fn tell(seed: u64) {
    let plan = Plan::random(seed);
    println!("{plan:#?}");
    let happened = on_a_paused_clock(happen(&plan, None, true));
    for line in &happened.trace {
        println!("{line}");
    }
    let result = broken(&plan, &happened);
    println!(
        "history {seed}: {}",
        result.as_deref().unwrap_or("no broken promise")
    );
    assert_eq!(result, None);
}

pub(crate) fn every_planted_flaw_is_noticed() {
    let noticed: BTreeMap<String, Option<(u64, String)>> = Flaw::ALL
        .into_iter()
        .map(|flaw| (format!("{flaw:?}"), on_a_paused_clock(notice(flaw))))
        .collect();
    for (flaw, noticed) in &noticed {
        match noticed {
            Some((seed, what)) => println!("{flaw}: noticed in history {seed}: {what}"),
            None => println!("{flaw}: NOT noticed in {MOST_FOR_A_FLAW} histories"),
        }
    }
    assert!(noticed.values().all(Option::is_some));
}

async fn notice(flaw: Flaw) -> Option<(u64, String)> {
    for seed in 0..MOST_FOR_A_FLAW {
        let plan = Plan::random(seed);
        let happened = happen(&plan, Some(flaw), false).await;
        if let Some(what) = broken(&plan, &happened) {
            return Some((seed, what));
        }
    }
    None
}

pub(crate) fn a_seed_replays_exactly() {
    for seed in [7, 4_711, 99_999] {
        let plan = Plan::random(seed);
        let tell = || on_a_paused_clock(happen(&plan, None, true));
        let (first, second) = (tell(), tell());

        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.world.records(), second.world.records(), "seed {seed}");
    }
}

fn number(variable: &str) -> Option<u64> {
    aws::environment(variable).map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is `{text}`: use a whole number"))
    })
}
