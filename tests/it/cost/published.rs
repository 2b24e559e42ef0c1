//! The numbers in `docs/cost.md`, computed from what was measured.

use std::fmt::Write as _;
use std::fs;

use domain::PENDING_SHARDS;
use expect_test::expect_file;

use super::growth::by_timeline;
use super::meter::{Call, Calls};
use super::priced::{Priced, Sample};
use super::prices::{
    ANSWER_BYTES, API_REQUESTS, CONSUMER_MEMORY_MB, CONSUMER_MS, DATA_OUT, DUPLICATES, EVENTS,
    EVENTS_PER_ORDER, GB, HOLD_MS, IDLE_HOLD_RECEIVES, IDLE_RECEIVES, INPUTS, ITEM_OVERHEAD_BYTES,
    Input, LAMBDA_GB_SECONDS, LAMBDA_REQUESTS, LOG_BYTES, LOGS, LONE_CONSUMER_MS, MEMORY_MB,
    MILLION, PRICES, PRICES_OF, PUBLISHER_MS, QUEUE_REQUESTS, READ_UNITS, RECOVERY, REGISTRY_READS,
    RELAY_MS, RELAY_RUNS, SCHEDULES, STORAGE, TRACED, TRACES, WEBHOOK_MS, WRITE_UNITS,
};
use crate::template::translated;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cost.md");
/// Batches when there is little to do, and when there is much.
const ONE: f64 = 1.0;
const TEN: f64 = 10.0;
const SECONDS_A_MONTH: f64 = 2_592_000.0;
/// The steps of the plan, in webhooks a second.
const RATES: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];
/// What a million webhooks should cost at most, in dollars, without logs.
const AIM: f64 = 6.0;

/// What one sample costs.
struct Measured {
    sample: Sample,
    /// From request to closed, as the fifth event of its order.
    new: Calls,
    /// Once more.
    again: Calls,
}

impl Measured {
    async fn of(sample: Sample) -> Self {
        let priced = Priced::start().await;
        priced.take_in([sample.event(99, 1)]).await;
        priced.take_in((1..=4).map(|n| sample.event(1, n))).await;
        let new = priced.whole_way(&sample.event(1, 5)).await;
        priced.post(&sample.event(1, 5)).await;
        let again = priced.meter.read();
        Self { sample, new, again }
    }

    fn record_bytes(&self) -> usize {
        self.new.item_bytes("PutItem", "WebhooksTable")
    }

    fn entry_bytes(&self) -> usize {
        self.new.item_bytes("PutItem", "OrdersTable")
    }

    fn state_bytes(&self) -> usize {
        self.new.item_bytes("UpdateItem", "OrdersTable")
    }

    fn table_units(&self, table: &str) -> f64 {
        self.new.sum(table, |call| call.write_units)
    }

    fn index_units(&self) -> f64 {
        self.new.sum("WebhooksTable", |call| call.index_units)
    }

    /// What is kept of a million of them and not deleted again: bytes of timeline entries and states.
    fn orders_bytes(&self) -> f64 {
        let stored = |bytes: usize| bytes as f64 + ITEM_OVERHEAD_BYTES.value;
        MILLION * (stored(self.entry_bytes()) + stored(self.state_bytes()) / EVENTS_PER_ORDER.value)
    }

