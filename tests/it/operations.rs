//! What watches the system watches something that exists: alarms and dashboard name the metrics that the functions write,
//! and entries that the runbook has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use aws::{Dimensions, METRICS, NAMESPACE};
use domain::Provider;
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A metric's namespace, its name, and the names of its dimensions.
type Series = (String, String, BTreeSet<String>);

/// Metrics that AWS writes by itself, as its documentation names them.
const OF_AWS: [(&str, &str, &[&str]); 15] = [
    ("AWS/ApiGateway", "Count", &["ApiId"]),
    ("AWS/ApiGateway", "4xx", &["ApiId"]),
    ("AWS/ApiGateway", "5xx", &["ApiId"]),
    ("AWS/ApiGateway", "Latency", &["ApiId"]),
    ("AWS/Lambda", "ConcurrentExecutions", &["FunctionName"]),
    ("AWS/Lambda", "Errors", &["FunctionName"]),
    ("AWS/Lambda", "IteratorAge", &["FunctionName"]),
    ("AWS/Lambda", "Throttles", &["FunctionName"]),
    (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &["QueueName"],
    ),
    ("AWS/SQS", "ApproximateNumberOfNoisyGroups", &["QueueName"]),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", &["QueueName"]),
    (
        "AWS/SQS",
        "ApproximateAgeOfOldestMessageInQuietGroups",
        &["QueueName"],
    ),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", &["TableName"]),
    ("AWS/DynamoDB", "WriteThrottleEvents", &["TableName"]),
    (
        "AWS/DynamoDB",
        "WriteThrottleEvents",
        &["GlobalSecondaryIndexName", "TableName"],
    ),
];

/// The resources of both templates.
static RESOURCES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    ["template.yaml", "operations.yaml"]
        .into_iter()
        .flat_map(|file| {
            let resources = read(file)["Resources"].take();
            serde_json::from_value::<BTreeMap<String, Value>>(resources).unwrap()
        })
        .collect()
});

pub(crate) fn read(template: &str) -> Value {
    let read = Command::new(Path::new(ROOT).join(".dev/python/bin/python"))
        .args(["cli/dev/template_json.py", template])
        .current_dir(ROOT)
        .output()
        .expect("`make tools` installs what reads templates");
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    serde_json::from_slice(&read.stdout).unwrap()
}

