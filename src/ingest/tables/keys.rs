//! Rows into series: which rows carry the same texts in the columns that name them.
//!
//! A hundred million rows name a hundred thousand series, most often in long runs. Each column becomes small numbers,
//! and columns are joined one by one. Numbers hold from block to block and from one reading to the next.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::layout::Layout;
use super::table::{Cells, Header, Kind};
use crate::domain::samples::SeriesKey;
use crate::domain::{InputError, Location};
use crate::openmetrics;

/// A label of more different numbers than this is a measurement that was taken for a label.
const MAX_NUMBERS: usize = 1000;

/// Numbers things in order of first appearance.
///
/// Rows are most often sorted by series, and then a thing follows itself, or by time, and then it follows what it
/// followed before. Both are guessed and compared, which is several times as fast as a hash.
#[derive(Debug)]
struct Numbering<T> {
    things: Vec<T>,
    numbers: HashMap<T, u32>,
    /// What last followed each thing.
    next: Vec<u32>,
    last: usize,
}

impl<T: Clone + Eq + Hash> Numbering<T> {
    fn new() -> Self {
        Self { things: Vec::new(), numbers: HashMap::new(), next: Vec::new(), last: 0 }
    }

    fn number<Q: Eq + Hash + ToOwned<Owned = T> + ?Sized>(&mut self, thing: &Q) -> u32
    where
        T: Borrow<Q>,
    {
        let is = |at: usize| self.things.get(at).is_some_and(|known| known.borrow() == thing);
        if is(self.last) {
            return self.last as u32;
        }
        let guess = self.next.get(self.last).copied().unwrap_or_default();
        let number = if is(guess as usize) { guess } else { self.look_up(thing) };
        self.last = number as usize;
        number
    }

    fn look_up<Q: Eq + Hash + ToOwned<Owned = T> + ?Sized>(&mut self, thing: &Q) -> u32
    where
        T: Borrow<Q>,
    {
        let known = self.numbers.get(thing).copied();
        let number = known.unwrap_or_else(|| {
            let number = self.things.len() as u32;
            self.things.push(thing.to_owned());
            self.next.push(0);
            self.numbers.insert(thing.to_owned(), number);
            number
        });
        if let Some(next) = self.next.get_mut(self.last) {
            *next = number;
        }
        number
    }
}

/// What a naming column gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Metric,
    Label,
    Labels,
}

/// The texts of one naming column; whole numbers are read as their digits. Code 0 is a missing cell.
#[derive(Debug)]
enum Texts {
    Texts(Numbering<String>),
    Integers(Numbering<i64>),
}

impl Texts {
    fn len(&self) -> usize {
        match self {
            Self::Texts(numbering) => numbering.things.len(),
            Self::Integers(numbering) => numbering.things.len(),
        }
    }

    fn get(&self, code: u32) -> Option<String> {
        let at = (code as usize).checked_sub(1)?;
        match self {
            Self::Texts(numbering) => numbering.things.get(at).cloned(),
            Self::Integers(numbering) => numbering.things.get(at).map(i64::to_string),
        }
    }
}

/// One naming column: its texts, and their combinations with those of the columns before it.
#[derive(Debug)]
struct Named {
    part: Part,
    column: usize,
    texts: Texts,
    /// (combination of the columns before, code here).
    joined: Numbering<(u32, u32)>,
}

/// The columns that tell which series a row belongs to.
#[derive(Debug)]
pub(super) struct Naming {
    named: Vec<Named>,
}

impl Naming {
    pub(super) fn new(header: &Header, layout: &Layout) -> Self {
        let metric = layout.series.map(|column| (Part::Metric, column));
        let labels = layout.labels.iter().map(|&column| (Part::Label, column));
        let braces = layout.braces.map(|column| (Part::Labels, column));
        let named = metric.into_iter().chain(labels).chain(braces).map(|(part, column)| {
            let whole = header.columns[column].kind == Kind::Integer && !header.all_text;
            let texts = if whole { Texts::Integers(Numbering::new()) } else { Texts::Texts(Numbering::new()) };
            Named { part, column, texts, joined: Numbering::new() }
        });
        Self { named: named.collect() }
    }

