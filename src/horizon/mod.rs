//! Plans beyond the instant they are made for: nodes filled by what pods use hour by hour, how long they must hold,
//! and what is left when nodes are lost together.

mod after;
mod contention;
mod lead_time;
mod packing;
mod scenarios;
mod schedule;

pub use contention::contention;
pub use lead_time::lead_time;
pub use packing::{Packed, packed, unpacked};
pub use scenarios::scenarios;
pub use schedule::{Given, schedule, stop_for_now};