    /// What a million of them cost, with so many messages in a batch and so many duplicates.
    fn bill(&self, batch: f64, duplicates: f64) -> Bill {
        let requests = MILLION * (1.0 + duplicates);
        let batches = MILLION / batch;
        let write = |units: f64| MILLION * units * WRITE_UNITS.dollars;
        let gb_seconds =
            requests * gb_seconds(&MEMORY_MB, &WEBHOOK_MS) + batches * batch_gb_seconds(batch);
        let reads = self.new.read_units() + REGISTRY_READS.value * 0.5;
        let sends = requests_of(&self.new, |call| call.operation == "SendMessage");
        let deliveries = requests_of(&self.new, |call| {
            ["ReceiveMessage", "DeleteMessageBatch"].contains(&call.operation.as_str())
        });
        let running = vec![
            ("API Gateway", requests * API_REQUESTS.dollars),
            (
                "Lambda: requests",
                (requests + batches) * LAMBDA_REQUESTS.dollars,
            ),
            ("Lambda: time", gb_seconds * LAMBDA_GB_SECONDS.dollars),
            (
                "DynamoDB: writes to `webhooks`",
                write(self.table_units("WebhooksTable")),
            ),
            (
                "DynamoDB: writes to its index `pending`",
                write(self.index_units()),
            ),
            (
                "DynamoDB: writes to `orders`",
                write(self.table_units("OrdersTable")),
            ),
            (
                "DynamoDB: writes that a condition refused",
                write(duplicates * self.again.write_units()),
            ),
            ("DynamoDB: reads", MILLION * reads * READ_UNITS.dollars),
            (
                "SQS: send, receive, delete",
                (MILLION * sends + batches * deliveries) * QUEUE_REQUESTS.dollars,
            ),
            (
                "Answers, as data out",
                requests * ANSWER_BYTES.value * DATA_OUT.dollars,
            ),
        ];
        let record_bytes = MILLION * (self.record_bytes() as f64 + ITEM_OVERHEAD_BYTES.value);
        let kept = (record_bytes + self.orders_bytes()) * (STORAGE.dollars + RECOVERY.dollars);
        Bill { running, kept }
    }
}

/// What a million webhooks cost, without logs.
struct Bill {
    running: Vec<(&'static str, f64)>,
    /// Storage and recovery for the first 30 days.
    kept: f64,
}

impl Bill {
    fn running(&self) -> f64 {
        self.running.iter().map(|(_, dollars)| dollars).sum()
    }

    fn all(&self) -> f64 {
        self.running() + self.kept
    }
}

fn gb_seconds(memory_mb: &Input, billed_ms: &Input) -> f64 {
    memory_mb.value / 1_024.0 * billed_ms.value / 1_000.0
}

fn batch_gb_seconds(batch: f64) -> f64 {
    let billed_ms = if batch < TEN {
        &LONE_CONSUMER_MS
    } else {
        &CONSUMER_MS
    };
    gb_seconds(&CONSUMER_MEMORY_MB, billed_ms)
}

fn requests_of(calls: &Calls, which: impl Fn(&Call) -> bool) -> f64 {
    calls.sum("", |call| {
        if which(call) {
            call.queue_requests as f64
        } else {
            0.0
        }
    })
}

/// A number with commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table with a first column of words and others of numbers.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!(
        "| {} |\n| --- |{}\n",
        head.join(" | "),
        " ---: |".repeat(head.len() - 1)
    );
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

fn prices() -> String {
    let prices = PRICES.map(|price| vec![price.what.to_owned(), price.listed.to_owned()]);
    table(&[&format!("Price, {PRICES_OF}"), "us-east-1"], prices)
}

fn inputs() -> String {
    let mut text = "| Input | Value | From |\n| --- | ---: | --- |\n".to_owned();
    for Input {
        what,
        value,
        unit,
        from,
    } in INPUTS
    {
        let value = if value >= 1_000.0 {
            grouped(value)
        } else {
            value.to_string()
        };
        let _ = writeln!(
            text,
            "| {what} | {} | {from} |",
            format!("{value} {unit}").trim_end()
        );
    }
    text
}

/// A line with a value of every sample.
fn row(what: &str, measured: &[Measured], value: impl Fn(&Measured) -> String) -> Vec<String> {
    let mut row = vec![what.to_owned()];
    row.extend(measured.iter().map(value));
    row
}

