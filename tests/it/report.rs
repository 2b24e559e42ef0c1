//! `hookctl report`, and the queries of docs/analytics.md, on orders whose figures were computed by hand:
//! `report/golden.txt` and `report/expected.txt`.

mod golden;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{MAX_EVENTS_PER_ORDER, Orders as _, Provider, Status};
use expect_test::expect;
use fastrand::Rng;
use hookctl::simulate::PlannedOrder;
use serde_json::{Value, json};

use self::golden::{golden, golden_but_the_long_one, put_state};
use crate::operator::{Said, hookctl, shown};
use crate::simulate::{ALL_AT_ONCE, orders, plan, send};
use crate::strict_dynamodb::{Database, Item};
use crate::support::order_key;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// A virtual environment with `cli/dev/requirements.txt` in it.
const PYTHON: &str = ".dev/python/bin/python";
const EXPECTED: &str = include_str!("report/expected.txt");
const SINCE: &str = "2026-01-05T00:00:00Z";
const UNTIL: &str = "2026-01-06T00:00:00Z";
/// Enough that every way an order can go is met.
const SIMULATED: u32 = 120;
const OUTCOMES: [&str; 15] = [
    "orders",
    "delivered",
    "failed",
    "canceled",
    "returned",
    "under_way",
    "without_status",
    "completion_rate",
    "failure_rate",
    "cancellation_rate",
    "reversed",
    "backward",
    "reopened",
    "corrected",
    "standing_still",
];
const DURATIONS: [&str; 6] = [
    "orders",
    "p50_seconds",
    "p90_seconds",
    "p99_seconds",
    "skipped",
    "out_of_order",
];
const PROMISES: [&str; 7] = [
    "on_time",
    "late",
    "no_promise",
    "on_time_rate",
    "late_by_p50_seconds",
    "late_by_p90_seconds",
    "late_by_p99_seconds",
];

/// The lines that were written by hand, of some groups, sorted.
fn expected(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = EXPECTED.lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| {
        let figures = line.split('|').next().unwrap();
        figures.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let mut lines: Vec<String> = words.filter(|line| !line.is_empty()).collect();
    lines.retain(|line| is_wanted(line));
    lines.sort();
    lines
}

/// One line of figures as the hand-written file has it.
fn line(what: &str, whose: &str, columns: &[&str], figures: &Value) -> String {
    let values = columns.iter().map(|name| match &figures[name] {
        Value::Null => "-".to_owned(),
        Value::Number(rate) if name.ends_with("_rate") => {
            format!("{:.4}", rate.as_f64().unwrap())
        }
        Value::Number(count) => count.to_string(),
        other => panic!("{what} {whose}: `{name}` is {other}"),
    });
    let values: Vec<String> = values.collect();
    format!("{what} {whose} {}", values.join(" "))
}

/// A group's name as the hand-written file has it.
fn whose(scope: &str, group: &Value) -> String {
    let part = |name: &str| group[name].as_str().unwrap_or("-").to_owned();
    match scope {
        "all" => "all".to_owned(),
        "driver" => format!("driver/{}/{}", part("provider"), part("driver")),
        scope => format!("{scope}/{}", part(scope)),
    }
}

/// A report's figures, as the hand-written file has them, sorted.
fn reported(report: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (scope, groups) in [
        ("all", "all"),
        ("provider", "providers"),
        ("merchant", "merchants"),
        ("driver", "drivers"),
    ] {
        let groups = match &report[groups] {
            Value::Array(groups) => groups.clone(),
            group => vec![group.clone()],
        };
        for group in groups {
            let whose = whose(scope, &group);
            lines.push(line("outcomes", &whose, &OUTCOMES, &group));
            for (span, figures) in group["durations"].as_object().unwrap() {
                lines.push(line(
                    &format!("durations {span}"),
                    &whose,
                    &DURATIONS,
                    figures,
                ));
            }
            for (promise, figures) in group["promises"].as_object().unwrap() {
                lines.push(line(
                    &format!("promises {promise}"),
                    &whose,
                    &PROMISES,
                    figures,
                ));
            }
        }
    }
    lines.sort();
    lines
}

/// What the queries found, as the hand-written file has it, sorted.
fn queried(results: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, part, columns) in [
        ("outcomes", None, &OUTCOMES[..]),
        ("durations", Some("span"), &DURATIONS[..]),
        ("promises", Some("promise"), &PROMISES[..]),
    ] {
        for row in results[what].as_array().unwrap() {
            let whose = whose(row["scope"].as_str().unwrap(), row);
            let part = part.map(|part| format!("{what} {}", row[part].as_str().unwrap()));
            lines.push(line(
                &part.unwrap_or_else(|| what.to_owned()),
                &whose,
                columns,
                row,
            ));
        }
    }
    lines.sort();
    lines
}

