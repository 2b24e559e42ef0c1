//! Every command of `docs/operations.md` is one that its program takes. That they also help, the drill shows.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::runbook_page::{Block, Expected, blocks};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Programs that only say what they were asked, a word that fits instead of each answer, and what the reader has to know.
const REHEARSED: &str = r#"
say() { printf '%s\0' "$#" "$@" >&3; }
hookctl() { say hookctl "$@"; }
aws() {
  say aws "$@"
  case "$*" in
    *UsePreviousValue*) echo ParameterKey=Stage,UsePreviousValue=true ;;
    *) echo 00000000-0000-0000-0000-000000000000 ;;
  esac
}
cargo() { :; }; cat() { :; }; git() { :; }; make() { :; }; sed() { :; }; sleep() { :; }
MERCHANT=shop-1 ORDER=7F3A09C2D1 KEY=armada#shop-1#order.updated#wh_1 DIGEST=0123456789abcdef MESSAGE_ID=0b9c
SINCE=2026-01-31T00:00:00Z REASON=rehearsal DEPLOYMENT_ID=d-ABCDEF123 VERSION=41
set -eu
"#;

/// What the page asks `aws` and `hookctl`, word for word, in its order.
fn asked() -> Vec<Vec<String>> {
    let lines = blocks().into_iter().flat_map(|block| block.commands);
    let page: String = lines.map(|command| command.text + "\n").collect();
    let rehearsed = Command::new("bash")
        .args(["-c", &format!("exec 3>&1 >/dev/null\n{REHEARSED}{page}")])
        .current_dir(ROOT)
        .output()
        .unwrap();
    let stderr = String::from_utf8(rehearsed.stderr).unwrap();
    assert!(rehearsed.status.success(), "{stderr}");
    let said = String::from_utf8(rehearsed.stdout).unwrap();
    let mut words = said.split_terminator('\0').map(str::to_owned);
    let mut asked = Vec::new();
    while let Some(count) = words.next() {
        asked.push(words.by_ref().take(count.parse().unwrap()).collect());
    }
    asked
}

fn of<'a>(asked: &'a [Vec<String>], program: &str) -> Vec<&'a [String]> {
    let of_it = asked.iter().filter(|words| words[0] == program);
    of_it.map(|words| &words[1..]).collect()
}

#[test]
fn hookctl_understands_every_command_of_the_runbook() {
    let asked = asked();
    let commands = of(&asked, "hookctl");
    assert!(commands.len() > 30, "{}", commands.len());
    for words in commands {
        if let Err(error) = hookctl::understands(words) {
            panic!("hookctl {}: {error}", words.join(" "));
        }
    }
}

#[test]
fn the_aws_cli_accepts_every_command_of_the_runbook() {
    let asked = asked();
    let commands = of(&asked, "aws");
    assert!(commands.len() > 30, "{}", commands.len());
    let lines: String = commands
        .iter()
        .map(|words| format!("{}\n", json!(words)))
        .collect();
    let mut check = Command::new(format!("{ROOT}/.dev/python/bin/python"))
        .arg("tests/operations/aws_accepts.py")
        .current_dir(ROOT)
        .env_remove("AWS_PROFILE")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`make tools` installs the AWS CLI");
    check
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let checked = check.wait_with_output().unwrap();
    let refused = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{refused}");
}

#[test]
fn every_output_that_the_runbook_asks_for_is_one_of_the_template() {
    let template = fs::read_to_string(format!("{ROOT}/template.yaml")).unwrap();
    let (_, outputs) = template.split_once("\nOutputs:\n").unwrap();
    for command in blocks().iter().flat_map(|block| &block.commands) {
        for part in command.text.split("$(output ").skip(1) {
            let name = part.split(')').next().unwrap();
            assert!(
                outputs.contains(&format!("\n  {name}:")),
                "the template has no output {name}"
            );
        }
    }
}

#[test]
fn every_entry_has_commands_and_every_break_of_the_drill_ends_with_a_proof() {
    let blocks = blocks();
    let of_entry = |entry: &str| -> Vec<&Block> {
        let begins = |block: &&Block| block.heading.split(' ').next() == Some(entry);
        blocks.iter().filter(begins).collect()
    };
    for entry in (1..=12).map(|n| format!("R{n}")) {
        assert!(!of_entry(&entry).is_empty(), "{entry} has no command");
    }
    for entry in (1..=5).map(|n| format!("D{n}")) {
        let last = of_entry(&entry)
            .pop()
            .and_then(|block| block.commands.last());
        let proof = last.map(|command| &command.expected);
        assert!(
            matches!(proof, Some(Expected::Shows(_))),
            "{entry}: {proof:?}"
        );
    }
}

#[test]
fn every_alarm_that_the_drill_would_ring_is_one() {
    let page = fs::read_to_string(format!("{ROOT}/docs/operations.md")).unwrap();
    let templates = ["template.yaml", "operations.yaml"]
        .map(|file| fs::read_to_string(format!("{ROOT}/{file}")).unwrap())
        .concat();
    let (_, drill) = page.split_once("\n## Drill\n").unwrap();
    let sentences: Vec<&str> = drill.split("Would ring: ").skip(1).collect();
    assert_eq!(sentences.len(), 5, "one of each break");
    for sentence in sentences {
        let (alarms, _) = sentence.split_once('[').unwrap();
        let names: BTreeSet<&str> = alarms.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{alarms}");
        for name in names {
            let is_one = format!("\n  {name}:\n    Type: AWS::CloudWatch::");
            assert!(templates.contains(&is_one), "{name} is no alarm");
        }
    }
}
