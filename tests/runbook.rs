//! `docs/operations.md` as the tests read it: its commands, entry by entry.

use std::fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");

/// A block of commands.
#[derive(Debug)]
pub(crate) struct Block {
    /// The heading that it stands under, without the hashes.
    pub(crate) heading: String,
    pub(crate) commands: Vec<Documented>,
}

/// A command, with what the page says about it.
#[derive(Debug)]
pub(crate) struct Documented {
    /// As a shell takes it.
    pub(crate) text: String,
    pub(crate) expected: Expected,
}

/// What a command's output has, and whether it succeeds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Success,
    Shows(String),
    Refused(String),
}

/// All of them.
pub(crate) fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut blocks = Vec::new();
    let mut heading = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            line.trim_matches(['#', ' ']).clone_into(&mut heading);
        } else if line == "```sh" {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block {
                heading: heading.clone(),
                commands: commands(&inside),
            });
        }
    }
    blocks
}

/// Puts together what a backslash, or the braces of a function, keep together.
fn commands(lines: &[&str]) -> Vec<Documented> {
    let mut commands = Vec::new();
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        let is_function = text.contains("() {") && *line != "}";
        if is_function || line.ends_with('\\') {
            text.push('\n');
        } else {
            commands.push(Documented::parse(&std::mem::take(&mut text)));
        }
    }
    assert!(text.is_empty(), "a command has no end: {text}");
    commands
}

impl Documented {
    /// Reads a command and what is said behind it.
    pub(crate) fn parse(text: &str) -> Self {
        type Make = fn(String) -> Expected;
        let kinds: [(&str, Make); 2] = [
            ("# shows: ", Expected::Shows),
            ("# refused: ", Expected::Refused),
        ];
        let said = kinds.iter().find_map(|(mark, make)| {
            let (text, words) = text.split_once(mark)?;
            Some((text, make(words.to_owned())))
        });
        let (text, expected) = said.unwrap_or((text, Expected::Success));
        Self {
            text: text.trim_end().to_owned(),
            expected,
        }
    }
}