fn all(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    RESOURCES
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

fn alarms() -> BTreeMap<&'static str, &'static Value> {
    all("AWS::CloudWatch::Alarm")
}

fn composites() -> BTreeMap<&'static str, &'static Value> {
    all("AWS::CloudWatch::CompositeAlarm")
}

fn description(alarm: &'static Value) -> &'static str {
    alarm["AlarmDescription"].as_str().expect("a description")
}

/// The metrics that an alarm looks at, with the values of their dimensions.
fn watched(alarm: &Value) -> Vec<(Series, BTreeMap<String, Value>)> {
    let inner = alarm["Metrics"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|metric| &metric["MetricStat"]["Metric"])
        .filter(|metric| !metric.is_null());
    let outer = Some(alarm).filter(|alarm| alarm["MetricName"].is_string());
    outer.into_iter().chain(inner).map(series).collect()
}

fn series(metric: &Value) -> (Series, BTreeMap<String, Value>) {
    let dimensions: BTreeMap<String, Value> = metric["Dimensions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|dimension| (text(&dimension["Name"]), dimension["Value"].clone()))
        .collect();
    let names = dimensions.keys().cloned().collect();
    (
        (
            text(&metric["Namespace"]),
            text(&metric["MetricName"]),
            names,
        ),
        dimensions,
    )
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Every metric there is: the functions', those counted from the access log, and AWS's own.
fn written() -> BTreeSet<Series> {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let ours = METRICS.iter().map(|metric| {
        (
            NAMESPACE.to_owned(),
            metric.name.to_owned(),
            names(metric.dimensions.names()),
        )
    });
    let of_aws = OF_AWS.iter().map(|(namespace, name, dimensions)| {
        (
            (*namespace).to_owned(),
            (*name).to_owned(),
            names(dimensions),
        )
    });
    let counted = all("AWS::Logs::MetricFilter").into_values().map(|filter| {
        let made = &filter["MetricTransformations"][0];
        let keys = made["Dimensions"].as_array().into_iter().flatten();
        (
            text(&made["MetricNamespace"]),
            text(&made["MetricName"]),
            keys.map(|key| text(&key["Key"])).collect(),
        )
    });
    ours.chain(of_aws).chain(counted).collect()
}

/// What the dashboard is made of.
fn widgets() -> Vec<Value> {
    let body = &all("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"];
    let body: Value = serde_json::from_str(body.as_str().unwrap()).expect("a dashboard in JSON");
    body["widgets"].as_array().unwrap().clone()
}

/// The metrics on the dashboard, with the values of their dimensions; not what is computed from them.
fn shown() -> Vec<(Series, BTreeMap<String, String>)> {
    widgets()
        .iter()
        .flat_map(|widget| {
            widget["properties"]["metrics"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter(|metric| metric[0].is_string())
        .map(|metric| {
            let words: Vec<String> = metric
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect();
            let dimensions: BTreeMap<String, String> = words[2..]
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect();
            let names = dimensions.keys().cloned().collect();
            ((words[0].clone(), words[1].clone(), names), dimensions)
        })
        .collect()
}

#[test]
fn every_alarm_watches_a_metric_that_is_written() {
    let written = written();
    for (name, alarm) in alarms() {
        let watched = watched(alarm);
        assert!(!watched.is_empty(), "{name} watches nothing");
        for (series, dimensions) in watched {
            assert!(
                written.contains(&series),
                "{name} watches {series:?}, which nobody writes"
            );
            check_provider(name, &dimensions);
        }
    }
}

fn check_provider(place: &str, dimensions: &BTreeMap<String, Value>) {
    if let Some(provider) = dimensions.get("provider") {
        let known = [json!("armada"), json!("shipday")];
        assert!(known.contains(provider), "{place}: no provider {provider}");
    }
}

#[test]
fn the_dashboard_shows_every_metric_of_the_functions_and_none_that_nobody_writes() {
    let written = written();
    let shown = shown();
    for (series, dimensions) in &shown {
        assert!(
            written.contains(series),
            "{series:?} is shown, and nobody writes it"
        );
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        check_provider("the dashboard", &dimensions);
    }
    let names: BTreeSet<&str> = shown
        .iter()
        .map(|((_, name, _), _)| name.as_str())
        .collect();
    for metric in &METRICS {
        assert!(
            names.contains(metric.name),
            "{} is not on the dashboard",
            metric.name
        );
    }
}

#[test]
fn the_dashboard_sets_requests_against_all_answers_and_shows_the_remainder() {
    let ledger = widgets()
        .into_iter()
        .find(|widget| text(&widget["properties"]["title"]).starts_with("The ledger"))
        .expect("a ledger of requests");
    let shown = ledger["properties"]["metrics"].as_array().unwrap();
    let option = |metric: &Value, name: &str| -> Value {
        let options = metric.as_array().unwrap().last().unwrap();
        options[name].clone()
    };
    let id_of = |answer: &str, provider: &str| -> String {
        let metric = shown
            .iter()
            .find(|it| it[1] == answer && it[5] == provider)
            .unwrap_or_else(|| panic!("{answer} of {provider} is not in the ledger"));
        text(&option(metric, "id"))
    };
    let answers = ["Accepted", "Duplicate", "Ignored", "Refused", "Unavailable"];
    let terms: Vec<String> = answers
        .iter()
        .flat_map(|answer| Provider::ALL.map(|provider| id_of(answer, provider.as_str())))
        .map(|id| format!("FILL({id},0)"))
        .collect();

    let remainder = shown
        .iter()
        .find(|metric| option(metric, "id") == "remainder")
        .expect("a remainder");

    let expected = format!("requests - ({})", terms.join("+"));
    assert_eq!(text(&option(remainder, "expression")), expected);
    assert_eq!(shown[0][1], "Count");
    assert_eq!(option(&shown[0], "id"), "requests");
}

#[test]
fn every_alarm_says_how_urgent_it_is_which_entry_helps_and_what_no_data_means() {
    let runbook = fs::read_to_string(Path::new(ROOT).join("docs/operations.md")).unwrap();
    let composite_rules: String = composites()
        .values()
        .map(|alarm| text(&alarm["AlarmRule"]["Fn::Sub"]))
        .collect();

    for (name, alarm) in alarms().into_iter().chain(composites()) {
        let description = description(alarm);
        let mut words = description.split(' ');
        let mut word = words.next().unwrap();
        let expected = match word {
            "PAGE" => Some("PageTopic"),
            "TICKET" => Some("TicketTopic"),
            _ => None,
        };
        if expected.is_some() {
            word = words.next().unwrap();
        }
        let actions = &alarm["AlarmActions"];
        match expected {
            Some(topic) => assert_eq!(actions, &json!([{ "Ref": topic }]), "{name}"),
            None => {
                assert!(
                    actions.is_null(),
                    "{name} tells somebody, and does not say how urgent it is"
                );
                let part = format!("ALARM(\"${{{name}}}\")");
                assert!(composite_rules.contains(&part), "{name} tells nobody");
            }
        }
        let entry = word.strip_suffix('.').expect("an entry of the runbook");
        assert!(
            runbook.contains(&format!("\n### {entry} ")),
            "{name}: no {entry} in docs/operations.md"
        );
        if alarm["AlarmRule"].is_null() {
            assert!(
                description.contains(" No data - "),
                "{name} does not say what no data means"
            );
            assert!(alarm["TreatMissingData"].is_string(), "{name}");
        }
    }
}

#[test]
fn silence_is_an_alarm_where_something_must_be_heard() {
    let breaching: BTreeSet<&str> = alarms()
        .into_iter()
        .filter(|(_, alarm)| alarm["TreatMissingData"] == "breaching")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        breaching,
        BTreeSet::from(["ArmadaSilent", "RelaySilent", "ShipdaySilent"])
    );
}

#[test]
fn every_function_queue_and_table_is_watched() {
    let watched: BTreeSet<String> = alarms()
        .into_values()
        .flat_map(watched)
        .flat_map(|(_, dimensions)| dimensions.into_values())
        .filter_map(|value| value["Ref"].as_str().map(str::to_owned))
        .collect();
    for name in [
        "ArmadaWebhookFunction",
        "ShipdayWebhookFunction",
        "OrderConsumerFunction",
        "WebhookRelayFunction",
        "EventsQueue",
        "DeadLetterQueue",
        "WebhooksTable",
        "OrdersTable",
    ] {
        assert!(watched.contains(name), "nothing watches {name}");
    }
}

#[test]
fn what_watches_is_given_all_that_it_asks_for() {
    let given = &RESOURCES["Operations"]["Properties"]["Parameters"];
    let asked = read("operations.yaml")["Parameters"].take();
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };

    assert_eq!(names(given), names(&asked));
    for (name, value) in given.as_object().unwrap() {
        let source = value["Ref"]
            .as_str()
            .or_else(|| value["Fn::GetAtt"][0].as_str());
        let expected = if name == "StackName" {
            "AWS::StackName"
        } else if name == "ApiId" {
            "WebhooksApi"
        } else {
            name
        };
        assert_eq!(source, Some(expected), "{name} is given another one's name");
    }
}

#[test]
fn the_cost_of_watching_is_what_the_page_says() {
    let watched: usize = alarms()
        .into_values()
        .map(|alarm| watched(alarm).len())
        .sum();
    let ours = METRICS
        .iter()
        .map(|metric| match metric.dimensions {
            Dimensions::Stack => 1,
            Dimensions::StackAndProvider => Provider::ALL.len(),
        })
        .sum::<usize>()
        + all("AWS::Logs::MetricFilter").len();
    let cents = 10 * watched + 50 * composites().len() + 30 * ours;
    let sentence = format!(
        "A month and stack: {} alarms on {watched} metrics at $0.10, {} composite alarms at $0.50, {ours} metrics of our own at $0.30; \
         in all ${}.{:02}.",
        alarms().len(),
        composites().len(),
        cents / 100,
        cents % 100,
    );
    let page = fs::read_to_string(Path::new(ROOT).join("docs/cost.md")).unwrap();
    assert!(
        page.contains(&sentence),
        "docs/cost.md does not say: {sentence}"
    );
}

#[test]
fn only_eight_of_checkovs_rules_are_set_aside_each_with_its_reason() {
    let mut rules = BTreeSet::new();
    for (name, resource) in RESOURCES.iter() {
        let skips = resource["Metadata"]["checkov"]["skip"].as_array();
        for skip in skips.into_iter().flatten() {
            let reason = text(&skip["comment"]);
            assert!(reason.ends_with('.'), "{name}: no reason for {skip}");
            rules.insert(text(&skip["id"]));
        }
    }

    let decided = [
        "CKV_AWS_115", // a reservation of concurrency for each function
        "CKV_AWS_116", // a dead-letter queue of each function, for calls that nobody waits for
        "CKV_AWS_117", // a VPC
        "CKV_AWS_119", // a key of one's own for tables
        "CKV_AWS_158", // for log groups
        "CKV_AWS_173", // for variables
        "CKV_AWS_26",  // for topics
        "CKV_AWS_27",  // for queues
    ];
    assert_eq!(rules, decided.map(str::to_owned).into());
}
