//! What AWS asks for, and what no test here can measure. Whoever knows better changes it here, and runs `make cost`.

use std::fs;

use serde_json::Value;

/// A price, as AWS lists it for us-east-1.
pub(super) struct Price {
    pub(super) what: &'static str,
    /// For one.
    pub(super) dollars: f64,
    /// How AWS says it.
    pub(super) listed: &'static str,
}

pub(super) const MILLION: f64 = 1_000_000.0;
pub(super) const GB: f64 = 1_000_000_000.0;

const fn price(what: &'static str, dollars: f64, listed: &'static str) -> Price {
    Price {
        what,
        dollars,
        listed,
    }
}

pub(super) const API_REQUESTS: Price = price(
    "API Gateway, HTTP API, a request up to 512 KB",
    1.00 / MILLION,
    "$1.00 a million",
);
pub(super) const LAMBDA_REQUESTS: Price =
    price("Lambda, a request", 0.20 / MILLION, "$0.20 a million");
pub(super) const LAMBDA_GB_SECONDS: Price = price(
    "Lambda, arm64, a GB-second",
    0.000_013_333_4,
    "$0.0000133334",
);
pub(super) const WRITE_UNITS: Price = price(
    "DynamoDB on demand, a write unit",
    0.625 / MILLION,
    "$0.625 a million",
);
pub(super) const READ_UNITS: Price = price(
    "DynamoDB on demand, a read unit",
    0.125 / MILLION,
    "$0.125 a million",
);
pub(super) const STORAGE: Price = price("DynamoDB, a GB stored for a month", 0.25 / GB, "$0.25");
pub(super) const RECOVERY: Price = price(
    "DynamoDB, point-in-time recovery of a GB for a month",
    0.20 / GB,
    "$0.20",
);
pub(super) const QUEUE_REQUESTS: Price = price(
    "SQS, standard queue, a request of up to 64 KB",
    0.40 / MILLION,
    "$0.40 a million",
);
pub(super) const EVENTS: Price = price(
    "EventBridge, a published event up to 64 KB",
    1.00 / MILLION,
    "$1.00 a million",
);
pub(super) const SCHEDULES: Price = price(
    "EventBridge Scheduler, a start",
    1.00 / MILLION,
    "$1.00 a million",
);
pub(super) const TRACES: Price =
    price("X-Ray, a recorded trace", 5.00 / MILLION, "$5.00 a million");
pub(super) const DATA_OUT: Price = price("Data out to the internet, a GB", 0.09 / GB, "$0.09");
pub(super) const LOGS: Price = price("CloudWatch Logs, a GB taken in", 0.50 / GB, "$0.50");

/// All of them.
pub(super) const PRICES: [Price; 13] = [
    API_REQUESTS,
    LAMBDA_REQUESTS,
    LAMBDA_GB_SECONDS,
    WRITE_UNITS,
    READ_UNITS,
    STORAGE,
    RECOVERY,
    QUEUE_REQUESTS,
    EVENTS,
    SCHEDULES,
    TRACES,
    DATA_OUT,
    LOGS,
];

/// When they were looked up.
pub(super) const PRICES_OF: &str = "November 2026";

/// What is put in and not measured here.
pub(super) struct Input {
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) from: &'static str,
}

const fn input(what: &'static str, value: f64, unit: &'static str, from: &'static str) -> Input {
    Input {
        what,
        value,
        unit,
        from,
    }
}

pub(super) const MEMORY_MB: Input = input(
    "memory of the webhook functions, the relay and the publisher",
    256.0,
    "MB",
    "`template.yaml`",
);
pub(super) const CONSUMER_MEMORY_MB: Input =
    input("memory of the consumer", 512.0, "MB", "`template.yaml`");
pub(super) const WEBHOOK_MS: Input = input(
    "billed for a webhook",
    9.0,
    "ms",
    "`make bench`: p50 with 256 MB and 3 ms a call, rounded up",
);
pub(super) const CONSUMER_MS: Input = input(
    "billed for a batch of ten",
    20.0,
    "ms",
    "`make bench`: p50 with 512 MB and 3 ms a call, rounded up",
);
pub(super) const LONE_CONSUMER_MS: Input = input(
    "billed for a batch of one",
    16.0,
    "ms",
    "`make bench`: accepted to applied at 10 a second, rounded up",
);
pub(super) const RELAY_MS: Input = input(
    "billed for an idle run of the relay",
    115.0,
    "ms",
    "33 calls, one after the other, of 3 ms and what `make bench` adds to each",
);
pub(super) const RELAY_RUNS: Input =
    input("runs of the relay", 43_200.0, "a month", "`rate(1 minute)`");
