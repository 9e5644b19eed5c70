//! Why a pod has no node.

use super::occupancy::Occupancy;

/// Explains pods without a node.
pub(super) struct Reasons<'a> {
    marker: std::marker::PhantomData<&'a ()>,
}

impl Reasons<'_> {
    pub(super) fn new() -> Self {
        Self { marker: std::marker::PhantomData }
    }

    /// Reasons over the nodes that stand, then over the offers.
    #[expect(clippy::unused_self, reason = "holds what is shared between pods")]
    pub(super) fn of(&mut self, occupancy: &Occupancy<'_>, pod: usize) -> Vec<String> {
        let standing = occupancy.instance.standing;
        let state = &occupancy.pods[pod];
        vec![format!("0/{standing} nodes are available: {}", state.name)]
    }
}