fn head(measured: &[Measured], first: &'static str) -> Vec<&'static str> {
    let mut head = vec![first];
    head.extend(measured.iter().map(|one| one.sample.name()));
    head
}

fn units(measured: &[Measured]) -> String {
    let value = |what: &str, value: &dyn Fn(&Measured) -> f64| {
        row(what, measured, |one| value(one).to_string())
    };
    let rows = [
        value("record in `webhooks`, bytes", &|one| {
            one.record_bytes() as f64
        }),
        value("entry in `orders`, bytes", &|one| one.entry_bytes() as f64),
        value("state in `orders`, bytes", &|one| one.state_bytes() as f64),
        value("message, bytes", &|one| {
            one.new.item_bytes("SendMessage", "EventsQueue") as f64
        }),
        value("write units, `webhooks` (put, close)", &|one| {
            one.table_units("WebhooksTable")
        }),
        value(
            "write units, index `pending` (in, out)",
            &Measured::index_units,
        ),
        value("write units, `orders` (entry, state)", &|one| {
            one.table_units("OrdersTable")
        }),
        value("**write units, all**", &|one| one.new.write_units()),
        value("read units, `orders` (fifth event)", &|one| {
            one.new.read_units()
        }),
        value("write units of a duplicate", &|one| one.again.write_units()),
    ];
    table(&head(measured, "One webhook"), rows)
}

fn per_million(measured: &[Measured]) -> String {
    let bills: Vec<Bill> = measured.iter().map(|one| one.bill(TEN, 0.0)).collect();
    let of_all = |what: &str, value: &dyn Fn(&Bill) -> f64| {
        let mut row = vec![what.to_owned()];
        row.extend(bills.iter().map(|bill| format!("{:.2}", value(bill))));
        row
    };
    let mut rows = Vec::new();
    for (index, (what, _)) in bills[0].running.iter().enumerate() {
        // Without duplicates nothing is refused.
        if bills[0].running[index].1 > 0.0 {
            rows.push(of_all(what, &|bill| bill.running[index].1));
        }
    }
    rows.push(of_all("**running, all**", &Bill::running));
    rows.push(of_all("storage and recovery, 30 days", &|bill| bill.kept));
    rows.push(of_all("**all, without logs**", &Bill::all));
    rows.push(of_all("logs, beside it", &|_| {
        MILLION * LOG_BYTES.value * LOGS.dollars
    }));
    table(&head(measured, "$ per million"), rows)
}

fn variants(measured: &[Measured]) -> String {
    let mut rows = Vec::new();
    for (duplicates, said) in [
        (0.0, "no duplicates"),
        (DUPLICATES.value, "20 % more as duplicates"),
    ] {
        for (batch, batches) in [(TEN, "batches of ten"), (ONE, "batches of one")] {
            rows.push(row(&format!("{said}, {batches}"), measured, |one| {
                let bill = one.bill(batch, duplicates);
                format!("{:.2} + {:.2}", bill.running(), bill.kept)
            }));
        }
    }
    rows.push(row(
        "each further month that `orders` keeps them",
        measured,
        |one| {
            let dollars = one.orders_bytes() * (STORAGE.dollars + RECOVERY.dollars);
            format!("{dollars:.2}")
        },
    ));
    table(
        &head(measured, "$ per million: running + 30 days kept"),
        rows,
    )
}

/// The table, and its sum.
async fn fixed() -> (String, f64) {
    let priced = Priced::start().await;
    priced.relay().await;
    let idle = priced.meter.read();
    let runs = RELAY_RUNS.value;
    let lines = [
        (
            format!(
                "idle polling of the queue, {} requests",
                grouped(IDLE_RECEIVES.value)
            ),
            IDLE_RECEIVES.value * QUEUE_REQUESTS.dollars,
        ),
        (
            format!(
                "idle polling of the publisher's queue, {} requests",
                grouped(IDLE_HOLD_RECEIVES.value)
            ),
            IDLE_HOLD_RECEIVES.value * QUEUE_REQUESTS.dollars,
        ),
        (
            format!("relay: {} read units a run", idle.read_units()),
            runs * idle.read_units() * READ_UNITS.dollars,
        ),
        (
            format!("relay: {} request to SQS a run", idle.queue_requests()),
            runs * idle.queue_requests() * QUEUE_REQUESTS.dollars,
        ),
        (
            "relay: Lambda".to_owned(),
            runs * (LAMBDA_REQUESTS.dollars
                + gb_seconds(&MEMORY_MB, &RELAY_MS) * LAMBDA_GB_SECONDS.dollars),
        ),
        ("relay: Scheduler".to_owned(), runs * SCHEDULES.dollars),
    ];
    let sum: f64 = lines.iter().map(|(_, dollars)| dollars).sum();
    let rows = lines.into_iter().chain([("**all**".to_owned(), sum)]);
    let rows = rows.map(|(what, dollars)| vec![what, format!("{dollars:.2}")]);
    (table(&["For each environment", "$ a month"], rows), sum)
}

/// A default of the template.
fn parameter(name: &str) -> f64 {
    let default = &translated()["Parameters"][name]["Default"];
    let number = default.as_f64();
    number.or_else(|| default.as_str()?.parse().ok()).unwrap()
}

/// Webhooks a second at which something is full, per sample.
struct Bound {
    what: String,
    armada: f64,
    shipday: f64,
    then: &'static str,
}

/// DynamoDB's default for a key or partition, a new table, a table.
const PARTITION_WRITES: f64 = 1_000.0;
const PARTITION_READS: f64 = 3_000.0;
const NEW_TABLE_WRITES: f64 = 4_000.0;
const TABLE_WRITES: f64 = 40_000.0;
/// API Gateway's requests a second, and Lambda's environments, of an account in a region.
const ACCOUNT_REQUESTS: f64 = 10_000.0;
const ACCOUNT_ENVIRONMENTS: f64 = 1_000.0;
/// Requests a second that Lambda lets an environment take.
const REQUESTS_PER_ENVIRONMENT: f64 = 10.0;

fn consumed_a_second(concurrency: f64, batch: f64, billed_ms: &Input) -> f64 {
    concurrency * batch * 1_000.0 / billed_ms.value
}

fn bounds(armada: &Measured, shipday: &Measured) -> Vec<Bound> {
    let same = |what: String, bound: f64, then| Bound {
        what,
        armada: bound,
        shipday: bound,
        then,
    };
    let by_units = |what: &str, writes: f64, units: &dyn Fn(&Measured) -> f64, then| Bound {
        what: what.to_owned(),
        armada: writes / units(armada),
        shipday: writes / units(shipday),
        then,
    };
    let webhooks = |one: &Measured| one.table_units("WebhooksTable");
    let concurrency = parameter("ConsumerConcurrency");
    let rate = parameter("ThrottleRate");
    let busy_seconds = (WEBHOOK_MS.value + CONSUMER_MS.value / TEN) / 1_000.0;
    let mut bounds = vec![
        same(
            format!("`ThrottleRate` {rate}, for each route"),
            rate,
            "429, the provider comes again: raise it",
        ),
        same(
            format!("`ConsumerConcurrency` {concurrency}, batches of one"),
            consumed_a_second(concurrency, ONE, &LONE_CONSUMER_MS),
            "messages wait, and batches fill",
        ),
        same(
            format!("`ConsumerConcurrency` {concurrency}, batches of ten"),
            consumed_a_second(concurrency, TEN, &CONSUMER_MS),
            "messages wait: raise it",
        ),
        by_units(
            "table `webhooks` when new: 4,000 write units a second",
            NEW_TABLE_WRITES,
            &webhooks,
            "puts are throttled, the record goes through the queue: pre-warm it",
        ),
        by_units(
            "index `pending` when new: 4,000",
            NEW_TABLE_WRITES,
            &Measured::index_units,
            "throttles the table: pre-warm it too",
        ),
        same(
            "API Gateway: 10,000 requests a second for an account".to_owned(),
            ACCOUNT_REQUESTS,
            "429: quota",
        ),
        same(
            "Lambda: 1,000 environments, 10 requests a second each".to_owned(),
            ACCOUNT_ENVIRONMENTS * REQUESTS_PER_ENVIRONMENT,
            "429 to the gateway: quota, although few are busy",
        ),
        by_units(
            "table `webhooks`: quota of 40,000",
            TABLE_WRITES,
            &webhooks,
            "quota",
        ),
        by_units(
            "index `pending`: quota of 40,000",
            TABLE_WRITES,
            &Measured::index_units,
            "quota",
        ),
        by_units(
            "index `pending`: 32 keys, 1,000 write units a second each",
            f64::from(PENDING_SHARDS) * PARTITION_WRITES,
            &Measured::index_units,
            "more shards, a change of code",
        ),
        same(
            "Lambda: 1,000 environments, all busy".to_owned(),
            ACCOUNT_ENVIRONMENTS / busy_seconds,
            "quota",
        ),
        same(
            "one event source mapping: `ConsumerConcurrency` 1,000".to_owned(),
            consumed_a_second(1_000.0, TEN, &CONSUMER_MS),
            "a second queue",
        ),
    ];
    bounds.sort_by(|one, other| one.shipday.total_cmp(&other.shipday));
    bounds
}

fn bounds_table(bounds: &[Bound]) -> String {
    let mut text = "| Full at so many webhooks a second | Armada | Shipday | Then |\n| --- | ---: | ---: | --- |\n".to_owned();
    for Bound {
        what,
        armada,
        shipday,
        then,
    } in bounds
    {
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {then} |",
            grouped(*armada),
            grouped(*shipday)
        );
    }
    text
}

