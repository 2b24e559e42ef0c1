//! Which crate may depend on what: enforced by the dependency tree, not by hope.

use std::collections::BTreeSet;
use std::process::Command;

/// The packages a workspace member is built from, itself not counted.
fn dependencies(package: &str, features: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    command
        .args(["--package", package])
        .args(features)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let output = command.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).expect("package names are UTF-8");
    tree.lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn has_none_of(package: &str, forbidden: &[&str]) {
    let found = dependencies(package, &[]);
    let wrong: Vec<_> = found
        .iter()
        .filter(|name| forbidden.iter().any(|bad| name.starts_with(bad)))
        .collect();

    assert!(wrong.is_empty(), "`{package}` must not depend on {wrong:?}");
}

#[test]
fn domain_and_providers_know_no_cloud_no_server_and_no_runtime() {
    for package in ["domain", "providers"] {
        has_none_of(
            package,
            &[
                "aws", "lambda", "tokio", "hyper", "http", "axum", "tower", "tracing", "ingest",
            ],
        );
    }
}

#[test]
fn dependencies_point_one_way() {
    has_none_of("domain", &["providers"]);
    has_none_of("aws", &["providers", "ingest", "order-consumer"]);
    has_none_of("providers", &["ingest"]);
    has_none_of("ingest", &["aws-sdk", "aws-smithy"]);
}

#[test]
fn the_functions_carry_one_tls_stack_and_no_test_double() {
    for package in ["armada-webhook", "shipday-webhook", "order-consumer"] {
        has_none_of(
            package,
            &[
                "aws-config",
                "aws-lc",
                "openssl-sys",
                "native-tls",
                "testkit",
                "hookctl",
                "schemars",
                "dynoxide",
            ],
        );
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                package,
            ])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8(tree.stdout).expect("package names are UTF-8");

        assert!(
            !tree.contains("hyper v0.14"),
            "{package} carries the SDK's legacy HTTP stack"
        );
        assert!(tree.contains("ring v"), "{package} has its TLS from ring");
    }
}
