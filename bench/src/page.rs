//! The results as a page to read: `docs/benchmarks/README.md`.

use std::fmt::Write as _;

use crate::results::{Measured, Results};

/// The function that the others are compared with.
const OURS: &str = "armada-webhook";
const OUR_CONSUMER: &str = "order-consumer";
const OUR_PUBLISHER: &str = "status-publisher";

/// Writes the page of a run; `file` is where its raw results are.
///
/// # Errors
/// Never: a text takes whatever is written into it.
pub(crate) fn page(results: &Results, file: &str) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    head(&mut page, results, file)?;
    aims(&mut page, results)?;
    functions(&mut page, results, OURS, "Webhook functions")?;
    functions(
        &mut page,
        results,
        crate::variants::DEPLOYED_NAME,
        "Variants",
    )?;
    functions(
        &mut page,
        results,
        OUR_CONSUMER,
        "Consumers, batches of ten different orders",
    )?;
    functions(
        &mut page,
        results,
        OUR_PUBLISHER,
        "Publisher, one change at a time",
    )?;
    calls(&mut page, results)?;
    quotas(&mut page, results)?;
    deliveries(&mut page, results)?;
    Ok(page)
}

fn head(page: &mut String, results: &Results, file: &str) -> std::fmt::Result {
    let machine = &results.machine;
    let round_trip = results.round_trip_ms.map_or_else(String::new, |ms| {
        format!("; with TLS and the way there and back a bare client sees {ms:.2} ms")
    });
    writeln!(page, "# Benchmarks\n")?;
    writeln!(
        page,
        "Written by `make {}`; [how it measures](../../bench/README.md). Commit {}, {}, {} with {} processors, {}, {}, load {} at \
         the start. Every call to a service waits {} ms{round_trip}. Medians of {} cold starts and of {} warm processes, which took turns. Raw results: [{file}]({file}).\n",
        if results.of(OURS).is_some() {
            "bench"
        } else {
            "variants"
        },
        machine.commit,
        machine.date,
        machine.processor,
        machine.processors,
        machine.kernel,
        machine.tools.join(", "),
        machine.load,
        results.call_latency_ms,
        results.effort.cold_starts,
        results.effort.rounds,
    )?;
    writeln!(
        page,
        "Absolute times are this machine's. Ratios within one table hold elsewhere too; × is always a multiple of this project's \
         function.\n"
    )
}

/// One aim: what it is about, what was reached, what the floor reaches where it can be asked, and what was wanted.
struct Aim {
    about: &'static str,
    is_measured: bool,
    reached: String,
    by_the_floor: Option<String>,
    wanted: &'static str,
    is_met: bool,
}

impl Aim {
    fn by_the_floor(mut self, reached: String) -> Self {
        self.by_the_floor = Some(reached);
        self
    }
}

