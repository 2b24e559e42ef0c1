//! Processes that are started here and must not outlive their use.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const POLL: Duration = Duration::from_millis(20);

/// A process that no later one with the same id is mistaken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    /// Its id.
    pub(crate) pid: i32,
    /// When it started, in the kernel's ticks since the machine did. Unknown on a machine without `/proc`, where
    /// nothing is ever taken for this process.
    started: Option<u64>,
}

impl ProcessIdentity {
    /// The process with that id.
    pub(crate) fn of(pid: u32) -> Self {
        let pid = i32::try_from(pid).unwrap_or_default();
        Self {
            pid,
            started: Stat::read(pid).map(|stat| stat.started),
        }
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&self) -> bool {
        Stat::read(self.pid)
            .is_some_and(|stat| stat.state != 'Z' && Some(stat.started) == self.started)
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may have ended in between, which is what was wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends the process group that it leads, with everything started from there.
    pub(crate) fn end_group(&self) {
        if self.is_alive() {
            end_tree(self, || !self.is_alive());
        }
    }

    fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A process in a group of its own: a Ctrl-C at the terminal does not reach it, so that it is ended in order.
/// Dropping it ends the group.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    child: Child,
    identity: ProcessIdentity,
    status: Option<ExitStatus>,
}

impl ProcessGroup {
    /// Starts it, without a stdin.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        use std::os::unix::process::CommandExt as _;

        let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
        let identity = ProcessIdentity::of(child.id());
        Ok(Self {
            child,
            identity,
            status: None,
        })
    }

    /// Which process leads the group.
    pub(crate) const fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// What it writes, where that was asked to be piped; once.
    pub(crate) fn take_output(
        &mut self,
    ) -> (
        Option<std::process::ChildStdout>,
        Option<std::process::ChildStderr>,
    ) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// How it ended, if it has.
    pub(crate) fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !matches!(self.status(), Ok(None)) {
            return;
        }
        let identity = self.identity.clone();
        end_tree(&identity, || !matches!(self.status(), Ok(None)));
        let _ = self.child.wait(); // it has been killed by now
    }
}

/// Ends a process, its group and everything that was started from it, first politely.
fn end_tree(leader: &ProcessIdentity, mut has_ended: impl FnMut() -> bool) {
    // `cargo lambda watch` puts what it starts into groups of their own, so the group is not everything.
    let others = descendants(leader.pid);
    signal_group(leader.pid, Signal::TERM);
    let mut waited = Duration::ZERO;
    while !has_ended() && waited < GRACE {
        thread::sleep(POLL);
        waited += POLL;
    }
    signal_group(leader.pid, Signal::KILL);
    for process in others {
        process.kill();
    }
}

fn signal_group(leader: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(leader) {
        // No such group: it has ended, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// Everything that was started from a process, directly or not.
fn descendants(root: i32) -> Vec<ProcessIdentity> {
    let mut children: BTreeMap<i32, Vec<ProcessIdentity>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, Stat::read(pid)?))) {
            let identity = ProcessIdentity {
                pid,
                started: Some(stat.started),
            };
            children.entry(stat.parent).or_default().push(identity);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in brackets, which may hold blanks and brackets itself.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ProcessGroup {
        ProcessGroup::start(
            Command::new("sh")
                .args(["-c", script])
                .stdout(Stdio::piped()),
        )
        .unwrap()
    }

    /// The id that a script echoes first.
    fn echoed(group: &mut ProcessGroup) -> ProcessIdentity {
        let mut line = String::new();
        let stdout = group.take_output().0.unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        ProcessIdentity::of(line.trim().parse().unwrap())
    }

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let text = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 8812 1 1 1";

        assert_eq!(
            Stat::parse(text),
            Some(Stat {
                state: 'S',
                parent: 3,
                started: 8_812
            })
        );
        assert_eq!(Stat::parse("7 (cut"), None);
    }

    #[test]
    fn dropping_a_group_ends_what_it_started_even_in_another_group() {
        let mut group = shell("setsid sleep 600 & echo $!; wait");
        let (leader, other) = (group.identity().clone(), echoed(&mut group));
        assert!(leader.is_alive() && other.is_alive());

        drop(group);

        assert!(!leader.is_alive());
        for _ in 0..100 {
            if !other.is_alive() {
                return;
            }
            thread::sleep(POLL);
        }
        panic!("process {} lives on", other.pid);
    }

    #[test]
    fn a_later_process_with_the_same_id_is_left_alone() {
        let group = shell("sleep 600");
        let other = ProcessIdentity {
            started: Some(1),
            ..group.identity().clone()
        };

        assert!(!other.is_alive());
        other.end_group();
        assert!(group.identity().is_alive());
    }
}
