//! Topology spread, kept up to date: how many pods each domain has, and the least over all domains, without looking at
//! the nodes again.

use std::collections::BTreeMap;

/// Which nodes are domains for a spread; many pods share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct View {
    /// Index of the topology key.
    pub(super) key: usize,
    /// Sites that count, in the order of the instance's sites.
    pub(super) eligible: Vec<bool>,
    /// Domains in which a node that counts can be bought.
    pub(super) buyable: Vec<bool>,
    /// Whether each node is a domain, and more of them can be bought.
    pub(super) buys_hosts: bool,
}

/// How evenly the pods of one selector stand over the domains of one view.
#[derive(Debug, Clone, Default)]
pub(super) struct Evenness {
    /// Pods counted, by domain.
    counts: Vec<u32>,
    /// Pods that come with the plan and are bound by a spread over these domains, by domain.
    owners: Vec<u32>,
    /// How many domains there are with each count.
    levels: BTreeMap<u32, u32>,
    aim: Option<Aim>,
}

/// The counts to end at when every pod is placed: the same everywhere, and one more in a few domains.
#[derive(Debug, Clone, Copy)]
struct Aim {
    level: u32,
    /// Domains that may end above the level.
    above: u32,
}

fn at(counts: &[u32], domain: usize) -> u32 {
    counts.get(domain).copied().unwrap_or(0)
}

fn step(counts: &mut Vec<u32>, domain: usize, up: bool) -> u32 {
    if counts.len() <= domain {
        counts.resize(domain + 1, 0);
    }
    let count = &mut counts[domain];
    *count = if up { *count + 1 } else { count.saturating_sub(1) };
    *count
}

impl Evenness {
    /// A domain appears.
    pub(super) fn open(&mut self, domain: usize) {
        *self.levels.entry(at(&self.counts, domain)).or_insert(0) += 1;
    }

    /// A domain goes.
    pub(super) fn close(&mut self, domain: usize) {
        self.leave_level(at(&self.counts, domain));
    }

    fn leave_level(&mut self, count: u32) {
        if let Some(domains) = self.levels.get_mut(&count) {
            *domains -= 1;
            if *domains == 0 {
                self.levels.remove(&count);
            }
        }
    }

    /// A counted pod comes to the domain or leaves it; `present` says whether the domain is one now.
    pub(super) fn count(&mut self, domain: usize, up: bool, present: bool) {
        let before = at(&self.counts, domain);
        let after = step(&mut self.counts, domain, up);
        if present && before != after {
            self.leave_level(before);
            *self.levels.entry(after).or_insert(0) += 1;
        }
    }

    /// A pod that is bound by the spread comes to the domain or leaves it.
    pub(super) fn own(&mut self, domain: usize, up: bool) {
        step(&mut self.owners, domain, up);
    }

    /// Pods counted in the domain.
    pub(super) fn counted(&self, domain: usize) -> u32 {
        at(&self.counts, domain)
    }

    /// Whether a pod that came to the domain is bound by the spread.
    pub(super) fn owned(&self, domain: usize) -> bool {
        at(&self.owners, domain) > 0
    }

    /// Least count of any domain; 0 where there are fewer than are wanted.
    pub(super) fn lowest(&self, least_domains: Option<u32>) -> u32 {
        let lowest = self.levels.keys().next().copied().unwrap_or(0);
        match least_domains {
            Some(wanted) if self.levels.values().sum::<u32>() < wanted => 0,
            _ => lowest,
        }
    }

    /// Largest difference between two domains.
    pub(super) fn skew(&self) -> u32 {
        let highest = self.levels.keys().next_back().copied().unwrap_or(0);
        highest - self.lowest(None)
    }

    /// Aims at equal counts for when `coming` more pods are placed: as water fills the domains, the lowest first.
    pub(super) fn aim_even(&mut self, coming: u32) {
        let mut left = coming;
        let mut domains = 0_u32;
        let mut level = 0;
        let mut levels = self.levels.iter().peekable();
        while let Some((count, there)) = levels.next() {
            level = *count;
            domains += there;
            let rise = levels.peek().map_or(u32::MAX, |(next, _)| *next - level);
            if left / domains < rise {
                break;
            }
            left -= rise * domains;
        }
        if domains == 0 {
            return;
        }
        level += left / domains;
        let above = left % domains + self.above(level);
        self.aim = Some(Aim { level, above });
    }

    pub(super) fn aim_freely(&mut self) {
        self.aim = None;
    }

    pub(super) fn is_aimed(&self) -> bool {
        self.aim.is_some()
    }

    fn above(&self, level: u32) -> u32 {
        self.levels.range(level + 1..).map(|(_, domains)| domains).sum()
    }

    /// Whether one more pod in the domain, counted or not, is on the way to equal counts.
    pub(super) fn is_aimed_at(&self, domain: usize, counted: bool) -> bool {
        let Some(aim) = self.aim else { return false };
        let count = self.counted(domain);
        if counted {
            count < aim.level || count == aim.level && self.above(aim.level) < aim.above
        } else {
            count <= aim.level + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(counts: &[u32]) -> Evenness {
        let mut evenness = Evenness::default();
        for (domain, count) in counts.iter().enumerate() {
            evenness.open(domain);
            for _ in 0..*count {
                evenness.count(domain, true, true);
            }
        }
        evenness
    }

    #[test]
    fn least_and_skew_follow_domains_that_come_and_go() {
        let mut evenness = with(&[2, 5, 3]);
        assert_eq!((evenness.lowest(None), evenness.skew()), (2, 3));
        assert_eq!(evenness.lowest(Some(4)), 0, "a fourth domain is wanted");
        evenness.close(0);
        assert_eq!((evenness.lowest(None), evenness.skew()), (3, 2));
        evenness.open(7);
        assert_eq!((evenness.lowest(None), evenness.skew()), (0, 5));
        evenness.count(7, true, true);
        evenness.count(1, false, true);
        assert_eq!((evenness.lowest(None), evenness.skew()), (1, 3));
    }

    #[test]
    fn pods_to_come_fill_the_lowest_domains_first() {
        // 2, 5, 3 and four more: 4, 5, 4 is level 4 with one above and one more to rise, so 5, 5, 4 or 4, 5, 5.
        let mut evenness = with(&[2, 5, 3]);
        evenness.aim_even(4);
        let mut placed = 0;
        for domain in [1, 0, 0, 0, 2, 2, 2] {
            if evenness.is_aimed_at(domain, true) {
                evenness.count(domain, true, true);
                placed += 1;
            }
        }
        assert_eq!(placed, 4);
        assert_eq!(evenness.skew(), 1);
        assert!((0..3).all(|domain| !evenness.is_aimed_at(domain, true)), "nothing is left to come");
        assert!(evenness.is_aimed_at(2, false), "who is not counted may join up to one above");
    }

    #[test]
    fn nothing_is_aimed_at_where_there_is_no_domain() {
        let mut evenness = Evenness::default();
        evenness.aim_even(3);
        assert!(!evenness.is_aimed());
    }
}
