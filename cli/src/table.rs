//! Columns that align, for people.

use std::fmt::Write as _;

use anstream::adapter::strip_str;

/// The rows with every column as wide as its widest cell, two blanks between columns, `indent` before each
/// line.
pub(crate) fn align<const COLUMNS: usize>(indent: &str, rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = shown_width(cell).max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (width, cell) in widths.iter().zip(row) {
            let blanks = width + 2 - shown_width(cell);
            let _ = write!(line, "{cell}{:blanks$}", ""); // writing to a String cannot fail
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How many characters a terminal shows of it: a colour takes no room.
fn shown_width(cell: &str) -> usize {
    let shown = strip_str(cell);
    shown.into_iter().map(|part| part.chars().count()).sum()
}

/// The same, with every column but the first flush right: for numbers.
pub(crate) fn align_numbers<const COLUMNS: usize>(
    indent: &str,
    rows: &[[String; COLUMNS]],
) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row).skip(1) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut flush = rows.to_vec();
    for row in &mut flush {
        for (width, cell) in widths.iter().zip(row) {
            *cell = format!("{cell:>width$}");
        }
    }
    align(indent, &flush)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_no_line_ends_in_blanks() {
        let rows = [["a", "long name", ""], ["bbb", "c", "d"]].map(|row| row.map(str::to_owned));

        assert_eq!(align(" ", &rows), " a    long name\n bbb  c          d\n");
    }

    #[test]
    fn a_colour_takes_no_room() {
        let rows = [["\u{1b}[31ma\u{1b}[0m", "b"], ["aaa", "b"]];
        let text = align("", &rows.map(|row| row.map(str::to_owned)));

        assert_eq!(text, "\u{1b}[31ma\u{1b}[0m    b\naaa  b\n");
    }

    #[test]
    fn numbers_stand_flush_right_behind_their_name() {
        let rows = [["", "orders"], ["all", "7"]].map(|row| row.map(str::to_owned));

        assert_eq!(align_numbers(" ", &rows), "      orders\n all       7\n");
    }
}
