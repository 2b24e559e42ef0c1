//! What stands out for people: what needs one of them has a mark that is there without colour too, and a colour where
//! the terminal has them.

use anstyle::{AnsiColor, Style};
use domain::RecordState;

/// Before what needs a person.
const MARK: char = '!';
const NEEDS_PERSON: Style = AnsiColor::Red.on_default().bold();
const UNDER_WAY: Style = AnsiColor::Yellow.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// A record's state in a column, with room for the longest and its mark; `None` for a damaged record.
pub(crate) fn state_cell(state: Option<RecordState>) -> String {
    let (style, mark) = of(state);
    let mark = mark.unwrap_or(' ');
    format!("{style}{mark}{:<11}{style:#}", word(state))
}

/// The same in a text.
pub(crate) fn state_word(state: Option<RecordState>) -> String {
    let (style, mark) = of(state);
    let mark = mark.map(String::from).unwrap_or_default();
    format!("{style}{mark}{}{style:#}", word(state))
}

fn word(state: Option<RecordState>) -> &'static str {
    state.map_or("damaged", RecordState::as_str)
}

const fn of(state: Option<RecordState>) -> (Style, Option<char>) {
    match state {
        None | Some(RecordState::Unmapped | RecordState::Quarantined | RecordState::Parked) => {
            (NEEDS_PERSON, Some(MARK))
        }
        Some(RecordState::Pending) => (UNDER_WAY, None),
        Some(RecordState::Applied | RecordState::Dismissed) => (Style::new(), None),
    }
}

/// A word that somebody must read.
pub(crate) fn alarming(word: &str) -> String {
    format!("{NEEDS_PERSON}{MARK}{word}{NEEDS_PERSON:#}")
}

/// Why a command failed, or what it warns of.
pub(crate) fn message(text: &str) -> String {
    for (start, style) in [("error:", NEEDS_PERSON), ("warning:", WARNING)] {
        if let Some(rest) = text.strip_prefix(start) {
            return format!("{style}{start}{style:#}{rest}");
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn what_needs_a_person_is_marked_without_colour_too() {
        let words = RecordState::ALL
            .map(Some)
            .into_iter()
            .chain([None])
            .map(state_cell);
        let words: Vec<_> = words.map(|it| strip_str(&it).to_string()).collect();

        assert_eq!(
            words,
            [
                " pending    ",
                " applied    ",
                "!unmapped   ",
                "!quarantined",
                "!parked     ",
                " dismissed  ",
                "!damaged    ",
            ]
        );
        let parked = state_word(Some(RecordState::Parked));
        assert_eq!(strip_str(&parked).to_string(), "!parked");
    }

    #[test]
    fn the_first_word_of_an_error_is_coloured_and_nothing_else() {
        assert_eq!(message("3 webhook(s)"), "3 webhook(s)");
        let error = message("error: `error: x` is no key");
        assert!(error.starts_with("\u{1b}["), "{error:?}");
        assert_eq!(strip_str(&error).to_string(), "error: `error: x` is no key");
    }
}