/// Of so many calls a second, how many X-Ray records.
fn traced(calls: f64) -> f64 {
    calls.min(1.0) + (calls - 1.0).max(0.0) * TRACED.value
}

/// What a month at a rate costs to run, and what X-Ray would cost beside it, which at a low rate records every call.
fn month(one: &Measured, rate: f64) -> (f64, f64) {
    let batch = batch_at(rate);
    let million_a_month = rate * SECONDS_A_MONTH / MILLION;
    let bill = one.bill(batch, 0.0);
    let traces = (traced(rate) + traced(rate / batch)) * SECONDS_A_MONTH;
    let traces = traces * TRACES.dollars;
    (million_a_month * bill.running(), traces)
}

/// How full batches are at a rate: five pollers take lone messages until there are more than they can carry.
fn batch_at(rate: f64) -> f64 {
    if rate <= 100.0 { ONE } else { TEN }
}

fn consumers_at(rate: f64) -> f64 {
    let billed_ms = if rate <= 100.0 {
        LONE_CONSUMER_MS.value
    } else {
        CONSUMER_MS.value
    };
    (rate / batch_at(rate) * billed_ms / 1_000.0).ceil()
}

fn plan(armada: &Measured, shipday: &Measured) -> String {
    let pair = |of: &dyn Fn(&Measured) -> String| {
        let (one, other) = (of(armada), of(shipday));
        if one == other {
            one
        } else {
            format!("{one} / {other}")
        }
    };
    let line = |what: &str, value: &dyn Fn(f64) -> String| {
        let mut row = vec![what.to_owned()];
        row.extend(RATES.iter().map(|rate| value(*rate)));
        row
    };
    let units = |of: &dyn Fn(&Measured) -> f64, rate: f64| pair(&|one| grouped(rate * of(one)));
    let prewarm = |writes: f64| {
        if writes > NEW_TABLE_WRITES {
            grouped(writes * 1.25)
        } else {
            "–".to_owned()
        }
    };
    let throttle = |rate: f64| (2.0 * rate).max(parameter("ThrottleRate"));
    let webhooks = |one: &Measured| one.table_units("WebhooksTable");
    let orders = |one: &Measured| one.table_units("OrdersTable");
    let full = bounds(armada, shipday);
    let rows = [
        line("webhook functions busy", &|rate| {
            grouped((rate * WEBHOOK_MS.value / 1_000.0).ceil())
        }),
        line("messages in a batch (assumed); consumers busy", &|rate| {
            format!("{}; {}", batch_at(rate), grouped(consumers_at(rate)))
        }),
        line("`webhooks`, write units a second", &|rate| {
            units(&webhooks, rate)
        }),
        line("`orders`, write units a second", &|rate| {
            units(&orders, rate)
        }),
        line("`pending`, write units a second", &|rate| {
            units(&Measured::index_units, rate)
        }),
        line("the same for each of 32 shards", &|rate| {
            format!(
                "{:.1}",
                rate * armada.index_units() / f64::from(PENDING_SHARDS)
            )
        }),
        line("requests to SQS a second", &|rate| {
            grouped((rate * (1.0 + 2.0 / batch_at(rate))).ceil())
        }),
        line("GB in `webhooks` after 30 days", &|rate| {
            let stored = |one: &Measured| one.record_bytes() as f64 + ITEM_OVERHEAD_BYTES.value;
            pair(&|one| grouped(rate * SECONDS_A_MONTH * stored(one) / GB))
        }),
        line("$ a month to run", &|rate| {
            pair(&|one| grouped(month(one, rate).0))
        }),
        line("X-Ray beside it, with `Tracing: Active`, $", &|rate| {
            grouped(month(armada, rate).1)
        }),
        line("rows of the next table that are full", &|rate| {
            let full = full.iter().filter(|bound| bound.shipday <= rate);
            full.count().to_string()
        }),
        line("set `ThrottleRate`", &|rate| grouped(throttle(rate))),
        line("set `ThrottleBurst`", &|rate| grouped(2.0 * throttle(rate))),
        line("set `ConsumerConcurrency`", &|rate| {
            grouped((2.0 * consumers_at(rate)).max(parameter("ConsumerConcurrency")))
        }),
        line("pre-warm `webhooks` to, write units a second", &|rate| {
            pair(&|one| prewarm(rate * webhooks(one)))
        }),
        line("pre-warm `pending` and `orders` to", &|rate| {
            pair(&|one| prewarm(rate * orders(one)))
        }),
    ];
    let head = [
        "Webhooks a second (Armada / Shipday, where they differ)",
        "1",
        "10",
        "100",
        "1,000",
        "10,000",
    ];
    table(&head, rows)
}