fn period() -> String {
    format!("--since {SINCE} --until {UNTIL}")
}

/// The one object that a report is.
fn report(said: &Said) -> &Value {
    assert_eq!(said.lines.len(), 1, "{}", said.stdout);
    &said.lines[0]
}

/// A file of this test alone.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("report-{}-{name}", std::process::id()))
}

#[tokio::test]
async fn the_report_of_the_golden_orders_is_what_was_computed_by_hand() {
    let database = golden().await;

    for segments in [1, 3] {
        let command = format!("report {} --segments {segments}", period());
        let said = hookctl(&database, &command).await.done();

        assert_eq!(reported(report(&said)), expected(|_| true));
    }
}

#[tokio::test]
async fn the_published_queries_and_the_report_agree_on_the_golden_orders() {
    let database = golden().await;

    let results = queries(&database, "golden", SINCE, UNTIL).await;

    assert_eq!(queried(&results), expected(|_| true));
    let page = fs::read_to_string(format!("{ROOT}/docs/analytics.md")).unwrap();
    let bound = format!("event_count > {MAX_EVENTS_PER_ORDER})");
    assert!(
        page.contains(&bound),
        "the bound is written there as a number"
    );
}

#[tokio::test]
async fn the_report_the_published_queries_and_the_simulator_agree_on_what_was_simulated() {
    let plan = plan(7, SIMULATED, ALL_AT_ONCE);
    let pipeline = send(&plan, &mut Rng::with_seed(7)).await;
    // Beside them, of another time, orders with everything that the simulator does not send: promised times.
    let database = golden_but_the_long_one().await;
    let mut planned: BTreeMap<(Provider, &str), u64> = BTreeMap::new();
    for PlannedOrder { key, outcome, .. } in orders(&plan) {
        let status = outcome.status.filter(|status| status.is_closed());
        let status = status.map_or("under_way", Status::as_str);
        *planned.entry((key.provider, status)).or_default() += 1;
        for entry in pipeline.world.timeline(&key).into_values() {
            database.orders().put_entry(&key, &entry).await.unwrap();
        }
        let (state, _) = pipeline.world.state(&key).unwrap();
        database.orders().save(&key, &state).await.unwrap();
    }

    let (since, until) = ("2025-01-01T00:00:00Z", "2025-12-01T00:00:00Z");
    let command = format!("report --since {since} --until {until}");
    let said = hookctl(&database, &command).await.done();
    let results = queries(&database, "simulated", since, until).await;

    let report = report(&said);
    assert_eq!(report["all"]["orders"], SIMULATED);
    for ((provider, status), orders) in planned {
        let providers = report["providers"].as_array().unwrap();
        let mut of_provider = providers.iter();
        let group = of_provider.find(|it| it["provider"] == provider.as_str());
        assert_eq!(group.unwrap()[status], orders, "{provider} {status}");
    }
    assert_eq!(queried(&results), reported(report));
}

/// What the queries of docs/analytics.md find in an export of the table.
async fn queries(database: &Database, test: &str, since: &str, until: &str) -> Value {
    let export = export(database, test).await;
    let run = Command::new(PYTHON)
        .args(["tests/analytics/run.py", "docs/analytics.md"])
        .arg(&export)
        .args([since, until])
        .current_dir(ROOT)
        .output()
        .unwrap();
    fs::remove_file(export).unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    serde_json::from_slice(&run.stdout).unwrap()
}

/// The table as DynamoDB exports it: a line of DynamoDB's JSON for each item, compressed.
async fn export(database: &Database, test: &str) -> PathBuf {
    let file = scratch(&format!("{test}.json"));
    let mut lines = String::new();
    let scan = database.client.scan().table_name("OrdersTable");
    let mut pages = scan.into_paginator().send();
    while let Some(page) = pages.next().await {
        for item in page.unwrap().items() {
            lines.push_str(&json!({ "Item": attributes(item) }).to_string());
            lines.push('\n');
        }
    }
    fs::write(&file, lines).unwrap();
    let compressed = Command::new(PYTHON)
        .args(["-m", "gzip"])
        .arg(&file)
        .current_dir(ROOT)
        .status();
    assert!(compressed.unwrap().success());
    fs::remove_file(&file).unwrap();
    file.with_extension("json.gz")
}

pub(crate) fn attributes(item: &Item) -> Value {
    let attributes = item.iter();
    attributes
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::M(item) => json!({ "M": attributes(item) }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(attribute).collect::<Value>() }),
        other => panic!("an order has no {other:?}"),
    }
}

