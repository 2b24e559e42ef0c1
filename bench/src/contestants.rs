//! Who is measured: the project's functions and their peers, how each is built and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::certificates::Certificates;
use crate::samples::BATCH;

/// What a contestant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Takes in Armada's webhooks.
    ArmadaWebhook,
    /// Takes in Shipday's webhooks.
    ShipdayWebhook,
    /// Takes in Armada's webhooks through an idempotency layer, which makes calls of its own.
    IdempotentWebhook,
    /// Applies batches of ten messages: put, query, save and close for each order.
    Consumer,
    /// Updates one item for each message of a batch, and nothing else.
    SingleUpdateConsumer,
    /// Publishes one change of the table's stream.
    Publisher,
}

/// What can be compared with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is given a gateway's event, and answers as one.
    Webhook,
    /// It is given a batch of messages.
    Consumer,
    /// It is given a record of a stream.
    Publisher,
}

impl Role {
    /// The calls of one warm invocation, sorted.
    pub(crate) fn calls(self) -> Vec<&'static str> {
        match self {
            Self::ArmadaWebhook | Self::ShipdayWebhook => vec!["PutItem", "SendMessage"],
            Self::IdempotentWebhook => vec!["PutItem", "PutItem", "SendMessage", "UpdateItem"],
            Self::Consumer => ["PutItem", "Query", "UpdateItem", "UpdateItem"]
                .into_iter()
                .flat_map(|operation| [operation; BATCH])
                .collect(),
            Self::SingleUpdateConsumer => vec!["UpdateItem"; BATCH],
            Self::Publisher => vec!["PutEvents"],
        }
    }

    /// What it is compared with.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::ArmadaWebhook | Self::ShipdayWebhook | Self::IdempotentWebhook => Kind::Webhook,
            Self::Consumer | Self::SingleUpdateConsumer => Kind::Consumer,
            Self::Publisher => Kind::Publisher,
        }
    }
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
    /// The files and folders that are deployed.
    pub(crate) package: Vec<PathBuf>,
    /// Whether a profiler can count its instructions.
    pub(crate) is_native: bool,
}

impl Contestant {
    /// Gives it a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.variables.push((name.to_owned(), format!("{value}")));
    }
}

/// The project's functions, from the folder that `make bootstraps` fills. They trust six certificates, one more than
/// they have compiled in for AWS.
///
/// # Errors
/// When one was not built.
pub(crate) fn ours(bootstraps: &Path, certificates: &Certificates) -> Result<Vec<Contestant>> {
    [
        ("armada-webhook", Role::ArmadaWebhook),
        ("shipday-webhook", Role::ShipdayWebhook),
        ("order-consumer", Role::Consumer),
        ("status-publisher", Role::Publisher),
    ]
    .into_iter()
    .map(|(name, role)| {
        let mut function = native(name, role, &bootstraps.join(name).join("bootstrap"))?;
        function.set("SSL_CERT_FILE", certificates.amazon.display());
        Ok(function)
    })
    .collect()
}

/// A contestant that is one program.
///
/// # Errors
/// When it was not built.
pub(crate) fn native(name: &'static str, role: Role, program: &Path) -> Result<Contestant> {
    let program = program
        .canonicalize()
        .with_context(|| format!("{} is not built", program.display()))?;
    Ok(Contestant {
        name,
        role,
        command: vec![program.display().to_string()],
        folder: program.parent().unwrap_or(Path::new("/")).to_owned(),
        variables: Vec::new(),
        package: vec![program],
        is_native: true,
    })
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