fn aims(page: &mut String, results: &Results) -> std::fmt::Result {
    let (Some(ours), Some(floor), Some(consumer)) = (
        results.of(OURS),
        results.of("floor"),
        results.of(OUR_CONSUMER),
    ) else {
        return Ok(());
    };
    let ratio = |name: &str, base: &Measured, figure: fn(&Measured) -> f64| {
        results
            .of(name)
            .map_or(f64::NAN, |peer| figure(peer) / figure(base))
    };
    let first: fn(&Measured) -> f64 = |one| one.cold(|cold| cold.first_response);
    let warm: fn(&Measured) -> f64 = |one| one.warm(|warm| warm.cpu);
    let at_least = |about, reached: f64, least: f64, wanted| Aim {
        about,
        is_measured: !reached.is_nan(),
        reached: format!("{reached:.1}×"),
        by_the_floor: None,
        wanted,
        is_met: reached >= least,
    };
    let ahead_of = |about, peer: &str, figure: fn(&Measured) -> f64, least: f64, wanted| {
        at_least(about, ratio(peer, ours, figure), least, wanted)
            .by_the_floor(format!("{:.1}×", ratio(peer, floor, figure)))
    };
    let round_trip = results.round_trip_ms.unwrap_or(f64::NAN);
    let at_most = |about, reached: f64, most: f64, wanted, unit: &str| Aim {
        about,
        is_measured: !reached.is_nan(),
        reached: format!("{reached:.2}{unit}"),
        by_the_floor: None,
        wanted,
        is_met: reached <= most,
    };
    let functions = || {
        results.functions.iter().filter(|one| {
            [OURS, "shipday-webhook", OUR_CONSUMER, OUR_PUBLISHER].contains(&one.name.as_str())
        })
    };
    let memory = functions().map(Measured::peak_rss_mib).fold(0.0, f64::max);
    let zip = functions()
        .map(|one| mib(one.package.zip_bytes))
        .fold(0.0, f64::max);
    let depth = results
        .dependent_calls
        .get(OUR_CONSUMER)
        .copied()
        .unwrap_or(f64::NAN);
    let rows = [
        at_most(
            "calls of a consumer that wait for one another, ten different orders",
            depth,
            4.2,
            "≤ 4, ± 0.2 of the measurement",
            "",
        ),
        ahead_of(
            "spawn → first response, Powertools TypeScript",
            "typescript",
            first,
            15.0,
            "≥ 15×",
        ),
        ahead_of(
            "spawn → first response, Powertools Python",
            "python",
            first,
            25.0,
            "≥ 25×",
        ),
        ahead_of(
            "spawn → first response, plain Rust",
            "plain-rust",
            first,
            2.5,
            "≥ 2.5×",
        ),
        at_most(
            "spawn → first response, of the floor",
            first(ours) / first(floor),
            1.6,
            "≤ 1.6×",
            "×",
        ),
        ahead_of(
            "processor time of a warm webhook, Powertools TypeScript",
            "typescript",
            warm,
            9.0,
            "≥ 9×",
        ),
        ahead_of(
            "processor time of a warm webhook, Powertools TypeScript with its idempotency",
            "typescript-idempotency",
            warm,
            9.0,
            "≥ 9×",
        ),
        at_most(
            "processor time of a warm webhook, of plain Rust",
            1.0 / ratio("plain-rust", ours, warm),
            0.6,
            "≤ 0.6×",
            "×",
        ),
        at_most(
            "processor time of a warm webhook, of the floor",
            warm(ours) / warm(floor),
            2.5,
            "≤ 2.5×",
            "×",
        ),
        at_most(
            "warm webhook beyond its two calls, p50",
            ours.beyond(2.0, round_trip),
            0.8,
            "≤ 0.8 ms",
            " ms",
        )
        .by_the_floor(format!("{:.2} ms", floor.beyond(2.0, round_trip))),
        at_most(
            "peak memory, largest function",
            memory,
            10.0,
            "≤ 10 MiB",
            " MiB",
        ),
        at_most("zip, largest function", zip, 3.0, "≤ 3.0 MiB", " MiB"),
        at_least(
            "processor time of a batch, Powertools TypeScript, the same calls",
            ratio("typescript-consumer", consumer, warm),
            5.0,
            "≥ 5×",
        ),
        at_least(
            "processor time of a batch, Powertools TypeScript, one update a message",
            ratio("typescript-consumer-single", consumer, warm),
            5.0,
            "≥ 5×",
        ),
    ];
    writeln!(
        page,
        "## Aims\n\nThe floor is the least that can do the same. [What stands in the way](../../bench/README.md#what-stands-in-the-way) of the \
         aims that are missed.\n\n\
         | | Reached | The floor | Aim | |\n| --- | ---: | ---: | ---: | --- |"
    )?;
    for Aim {
        about,
        is_measured: _,
        reached,
        by_the_floor,
        wanted,
        is_met,
    } in rows.into_iter().filter(|aim| aim.is_measured)
    {
        let verdict = if is_met { "met" } else { "**missed**" };
        let by_the_floor = by_the_floor.as_deref().unwrap_or("–");
        writeln!(
            page,
            "| {about} | {reached} | {by_the_floor} | {wanted} | {verdict} |"
        )?;
    }
    writeln!(page)
}

