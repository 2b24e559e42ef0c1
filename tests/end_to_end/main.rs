//! The real thing, whole: the release bootstraps, deployed with the real `template.yaml` into MiniStack with
//! IAM enforced, from a provider's HTTP request to the order's state.
//!
//! One stack serves all tests; every test has a merchant and orders of its own. The harness is libtest's
//! look-alike, because the stack must be stopped when the last test has ended.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

mod bootstraps;
mod relay;
mod repair;
mod stack;
mod webhooks;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use stack::Stack;

fn main() -> ExitCode {
    if repair::is_hookctl() {
        return hookctl::run();
    }
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, all(None)).exit_code();
    }
    let stack = Arc::new(Stack::start());
    let conclusion = libtest_mimic::run(&arguments, all(Some(&stack)));
    stack.stop();
    conclusion.exit_code()
}

type Test = fn(&Stack);

/// Every test of this binary.
fn all(stack: Option<&Arc<Stack>>) -> Vec<Trial> {
    // The schedule's own test waits for up to a minute, so it begins first.
    let tests = [
        relay::SCHEDULED,
        bootstraps::TESTS,
        webhooks::TESTS,
        relay::TESTS,
        repair::TESTS,
    ];
    tests
        .into_iter()
        .flatten()
        .map(|(name, test)| {
            let stack = stack.cloned();
            Trial::test(*name, move || run(*test, stack.as_deref()))
        })
        .collect()
}

fn run(test: Test, stack: Option<&Stack>) -> Result<(), Failed> {
    let stack = stack.ok_or("no stack was started")?;
    // The harness prints what a test panics with, once.
    test(stack);
    Ok(())
}

/// Lists tests by their own names.
macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        pub(crate) const TESTS: &[(&str, crate::Test)] = &[$((stringify!($test), $test)),+];
    };
}
pub(crate) use tests;
