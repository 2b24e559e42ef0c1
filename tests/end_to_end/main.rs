//! The real thing, whole: the release bootstraps, deployed with the real `template.yaml` into MiniStack with
//! IAM enforced, from a provider's HTTP request to the order's state.
//!
//! One stack serves most tests, and a second one those that inject faults; every test has a merchant and orders of
//! its own. The harness is libtest's look-alike, because the stacks must be stopped when the last test has ended.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

mod board;
mod bootstraps;
mod browser;
mod caller;
mod downstream;
mod drill;
mod faults;
mod permissions;
mod proxy;
mod publishing;
mod relay;
mod repair;
#[path = "../runbook.rs"]
mod runbook_page;
mod simulate;
mod smoke;
mod stack;
mod storm;
mod webhooks;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use libtest_mimic::{Arguments, Trial};
use stack::Stack;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    if repair::is_hookctl() {
        return hookctl::run();
    }
    let arguments = Arguments::from_args();
    let stacks = Arc::new(Stacks::default());
    stop_when_interrupted(&stacks);
    let conclusion = libtest_mimic::run(&arguments, all(&stacks));
    stacks.stop();
    conclusion.exit_code()
}

/// The stacks' processes are in groups of their own, where a Ctrl-C does not reach them.
fn stop_when_interrupted(stacks: &Arc<Stacks>) {
    let stacks = Arc::clone(stacks);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    thread::spawn(move || {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        stacks.stop();
        std::process::exit(INTERRUPTED);
    });
}

type Test = fn(&Stack);

/// The stacks that the tests share. Each is started by the first test that needs it.
#[derive(Default)]
struct Stacks {
    deployed: OnceLock<Stack>,
    faulty: OnceLock<Stack>,
    /// What a drill breaks nobody else may use.
    drilled: OnceLock<Stack>,
    /// One test after the other uses it: some faults are for all calls.
    faulty_turn: Mutex<()>,
}

impl Stacks {
    fn stop(&self) {
        for stack in [&self.deployed, &self.faulty, &self.drilled] {
            if let Some(stack) = stack.get() {
                stack.stop();
            }
        }
    }

    /// Runs a test on the template as it is deployed.
    fn run(&self, test: Test) {
        test(self.deployed.get_or_init(Stack::start));
    }

    /// Runs the drill.
    fn run_drill(&self, test: Test) {
        test(self.drilled.get_or_init(Stack::start_for_the_drill));
    }

    /// Runs a test behind the proxy that injects faults.
    fn run_faulty(&self, test: Test) {
        let turn = self.faulty_turn.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let stack = self.faulty.get_or_init(Stack::start_behind_proxy);
        test(stack);
        assert_eq!(stack.dead_letters(), Vec::<String>::new());
    }
}

/// Every test of this binary.
fn all(stacks: &Arc<Stacks>) -> Vec<Trial> {
    // The schedule's own test waits for a minute, so it begins first, and those that wait for it come last.
    let first = [
        relay::SCHEDULED,
        bootstraps::TESTS,
        webhooks::TESTS,
        simulate::TESTS,
        smoke::TESTS,
        publishing::TESTS,
        downstream::TESTS,
        board::TESTS,
    ];
    let faulty = [
        faults::TESTS,
        publishing::HELD,
        permissions::TESTS,
        smoke::FAULTY,
        storm::TESTS,
    ];
    let last = [relay::TESTS, repair::TESTS];
    let trials = |tests: &[&[(&'static str, Test)]], run: fn(&Stacks, Test)| {
        let trial = |(name, test): &(&'static str, Test)| {
            let (stacks, test) = (Arc::clone(stacks), *test);
            // The harness prints what a test panics with, once.
            Trial::test(*name, move || {
                run(&stacks, test);
                Ok(())
            })
        };
        tests.concat().iter().map(trial).collect::<Vec<_>>()
    };
    [
        trials(&[drill::TESTS], Stacks::run_drill),
        trials(&first, Stacks::run),
        trials(&faulty, Stacks::run_faulty),
        trials(&last, Stacks::run),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Lists tests by their own names.
macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        pub(crate) const TESTS: &[(&str, crate::Test)] = &[$((stringify!($test), $test)),+];
    };
}
pub(crate) use tests;