/// Times in milliseconds, with the ratio to the base in brackets.
fn functions(page: &mut String, results: &Results, base: &str, title: &str) -> std::fmt::Result {
    let Some(base) = results.of(base) else {
        return Ok(());
    };
    writeln!(
        page,
        "## {title}\n\nTimes in ms; size and memory in MiB; instructions in thousands, user space only.\n\n\
         | | First poll | First response | Cold CPU | Warm p50 | p99 | CPU per invocation | Peak memory | Files; zip | Instructions, cold | Warm |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )?;
    let same_kind = |one: &&Measured| one.role.kind() == base.role.kind();
    for one in results.functions.iter().filter(same_kind) {
        let figure = |figure: fn(&Measured) -> f64, digits: usize| {
            let value = figure(one);
            format!("{value:.digits$} ({:.2}×)", value / figure(base))
        };
        let counted = one.instructions.map_or_else(
            || "| – | – |".to_owned(),
            |count| {
                let cold = count.init + count.first_invocation;
                format!("| {} | {} |", cold / 1_000, count.warm_invocation / 1_000)
            },
        );
        writeln!(
            page,
            "| {} | {:.1} | {} | {} | {:.2} | {:.1} | {} | {} | {:.1}; {:.2} {counted}",
            one.name,
            one.cold(|cold| cold.first_poll),
            figure(|one| one.cold(|cold| cold.first_response), 1),
            figure(|one| one.cold(|cold| cold.cpu), 1),
            one.warm(|warm| warm.p50),
            one.warm(|warm| warm.p99),
            figure(|one| one.warm(|warm| warm.cpu), 3),
            figure(Measured::peak_rss_mib, 1),
            mib(one.package.bytes),
            mib(one.package.zip_bytes),
        )?;
    }
    writeln!(page)
}

fn calls(page: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(
        page,
        "## Calls of one warm invocation\n\n| | Calls | Bytes sent | Bytes answered | Connections at a cold start |\n\
         | --- | --- | ---: | ---: | ---: |"
    )?;
    for one in &results.functions {
        let (Some(cold), Some(warm)) = (one.cold.first(), one.warm.first()) else {
            continue;
        };
        let tally = &warm.calls;
        let invocations = tally
            .calls()
            .checked_div(one.role.calls().len() as u64)
            .unwrap_or(1)
            .max(1);
        let calls: Vec<String> = tally
            .operations
            .iter()
            .map(|(operation, usage)| match usage.calls / invocations {
                1 => operation.clone(),
                times => format!("{times} {operation}"),
            })
            .collect();
        let sum = |bytes: fn(&crate::services::Usage) -> u64| {
            tally.operations.values().map(bytes).sum::<u64>() / invocations
        };
        writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            one.name,
            calls.join(", "),
            sum(|usage| usage.request_bytes),
            sum(|usage| usage.response_bytes),
            cold.calls.connections,
        )?;
    }
    writeln!(page)
}

fn quotas(page: &mut String, results: &Results) -> std::fmt::Result {
    if results.quotas.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "## With Lambda's share of a processor\n\nA control group's quota in periods of 20 ms, imposed at the first poll: Lambda's init \
         phase has a whole processor. 1,769 MB have one. Times in ms, webhooks 50 ms apart.\n\n\
         | MB | | First response | First invocation | Warm p50 | p99 |\n| ---: | --- | ---: | ---: | ---: | ---: |"
    )?;
    for AtMemoryRow { memory_mb, one } in rows(results) {
        writeln!(
            page,
            "| {memory_mb} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            one.name,
            one.cold(|cold| cold.first_response),
            one.cold(|cold| cold.first_invocation),
            one.warm(|warm| warm.p50),
            one.warm(|warm| warm.p99),
        )?;
    }
    writeln!(page)
}

struct AtMemoryRow<'a> {
    memory_mb: u32,
    one: &'a Measured,
}

fn rows(results: &Results) -> impl Iterator<Item = AtMemoryRow<'_>> {
    results.quotas.iter().map(|at| AtMemoryRow {
        memory_mb: at.memory_mb,
        one: &at.measured,
    })
}

fn deliveries(page: &mut String, results: &Results) -> std::fmt::Result {
    if results.deliveries.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "## From a webhook to its order\n\nThe functions as deployed, in environments started on demand, cold starts included; messages \
         are given to the consumer as they come, up to ten at once. The rate grows for ten seconds and stays for twenty. All on this \
         machine's processors, the services' TLS as well: where they are busy, the times are theirs and not Lambda's. Times in ms. The queue itself adds what SQS takes to hand a message out, which is not in it. Latencies of the local stack are no \
         figure of the product: the emulator dominates them.\n\n\
         | Webhooks a second | Webhooks | Arrived → accepted p50 | p90 | p99 | Accepted → applied p50 | p90 | p99 | Environments: webhook; consumer | Messages a batch | Processors busy |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )?;
    for one in &results.deliveries {
        let (accepted, applied) = (&one.arrived_to_accepted, &one.accepted_to_applied);
        writeln!(
            page,
            "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {}; {} | {:.1} | {:.0} % |",
            one.webhooks_per_second,
            one.webhooks,
            accepted.p50,
            accepted.p90,
            accepted.p99,
            applied.p50,
            applied.p90,
            applied.p99,
            one.webhook_environments,
            one.consumer_environments,
            one.webhooks as f64 / one.batches.max(1) as f64,
            100.0 * one.processors_busy,
        )?;
    }
    writeln!(page)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
