//! Which crate may depend on what: enforced by the dependency tree, not by hope.

use std::process::Command;

/// The packages that a workspace member is built from, itself not counted, each as `name version`.
fn dependencies(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let tree = String::from_utf8(output.stdout).expect("package names are UTF-8");
    tree.lines().skip(1).map(str::to_owned).collect()
}

#[track_caller]
fn has_none_of(package: &str, forbidden: &[&str]) {
    let is_forbidden = |name: &&String| forbidden.iter().any(|bad| name.starts_with(bad));
    let found = dependencies(package);
    let wrong: Vec<_> = found.iter().filter(is_forbidden).collect();

    assert!(wrong.is_empty(), "`{package}` must not depend on {wrong:?}");
}

#[test]
fn domain_and_providers_know_no_cloud_no_server_and_no_runtime() {
    for package in ["domain", "providers"] {
        has_none_of(
            package,
            &[
                "aws", "lambda", "tokio", "hyper", "http", "axum", "tower", "tracing",
            ],
        );
    }
}

#[test]
fn dependencies_point_one_way() {
    has_none_of("domain", &["providers", "ingest", "aws v"]);
    has_none_of("providers", &["ingest", "aws v"]);
    has_none_of(
        "aws",
        &[
            "providers",
            "ingest",
            "order-consumer",
            "webhook-relay",
            "status-publisher",
            "aws-sdk-eventbridge",
        ],
    );
    has_none_of("ingest", &["aws v", "aws-sdk", "aws-smithy"]);
}

#[test]
fn the_functions_carry_one_tls_stack_and_nothing_of_tests_or_tools() {
    let second_stacks = [
        "aws-lc",
        "openssl-sys",
        "native-tls",
        "hyper v0.14",
        "rustls v0.21",
    ];
    let tools = [
        "aws-config",
        "clap",
        "dynoxide",
        "hookctl",
        "schemars",
        "testkit",
    ];
    for package in [
        "armada-webhook",
        "shipday-webhook",
        "order-consumer",
        "webhook-relay",
        "status-publisher",
    ] {
        has_none_of(package, &second_stacks);
        has_none_of(package, &tools);
        let has_ring = dependencies(package)
            .iter()
            .any(|name| name.starts_with("ring v"));
        assert!(has_ring, "`{package}` has its TLS from ring");
    }
}

#[test]
fn only_the_publisher_carries_the_event_buss_client() {
    for package in [
        "armada-webhook",
        "shipday-webhook",
        "order-consumer",
        "webhook-relay",
    ] {
        has_none_of(package, &["aws-sdk-eventbridge"]);
    }
    has_none_of("status-publisher", &["providers", "ingest"]);
}
