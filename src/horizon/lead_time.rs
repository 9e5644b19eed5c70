//! How long a plan must hold before what it buys can serve.

use crate::domain::outlook::LeadTime;
use crate::domain::policy::Policy;
use crate::domain::{Catalog, NodeOffer};

/// The lead time to plan with: the policy's, or the time until the next decision, a node's boot and the pull of its
/// images, if that is longer. The node is the slowest that may be bought: which one a plan will need is not known
/// beforehand. Never beyond the horizon.
#[must_use]
pub fn lead_time(catalog: &Catalog, policy: &Policy) -> LeadTime {
    let planning = &policy.planning;
    let slower =
        |a: &&NodeOffer, b: &&NodeOffer| a.boot_time_s.total_cmp(&b.boot_time_s).then_with(|| b.name.cmp(&a.name));
    let slowest = catalog.offers.iter().filter(|_| policy.disruption.add_nodes).max_by(slower);
    // `as` saturates; boot times are at most a day.
    let boot_seconds = slowest.map_or(0, |offer| offer.boot_time_s.max(0.0).ceil() as u32);
    let image_pull_seconds = if slowest.is_some() { planning.image_pull_s } else { 0 };
    let needed = match slowest {
        Some(_) => planning.decide_every_s.saturating_add(boot_seconds).saturating_add(image_pull_seconds),
        None => 0,
    };
    LeadTime {
        seconds: planning.lead_time_s.max(needed.min(planning.horizon_s)),
        stated_seconds: planning.lead_time_s,
        decision_seconds: planning.decide_every_s,
        offer: slowest.map(|offer| offer.name.clone()),
        boot_seconds,
        image_pull_seconds,
    }
}
