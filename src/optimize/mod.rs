//! `Problem` into `Plan`.
