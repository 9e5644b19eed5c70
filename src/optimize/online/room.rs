//! What a node has left and what a pod takes of it.

/// Room left on a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room {
    /// Room of each device (a GPU in thousandths, say), in the node's order; 0 is full.
    pub devices: Vec<i64>,
    /// Room of each resource of the node as a whole, in the order of [`Demand::amounts`].
    pub amounts: Vec<i64>,
    /// Kind of its devices, for demands that want certain ones.
    pub class: usize,
}

/// What a pod takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Of each resource of a node as a whole.
    pub amounts: Vec<i64>,
    /// Devices, each of them by `share`.
    pub devices: usize,
    /// Of each device, above 0 where there are any; a pod has several only whole, so that which ones does not matter.
    pub share: i64,
    /// Kinds of devices it may have; `None` is any.
    pub classes: Option<Vec<usize>>,
    /// What having it placed is worth, ≥ 0: the room it takes of what is scarce.
    pub worth: f64,
}

impl Room {
    /// The devices with the least room that hold the demand, by index; `None` where the room does not hold it.
    #[must_use]
    pub fn tightest(&self, demand: &Demand) -> Option<Vec<usize>> {
        if !self.holds_apart_from_devices(demand) {
            return None;
        }
        let mut holding: Vec<usize> = (0..self.devices.len()).filter(|&i| self.devices[i] >= demand.share).collect();
        if holding.len() < demand.devices {
            return None;
        }
        // The sort is stable: of equal devices the first.
        holding.sort_by_key(|&i| self.devices[i]);
        holding.truncate(demand.devices);
        Some(holding)
    }

    /// Each way to place the demand that leaves a different room: one device of every size that holds it, or, of a
    /// demand for several or none, the tightest.
    #[must_use]
    pub fn ways(&self, demand: &Demand) -> Vec<Vec<usize>> {
        if demand.devices != 1 {
            return self.tightest(demand).into_iter().collect();
        }
        if !self.holds_apart_from_devices(demand) {
            return Vec::new();
        }
        let first_of_its_size = |i: usize| !self.devices[..i].contains(&self.devices[i]);
        let holding = (0..self.devices.len()).filter(|&i| self.devices[i] >= demand.share && first_of_its_size(i));
        holding.map(|i| vec![i]).collect()
    }

    /// Takes the demand's room, on these devices.
    pub fn take(&mut self, demand: &Demand, devices: &[usize]) {
        for (room, amount) in self.amounts.iter_mut().zip(&demand.amounts) {
            *room -= amount;
        }
        for &device in devices {
            self.devices[device] -= demand.share;
        }
    }

    /// The same with its devices in order of their room: rooms of which each holds what the other holds are equal then.
    #[must_use]
    pub(super) fn sorted(mut self) -> Self {
        self.devices.sort_unstable();
        self
    }

    fn holds_apart_from_devices(&self, demand: &Demand) -> bool {
        let wanted = demand.devices == 0 || demand.classes.as_ref().is_none_or(|c| c.contains(&self.class));
        wanted && self.amounts.iter().zip(&demand.amounts).all(|(room, amount)| room >= amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(devices: usize, share: i64) -> Demand {
        Demand { amounts: vec![2], devices, share, classes: None, worth: 1.0 }
    }

    #[test]
    fn a_share_goes_to_the_tightest_device_and_each_size_is_a_way() {
        let room = Room { amounts: vec![4], devices: vec![1000, 500, 500, 300], class: 0 };
        assert_eq!(room.tightest(&demand(1, 400)), Some(vec![1]));
        assert_eq!(room.ways(&demand(1, 400)), [[0], [1]]);
        assert_eq!(room.ways(&demand(2, 500)), [[1, 2]]);
        assert_eq!(room.ways(&demand(2, 1000)), Vec::<Vec<usize>>::new());
        assert_eq!(room.ways(&demand(0, 0)), [Vec::<usize>::new()]);
    }

    #[test]
    fn a_demand_is_refused_for_want_of_amounts_or_of_its_kind_of_device() {
        let mut room = Room { amounts: vec![3], devices: vec![1000], class: 1 };
        let picky = |class| Demand { classes: Some(vec![class]), ..demand(1, 10) };
        assert!(room.tightest(&picky(0)).is_none() && room.ways(&picky(1)).len() == 1);
        let none = Demand { classes: Some(vec![0]), ..demand(0, 0) };
        assert!(room.tightest(&none).is_some(), "a pod without devices does not care for their kind");
        room.take(&demand(1, 250), &[0]);
        assert_eq!((room.amounts[0], room.devices[0]), (1, 750));
        assert!(room.tightest(&demand(1, 10)).is_none());
    }
}