pub(super) const IDLE_RECEIVES: Input = input(
    "receives of the idle event source mapping",
    648_000.0,
    "a month",
    "5 pollers, each waiting 20 s; with MaximumConcurrency they do not become fewer",
);
pub(super) const IDLE_HOLD_RECEIVES: Input = input(
    "receives of the publisher's idle queue",
    259_200.0,
    "a month",
    "2 pollers, each waiting 20 s; polling the stream is free",
);
pub(super) const PUBLISHER_MS: Input = input(
    "billed for a change that is published",
    5.0,
    "ms",
    "`make bench`: p50 with 256 MB and 3 ms a call, rounded up",
);
pub(super) const HOLD_MS: Input = input(
    "billed more for a change that is held back",
    30.0,
    "ms",
    "estimate: five calls more, and two calls of the function that find no change",
);
pub(super) const REGISTRY_READS: Input = input(
    "registry reads",
    0.1,
    "a webhook",
    "one per environment, installation and minute: 0.1 is generous above a webhook a second",
);
pub(super) const TRACED: Input = input(
    "calls traced with `Tracing: Active`",
    0.05,
    "of all",
    "X-Ray's default: the first of each second, and 5 % of the others",
);
pub(super) const EVENTS_PER_ORDER: Input = input(
    "events of an order",
    5.0,
    "",
    "Armada's documented life of an order",
);
pub(super) const ITEM_OVERHEAD_BYTES: Input = input(
    "stored beside each item",
    100.0,
    "bytes",
    "how DynamoDB counts storage",
);
pub(super) const ANSWER_BYTES: Input =
    input("an answer with its headers", 400.0, "bytes", "estimate");
pub(super) const LOG_BYTES: Input = input(
    "logged for a webhook",
    1_750.0,
    "bytes",
    "estimate: access line 330, webhook line 820, consumer line 600, both with their metrics",
);
pub(super) const DUPLICATES: Input = input(
    "duplicates, where there are any",
    0.2,
    "of all webhooks",
    "assumption",
);

/// All of them.
pub(super) const INPUTS: [Input; 18] = [
    MEMORY_MB,
    CONSUMER_MEMORY_MB,
    WEBHOOK_MS,
    CONSUMER_MS,
    LONE_CONSUMER_MS,
    RELAY_MS,
    RELAY_RUNS,
    IDLE_RECEIVES,
    IDLE_HOLD_RECEIVES,
    PUBLISHER_MS,
    HOLD_MS,
    REGISTRY_READS,
    TRACED,
    EVENTS_PER_ORDER,
    ITEM_OVERHEAD_BYTES,
    ANSWER_BYTES,
    LOG_BYTES,
    DUPLICATES,
];

#[test]
fn the_durations_are_those_of_the_last_benchmark() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/benchmarks/functions.json"
    );
    let results: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(results["call_latency_ms"], 3.0);
    let all = |list: &str| results[list].as_array().unwrap().iter();
    let with = |name: &str, memory_mb: &Input| {
        let mut shares = all("quotas").filter(|it| it["memory_mb"] == memory_mb.value);
        let share = shares.find(|it| it["measured"]["name"] == name).unwrap();
        let warm = share["measured"]["warm"].as_array().unwrap().iter();
        let mut p50: Vec<f64> = warm.map(|it| it["p50"].as_f64().unwrap()).collect();
        p50.sort_by(f64::total_cmp);
        p50[(p50.len() - 1) / 2]
    };
    let alone = all("deliveries").find(|it| it["webhooks_per_second"] == 10);
    let alone = &alone.unwrap()["accepted_to_applied"]["p50"];
    for (input, measured_ms) in [
        (WEBHOOK_MS, with("armada-webhook", &MEMORY_MB)),
        (CONSUMER_MS, with("order-consumer", &CONSUMER_MEMORY_MB)),
        (LONE_CONSUMER_MS, alone.as_f64().unwrap()),
        (PUBLISHER_MS, with("status-publisher", &MEMORY_MB)),
    ] {
        assert_eq!(input.value, measured_ms.ceil(), "{}", input.what);
    }
}
