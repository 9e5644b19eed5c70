//! Nodes with what each is worth, and the choice among them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Demand, Futures, Room};

/// Loss of worth below which two nodes lose the same.
const EQUAL: f64 = 1e-9;

/// Where a pod went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The node, by index.
    pub node: usize,
    /// Its devices, by index.
    pub devices: Vec<usize>,
}

/// Nodes that pods come to.
#[derive(Debug, Clone)]
pub struct Fleet {
    rooms: Vec<Room>,
    futures: Futures,
    /// Nodes whose rooms hold the same, with what such a room is worth.
    alike: BTreeMap<Room, (f64, BTreeSet<usize>)>,
}

impl Fleet {
    /// Nodes with these rooms.
    #[must_use]
    pub fn new(rooms: Vec<Room>, futures: Futures) -> Self {
        let mut fleet = Self { rooms, futures, alike: BTreeMap::new() };
        (0..fleet.rooms.len()).for_each(|node| fleet.enter(node));
        fleet
    }

    /// The nodes' rooms, by index.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// Looks ahead by other futures from now on.
    pub fn expect(&mut self, futures: Futures) {
        self.futures = futures;
        for (room, (worth, _)) in &mut self.alike {
            *worth = self.futures.worth(room);
        }
    }

    /// Places a pod where the worth lost is least, of equal ones where least room is left; `None` if no node holds it.
    pub fn place(&mut self, demand: &Demand) -> Option<Placed> {
        let mut best: Option<(f64, usize, i64)> = None;
        for (room, (worth, nodes)) in &self.alike {
            let Some(&node) = nodes.first() else { continue };
            for devices in room.ways(demand) {
                let share = devices.first().map_or(0, |device| room.devices[*device]);
                let mut after = room.clone();
                after.take(demand, &devices);
                let loss = worth - self.futures.worth(&after);
                if best.is_none_or(|(least, ..)| loss < least - EQUAL) {
                    best = Some((loss, node, share));
                }
            }
        }
        let (_, node, share) = best?;
        let room = &self.rooms[node];
        // The classes are of sorted rooms: find the device of that size on the node itself.
        let devices = match demand.devices {
            1 => room.devices.iter().position(|&device| device == share).into_iter().collect(),
            _ => room.tightest(demand)?,
        };
        self.leave(node);
        self.rooms[node].take(demand, &devices);
        self.enter(node);
        Some(Placed { node, devices })
    }

    fn leave(&mut self, node: usize) {
        let room = self.rooms[node].clone().sorted();
        if let Some((_, nodes)) = self.alike.get_mut(&room) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.alike.remove(&room);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        let room = self.rooms[node].clone().sorted();
        let futures = &self.futures;
        let (_, nodes) = self.alike.entry(room).or_insert_with_key(|room| (futures.worth(room), BTreeSet::new()));
        nodes.insert(node);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(cores: i64, devices: usize, share: i64) -> Demand {
        Demand { amounts: vec![cores], devices, share, classes: None, worth: devices as f64 * share as f64 }
    }

    fn room(cores: i64, devices: &[i64]) -> Room {
        Room { amounts: vec![cores], devices: devices.to_vec(), class: 0 }
    }

    #[test]
    fn a_share_does_not_break_a_whole_device_that_whole_ones_will_want() {
        let futures = Futures::of([(demand(1, 1, 1000), 3.0), (demand(1, 1, 400), 1.0)], 1);
        let mut fleet = Fleet::new(vec![room(8, &[1000, 1000]), room(8, &[1000, 600])], futures);
        assert_eq!(fleet.place(&demand(1, 1, 400)), Some(Placed { node: 1, devices: vec![1] }));
    }

    #[test]
    fn a_pod_without_devices_goes_where_cores_are_of_no_use_to_devices() {
        let futures = Futures::of([(demand(4, 1, 1000), 1.0)], 1);
        let mut fleet = Fleet::new(vec![room(8, &[1000, 1000]), room(8, &[1000, 0])], futures);
        assert_eq!(fleet.place(&demand(4, 0, 0)).map(|placed| placed.node), Some(1));
        assert_eq!(fleet.place(&demand(100, 0, 0)), None);
    }

    proptest! {
        #[test]
        fn room_is_never_overdrawn_and_a_refused_pod_fits_nowhere(
            nodes in prop::collection::vec((0_i64..20, prop::collection::vec(0_i64..=1000, 0..5)), 1..8),
            pods in prop::collection::vec((0_i64..6, 0_usize..3, 1_i64..=1000), 1..40),
        ) {
            let pods: Vec<Demand> = pods
                .iter()
                .map(|&(cores, devices, share)| demand(cores, devices, if devices > 1 { 1000 } else { share }))
                .collect();
            let futures = Futures::of(pods.iter().cloned().map(|pod| (pod, 1.0)), 3);
            let rooms: Vec<Room> = nodes.iter().map(|(cores, devices)| room(*cores, devices)).collect();
            let mut fleet = Fleet::new(rooms.clone(), futures);
            let mut left = rooms;
            for pod in &pods {
                match fleet.place(pod) {
                    Some(placed) => {
                        prop_assert_eq!(placed.devices.len(), pod.devices);
                        left[placed.node].take(pod, &placed.devices);
                    }
                    None => prop_assert!(left.iter().all(|room| room.tightest(pod).is_none())),
                }
                prop_assert!(left.iter().all(|r| r.amounts.iter().chain(&r.devices).all(|room| *room >= 0)));
            }
            prop_assert_eq!(&left[..], fleet.rooms());
        }
    }
}