fn hot_keys(armada: &Measured) -> String {
    let events = PARTITION_WRITES / armada.table_units("OrdersTable");
    let rows = [
        (
            "an order's partition: 2 write units an event",
            events,
            "events a second of one order",
        ),
        (
            "the same, 1 read unit an event for the query (to 4 KB)",
            PARTITION_READS / armada.new.read_units(),
            "events a second of one order",
        ),
        (
            "a shard of `pending`: 2 write units a webhook",
            PARTITION_WRITES / armada.index_units(),
            "webhooks a second whose bodies begin with the same digits",
        ),
        (
            "an installation: half a read unit per environment and minute",
            PARTITION_READS / 0.5 * 60.0,
            "environments that ask for one installation",
        ),
    ];
    let mut text = "| Hot key | Full at | |\n| --- | ---: | --- |\n".to_owned();
    for (what, bound, of) in rows {
        let _ = writeln!(text, "| {what} | {} | {of} |", grouped(bound));
    }
    text
}

fn summary(measured: &[Measured], fixed: f64) -> String {
    let mut text = String::new();
    for one in measured {
        let bill = one.bill(TEN, 0.0);
        let writes = one.new.write_units() * MILLION * WRITE_UNITS.dollars;
        let (running, all) = (bill.running(), bill.all());
        let _ = writeln!(
            text,
            "- **A million webhooks of {}: ${running:.2} to run**, ${:.2} more to keep for 30 days, ${all:.2} together. {:.0} % of the \
             running cost are write units, {} for each webhook. Against the aim of ${AIM:.2}: {:+.2} to run, {:+.2} with what is kept.",
            one.sample.name(),
            bill.kept,
            100.0 * writes / running,
            one.new.write_units(),
            running - AIM,
            all - AIM,
        );
    }
    let _ = writeln!(
        text,
        "- **An environment that has nothing to do: ${fixed:.2} a month.**"
    );
    text
}