    /// The columns, in the order that [`Naming::combinations`] wants their cells.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.named.iter().map(|named| named.column)
    }

    /// The number of each row's combination of texts, below the count of combinations met so far.
    pub(super) fn combinations(
        &mut self,
        header: &Header,
        cells: &[Cells],
        rows: usize,
    ) -> Result<Vec<u32>, InputError> {
        let mut combinations = vec![0; rows];
        for (named, cells) in self.named.iter_mut().zip(cells) {
            let Named { texts, joined, .. } = named;
            let mut join = |combination: &mut u32, code: u32| *combination = joined.number(&(*combination, code));
            match (cells, texts) {
                (Cells::Text(cells), Texts::Texts(texts)) => {
                    for (combination, cell) in combinations.iter_mut().zip(cells.iter()) {
                        let known = cell.filter(|cell| !cell.is_empty());
                        join(combination, known.map_or(0, |cell| texts.number(cell) + 1));
                    }
                }
                (Cells::Integers(cells), Texts::Integers(texts)) => {
                    for (combination, cell) in combinations.iter_mut().zip(cells.iter()) {
                        join(combination, cell.map_or(0, |cell| texts.number(cell) + 1));
                    }
                }
                _ => combinations.iter_mut().for_each(|combination| join(combination, 0)),
            }
            named.check(header)?;
        }
        Ok(combinations)
    }

    /// The key of a combination, which stands in `row`, for the values of the column `value`.
    pub(super) fn key(
        &self,
        header: &Header,
        value: usize,
        row: usize,
        combination: u32,
    ) -> Result<SeriesKey, InputError> {
        let mut metric = None;
        let mut labels = BTreeMap::new();
        for (named, text) in self.named.iter().zip(self.texts(combination)) {
            let column = named.column;
            let more = match (named.part, text) {
                (Part::Metric, None) => return Err(header.error_at(row, column, "names no series")),
                (Part::Metric, Some(text)) => {
                    metric = Some(text);
                    continue;
                }
                (_, None) => continue,
                (Part::Label, Some(text)) => BTreeMap::from([(header.columns[column].name.clone(), text)]),
                (Part::Labels, Some(text)) => openmetrics::parse_labels(&text)
                    .map_err(|unexpected| header.error_at(row, column, &unexpected.problem))?,
            };
            for (name, text) in more {
                if labels.insert(name.clone(), text).is_some() {
                    let problem = format!("gives the label {name:?}, which has a column of its own");
                    return Err(header.error_at(row, column, &problem));
                }
            }
        }
        Ok(SeriesKey { metric: metric.unwrap_or_else(|| header.columns[value].name.clone()), labels })
    }

    /// The texts of a combination, one a column.
    fn texts(&self, mut combination: u32) -> Vec<Option<String>> {
        let mut texts: Vec<Option<String>> = Vec::with_capacity(self.named.len());
        for named in self.named.iter().rev() {
            let (before, code) = named.joined.things[combination as usize];
            texts.push(named.texts.get(code));
            combination = before;
        }
        texts.reverse();
        texts
    }
}

impl Named {
    fn check(&self, header: &Header) -> Result<(), InputError> {
        let column = &header.columns[self.column];
        let count = self.texts.len();
        if self.part != Part::Label || column.kind == Kind::Text || count <= MAX_NUMBERS {
            return Ok(());
        }
        let problem = format!("holds {count} different numbers, too many for a label");
        Err(InputError::at(&header.file, Location::Column(column.name.clone()), problem)
            .hint("if it holds values, say so, or leave it out of the export"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_follow_first_appearance(things in proptest::collection::vec(0..6_u8, 0..60)) {
            let mut numbering = Numbering::new();
            let numbers: Vec<u32> = things.iter().map(|thing| numbering.number(thing)).collect();
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
