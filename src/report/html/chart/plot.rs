//! A frame with axes in which lines and bands are drawn over time.
//!
//! Lines are drawn in a box of 1000 × 1000 that is stretched over the frame, so that they follow any width; texts
//! and ticks stand at percentages of the frame, so that they keep their size.

use std::fmt::Write as _;

use super::element::{Element, percentage};
use super::scale::{Scale, TimeScale};

/// Where a text stands from its point.
#[derive(Debug, Clone, Copy)]
pub(in crate::html) enum Side {
    /// Right of it.
    Right,
    /// Above it, starting there.
    Above,
    /// Below it, starting there.
    Below,
}

/// A chart over time.
pub(in crate::html) struct Plot {
    /// What the chart shows, for those who can't see it.
    pub(in crate::html) description: String,
    /// Height of the whole in pixels.
    pub(in crate::html) height: u32,
    /// Room left of the frame for the values' ticks, in pixels.
    pub(in crate::html) left: u32,
    /// Room right of the frame for labels, in pixels.
    pub(in crate::html) right: u32,
    /// Ticks wanted along the time axis.
    pub(in crate::html) time_ticks: i64,
    /// Time axis.
    pub(in crate::html) time: TimeScale,
    /// Value axis.
    pub(in crate::html) values: Scale,
    shapes: Vec<Element>,
    labels: Vec<Element>,
}

const TOP: u32 = 14;
const BOTTOM: u32 = 24;
/// Days named side by side on a phone.
const MOST_NARROW_DAYS: usize = 4;

impl Plot {
    pub(in crate::html) fn new(description: String, time: TimeScale, values: Scale) -> Self {
        Self {
            description,
            height: 190,
            left: 58,
            right: 12,
            time_ticks: 6,
            time,
            values,
            shapes: Vec::new(),
            labels: Vec::new(),
        }
    }

    fn frame_height(&self) -> u32 {
        self.height.saturating_sub(TOP + BOTTOM)
    }

    fn point(&self, time_ms: i64, value: f64) -> (i64, i64) {
        let in_box = |share: f64| (share.clamp(-0.5, 1.5) * 1000.0).round() as i64;
        (in_box(self.time.share(time_ms)), 1000 - in_box(self.values.share(value)))
    }

    /// Draws a line through the points; it breaks where a value is not finite.
    pub(in crate::html) fn line(&mut self, points: &[(i64, f64)], class: &str) {
        let mut path = String::new();
        let mut pen_down = false;
        for &(time_ms, value) in points {
            if value.is_finite() {
                let (x, y) = self.point(time_ms, value);
                let _ = write!(path, "{}{x} {y}", if pen_down { "L" } else { "M" });
            }
            pen_down = value.is_finite();
        }
        if !path.is_empty() {
            self.shapes.push(Element::new("path").set("class", class).set("d", path));
        }
    }

    /// Draws dots at the points.
    pub(in crate::html) fn dots(&mut self, points: &[(i64, f64)], class: &str) {
        // A line of no length with round ends: a dot that the stretched box does not distort.
        let mut path = String::new();
        for &(time_ms, value) in points.iter().filter(|p| p.1.is_finite()) {
            let (x, y) = self.point(time_ms, value);
            let _ = write!(path, "M{x} {y}h0");
        }
        if !path.is_empty() {
            self.shapes.push(Element::new("path").set("class", class).set("d", path));
        }
    }

    /// Fills the band between two rows of values over the same instants.
    pub(in crate::html) fn band(&mut self, lower: &[(i64, f64)], upper: &[(i64, f64)], class: &str) {
        let both = || lower.iter().zip(upper).filter(|(l, u)| l.1.is_finite() && u.1.is_finite());
        let mut path = String::new();
        for (i, (_, upper)) in both().enumerate() {
            let (x, y) = self.point(upper.0, upper.1);
            let _ = write!(path, "{}{x} {y}", if i == 0 { "M" } else { "L" });
        }
        let back: Vec<(i64, f64)> = both().map(|(lower, _)| *lower).collect();
        for (time_ms, value) in back.into_iter().rev() {
            let (x, y) = self.point(time_ms, value);
            let _ = write!(path, "L{x} {y}");
        }
        if !path.is_empty() {
            self.shapes.push(Element::new("path").set("class", class).set("d", path + "Z"));
        }
    }

