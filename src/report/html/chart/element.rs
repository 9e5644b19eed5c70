//! SVG elements as text, escaped where they are made.

use std::fmt::{self, Display, Write as _};

use crate::format::printable;

/// One element with its attributes and what is in it.
pub(in crate::html) struct Element {
    tag: &'static str,
    attributes: String,
    content: String,
}

impl Element {
    /// An empty element.
    pub(in crate::html) fn new(tag: &'static str) -> Self {
        Self { tag, attributes: String::new(), content: String::new() }
    }

    /// The element with an attribute.
    pub(in crate::html) fn set(mut self, name: &str, value: impl Display) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.attributes, " {name}=\"{}\"", escaped(&value.to_string()));
        self
    }

    /// The element with text in it.
    pub(in crate::html) fn text(mut self, text: &str) -> Self {
        self.content.push_str(&escaped(text));
        self
    }

    /// The element with another in it.
    #[expect(clippy::needless_pass_by_value, reason = "an element has one parent, which takes it")]
    pub(in crate::html) fn child(mut self, child: Self) -> Self {
        let _ = write!(self.content, "{child}");
        self
    }

    /// The element with others in it.
    pub(in crate::html) fn children(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::child)
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.content.is_empty() {
            write!(f, "<{}{}/>", self.tag, self.attributes)
        } else {
            write!(f, "<{}{}>{}</{}>", self.tag, self.attributes, self.content, self.tag)
        }
    }
}

/// The text without what XML takes for markup or refuses.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A position along an axis as a percentage of its length, held within a little beyond its ends.
pub(in crate::html) fn percentage(share: f64) -> String {
    let share = if share.is_finite() { share.clamp(-1.0, 2.0) } else { 0.0 };
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_cannot_become_markup() {
        let element = Element::new("text").set("aria-label", "\"><script>").text("<b>&'\u{1b}");
        assert_eq!(
            element.to_string(),
            "<text aria-label=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;&amp;&#39;\u{fffd}</text>"
        );
    }

    #[test]
    fn positions_are_percentages() {
        assert_eq!(percentage(0.125), "12.5%");
        assert_eq!(percentage(1.0), "100%");
        assert_eq!(percentage(f64::NAN), "0%");
    }
}