/// What a million changes cost to publish: at once, and held back first.
async fn publishing() -> String {
    let priced = Priced::start().await;
    let held = priced.hold_and_publish().await;
    let units = |of: f64, price: f64| MILLION * of * price;
    let time = |billed: f64| {
        MILLION * MEMORY_MB.value / 1_024.0 * billed / 1_000.0 * LAMBDA_GB_SECONDS.dollars
    };
    let rows = [
        ("EventBridge: the event", MILLION * EVENTS.dollars, 0.0),
        (
            "Lambda: requests, one for each change",
            MILLION * LAMBDA_REQUESTS.dollars,
            // When it is due, and twice because the progress is a write to the state as well.
            3.0 * MILLION * LAMBDA_REQUESTS.dollars,
        ),
        (
            "Lambda: time",
            time(PUBLISHER_MS.value),
            time(HOLD_MS.value),
        ),
        (
            "DynamoDB: the progress, write units",
            0.0,
            units(held.write_units(), WRITE_UNITS.dollars),
        ),
        (
            "DynamoDB: what stands, read units",
            0.0,
            units(held.read_units(), READ_UNITS.dollars),
        ),
        (
            "SQS: send, receive, delete",
            0.0,
            3.0 * MILLION * QUEUE_REQUESTS.dollars,
        ),
    ];
    let sum = rows.iter().fold((0.0, 0.0), |(at_once, held), row| {
        (at_once + row.1, held + row.2)
    });
    let rows = rows.into_iter().chain([("**all**", sum.0, sum.1)]);
    let rows = rows.map(|(what, at_once, more)| {
        vec![
            what.to_owned(),
            format!("{at_once:.2}"),
            format!("{:.2}", at_once + more),
        ]
    });
    table(&["$ per million changes", "At once", "Held back"], rows)
}

