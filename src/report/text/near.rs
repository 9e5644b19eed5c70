//! Names close to one that was not found.

/// Longest name that is compared; a longer one is no typing slip.
const LONGEST: usize = 256;

/// Up to three candidates closest to `name`: those it is part of, then those few edits away.
pub(super) fn near_names<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = candidates
        .filter_map(|candidate| {
            let short = candidate.rsplit('/').next().unwrap_or(candidate);
            let distance = if !name.is_empty() && candidate.contains(name) {
                0
            } else {
                edits(name, candidate).min(edits(name.rsplit('/').next().unwrap_or(name), short))
            };
            (distance <= 1 + name.chars().count() / 4).then_some((distance, candidate))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Levenshtein's distance: insertions, deletions and substitutions that make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LONGEST).collect(), b.chars().take(LONGEST).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }

    #[test]
    fn slips_and_parts_find_their_name() {
        let names = ["shop/checkout", "shop/nginx-deployment", "shop/cart"];
        assert_eq!(near_names("shop/chekout", names.into_iter()), ["shop/checkout"]);
        assert_eq!(near_names("nginx", names.into_iter()), ["shop/nginx-deployment"]);
        assert!(near_names("zzz", names.into_iter()).is_empty());
    }
}
