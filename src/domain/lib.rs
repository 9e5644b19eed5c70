//! The values that flow from measurement to decision. Plain data: printable, serialisable, comparable.
//!
//! ```text
//! Samples ─▶ Series ─▶ Forecast ─▶ Menu ─┐
//! Snapshot, Catalog, Policy ─────────────┴▶ Problem ─▶ Plan ─▶ Steps
//! ```
//!
//! Units are in the names. Times are milliseconds since the Unix epoch (`_ms`), amounts of CPU are
//! millicores, amounts of memory and storage bytes, prices a currency unit an hour. No value here knows a
//! file, a clock, a solver or a cluster.

pub mod catalog;
pub mod clock;
pub mod earlier;
pub mod forecast;
pub mod input_error;
pub mod menu;
pub mod orchestration;
pub mod outlook;
pub mod plan;
pub mod policy;
pub mod pricing;
pub mod problem;
pub mod progress;
pub mod quantity;
pub mod quota;
pub mod resources;
pub mod rules;
pub mod run;
pub mod samples;
pub mod scores;
pub mod series;
pub mod snapshot;
pub mod steps;
pub mod usage;
pub mod volumes;

pub use catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
pub use clock::{Clock, StopRule};
pub use earlier::EarlierPlan;
pub use forecast::Forecast;
pub use input_error::{InputError, Location};
pub use menu::{Menu, MenuEntry};
pub use outlook::Outlook;
pub use plan::{Certificate, Plan};
pub use policy::Policy;
pub use problem::Problem;
pub use progress::{Observer, Stage};
pub use resources::Resources;
pub use run::Run;
pub use samples::Samples;
pub use series::{Axis, Series, Signal, Subject};
pub use snapshot::{Snapshot, WorkloadId};
pub use steps::Steps;
pub use usage::Usage;
