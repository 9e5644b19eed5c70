//! Rows into series: which rows carry the same texts in the columns that name them.
//!
//! Ten million rows name a few thousand series, most often in long runs. Each column becomes small numbers, and
//! columns are joined pairwise.

use std::collections::HashMap;
use std::hash::Hash;

use polars::prelude::StringChunked;

use super::frame::{Cells, Table, TypedColumn};

/// For each row the number of its text, numbered in order of first appearance.
#[derive(Debug)]
pub(super) struct Codes {
    pub(super) of_row: Vec<u32>,
    /// The texts; `None` where missing.
    pub(super) texts: Vec<Option<String>>,
}

/// For each row the number of its combination of codes.
#[derive(Debug)]
pub(super) struct Combinations {
    pub(super) of_row: Vec<u32>,
    /// One code for each column.
    pub(super) codes: Vec<Vec<u32>>,
}

/// Numbers things in order of first appearance.
///
/// Rows are most often sorted by series, and then a thing follows itself, or by time, and then it follows what it
/// followed before. Both are guessed and compared, which is several times as fast as a hash.
struct Numbering<T> {
    things: Vec<T>,
    numbers: HashMap<T, u32>,
    /// What last followed each thing.
    next: Vec<u32>,
    last: usize,
}

impl<T: Copy + Eq + Hash> Numbering<T> {
    fn new() -> Self {
        Self { things: Vec::new(), numbers: HashMap::new(), next: Vec::new(), last: 0 }
    }

    fn number(&mut self, thing: T) -> u32 {
        if self.things.get(self.last) == Some(&thing) {
            return self.last as u32;
        }
        let guess = self.next.get(self.last).copied().unwrap_or_default();
        let number = if self.things.get(guess as usize) == Some(&thing) { guess } else { self.look_up(thing) };
        self.last = number as usize;
        number
    }

    fn look_up(&mut self, thing: T) -> u32 {
        let number = *self.numbers.entry(thing).or_insert_with(|| {
            self.things.push(thing);
            self.next.push(0);
            self.things.len() as u32 - 1
        });
        if let Some(next) = self.next.get_mut(self.last) {
            *next = number;
        }
        number
    }
}

/// Numbers the texts of a column; whole numbers are read as their digits.
pub(super) fn codes(column: &TypedColumn, rows: usize) -> Codes {
    match &column.cells {
        Cells::Text(cells) => text_codes(cells),
        Cells::Integers(cells) => {
            let mut numbering = Numbering::new();
            let of_row = cells.iter().map(|cell| numbering.number(cell)).collect();
            let texts = numbering.things.into_iter().map(|number| number.map(|n| n.to_string())).collect();
            Codes { of_row, texts }
        }
        Cells::Floats(_) | Cells::Instants(_) | Cells::Other => Codes { of_row: vec![0; rows], texts: vec![None] },
    }
}

fn text_codes(cells: &StringChunked) -> Codes {
    let mut numbering = Numbering::new();
    let of_row = cells.iter().map(|cell| numbering.number(cell)).collect();
    let texts =
        numbering.things.into_iter().map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned)).collect();
    Codes { of_row, texts }
}

/// Joins the codes of several columns, whose rows are taken from them since they are needed no more.
pub(super) fn combine(table: &Table, columns: &mut [Codes]) -> Combinations {
    let none = Combinations { of_row: vec![0; table.rows], codes: vec![Vec::new()] };
    columns.iter_mut().fold(none, |joined, column| {
        let mut numbering = Numbering::new();
        let rows = std::mem::take(&mut column.of_row);
        let of_row = joined.of_row.iter().zip(rows).map(|(&a, b)| numbering.number((a, b))).collect();
        let extend = |(combination, code): (u32, u32)| {
            let mut codes = joined.codes[combination as usize].clone();
            codes.push(code);
            codes
        };
        Combinations { of_row, codes: numbering.things.into_iter().map(extend).collect() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_follow_first_appearance(things in proptest::collection::vec(0..6_u8, 0..60)) {
            let mut numbering = Numbering::new();
            let numbers: Vec<u32> = things.iter().map(|&thing| numbering.number(thing)).collect();
            let mut firsts: Vec<u8> = Vec::new();
            for (&thing, &number) in things.iter().zip(&numbers) {
                if !firsts.contains(&thing) {
                    firsts.push(thing);
                }
                prop_assert_eq!(firsts[number as usize], thing);
            }
            prop_assert_eq!(numbering.things, firsts);
        }
    }
}
