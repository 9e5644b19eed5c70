//! What was odd in the input, grouped so that a thousand objects with one oddity are one line.

use std::collections::BTreeMap;

/// Objects named in full; beyond these they are counted.
const NAMED: usize = 5;

/// Warnings by what is odd, each with the objects it concerns.
#[derive(Debug, Default)]
pub(super) struct Warnings(BTreeMap<String, Vec<String>>);

impl Warnings {
    /// Notes that something is odd about an object.
    pub(super) fn add(&mut self, object: impl Into<String>, problem: impl Into<String>) {
        self.0.entry(problem.into()).or_default().push(object.into());
    }

    /// One line an oddity: `Pod shop/a, Pod shop/b and 7 more: problem`.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.0
            .into_iter()
            .map(|(problem, mut objects)| {
                objects.sort();
                objects.dedup();
                let named = objects.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                match objects.len().saturating_sub(NAMED) {
                    0 => format!("{named}: {problem}"),
                    more => format!("{named} and {more} more: {problem}"),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_objects_with_one_oddity_are_one_line() {
        let mut warnings = Warnings::default();
        for i in 0..8 {
            warnings.add(format!("Pod p{i}"), "is odd");
        }
        warnings.add("Node n", "is even");
        assert_eq!(
            warnings.into_lines(),
            ["Node n: is even", "Pod p0, Pod p1, Pod p2, Pod p3, Pod p4 and 3 more: is odd"]
        );
    }
}
