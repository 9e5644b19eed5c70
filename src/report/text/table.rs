//! Columns of text, aligned by hand: two spaces between, widths in characters.

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// At the left.
    Left,
    /// At the right.
    Right,
}

/// A heading with the cells below it.
pub(super) struct Column {
    heading: &'static str,
    align: Align,
    cells: Vec<String>,
}

impl Column {
    pub(super) fn new(heading: &'static str, align: Align, cells: Vec<String>) -> Self {
        Self { heading, align, cells }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| length(cell)).chain([length(self.heading)]).max().unwrap_or(0)
    }

    fn padded(&self, text: &str) -> String {
        let space = " ".repeat(self.width().saturating_sub(length(text)));
        match self.align {
            Align::Left => format!("{text}{space}"),
            Align::Right => format!("{space}{text}"),
        }
    }
}

/// Characters of a text.
pub(super) fn length(text: &str) -> usize {
    text.chars().count()
}

/// Width of the columns side by side.
pub(super) fn width(columns: &[Column]) -> usize {
    columns.iter().map(Column::width).sum::<usize>() + 2 * columns.len().saturating_sub(1)
}

/// The heading, then one line a row. Trailing space is kept off only at a line's end.
pub(super) fn lines(columns: &[Column]) -> Vec<String> {
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let row = |pick: &dyn Fn(&Column) -> String| {
        let cells: Vec<String> = columns.iter().map(pick).collect();
        cells.join("  ")
    };
    let mut lines = vec![row(&|column| column.padded(column.heading))];
    for i in 0..rows {
        lines.push(row(&|column| column.padded(column.cells.get(i).map_or("", String::as_str))));
    }
    lines
}

/// The text shortened to `width` characters, its end replaced by an ellipsis.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The text in lines of at most `width` characters, broken at spaces; a longer word stands alone.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if length(line) + 1 + length(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns = [
            Column::new("NAME", Align::Left, vec!["a".into(), "long name".into()]),
            Column::new("N", Align::Right, vec!["1".into(), "100".into()]),
        ];
        assert_eq!(lines(&columns), ["NAME         N", "a            1", "long name  100"]);
        assert_eq!(width(&columns), 14);
    }

    #[test]
    fn long_text_is_shortened_or_wrapped_by_characters() {
        assert_eq!(shortened("überlang", 5), "über…");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), [""]);
    }
}
