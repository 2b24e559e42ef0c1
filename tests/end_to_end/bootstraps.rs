//! The files that are deployed.

use std::fs;

use crate::stack::{BINARIES, Stack, bootstrap};
use crate::tests;

tests![
    a_bootstrap_runs_on_amazon_linux_2023,
    a_bootstrap_carries_no_path_of_the_machine_that_built_it
];

/// The newest glibc that `provided.al2023` has: 2.34.
const NEWEST_GLIBC_MINOR: u32 = 34;

fn a_bootstrap_runs_on_amazon_linux_2023(_: &Stack) {
    for binary in BINARIES {
        let bytes = fs::read(bootstrap(binary)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let minors = text.split("GLIBC_2.").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });

        let newest = minors
            .max()
            .expect("a binary that is linked with glibc names its versions");
        assert!(
            newest <= NEWEST_GLIBC_MINOR,
            "{binary} needs glibc 2.{newest}: build it with zig (cargo lambda build)"
        );
    }
}

fn a_bootstrap_carries_no_path_of_the_machine_that_built_it(_: &Stack) {
    let root = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    for binary in BINARIES {
        let bytes = fs::read(bootstrap(binary)).unwrap();
        let text = String::from_utf8_lossy(&bytes);

        assert!(
            !text.contains(root.to_str().unwrap()),
            "{binary} names {}",
            root.display()
        );
    }
}
