//! Values into text, JSON and HTML: nothing is decided here.
//!
//! ```text
//! Run ─▶ PlanDocument ─▶ JSON, YAML ─▶ PlanDocument
//!  │          └────────▶ tables and explanations for a terminal
//!  └──────────────────▶ one self-contained HTML page
//! ```

use plimsoll_domain as domain;
use plimsoll_ingest as ingest;

mod columns;
pub mod document;
mod format;
pub mod html;
mod marks;
mod order;
mod outlook;
pub mod prose;
pub mod text;
