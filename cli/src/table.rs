//! Columns that align, for people.

use std::fmt::Write as _;

/// The rows with every column as wide as its widest cell, two blanks between columns, `indent` before each
/// line.
pub(crate) fn align<const COLUMNS: usize>(indent: &str, rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  "); // writing to a String cannot fail
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_no_line_ends_in_blanks() {
        let rows = [["a", "long name", ""], ["bbb", "c", "d"]].map(|row| row.map(str::to_owned));

        assert_eq!(align(" ", &rows), " a    long name\n bbb  c          d\n");
    }
}
