//! The check after a deployment, on the deployed stack.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::proxy::{Calls, Fault};
use crate::stack::{Stack, eventually};
use crate::{Test, tests};

tests![a_deployed_stack_passes_the_check_and_keeps_nothing_of_it,];

/// Tests behind the proxy.
pub(crate) const FAULTY: &[(&str, Test)] = &[
    (
        "a_consumer_that_fails_is_noticed_and_what_is_left_can_be_removed_later",
        a_consumer_that_fails_is_noticed_and_what_is_left_can_be_removed_later,
    ),
    (
        "an_interrupted_check_removes_its_credentials_and_names_what_is_under_way",
        an_interrupted_check_removes_its_credentials_and_names_what_is_under_way,
    ),
];

const MERCHANTS: &str = "smoke-test-";

/// What a check said, and its exit code.
struct Said {
    code: i32,
    summary: Value,
    failed: Vec<String>,
    stderr: String,
}

fn started(mut hookctl: Command, arguments: &[&str]) -> std::process::Child {
    hookctl
        .args(arguments)
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(check: std::process::Child) -> Said {
    let output = check.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last = stdout.lines().last().unwrap_or_else(|| panic!("{stderr}"));
    let summary: Value = serde_json::from_str(last).unwrap();
    let failed = summary["summary"]["failed"].as_array().unwrap().iter();
    Said {
        code: output.status.code().unwrap(),
        failed: failed
            .map(|name| name.as_str().unwrap().to_owned())
            .collect(),
        summary: summary["summary"].clone(),
        stderr: stdout + &stderr,
    }
}

/// Runs the commands that a check told for what it left, and nothing of it is there any more.
#[track_caller]
fn removed_later(stack: &Stack, said: &Said) {
    let merchant = said.summary["merchant_id"].as_str().unwrap();
    let merchant = merchant.parse().unwrap();
    stack.relay_until_closed(&merchant);
    stack.queue_is_empty();
    for left in said.summary["left"].as_array().unwrap() {
        let command = left["command"].as_str().unwrap();
        let words = command.strip_prefix("hookctl ").unwrap().split(' ');
        let output = stack.hookctl().args(words).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
    assert_eq!(stack.rows_of(MERCHANTS), 0);
}

fn a_deployed_stack_passes_the_check_and_keeps_nothing_of_it(stack: &Stack) {
    let said = ended(started(stack.hookctl(), &["smoke", "--timeout=60"]));

    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.summary["passed"], true);
    // Another test has a check run here too.
    let merchant = said.summary["merchant_id"].as_str().unwrap();
    assert!(merchant.starts_with(MERCHANTS), "{merchant}");
    assert_eq!(stack.rows_of(merchant), 0);
}

fn a_consumer_that_fails_is_noticed_and_what_is_left_can_be_removed_later(stack: &Stack) {
    let calls = Calls::by("order-consumer").about(MERCHANTS);
    let failing = stack.proxy().all(calls, Fault::DOWN);

    let said = ended(started(stack.hookctl(), &["smoke", "--timeout=3"]));

    drop(failing);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(
        said.failed,
        ["order of armada", "order of shipday", "clean_up"],
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains(r#""runbook":"R5""#), "{}", said.stderr);
    removed_later(stack, &said);
}

fn an_interrupted_check_removes_its_credentials_and_names_what_is_under_way(stack: &Stack) {
    let calls = Calls::by("order-consumer").about(MERCHANTS);
    let failing = stack.proxy().all(calls, Fault::DOWN);
    let check = started(stack.hookctl(), &["smoke", "--timeout=600"]);
    let pid = Pid::from_child(&check);

    // Two installations and some records.
    eventually("webhooks are accepted", || {
        (stack.rows_of(MERCHANTS) > 4).then_some(())
    });
    kill_process(pid, Signal::INT).unwrap();
    let said = ended(check);

    drop(failing);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(said.failed, ["clean_up"], "{}", said.stderr);
    assert!(said.stderr.contains("stopping"), "{}", said.stderr);
    let left = said.summary["left"].to_string();
    assert!(!left.contains("installation"), "{left}");
    removed_later(stack, &said);
}