/// Every part of the document that is computed, by name.
async fn computed() -> Vec<(&'static str, String)> {
    let mut measured = Vec::new();
    for sample in Sample::ALL {
        measured.push(Measured::of(sample).await);
    }
    let [armada, _, shipday] = measured.as_slice() else {
        panic!("three samples");
    };
    let (fixed, fixed_dollars) = fixed().await;
    vec![
        ("summary", summary(&measured, fixed_dollars)),
        ("million", per_million(&measured)),
        ("variants", variants(&measured)),
        ("units", units(&measured)),
        ("growth", by_timeline().await),
        ("publishing", publishing().await),
        ("fixed", fixed),
        ("plan", plan(armada, shipday)),
        ("bounds", bounds_table(&bounds(armada, shipday))),
        ("hot", hot_keys(armada)),
        ("inputs", inputs()),
        ("prices", prices()),
    ]
}

/// The document with its computed parts written anew.
fn rewritten(document: &str, computed: &[(&str, String)]) -> String {
    let mut text = document.to_owned();
    for (name, part) in computed {
        let (begin, end) = (format!("<!-- computed: {name} -->\n"), "<!-- end -->");
        let (before, rest) = text
            .split_once(&begin)
            .unwrap_or_else(|| panic!("docs/cost.md has no part `{name}`"));
        let (_, after) = rest.split_once(end).expect("a part has an end");
        text = format!("{before}{begin}{part}{end}{after}");
    }
    text
}

#[tokio::test]
async fn the_published_cost_is_computed_from_measured_units() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let computed = Box::pin(computed()).await;
    assert_eq!(document.matches("<!-- computed: ").count(), computed.len());
    expect_file![DOCUMENT].assert_eq(&rewritten(&document, &computed));
}

#[tokio::test]
async fn thirty_two_shards_take_sixteen_thousand_webhooks_a_second() {
    for sample in Sample::ALL {
        let measured = Measured::of(sample).await;
        let most = f64::from(PENDING_SHARDS) * PARTITION_WRITES / measured.index_units();
        assert_eq!(most, 16_000.0);
    }
}
