//! Every outside call fails, in every way, alone and together with every other.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{Millis, Provider};
use testkit::Fault;

use crate::history::happen;
use crate::plan::{Faults, Hook, Merchant, Outage, Part, Plan, Retries, Word, seconds};
use crate::promises::broken;
use crate::{on_a_paused_clock, on_all_cores};

/// The ways in which one call can go wrong.
const ONE_FAULT: [Fault; 10] = [
    Fault::Before,
    Fault::After,
    Fault::Repeated,
    Fault::Late(seconds(1)),
    Fault::Late(seconds(600)),
    Fault::HangBefore,
    Fault::HangAfter,
    Fault::Panic,
    Fault::DiesBefore,
    Fault::DiesAfter,
];
/// The ways in which each of two calls can go wrong. A second panic is beyond what is promised: it makes a dead
/// letter.
const TWO_FAULTS: [Fault; 6] = [
    Fault::Before,
    Fault::After,
    Fault::Repeated,
    Fault::Late(seconds(600)),
    Fault::DiesBefore,
    Fault::DiesAfter,
];

const RETRIES: [Retries; 3] = [Retries::Never, Retries::Same, Retries::NewId];

pub(crate) fn any_one_fault_at_any_call_breaks_no_promise() {
    let cases = AtomicUsize::new(0);
    for_every_call(async |scenario: &Scenario, call: usize| {
        for fault in ONE_FAULT {
            run(scenario, &[(call, fault)]).await?;
            cases.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    println!(
        "{} cases with one fault, no broken promise",
        cases.into_inner()
    );
}

pub(crate) fn any_two_faults_at_any_two_calls_break_no_promise() {
    let cases = AtomicUsize::new(0);
    for_every_call(async |scenario: &Scenario, call: usize| {
        for fault in TWO_FAULTS {
            let first = (call, fault);
            // The first fault changes what is called after it.
            let calls = run(scenario, &[first]).await?;
            for second in call + 1..calls {
                for fault in TWO_FAULTS {
                    run(scenario, &[first, (second, fault)]).await?;
                    cases.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    });
    println!(
        "{} cases with two faults, no broken promise",
        cases.into_inner()
    );
}

/// Does a piece of work for every call that is made while nothing fails, in every scenario.
fn for_every_call(work: impl AsyncFn(&Scenario, usize) -> Result<(), String> + Sync) {
    let scenarios = scenarios();
    let calls: Vec<(&Scenario, usize)> = scenarios
        .iter()
        .flat_map(|scenario| {
            let calls = on_a_paused_clock(run(scenario, &[])).unwrap();
            (0..calls).map(move |call| (scenario, call))
        })
        .collect();
    let count = u64::try_from(calls.len()).unwrap();
    on_all_cores(count, async |number| {
        let (scenario, call) = calls[usize::try_from(number).unwrap()];
        work(scenario, call).await
    })
    .unwrap_or_else(|what| panic!("{what}"));
}

/// A situation in which calls are made.
struct Scenario {
    name: &'static str,
    retries: Retries,
    plan: Plan,
}

/// Lets a scenario happen with these faults, and says how many calls were made.
async fn run(scenario: &Scenario, faults: &[(usize, Fault)]) -> Result<usize, String> {
    let mut plan = scenario.plan.clone();
    plan.faults = match plan.faults {
        Faults::FirstAnd(call, fault, _) => Faults::FirstAnd(call, fault, faults.to_vec()),
        Faults::No | Faults::At(_) | Faults::Random { .. } | Faults::OnlyTables { .. } => {
            Faults::At(faults.to_vec())
        }
    };
    let happened = happen(&plan, None, false).await;
    if let Some(what) = broken(&plan, &happened) {
        let trace = happen(&plan, None, true).await.trace.join("\n");
        return Err(format!(
            "{}, retries {:?}, faults {faults:?}: {what}\n{trace}",
            scenario.name, scenario.retries
        ));
    }
    Ok(happened.numbered_calls)
}

fn scenarios() -> Vec<Scenario> {
    RETRIES.into_iter().flat_map(scenarios_with).collect()
}

fn scenarios_with(retries: Retries) -> [Scenario; 10] {
    let armada = |word: &'static str| hook(Provider::Armada, (word, ""), retries);
    let shipday = |word: Word| hook(Provider::Shipday, word, retries);
    let quiet = Plan::quiet;
    let scenario = |name, plan| Scenario {
        name,
        retries,
        plan,
    };
    [
        scenario(
            "one webhook of Armada",
            Plan {
                hooks: vec![armada("dispatched")],
                ..quiet()
            },
        ),
        scenario(
            "one webhook of Shipday",
            Plan {
                hooks: vec![shipday(("ORDER_PIKEDUP", "PICKED_UP"))],
                ..quiet()
            },
        ),
        scenario(
            "two statuses of one order in one batch",
            Plan {
                hooks: vec![
                    armada("dispatched"),
                    Hook {
                        id: "wh_2".to_owned(),
                        ..armada("completed")
                    },
                ],
                ..quiet()
            },
        ),
        scenario(
            "two statuses under one id",
            Plan {
                hooks: vec![armada("dispatched"), armada("completed")],
                ..quiet()
            },
        ),
        scenario(
            "a webhook while the table is down",
            Plan {
                hooks: vec![armada("dispatched")],
                faults: Faults::FirstAnd("put_if_absent", Fault::Before, Vec::new()),
                ..quiet()
            },
        ),
        scenario(
            "a webhook that the queue did not take",
            Plan {
                hooks: vec![armada("dispatched")],
                faults: Faults::FirstAnd("send", Fault::Before, Vec::new()),
                ..quiet()
            },
        ),
        scenario(
            "a webhook beside a message that can never succeed",
            Plan {
                hooks: vec![armada("dispatched")],
                poison: 1,
                ..quiet()
            },
        ),
        scenario(
            "a consumer that comes back after the record is parked",
            Plan {
                hooks: vec![armada("dispatched")],
                worn_out: true,
                outages: vec![Outage {
                    part: Part::Consumer,
                    from: Millis::new(0),
                    until: seconds(240),
                }],
                ..quiet()
            },
        ),
        scenario(
            "a status that today's mapping knows and the one before did not",
            Plan {
                hooks: vec![armada("waiting_pack")],
                remapped: Some(seconds(300)),
                ..quiet()
            },
        ),
        scenario(
            "a consumer that comes back after the record is overdue",
            Plan {
                hooks: vec![shipday(("ORDER_COMPLETED", "ALREADY_DELIVERED"))],
                outages: vec![Outage {
                    part: Part::Consumer,
                    from: Millis::new(0),
                    until: seconds(240),
                }],
                ..quiet()
            },
        ),
    ]
}

fn hook(provider: Provider, word: Word, retries: Retries) -> Hook {
    Hook {
        provider,
        merchant: Merchant::First,
        order: 1,
        word,
        id: "wh_1".to_owned(),
        happened: seconds(1),
        fee: 0,
        sent: Millis::new(0),
        retries,
    }
}
