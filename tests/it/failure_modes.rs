//! What the documents say a test shows, a test of that name shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const LIST: &str = "docs/failure-modes.md";
/// A test that stands for more rows of the list than this is no row's only evidence.
const MOST_ROWS_OF_ONE_TEST: usize = 4;
/// Words in the documents that look like a test's name: a status, an attribute.
const NO_TESTS: [&str; 3] = [
    "en_route_to_pickup",
    "proof_of_delivery_urls",
    "status_received_at_ms",
];

/// The files below a folder whose names end so, sorted.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The name in a line that begins a function.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let words = ["", "async ", "pub(crate) ", "pub(crate) async "];
    words.contains(&before).then_some(())?;
    after
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
}

/// The functions of a source that an attribute makes a test, those in a `proptest!` among them.
fn attributed(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines() {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = function_name(line)
            && std::mem::take(&mut is_test)
        {
            names.push(name);
        }
    }
    names
}

/// The functions of a binary with a harness of its own that are in its lists: in `tests![…]`, or as the text that
/// names them.
fn listed(source: &str) -> Vec<&str> {
    let in_list = source.split("tests![").skip(1).flat_map(|rest| {
        let (list, _) = rest.split_once(']').unwrap();
        list.split(',').map(str::trim)
    });
    let in_list: BTreeSet<&str> = in_list.collect();
    let functions = source.lines().filter_map(function_name);
    functions
        .filter(|name| in_list.contains(name) || source.contains(&format!("\"{name}\"")))
        .collect()
}

/// The name of every test in the workspace.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["functions", "shared", "cli", "tests"] {
        for path in files(folder, ".rs") {
            let source = fs::read_to_string(path).unwrap();
            names.extend(attributed(&source).into_iter().map(str::to_owned));
        }
    }
    for folder in ["tests/end_to_end", "tests/simulation"] {
        let sources = files(folder, ".rs").into_iter().map(fs::read_to_string);
        let sources: Vec<String> = sources.map(Result::unwrap).collect();
        // A list may be in another file than its functions.
        names.extend(listed(&sources.concat()).into_iter().map(str::to_owned));
    }
    names
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A name that reads like a sentence.
fn is_sentence(name: &str) -> bool {
    name.matches('_').count() >= 3
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The rows of all tables of a document, each as its cells, without heads and rules.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let mut rows = Vec::new();
    let lines: Vec<&str> = document.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let is_rule = |line: &str| line.starts_with("| ---");
        let is_head = lines.get(index + 1).is_some_and(|next| is_rule(next));
        if line.starts_with('|') && !is_rule(line) && !is_head {
            rows.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
    }
    rows
}

#[test]
fn every_failure_mode_names_tests_that_exist() {
    let document = fs::read_to_string(Path::new(ROOT).join(LIST)).unwrap();
    let tests = tests();
    let rows = rows(&document);
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for name in rows.iter().flat_map(|row| quoted(row[row.len() - 1])) {
        assert!(tests.contains(name), "{LIST}: there is no test `{name}`");
        assert!(is_sentence(name), "{LIST}: `{name}` does not say enough");
        *named.entry(name).or_default() += 1;
    }

    assert!(rows.len() >= 30, "{} rows", rows.len());
    for row in rows {
        assert_eq!(row.len(), 4, "{LIST}: {row:?}");
        assert!(
            quoted(row[3]).any(|name| named[name] <= MOST_ROWS_OF_ONE_TEST),
            "{LIST}: no test of its own for: {}",
            row[0]
        );
    }
}

#[test]
fn every_test_that_a_document_cites_exists() {
    let tests = tests();
    for path in files("docs", ".md")
        .into_iter()
        .chain(files("events", ".md"))
    {
        let document = fs::read_to_string(&path).unwrap();
        for name in quoted(&document).filter(|name| is_sentence(name)) {
            assert!(
                tests.contains(name) || NO_TESTS.contains(&name),
                "{}: there is no test `{name}`",
                path.display()
            );
        }
    }
}
