//! Amounts of named resources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// CPU, in millicores.
pub const CPU: &str = "cpu";
/// Memory, in bytes.
pub const MEMORY: &str = "memory";
/// Pod slots, in pods.
pub const PODS: &str = "pods";

/// What the names of expected use begin with: CPU that pods use within a stretch of time, in millicores. Plans packed by
/// usage hold nodes to it like to a resource; no pod asks for it, and no resource of Kubernetes has a space in its name.
pub const USE: &str = "cpu in use ";

/// Whether a name is of expected use, and not of something that pods ask for.
#[must_use]
pub fn is_use(name: &str) -> bool {
    name.starts_with(USE)
}

/// Amounts by resource name: `cpu` in millicores, `memory` and storage in bytes, `pods` and extended
/// resources such as `nvidia.com/gpu` in whole units. An absent name is an amount of 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(pub BTreeMap<String, i64>);

impl Resources {
    /// Amounts from `(name, amount)` pairs.
    pub fn of<'a>(amounts: impl IntoIterator<Item = (&'a str, i64)>) -> Self {
        Self(amounts.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect())
    }

    /// The amount of one resource; 0 where it is not named.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Sets the amount of one resource.
    pub fn set(&mut self, name: &str, amount: i64) {
        self.0.insert(name.to_owned(), amount);
    }

    /// CPU in millicores.
    #[must_use]
    pub fn cpu_millis(&self) -> i64 {
        self.get(CPU)
    }

    /// Memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> i64 {
        self.get(MEMORY)
    }

    /// Names and amounts, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// What pods ask for: everything but expected use.
    #[must_use]
    pub fn without_use(mut self) -> Self {
        self.0.retain(|name, _| !is_use(name));
        self
    }

    /// Adds `other` resource by resource, saturating at the ends of the range.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let sum = self.get(name).saturating_add(amount);
            self.set(name, sum);
        }
    }

    /// Takes `other` away resource by resource, saturating; amounts may become negative.
    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let rest = self.get(name).saturating_sub(amount);
            self.set(name, rest);
        }
    }

    /// The larger amount of each resource.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            if amount > self.get(name) {
                self.set(name, amount);
            }
        }
    }

    /// Whether each positive amount asked for here is at most what `free` has. As in kube-scheduler, asking
    /// for nothing of a resource fits even where that resource is over-committed.
    #[must_use]
    pub fn fits_in(&self, free: &Self) -> bool {
        self.iter().all(|(name, amount)| amount <= 0 || amount <= free.get(name))
    }

    /// The largest share of `whole` that this takes over all resources (dominant share); infinite where
    /// something is asked of which `whole` has none. Range 0 and up.
    #[must_use]
    pub fn dominant_share(&self, whole: &Self) -> f64 {
        self.iter()
            .filter(|(_, amount)| *amount > 0)
            .map(|(name, amount)| {
                let all = whole.get(name);
                if all > 0 { amount as f64 / all as f64 } else { f64::INFINITY }
            })
            .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_fits_even_an_overcommitted_node() {
        let free = Resources::of([(CPU, -200), (MEMORY, 10)]);
        assert!(Resources::of([(CPU, 0), (MEMORY, 10)]).fits_in(&free));
        assert!(!Resources::of([(CPU, 1)]).fits_in(&free));
        assert!(!Resources::of([("nvidia.com/gpu", 1)]).fits_in(&free));
    }

    #[test]
    fn dominant_share_takes_the_scarcest_resource() {
        let node = Resources::of([(CPU, 4000), (MEMORY, 1000)]);
        let pod = Resources::of([(CPU, 1000), (MEMORY, 500)]);
        assert!((pod.dominant_share(&node) - 0.5).abs() < 1e-12);
        assert!(Resources::of([("gpu", 1)]).dominant_share(&node).is_infinite());
    }
}
