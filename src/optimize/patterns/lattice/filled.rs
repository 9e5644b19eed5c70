//! A lattice filled with worths, and contents read back from it.

use super::table::{Step, Table};

/// The most that each cell is worth.
pub(super) struct Filled<'a> {
    table: &'a Table,
    worth: &'a [f64],
    /// With items of no set, then with those of one set more each; the last set is left out.
    layers: Vec<Vec<f64>>,
}

impl<'a> Filled<'a> {
    pub(super) fn new(table: &'a Table, worth: &'a [f64]) -> Self {
        let cells = table.rows() * table.row;
        let mut first = vec![0.0; cells];
        for step in table.free.iter().filter(|step| worth[step.item] > 0.0) {
            for row in (step.rows..table.rows()).filter(|row| table.holds(*row, step)) {
                let at = row * table.row;
                let (before, rest) = first.split_at_mut(at);
                let into = &mut rest[..table.row];
                if step.rows == 0 {
                    several_along(into, step.along, worth[step.item]);
                } else if step.along < table.row {
                    let from = &before[at - step.rows * table.row..][..table.row - step.along];
                    better_of(&mut into[step.along..], from, worth[step.item]);
                }
            }
        }
        let mut layers = vec![first];
        for set in table.sets.iter().take(table.sets.len().saturating_sub(1)) {
            let below = &layers[layers.len() - 1];
            let mut layer = below.clone();
            for step in set.iter().filter(|step| worth[step.item] > 0.0 && step.along < table.row) {
                for row in (step.rows..table.rows()).filter(|row| table.holds(*row, step)) {
                    let from = &below[(row - step.rows) * table.row..][..table.row - step.along];
                    better_of(&mut layer[row * table.row..][step.along..table.row], from, worth[step.item]);
                }
            }
            layers.push(layer);
        }
        Self { table, worth, layers }
    }

    /// The most that the cell is worth, and contents worth more than `above`, each with another item of the last set (or
    /// with another item at all, where there is no set).
    pub(super) fn contents(&self, cell: usize, above: f64) -> (f64, Vec<Vec<usize>>) {
        let top = &self.layers[self.layers.len() - 1];
        let mut most = top[cell];
        let mut contents = Vec::new();
        if most > above {
            contents.push(self.read(cell, Vec::new()));
        }
        for step in self.table.sets.last().unwrap_or(&self.table.free) {
            let worth = self.worth[step.item];
            let Some(rest) = self.table.without(cell, step).filter(|_| worth > 0.0) else { continue };
            most = most.max(worth + top[rest]);
            if worth + top[rest] > above {
                contents.push(self.read(rest, vec![step.item]));
            }
        }
        (most, contents)
    }

    /// What makes the cell worth what it is, without the last set, added to the content.
    fn read(&self, mut cell: usize, mut content: Vec<usize>) -> Vec<usize> {
        for layer in (1..self.layers.len()).rev() {
            let below = &self.layers[layer - 1];
            if self.layers[layer][cell] > below[cell]
                && let Some((step, rest)) = self.best(cell, &self.table.sets[layer - 1], below)
            {
                content.push(step.item);
                cell = rest;
            }
        }
        while self.layers[0][cell] > 0.0 {
            let Some((step, rest)) = self.best(cell, &self.table.free, &self.layers[0]).filter(|(_, r)| *r < cell)
            else {
                break;
            };
            content.push(step.item);
            cell = rest;
        }
        content
    }

    fn best<'s>(&self, cell: usize, steps: &'s [Step], layer: &[f64]) -> Option<(&'s Step, usize)> {
        let fitting = steps.iter().filter(|step| self.worth[step.item] > 0.0);
        let fitting = fitting.filter_map(|step| Some((step, self.table.without(cell, step)?)));
        fitting.max_by(|(a, without_a), (b, without_b)| {
            (self.worth[a.item] + layer[*without_a]).total_cmp(&(self.worth[b.item] + layer[*without_b]))
        })
    }
}

/// Each cell the better of what it is and what another is with one item more.
fn better_of(into: &mut [f64], from: &[f64], worth: f64) {
    for (into, from) in into.iter_mut().zip(from) {
        let with = from + worth;
        *into = if with > *into { with } else { *into };
    }
}

/// The same within a row, any number of the item.
fn several_along(row: &mut [f64], along: usize, worth: f64) {
    if along == 0 {
        return;
    }
    for at in along..row.len() {
        row[at] = row[at].max(row[at - along] + worth);
    }
}
