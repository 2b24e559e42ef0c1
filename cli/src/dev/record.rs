//! What a running local stack writes down for the other commands, in `.dev/stack.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::emulator;
use super::process::ProcessIdentity;
use super::tools;

/// The record of a running stack cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be used.
    #[error("`{path}` cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file does not hold a record, or one of another version.
    #[error("`{path}` is not readable: if no local stack is running, delete it")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// A running local stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Where its services are.
    pub(crate) endpoint: String,
    /// Where its functions call them; nothing until they run.
    pub(crate) function_endpoint: String,
    /// Its name for CloudFormation.
    pub(crate) stack_name: String,
    /// What its template tells; nothing until it is deployed.
    pub(crate) outputs: BTreeMap<String, String>,
    /// The port of `cargo lambda watch`.
    pub(crate) watch_port: u16,
    /// The `dev up` that runs it.
    pub(crate) owner: ProcessIdentity,
    /// What that has started. Each leads a group.
    pub(crate) processes: Vec<ProcessIdentity>,
}

impl Record {
    /// The record of the repository at `root`, if there is one.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>, RecordError> {
        let path = path(root);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|source| RecordError::Unreadable { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RecordError::File { path, source }),
        }
    }

    /// The same, if its stack is deployed and its services answer. Blocks the thread for a moment.
    pub(crate) fn running(root: &Path) -> Result<Option<Self>, RecordError> {
        let record = Self::read(root)?;
        Ok(record.filter(|record| !record.outputs.is_empty() && record.answers()))
    }

    /// Writes it, as a whole: another command may be reading.
    pub(crate) fn write(&self, root: &Path) -> Result<(), RecordError> {
        let path = path(root);
        let draft = path.with_extension("json.draft");
        let text =
            serde_json::to_string_pretty(self).map_err(|source| RecordError::Unreadable {
                path: path.clone(),
                source,
            })?;
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(|source| RecordError::File { path, source })
    }

    /// Deletes the record.
    pub(crate) fn delete(root: &Path) {
        // It may be gone already, and what it names is not running any more.
        let _ = fs::remove_file(path(root));
    }

    /// Whether any of its processes runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.owner.is_alive() || self.processes.iter().any(ProcessIdentity::is_alive)
    }

    /// Whether its services answer. Blocks the thread for a moment.
    pub(crate) fn answers(&self) -> bool {
        emulator::health(&self.endpoint, Duration::from_secs(2)).is_some()
    }
}

fn path(root: &Path) -> PathBuf {
    tools::folder(root).join("stack.json")
}
