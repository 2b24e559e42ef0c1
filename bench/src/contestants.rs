//! Who is measured: the project's functions and their peers, how each is built and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

/// What a contestant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Takes in Armada's webhooks.
    ArmadaWebhook,
    /// Takes in Shipday's webhooks.
    ShipdayWebhook,
    /// Applies batches of ten messages.
    Consumer,
}

/// One function to measure.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    /// Its name in results.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) role: Role,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// What it needs beside Lambda's variables.
    pub(crate) variables: Vec<(String, String)>,
    /// The files and folders that are deployed, from `package_root`.
    pub(crate) package: Vec<PathBuf>,
    /// Whether a profiler can count its instructions.
    pub(crate) is_native: bool,
    /// The calls of one warm invocation, sorted.
    pub(crate) calls: Vec<&'static str>,
}

/// The calls of a webhook whose sender is remembered.
const WEBHOOK_CALLS: [&str; 2] = ["PutItem", "SendMessage"];

/// The project's functions, from the folder that `make bootstraps` fills.
///
/// # Errors
/// When one was not built.
pub(crate) fn ours(bootstraps: &Path) -> Result<Vec<Contestant>> {
    [
        ("armada-webhook", Role::ArmadaWebhook, WEBHOOK_CALLS.to_vec()),
        ("shipday-webhook", Role::ShipdayWebhook, WEBHOOK_CALLS.to_vec()),
        ("order-consumer", Role::Consumer, consumer_calls()),
    ]
    .into_iter()
    .map(|(name, role, calls)| native(name, role, &bootstraps.join(name).join("bootstrap"), calls))
    .collect()
}

/// A contestant that is one program.
///
/// # Errors
/// When it was not built.
pub(crate) fn native(
    name: &'static str,
    role: Role,
    program: &Path,
    calls: Vec<&'static str>,
) -> Result<Contestant> {
    let program = program
        .canonicalize()
        .with_context(|| format!("{} is not built: run `make bootstraps`", program.display()))?;
    Ok(Contestant {
        name,
        role,
        command: vec![program.display().to_string()],
        folder: program.parent().unwrap_or(Path::new("/")).to_owned(),
        variables: Vec::new(),
        package: vec![program],
        is_native: true,
        calls,
    })
}

/// Put, query, save and close, for each of ten orders.
fn consumer_calls() -> Vec<&'static str> {
    ["PutItem", "Query", "UpdateItem", "UpdateItem"]
        .into_iter()
        .flat_map(|operation| [operation; crate::samples::BATCH])
        .collect()
}

/// Runs a command to its end.
///
/// # Errors
/// When it fails.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    eprintln!("$ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} {} failed", arguments.join(" "));
    }
    Ok(())
}
