//! The process at the other end of a connection.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::stack::BINARIES;

/// How often is looked whether a process has ended.
const POLL: Duration = Duration::from_millis(2);

/// A function's process that calls the services.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Which function it is.
    pub(crate) binary: &'static str,
    pid: Pid,
    program: PathBuf,
}

impl Caller {
    /// The process that connected from `peer` to `own`, if its program is in `programs`.
    pub(crate) fn find(peer: SocketAddr, own: SocketAddr, programs: &Path) -> Option<Self> {
        let socket = format!("socket:[{}]", inode(peer, own)?);
        for process in fs::read_dir("/proc").ok()?.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            let Some(program) = program(pid).filter(|program| program.starts_with(programs)) else {
                continue;
            };
            let files = fs::read_dir(process.path().join("fd"))
                .into_iter()
                .flatten();
            let mut files = files
                .flatten()
                .filter_map(|file| fs::read_link(file.path()).ok());
            if files.any(|file| file.as_os_str() == socket.as_str()) {
                return Some(Self {
                    binary: binary(pid)?,
                    pid: Pid::from_raw(pid)?,
                    program,
                });
            }
        }
        None
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub(crate) async fn kill(&self) {
        while self.runs() {
            // It may have ended in between, which is what was wanted.
            let _ = kill_process(self.pid, Signal::KILL);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the process with this id is still the one that called; a dead one has no program.
    fn runs(&self) -> bool {
        program(self.pid.as_raw_nonzero().get()).as_ref() == Some(&self.program)
    }
}

fn program(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The function that a process was started as. Its name is the stack's, then the function's logical id.
fn binary(pid: i32) -> Option<&'static str> {
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
    let name = environment
        .split('\0')
        .find_map(|variable| variable.strip_prefix("AWS_LAMBDA_FUNCTION_NAME="))?;
    let name = name.to_lowercase();
    BINARIES
        .into_iter()
        .find(|binary| name.contains(&binary.replace('-', "")))
}

/// The number of the socket from which `peer` is connected to `own`.
fn inode(peer: SocketAddr, own: SocketAddr) -> Option<String> {
    let (peer, own) = (port(peer), port(own));
    let connections = fs::read_to_string("/proc/net/tcp").ok()?;
    connections.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&peer) && fields.get(2)?.ends_with(&own);
        is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

/// The port as `/proc/net/tcp` has it.
fn port(address: SocketAddr) -> String {
    format!(":{:04X}", address.port())
}
