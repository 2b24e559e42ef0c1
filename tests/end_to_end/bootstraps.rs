//! The files that are deployed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stack::{BINARIES, Stack, bootstrap};
use crate::tests;

tests![
    a_missing_or_bad_variable_ends_the_start_and_is_named,
    a_bootstrap_runs_on_amazon_linux_2023,
    a_bootstrap_is_no_larger_than_its_budget,
    a_bootstrap_carries_no_path_of_the_machine_that_built_it
];

/// Most bytes of a function's program.
const MAX_BYTES: u64 = 7 * 1_048_576;
/// Most bytes of its zip.
const MAX_ZIP_BYTES: u64 = 3 * 1_048_576;
/// The newest glibc that `provided.al2023` has: 2.34.
const NEWEST_GLIBC_MINOR: u32 = 34;

fn a_bootstrap_runs_on_amazon_linux_2023(_: &Stack) {
    for binary in BINARIES {
        let bytes = fs::read(bootstrap(binary)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let minors = text.split("GLIBC_2.").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });

        let newest = minors
            .max()
            .expect("a binary that is linked with glibc names its versions");
        assert!(
            newest <= NEWEST_GLIBC_MINOR,
            "{binary} needs glibc 2.{newest}: build it with zig (cargo lambda build)"
        );
    }
}

/// A cold start fetches and maps all of it.
fn a_bootstrap_is_no_larger_than_its_budget(_: &Stack) {
    for binary in BINARIES {
        let bytes = fs::metadata(bootstrap(binary)).unwrap().len();
        let zipped = zipped(&bootstrap(binary));

        assert!(
            bytes <= MAX_BYTES && zipped <= MAX_ZIP_BYTES,
            "{binary} has {bytes} bytes, {zipped} in a zip: look for a dependency or a feature that came in"
        );
    }
}

/// What `sam package` makes of it: Python's zip, as it comes.
fn zipped(bootstrap: &Path) -> u64 {
    let archive = std::env::temp_dir().join(format!("bootstrap-{}.zip", std::process::id()));
    let packed = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../.dev/python/bin/python"
    ))
    .args(["-m", "zipfile", "-c"])
    .args([&archive, bootstrap])
    .status()
    .unwrap();
    assert!(packed.success());
    let bytes = fs::metadata(&archive).unwrap().len();
    fs::remove_file(archive).unwrap();
    bytes
}

fn a_bootstrap_carries_no_path_of_the_machine_that_built_it(_: &Stack) {
    let root = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    for binary in BINARIES {
        let bytes = fs::read(bootstrap(binary)).unwrap();
        let text = String::from_utf8_lossy(&bytes);

        for path in [root.to_str().unwrap(), "/.cargo/registry"] {
            assert!(
                !text.contains(path),
                "{binary} names {path}: build it with `make bootstraps`"
            );
        }
    }
}

/// The JSON line with which a function ends that was started with these variables and no others.
fn last_words(binary: &str, variables: &BTreeMap<&str, &str>) -> String {
    let ended = Command::new(bootstrap(binary))
        .env_clear()
        .envs(variables)
        .output()
        .unwrap();
    assert!(!ended.status.success(), "{binary} must not start");
    let text = String::from_utf8(ended.stdout).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    line["error"].as_str().unwrap().to_owned()
}

fn a_missing_or_bad_variable_ends_the_start_and_is_named(_: &Stack) {
    let everything = BTreeMap::from([
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("INSTALLATIONS_TABLE", "installations"),
        ("WEBHOOKS_TABLE", "webhooks"),
        ("ORDERS_TABLE", "orders"),
        ("EVENTS_QUEUE_URL", "http://127.0.0.1/queue"),
        ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/dead-letters"),
        ("ORDER_EVENTS_BUS", "orders"),
        ("HOLD_QUEUE_URL", "http://127.0.0.1/hold"),
    ]);
    for (binary, needed, bad) in [
        (
            "armada-webhook",
            "INSTALLATIONS_TABLE",
            Some("SOURCE_CIDRS"),
        ),
        (
            "shipday-webhook",
            "EVENTS_QUEUE_URL",
            Some("MAX_BODY_BYTES"),
        ),
        (
            "order-consumer",
            "DEAD_LETTER_QUEUE_URL",
            Some("RETENTION_DAYS"),
        ),
        ("webhook-relay", "WEBHOOKS_TABLE", None),
        ("status-publisher", "ORDER_EVENTS_BUS", Some("HOLD_SECONDS")),
    ] {
        for missing in [needed, "AWS_REGION"] {
            let mut variables = everything.clone();
            variables.remove(missing);
            let words = last_words(binary, &variables);
            assert!(
                words.starts_with(&format!("{missing} is not set")),
                "{binary}: {words}"
            );
        }
        let Some(bad) = bad else { continue };
        let mut variables = everything.clone();
        variables.insert(bad, "nonsense");
        let words = last_words(binary, &variables);
        assert!(
            words.starts_with(bad) && words.contains("`nonsense`"),
            "{binary}: {words}"
        );
    }
}
