//! Amounts of resources as Kubernetes writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Resources;
use crate::domain::quantity::{format_amount, parse_amount};
use crate::domain::resources::{CPU, MEMORY};

/// Amounts by resource name, as Kubernetes quantities: `{"cpu": "300m", "memory": "128Mi"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantities(pub BTreeMap<String, String>);

impl From<&Resources> for Quantities {
    fn from(resources: &Resources) -> Self {
        Self(resources.iter().map(|(name, amount)| (name.to_owned(), format_amount(name, amount))).collect())
    }
}

impl Quantities {
    /// The quantity of a resource as written; `0` where it is not named.
    #[must_use]
    pub fn written(&self, resource: &str) -> &str {
        self.0.get(resource).map_or("0", String::as_str)
    }

    /// The amount of a resource, `cpu` in millicores and the rest in units; 0 where it is absent or no quantity.
    #[must_use]
    pub fn amount(&self, resource: &str) -> i64 {
        self.0.get(resource).and_then(|text| parse_amount(resource, text).ok()).unwrap_or(0)
    }

    /// The first entry that is no quantity, with its text.
    #[must_use]
    pub fn malformed(&self) -> Option<(&str, &str)> {
        self.0
            .iter()
            .find(|(name, text)| parse_amount(name, text).is_err())
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The larger of the CPU and memory shares of `whole`, for bars; 0 where nothing is allocatable.
    #[must_use]
    pub fn share_of(&self, whole: &Self, resource: &str) -> f64 {
        let all = whole.amount(resource);
        if all > 0 { self.amount(resource) as f64 / all as f64 } else { 0.0 }
    }

    /// Names other than CPU and memory, with their quantities.
    pub fn extended(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, q)| (n.as_str(), q.as_str())).filter(|(name, _)| *name != CPU && *name != MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_kubernetes_has_them_and_read_back() {
        let resources = Resources::of([(CPU, 300), (MEMORY, 128 << 20), ("nvidia.com/gpu", 2)]);
        let quantities = Quantities::from(&resources);
        assert_eq!(quantities.written(CPU), "300m");
        assert_eq!(quantities.written(MEMORY), "128Mi");
        assert_eq!(quantities.extended().collect::<Vec<_>>(), [("nvidia.com/gpu", "2")]);
        assert_eq!(quantities.amount(MEMORY), 128 << 20);
        assert_eq!(quantities.amount("absent"), 0);
    }

    #[test]
    fn an_entry_that_is_no_quantity_is_found() {
        let quantities = Quantities([(CPU.to_owned(), "much".to_owned())].into());
        assert_eq!(quantities.malformed(), Some((CPU, "much")));
        assert_eq!(quantities.amount(CPU), 0);
    }
}