#[tokio::test]
async fn of_some_merchants_only_their_orders_are_counted() {
    let database = golden_but_the_long_one().await;

    let command = format!("report {} --merchant north", period());
    let north = hookctl(&database, &command).await.done();
    let both = format!("{command} --merchant south");
    let both = hookctl(&database, &both).await.done();

    let of_north = |line: &String| line.contains(" merchant/");
    let mut lines = reported(report(&north));
    lines.retain(of_north);
    assert_eq!(lines, expected(|line| line.contains(" merchant/north ")));
    assert_eq!(report(&north)["all"]["orders"], 6);
    assert_eq!(report(&both)["all"]["orders"], 13);
}

#[tokio::test]
async fn a_person_gets_tables() {
    let database = golden_but_the_long_one().await;
    let command = format!("report {} --merchant south", period());

    expect![[r#"
        Report of STACK, since 2026-01-05T00:00:00.000Z, until 2026-01-06T00:00:00.000Z, merchant south

        Orders

                                           orders  delivered  failed  canceled  returned  under way  no status
          all                                   7          2       2         1         0          2          0
          provider armada                       2          1       1         0         0          0          0
          provider shipday                      5          1       1         1         0          2          0
          merchant south                        7          2       2         1         0          2          0
          driver shipday nobody                 2          0       0         1         0          1          0
          driver shipday 8                      2          1       0         0         0          1          0
          driver armada ~575a30bd2975cd02       1          0       1         0         0          0          0
          driver armada ~a1133c2be1ac92a0       1          1       0         0         0          0          0
          driver shipday 7                      1          0       1         0         0          0          0

        Shares of the orders that are closed

                                           completed    failed  canceled
          all                                40.00 %   40.00 %   20.00 %
          provider armada                    50.00 %   50.00 %    0.00 %
          provider shipday                   33.33 %   33.33 %   33.33 %
          merchant south                     40.00 %   40.00 %   20.00 %
          driver shipday nobody               0.00 %    0.00 %  100.00 %
          driver shipday 8                  100.00 %    0.00 %    0.00 %
          driver armada ~575a30bd2975cd02     0.00 %  100.00 %    0.00 %
          driver armada ~a1133c2be1ac92a0   100.00 %    0.00 %    0.00 %
          driver shipday 7                    0.00 %  100.00 %    0.00 %

        Orders that went another way than forward

                                           orders  steps backward  reopened  corrected  beyond the bound
          all                                   3               1         1          1                 0
          provider armada                       0               0         0          0                 0
          provider shipday                      3               1         1          1                 0
          merchant south                        3               1         1          1                 0
          driver shipday nobody                 1               1         0          0                 0
          driver shipday 8                      1               0         1          0                 0
          driver armada ~575a30bd2975cd02       0               0         0          0                 0
          driver armada ~a1133c2be1ac92a0       0               0         0          0                 0
          driver shipday 7                      1               0         0          1                 0

        From assignment to pickup

                                           orders      p50      p90      p99  skipped  out of order
          all                                   5  0:20:00  0:30:00  0:30:00        0             0
          provider armada                       2  0:10:00  0:30:00  0:30:00        0             0
          provider shipday                      3  0:20:00  0:20:00  0:20:00        0             0
          merchant south                        5  0:20:00  0:30:00  0:30:00        0             0
          driver shipday nobody                 0        -        -        -        0             0
          driver shipday 8                      2  0:20:00  0:20:00  0:20:00        0             0
          driver armada ~575a30bd2975cd02       1  0:30:00  0:30:00  0:30:00        0             0
          driver armada ~a1133c2be1ac92a0       1  0:10:00  0:10:00  0:10:00        0             0
          driver shipday 7                      1  0:10:00  0:10:00  0:10:00        0             0

        From pickup to delivery

                                           orders      p50      p90      p99  skipped  out of order
          all                                   2  0:20:00  0:30:00  0:30:00        0             0
          provider armada                       1  0:20:00  0:20:00  0:20:00        0             0
          provider shipday                      1  0:30:00  0:30:00  0:30:00        0             0
          merchant south                        2  0:20:00  0:30:00  0:30:00        0             0
          driver shipday nobody                 0        -        -        -        0             0
          driver shipday 8                      1  0:30:00  0:30:00  0:30:00        0             0
          driver armada ~575a30bd2975cd02       0        -        -        -        0             0
          driver armada ~a1133c2be1ac92a0       1  0:20:00  0:20:00  0:20:00        0             0
          driver shipday 7                      0        -        -        -        0             0

        From assignment to delivery

                                           orders      p50      p90      p99  skipped  out of order
          all                                   2  0:30:00  0:50:00  0:50:00        0             0
          provider armada                       1  0:30:00  0:30:00  0:30:00        0             0
          provider shipday                      1  0:50:00  0:50:00  0:50:00        0             0
          merchant south                        2  0:30:00  0:50:00  0:50:00        0             0
          driver shipday nobody                 0        -        -        -        0             0
          driver shipday 8                      1  0:50:00  0:50:00  0:50:00        0             0
          driver armada ~575a30bd2975cd02       0        -        -        -        0             0
          driver armada ~a1133c2be1ac92a0       1  0:30:00  0:30:00  0:30:00        0             0
          driver shipday 7                      0        -        -        -        0             0

        Pickups against the promised time

                                           on time  late  no promise  on-time rate  late by p50  p90  p99
          all                                    1     0           4      100.00 %            -    -    -
          provider armada                        0     0           2             -            -    -    -
          provider shipday                       1     0           2      100.00 %            -    -    -
          merchant south                         1     0           4      100.00 %            -    -    -
          driver shipday nobody                  0     0           0             -            -    -    -
          driver shipday 8                       1     0           1      100.00 %            -    -    -
          driver armada ~575a30bd2975cd02        0     0           1             -            -    -    -
          driver armada ~a1133c2be1ac92a0        0     0           1             -            -    -    -
          driver shipday 7                       0     0           1             -            -    -    -

        Deliveries against the promised time

                                           on time  late  no promise  on-time rate  late by p50      p90      p99
          all                                    0     1           1        0.00 %      0:50:00  0:50:00  0:50:00
          provider armada                        0     0           1             -            -        -        -
          provider shipday                       0     1           0        0.00 %      0:50:00  0:50:00  0:50:00
          merchant south                         0     1           1        0.00 %      0:50:00  0:50:00  0:50:00
          driver shipday nobody                  0     0           0             -            -        -        -
          driver shipday 8                       0     1           0        0.00 %      0:50:00  0:50:00  0:50:00
          driver armada ~575a30bd2975cd02        0     0           0             -            -        -        -
          driver armada ~a1133c2be1ac92a0        0     0           1             -            -        -        -
          driver shipday 7                       0     0           0             -            -        -        -
    "#]].assert_eq(&shown(&database, &command).await);
}

#[tokio::test]
async fn a_time_without_orders_is_told_in_a_sentence() {
    let database = golden_but_the_long_one().await;

    let empty = "report --since 2027-01-01T00:00:00Z";
    let said = hookctl(&database, empty).await.done();

    assert_eq!(report(&said)["all"]["orders"], 0);
    assert_eq!(report(&said)["all"]["completion_rate"], Value::Null);
    expect![[r#"
        Report of STACK, since 2027-01-01T00:00:00.000Z

        No order had its first event in this time.
    "#]]
    .assert_eq(&shown(&database, empty).await);
}

#[tokio::test]
async fn files_have_all_groups_and_a_drivers_name_only_when_asked_for() {
    let database = golden_but_the_long_one().await;
    let (csv, html) = (scratch("names.csv"), scratch("names.html"));
    let files = format!("--csv {} --html {}", csv.display(), html.display());
    let command = format!("report {} {files}", period());
    let written = async |command: &str| {
        let said = hookctl(&database, command).await.done();
        let text = shown(&database, command).await;
        let [csv, html] = [&csv, &html].map(|file| fs::read_to_string(file).unwrap());
        [said.stdout, text, csv, html]
    };

    let [_, _, table, page] = &written(&command).await;
    // A line of names, one for all, 2 providers, 3 merchants, 7 drivers.
    assert_eq!(table.lines().count(), 14);
    assert!(table.starts_with("scope,provider,merchant,driver,driver_name,orders,delivered,"));
    let north = table.lines().find(|line| line.contains(",north,"));
    expect!["merchant,,north,,,6,5,1,0,0,0,0,1,1,0,0,0,0.8333,0.1667,0,4,600,1200,1200,1,0,4,1800,1800,1800,1,0,5,2400,3000,3000,0,0,1,1,2,0.5,120,120,120,1,2,2,0.3333,0,300,300"]
        .assert_eq(north.unwrap());
    for text in ["66.67 %", "0:40:00", "merchant north", "driver shipday 7"] {
        assert!(page.contains(text), "{text}");
    }

    for said in written(&command).await {
        for personal in ["Alia", "Carim", "0501"] {
            assert!(!said.contains(personal), "{personal}: {said}");
        }
    }
    for said in written(&format!("{command} --personal-data")).await {
        assert!(said.contains("Alia") && !said.contains("0501"), "{said}");
    }
    for file in [csv, html] {
        fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_read_is_not_in_the_report_and_the_exit_code_says_so() {
    let database = golden_but_the_long_one().await;
    let order = order_key(Provider::Armada, "damaged");
    put_state(&database, &order, "teleported").await;

    let said = hookctl(&database, "report").await;

    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stderr.contains("1 order(s)"), "{}", said.stderr);
    assert_eq!(report(&said)["all"]["orders"], 20);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_before_the_table_is_read() {
    let database = golden_but_the_long_one().await;

    let said = hookctl(&database, "report --html /nowhere/report.html").await;

    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(
        said.stderr
            .contains("`/nowhere/report.html` cannot be written"),
        "{}",
        said.stderr
    );
}
