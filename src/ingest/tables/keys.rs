//! Rows into series: which rows carry the same texts in the columns that name them.
//!
//! Ten million rows name a few thousand series, most often in long runs. Each column becomes small numbers, and
//! columns are joined pairwise; a text is hashed only where it differs from the row before.

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

/// Numbers things in order of first appearance; a run of equal things is looked up once.
struct Numbering<T> {
    numbers: HashMap<T, u32>,
    last: Option<(T, u32)>,
}

impl<T: Copy + Eq + Hash> Numbering<T> {
    fn new() -> Self {
        Self { numbers: HashMap::new(), last: None }
    }

    fn number(&mut self, thing: T) -> u32 {
        match self.last {
            Some((last, number)) if last == thing => number,
            _ => {
                let next = self.numbers.len() as u32;
                let number = *self.numbers.entry(thing).or_insert(next);
                self.last = Some((thing, number));
                number
            }
        }
    }

    fn things(self) -> Vec<T> {
        let mut things: Vec<(T, u32)> = self.numbers.into_iter().collect();
        things.sort_unstable_by_key(|&(_, number)| number);
        things.into_iter().map(|(thing, _)| thing).collect()
    }
}

/// Numbers the texts of a column; whole numbers are read as their digits.
pub(super) fn codes(column: &TypedColumn, rows: usize) -> Codes {
    match &column.cells {
        Cells::Text(cells) => text_codes(cells),
        Cells::Integers(cells) => {
            let mut numbering = Numbering::new();
            let of_row = cells.iter().map(|cell| numbering.number(cell)).collect();
            let texts = numbering.things().into_iter().map(|number| number.map(|n| n.to_string())).collect();
            Codes { of_row, texts }
        }
        Cells::Floats(_) | Cells::Instants(_) | Cells::Other => Codes { of_row: vec![0; rows], texts: vec![None] },
    }
}

fn text_codes(cells: &StringChunked) -> Codes {
    let mut numbering = Numbering::new();
    let of_row = cells.iter().map(|cell| numbering.number(cell)).collect();
    let texts =
        numbering.things().into_iter().map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned)).collect();
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
        Combinations { of_row, codes: numbering.things().into_iter().map(extend).collect() }
    })
}
