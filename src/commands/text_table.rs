//! Columns of text under a heading, for people.

use std::io::{self, Write};

use crate::printable::printable;

/// The alignment of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table that is as wide as its contents, which are shown as [`printable`] has them.
#[derive(Debug)]
pub(super) struct TextTable {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// A table with these headings.
    pub(super) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align));
        TextTable {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter();
        self.rows
            .push(cells.map(|cell| printable(&cell).into_owned()).collect());
    }

    /// Writes the heading and the rows.
    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            cells
                .chain([&self.columns[index].0])
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let headings: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        for cells in [&headings].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, align)), width) in cells.iter().zip(&self.columns).zip(&widths) {
                let cell = match align {
                    Align::Left => format!("{cell:<width$}  "),
                    Align::Right => format!("{cell:>width$}  "),
                };
                line.push_str(&cell);
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = TextTable::new(&[("file", Align::Left), ("n", Align::Right)]);
        table.row(["Zähler".to_owned(), "7".to_owned()]);
        table.row(["b".to_owned(), "1,234".to_owned()]);
        let mut output = Vec::new();
        table.write(&mut output).unwrap();
        let expected = "file        n\nZähler      7\nb       1,234\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    #[test]
    fn a_cell_keeps_to_its_line() {
        let mut table = TextTable::new(&[("key", Align::Left)]);
        table.row(["a\nb\u{1b}[2J".to_owned()]);
        let mut output = Vec::new();
        table.write(&mut output).unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), "key\na\\u{a}b\\u{1b}[2J\n");
    }
}
