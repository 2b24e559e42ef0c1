//! What the code between the calls costs: time, allocations and bytes of each step.
//!
//! `cargo bench --manifest-path bench/Cargo.toml -p micro`; a name after `--` picks some of them.

mod fold;
mod reading;
mod samples;
mod storing;

use divan::AllocProfiler;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}
