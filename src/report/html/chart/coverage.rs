//! Whether the quantiles hold what they promise: promised against measured coverage.

use super::element::{Element, percentage};
use super::plot::outer_style;
use crate::format::percent;

/// The chart of (promised, measured) shares: all of them small, their means large and named.
pub(in crate::html) fn draw(each: &[(f64, f64)], means: &[(f64, f64)]) -> String {
    const HEIGHT: u32 = 260;
    const LEFT: u32 = 58;
    const BOTTOM: u32 = 40;
    const TOP: u32 = 14;
    const RIGHT: u32 = 20;
    let at = |share: f64| percentage(share.clamp(0.0, 1.0));
    let up = |share: f64| percentage(1.0 - share.clamp(0.0, 1.0));
    let dot = |(promised, measured): &(f64, f64), radius: f64, class: &str| {
        Element::new("circle").set("class", class).set("cx", at(*promised)).set("cy", up(*measured)).set("r", radius)
    };
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].into_iter().flat_map(|share| {
        [
            Element::new("line").set("class", "grid").set("x2", "100%").set("y1", up(share)).set("y2", up(share)),
            Element::new("text")
                .set("class", "tick end")
                .set("x", -6)
                .set("y", up(share))
                .set("dy", 4)
                .text(&percent(share)),
            Element::new("text")
                .set("class", "tick middle")
                .set("x", at(share))
                .set("y", HEIGHT - TOP - BOTTOM + 17)
                .text(&percent(share)),
        ]
    });
    let named = means.iter().filter(|(promised, _)| *promised >= 0.5).map(|(promised, measured)| {
        let below = *promised > 0.7;
        Element::new("text")
            .set("class", if below { "label accent end" } else { "label accent" })
            .set("x", at(*promised))
            .set("y", up(*measured))
            .set("dx", if below { -9 } else { 9 })
            .set("dy", if below { -7 } else { 12 })
            .text(&percent((measured * 1000.0).round() / 1000.0))
    });
    // Only the median and the two highest are named: labels of all would cover each other.
    let count = named.clone().count();
    let named = named.enumerate().filter(|(i, _)| *i == 0 || i + 1 == count).map(|(_, element)| element);
    let described: Vec<String> = means
        .iter()
        .map(|(promised, measured)| format!("{} promised, {} measured", percent(*promised), percent(*measured)))
        .collect();
    let frame = Element::new("svg")
        .set("y", TOP)
        .set("height", HEIGHT - TOP - BOTTOM)
        .set("overflow", "visible")
        .children(ticks)
        .child(Element::new("line").set("class", "ideal").set("y1", "100%").set("x2", "100%"))
        .children(each.iter().map(|point| dot(point, 2.5, "faint")))
        .children(means.iter().map(|point| dot(point, 5.0, "mean")))
        .children(named);
    Element::new("svg")
        .set("class", "chart")
        .set("role", "img")
        .set("height", HEIGHT)
        .set("style", outer_style(LEFT, RIGHT))
        .set("aria-label", format!("Scatter chart of promised against measured coverage: {}.", described.join("; ")))
        .child(frame)
        .child(
            Element::new("text")
                .set("class", "tick middle")
                .set("x", "50%")
                .set("y", HEIGHT - 4)
                .text("share of values promised to stay below (up: measured)"),
        )
        .to_string()
}
