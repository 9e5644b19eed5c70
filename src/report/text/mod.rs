//! A plan on a terminal: what changes and what it is worth, then why to believe it, then the detail.

mod compare;
mod explain;
mod forecast_table;
mod near;
mod plan_table;
mod table;

pub use self::compare::comparison;
pub use self::explain::{ExplainError, explain};
pub use self::forecast_table::forecast_table;
pub use self::plan_table::plan_table;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub color: bool,
    /// Arrows, dots and dashes beyond ASCII.
    pub unicode: bool,
}

impl Style {
    /// Text without colours.
    pub const PLAIN: Self = Self { color: false, unicode: true };

    fn paint(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn alarm(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// The text with ASCII in place of typographic signs where the terminal has no more.
    fn spell(self, text: &str) -> String {
        if self.unicode {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '→' => out.push_str("->"),
                '−' | '–' => out.push('-'),
                '·' => out.push('|'),
                '…' => out.push_str("..."),
                '±' => out.push_str("+/-"),
                '×' => out.push('x'),
                c if c.is_ascii() => out.push(c),
                _ => out.push('?'),
            }
        }
        out
    }
}
