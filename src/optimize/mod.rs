//! `Problem` into `Plan`.

pub mod eligibility;
