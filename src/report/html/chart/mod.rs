//! Charts as inline SVG.

pub(super) mod coverage;
pub(super) mod element;
pub(super) mod fan;
pub(super) mod model;
pub(super) mod plot;
pub(super) mod scale;
pub(super) mod strip;
pub(super) mod thin;
