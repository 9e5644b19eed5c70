//! The sample cluster: a seeded, repeatable export for the demo and the tests.