    /// Shades a span of time from top to bottom, with a name for the pointer.
    pub(in crate::html) fn span(&mut self, from_ms: i64, to_ms: i64, class: &str, title: &str) {
        let x = |time_ms: i64| self.point(time_ms, 0.0).0;
        let (left, right) = (x(from_ms), x(to_ms));
        // A mark of one instant is still to be seen.
        let rect = Element::new("rect")
            .set("class", class)
            .set("x", left)
            .set("width", (right - left).max(4))
            .set("height", 1000)
            .child(Element::new("title").text(title));
        self.shapes.push(rect);
    }

    /// Draws a level across the frame.
    pub(in crate::html) fn level(&mut self, value: f64, class: &str) {
        let y = self.height_of(value);
        let line = Element::new("line").set("class", class).set("x2", "100%").set("y1", &y).set("y2", &y);
        self.labels.push(line);
    }

    /// Draws an instant from top to bottom.
    pub(in crate::html) fn instant(&mut self, time_ms: i64, class: &str) {
        let x = percentage(self.time.share(time_ms));
        let line = Element::new("line").set("class", class).set("x1", &x).set("x2", &x).set("y2", "100%");
        self.labels.push(line);
    }

    /// Writes a text at a share of the width and a value.
    pub(in crate::html) fn label(&mut self, share: f64, value: f64, side: Side, class: &str, text: &str) {
        let (dx, dy) = match side {
            Side::Right => (6, 4),
            Side::Above => (2, -5),
            Side::Below => (2, 14),
        };
        let label = Element::new("text")
            .set("class", class)
            .set("x", percentage(share))
            .set("y", self.height_of(value))
            .set("dx", dx)
            .set("dy", dy);
        self.labels.push(label.text(text));
    }

    /// The distance of two values in pixels.
    pub(in crate::html) fn pixels_between(&self, a: f64, b: f64) -> f64 {
        (self.values.share(a) - self.values.share(b)).abs() * f64::from(self.frame_height())
    }

    fn height_of(&self, value: f64) -> String {
        percentage(1.0 - self.values.share(value))
    }

    /// The chart.
    pub(in crate::html) fn draw(self) -> String {
        let grid = self.values.ticks().into_iter().flat_map(|(value, text)| {
            let y = self.height_of(value);
            let class = if value == 0.0 { "axis" } else { "grid" };
            [
                Element::new("line").set("class", class).set("x2", "100%").set("y1", &y).set("y2", &y),
                Element::new("text").set("class", "tick end").set("x", -6).set("y", &y).set("dy", 4).text(&text),
            ]
        });
        let ticks = self.time.ticks(self.time_ticks);
        // A narrow window shows few texts: of days and hours only the days, of many days every second one.
        let is_hour = |text: &str| text.contains(':');
        let days = ticks.iter().filter(|(_, text)| !is_hour(text)).count();
        let mut day = 0;
        let times = ticks.into_iter().map(|(share, text)| {
            day += usize::from(!is_hour(&text));
            let is_minor = if is_hour(&text) { days > 1 } else { days > MOST_NARROW_DAYS && day % 2 == 0 };
            let class = match (share > 0.98, is_minor) {
                (true, true) => "tick end minor",
                (true, false) => "tick end",
                (false, true) => "tick middle minor",
                (false, false) => "tick middle",
            };
            Element::new("text")
                .set("class", class)
                .set("x", percentage(share))
                .set("y", self.frame_height() + 17)
                .text(&text)
        });
        let shapes = Element::new("svg")
            .set("viewBox", "0 0 1000 1000")
            .set("preserveAspectRatio", "none")
            .set("width", "100%")
            .set("height", "100%");
        let frame = Element::new("svg").set("y", TOP).set("height", self.frame_height()).set("overflow", "visible");
        let height = self.height;
        let style = outer_style(self.left, self.right);
        let frame = frame.children(grid).children(times).child(shapes.children(self.shapes)).children(self.labels);
        Element::new("svg")
            .set("class", "chart")
            .set("role", "img")
            .set("height", height)
            .set("style", style)
            .set("aria-label", self.description)
            .child(frame)
            .to_string()
    }
}

/// The picture is as wide as the frame; ticks and labels stand in its margins, where overflow shows them.
pub(super) fn outer_style(left: u32, right: u32) -> String {
    format!("margin-left:{left}px;width:calc(100% - {}px)", left + right)
}
