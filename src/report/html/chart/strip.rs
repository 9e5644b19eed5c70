//! Bars of one row at percentages of the width: costs to one scale, and nodes as columns that fill up.

use super::element::{Element, percentage};

/// One part of a bar.
pub(in crate::html) struct Part {
    /// Length as a share of the full width.
    pub(in crate::html) share: f64,
    /// CSS class.
    pub(in crate::html) class: &'static str,
    /// What it is.
    pub(in crate::html) title: String,
}

/// Parts one after the other.
pub(in crate::html) fn bar(parts: &[Part], height: u32, description: &str) -> String {
    let mut left = 0.0;
    let rects = parts.iter().filter(|p| p.share.is_finite() && p.share > 0.0).map(|part| {
        let rect = Element::new("rect")
            .set("class", part.class)
            .set("x", percentage(left))
            .set("width", percentage(part.share.min(1.0)))
            .set("height", height)
            .child(Element::new("title").text(&part.title));
        left += part.share;
        rect
    });
    frame(height, description).children(rects).to_string()
}

/// One node, or several of one shape.
pub(in crate::html) struct Column {
    /// Width as a share of the full width.
    pub(in crate::html) width: f64,
    /// Filled share of its height.
    pub(in crate::html) filled: f64,
    /// CSS class of the filled part.
    pub(in crate::html) class: &'static str,
    /// What it is.
    pub(in crate::html) title: String,
}

/// Columns side by side: as wide as their price, filled as far as they are used; what stays empty is paid for and
/// unused. `note` is written in the free room at the right.
pub(in crate::html) fn columns(columns: &[Column], note: Option<&str>, height: u32, description: &str) -> String {
    let mut left = 0.0;
    let mut svg = frame(height, description);
    let tall = f64::from(height);
    for column in columns.iter().filter(|c| c.width.is_finite() && c.width > 0.0) {
        let filled = if column.filled.is_finite() { column.filled.clamp(0.0, 1.0) } else { 0.0 } * tall;
        let place = |rect: Element| rect.set("x", percentage(left)).set("width", percentage(column.width));
        let group = Element::new("g")
            .child(Element::new("title").text(&column.title))
            .child(place(Element::new("rect").set("class", "track").set("height", height)))
            .child(place(
                Element::new("rect")
                    .set("class", column.class)
                    .set("y", format!("{:.1}", tall - filled))
                    .set("height", format!("{filled:.1}")),
            ));
        svg = svg.child(group);
        left += column.width;
    }
    if let Some(note) = note.filter(|_| left < 0.82) {
        let text = Element::new("text").set("class", "label accent").set("x", percentage(left)).set("dx", 10);
        svg = svg.child(text.set("y", "50%").set("dy", 4).text(note));
    }
    svg.to_string()
}

fn frame(height: u32, description: &str) -> Element {
    Element::new("svg")
        .set("class", "strip")
        .set("role", "img")
        .set("width", "100%")
        .set("height", height)
        .set("aria-label", description)
}
