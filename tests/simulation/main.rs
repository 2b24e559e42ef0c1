//! The whole pipeline under every fault, in memory, one outside call at a time.
//!
//! The functions are the real ones; only what they call is simulated. A history is a pure function of its plan,
//! so whatever goes wrong once goes wrong again.
//!
//! `make histories` tells ten times as many random histories as `make test`, and
//! `SEED=4711 cargo test --workspace --test simulation -- no_random_history` one of them, with a trace.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test, and the counts are meant to be read"
)]

mod deployment;
mod enumeration;
mod histories;
mod history;
mod plan;
mod promises;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Planned panics are caught where they happen, and a failed test says what failed.
    std::panic::set_hook(Box::new(|_| {}));
    let test = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let tests = vec![
        test(
            "any_one_fault_at_any_call_breaks_no_promise",
            enumeration::any_one_fault_at_any_call_breaks_no_promise,
        ),
        test(
            "any_two_faults_at_any_two_calls_break_no_promise",
            enumeration::any_two_faults_at_any_two_calls_break_no_promise,
        ),
        test(
            "no_random_history_breaks_a_promise",
            histories::no_random_history_breaks_a_promise,
        ),
        test(
            "every_planted_flaw_is_noticed",
            histories::every_planted_flaw_is_noticed,
        ),
        test("a_seed_replays_exactly", histories::a_seed_replays_exactly),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// Does a piece of work for each number below `count`, on all cores, each of them on a clock that only it moves.
/// Ends with the first that fails, by number.
fn on_all_cores<F: Future<Output = Result<(), String>>>(
    count: u64,
    work: impl Fn(u64) -> F + Sync,
) -> Result<(), String> {
    let next = AtomicU64::new(0);
    let worker = || {
        on_a_paused_clock(async {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return None;
                }
                if let Err(what) = work(number).await {
                    next.store(count, Ordering::Relaxed);
                    return Some((number, what));
                }
            }
        })
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let failure = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .filter_map(|worker| worker.join().unwrap())
            .min()
    });
    failure.map_or(Ok(()), |(_, what)| Err(what))
}

/// Runs histories on a clock that only they move.
fn on_a_paused_clock<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}
