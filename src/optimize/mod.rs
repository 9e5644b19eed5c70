//! `Problem` into `Plan`.

pub mod check;
pub mod eligibility;
