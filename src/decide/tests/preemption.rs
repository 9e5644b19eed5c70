//! Pods stopped for others: when, and when not.

use super::case::*;
use crate::domain::policy::Preemption;
use crate::domain::resources::CPU;
use crate::domain::snapshot::Amount;

/// Node a is full of a batch of two; a third of the node is to become an api pod's that waits.
fn full() -> Case {
    let mut case = Case::new(&["a"], &[("api", (1, 400), (1, 400)), ("batch", (2, 500), (2, 500))]);
    case.pod("api", "api-1", "", "a");
    case.pod("batch", "batch-1", "a", "a");
    case.stopped("batch", "batch-2", "a", "api-1");
    case
}

#[test]
fn a_pod_is_stopped_a_wave_before_the_one_it_makes_room_for_comes() {
    assert_eq!(full().waves(), [["batch-2 off a for api-1"], ["api-1→a"]]);
    assert_eq!(full().deferred(), Vec::<String>::new());
}

#[test]
fn nobody_is_stopped_where_the_policy_does_not_allow_it() {
    let mut case = full();
    case.policy.disruption.preemption = Preemption::Never;
    assert_eq!(case.waves(), Vec::<Vec<String>>::new());
    assert_eq!(case.deferred(), ["batch-2 off a for api-1 | disruption.preemption", "api-1→a | room on node a"]);
}

#[test]
fn nobody_is_stopped_in_the_last_wave_since_none_could_come_after_it() {
    let mut case = full();
    case.policy.disruption.max_waves = 1;
    assert_eq!(case.waves(), Vec::<Vec<String>>::new());
    assert_eq!(case.deferred(), ["batch-2 off a for api-1 | disruption.maxWaves", "api-1→a | room on node a"]);
}

#[test]
fn nobody_is_stopped_for_a_pod_that_does_not_come_all_the_same() {
    let mut case = full();
    // Half of the node is not enough for it.
    case.snapshot.templates[0].requests.set(CPU, 600);
    assert_eq!(case.waves(), Vec::<Vec<String>>::new());
    assert_eq!(case.deferred(), ["batch-2 off a for api-1 | room on node a", "api-1→a | room on node a"]);
}

#[test]
fn nobody_is_stopped_for_a_pod_that_finds_room_without_it() {
    let mut case = Case::new(&["a"], &[("api", (2, 400), (2, 400)), ("batch", (1, 500), (1, 500))]);
    case.pod("api", "api-1", "", "a");
    case.pod("api", "api-2", "", "a");
    case.stopped("batch", "batch-1", "a", "api-1");
    assert_eq!(case.waves(), [["api-1→a"]]);
    assert_eq!(
        case.deferred(),
        ["batch-1 off a for api-1 | node a had room for shop/api-1 without it", "api-2→a | room on node a"]
    );
    // The other one may take the room.
    case.snapshot.templates[0].priority = 1;
    assert_eq!(case.waves(), [["api-1→a"], ["batch-1 off a for api-2"], ["api-2→a"]]);
}

#[test]
fn budgets_and_what_may_be_away_at_once_hold_for_all_that_are_stopped_together() {
    let two = || {
        let mut case = Case::new(&["a"], &[("api", (1, 900), (1, 900)), ("batch", (2, 500), (2, 500))]);
        case.pod("api", "api-1", "", "a");
        case.stopped("batch", "batch-1", "a", "api-1");
        case.stopped("batch", "batch-2", "a", "api-1");
        case
    };
    assert_eq!(two().waves(), [vec!["batch-1 off a for api-1", "batch-2 off a for api-1"], vec!["api-1→a"]]);
    let mut held = two();
    held.budget("batch", None, Some(Amount::Count(1)));
    assert_eq!(held.waves(), Vec::<Vec<String>>::new(), "the first would be stopped in vain");
    let mut held = two();
    held.policy.targets[0].max_unavailable = Some(Amount::Percent(50));
    assert_eq!(held.waves(), Vec::<Vec<String>>::new(), "one of two may be away, and the first stays away");
    held.policy.disruption.max_moves = Amount::Count(1);
    held.policy.targets[0].max_unavailable = None;
    assert_eq!(held.waves(), Vec::<Vec<String>>::new(), "each of them is a move");
    let mut slow = two();
    slow.policy.targets.clear();
    assert_eq!(
        slow.waves(),
        [["batch-1 off a for api-1"], ["batch-2 off a for api-1"], ["api-1→a"]],
        "without a target a quarter at a time"
    );
}

#[test]
fn replicas_to_come_are_made_in_the_wave_in_which_they_find_the_room() {
    let mut case = Case::new(&["a"], &[("api", (1, 400), (2, 400)), ("batch", (1, 500), (1, 500))]);
    case.pod("api", "api-1", "a", "a");
    case.pod("api", "api-new-1", "", "a");
    case.stopped("batch", "batch-1", "a", "api-new-1");
    assert_eq!(case.waves(), [vec!["batch-1 off a for api-new-1"], vec!["api 1→2", "api-new-1→a"]]);
}
