//! Which column of a table is what.

use super::frame::{Kind, Table, TypedColumn};
use crate::domain::{InputError, Location};
use crate::ingest::metrics::TableShape;

/// Names of a time column; the first that the table has is it.
const TIMES: [&str; 7] = ["timestamp", "time", "ts", "date", "datetime", "ds", "step"];
/// Names of the column that names the series; the first that the table has is it.
const SERIES: [&str; 6] = ["metric", "series", "__name__", "name", "unique_id", "id"];
/// Names of a value column, in order.
const VALUES: [&str; 3] = ["value", "y", "v"];

/// The columns by their part, as indices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Layout {
    /// `None` where rows count steps.
    pub(super) time: Option<usize>,
    /// Names the metric; `None` where the value columns' own names do.
    pub(super) series: Option<usize>,
    /// Each a label.
    pub(super) labels: Vec<usize>,
    /// A column of labels in Prometheus' notation.
    pub(super) braces: Option<usize>,
    /// Each holds values.
    pub(super) values: Vec<usize>,
    /// What was taken for what, where that may surprise.
    pub(super) notes: Vec<String>,
}

/// Decides by the names given, then by well-known names, then by types.
///
/// # Errors
/// If there is no time, no value, or more than one way to read the table; lists the columns.
pub(super) fn layout(table: &Table, shape: &TableShape) -> Result<Layout, InputError> {
    let has_labels = |index: usize| table.columns[index].kind == Kind::Text;
    let time = match &shape.time {
        Some(name) => Some(named(table, name)?),
        None => find(table, &TIMES).or(prefixed(table, "timestamp")?),
    };
    let value = match &shape.value {
        Some(name) => Some(named(table, name)?),
        None => find(table, &VALUES[..1])
            .or_else(|| find(table, &VALUES[1..]).filter(|&index| is_number(&table.columns[index]))),
    }
    .filter(|&index| Some(index) != time);
    let mut rest: Vec<usize> =
        (0..table.columns.len()).filter(|&index| Some(index) != time && Some(index) != value).collect();
    let mut notes = Vec::new();
    rest.retain(|&index| {
        let column = &table.columns[index];
        let keep = !(column.kind == Kind::Other || column.kind == Kind::Integer && is_row_index(&column.name));
        if !keep {
            notes.push(format!("column {:?} left out", column.name));
        }
        keep
    });
    let series = match &shape.series {
        Some(name) => Some(named(table, name)?),
        None => SERIES.iter().find_map(|name| {
            let index = find(table, &[name])?;
            let kind = table.columns[index].kind;
            (rest.contains(&index) && (kind == Kind::Text || kind == Kind::Integer && value.is_some())).then_some(index)
        }),
    };
    rest.retain(|&index| Some(index) != series);
    let mut found = Layout { time, series, notes, ..Layout::default() };
    found.braces = find(table, &["labels"]).filter(|&index| rest.contains(&index) && is_braced(&table.columns[index]));
    rest.retain(|&index| Some(index) != found.braces);

    match value {
        Some(value) => long(table, shape, value, &rest, &mut found)?,
        None => wide(table, shape, &rest, &mut found)?,
    }
    let needs_time =
        found.series.is_some() || found.braces.is_some() || found.labels.iter().any(|&index| has_labels(index));
    if found.time.is_none() && (needs_time || value.is_some() && !found.labels.is_empty()) {
        return Err(problem(table, "no time column").hint(format!("call it one of {}, or name it", TIMES.join(", "))));
    }
    if let Some(time) = found.time
        && matches!(table.columns[time].kind, Kind::Other | Kind::Empty)
    {
        let location = Location::Column(table.columns[time].name.clone());
        return Err(InputError::at(&table.file, location, "holds no times, expected Unix times, dates or RFC 3339"));
    }
    Ok(found)
}

/// One value column: what is not a float tells rows apart.
fn long(table: &Table, shape: &TableShape, value: usize, rest: &[usize], found: &mut Layout) -> Result<(), InputError> {
    if matches!(table.columns[value].kind, Kind::Instant | Kind::Other) {
        let location = Location::Column(table.columns[value].name.clone());
        return Err(InputError::at(&table.file, location, "holds no numbers, which a value column must"));
    }
    found.values = vec![value];
    let of_kind = |kind: Kind| rest.iter().copied().filter(move |&index| table.columns[index].kind == kind);
    let floats: Vec<&str> = of_kind(Kind::Float).map(|index| table.columns[index].name.as_str()).collect();
    if !floats.is_empty() && shape.value.is_none() {
        return Err(ambiguous(
            table,
            &format!("numbers in {} beside {:?}", quoted(&floats), table.columns[value].name),
        ));
    }
    let whole: Vec<&str> = of_kind(Kind::Integer).map(|index| table.columns[index].name.as_str()).collect();
    if !whole.is_empty() {
        found.notes.push(format!("whole numbers read as labels: {}", quoted(&whole)));
    }
    let unused: Vec<&str> =
        floats.into_iter().chain(of_kind(Kind::Instant).map(|index| table.columns[index].name.as_str())).collect();
    if !unused.is_empty() {
        found.notes.push(format!("columns left out: {}", quoted(&unused)));
    }
    found.labels =
        rest.iter().copied().filter(|&index| matches!(table.columns[index].kind, Kind::Text | Kind::Integer)).collect();
    Ok(())
}

/// No value column by name: each column of numbers is a series, or a metric where texts tell rows apart.
fn wide(table: &Table, shape: &TableShape, rest: &[usize], found: &mut Layout) -> Result<(), InputError> {
    let numbers: Vec<usize> = rest.iter().copied().filter(|&index| is_number(&table.columns[index])).collect();
    let names: Vec<&str> = numbers.iter().map(|&index| table.columns[index].name.as_str()).collect();
    if numbers.is_empty() {
        return Err(problem(table, "no column of numbers")
            .hint("a value column holds numbers; name it if it is not called value"));
    }
    if let Some(time_like) = names.iter().find(|name| TIMES.iter().any(|time| name.eq_ignore_ascii_case(time))) {
        return Err(ambiguous(table, &format!("{time_like:?} beside another time column")));
    }
    if let (Some(series), true) = (found.series, numbers.len() > 1) {
        let name = table.columns[series].name.to_ascii_lowercase();
        if shape.series.is_some() || ["metric", "series", "__name__"].contains(&name.as_str()) {
            return Err(ambiguous(table, &format!("numbers in {} beside the series in {name:?}", quoted(&names))));
        }
        found.series = None;
        found.labels.push(series);
    }
    found.labels.extend(rest.iter().copied().filter(|&index| table.columns[index].kind == Kind::Text));
    found.values = numbers;
    let instants: Vec<&str> = rest
        .iter()
        .filter(|&&index| table.columns[index].kind == Kind::Instant)
        .map(|&index| table.columns[index].name.as_str())
        .collect();
    if found.time.is_none() && !instants.is_empty() {
        return Err(problem(table, &format!("times in {}, none of which is called a time column", quoted(&instants)))
            .hint(format!("call it one of {}, or name it", TIMES.join(", "))));
    }
    if !instants.is_empty() {
        found.notes.push(format!("columns left out: {}", quoted(&instants)));
    }
    Ok(())
}

fn is_number(column: &TypedColumn) -> bool {
    matches!(column.kind, Kind::Integer | Kind::Float)
}

/// A column that numbers the rows, as data frames write their index.
fn is_row_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed: ") || name.starts_with("__index_level_") || name == "_duplicated_0"
}

fn is_braced(column: &TypedColumn) -> bool {
    matches!(&column.cells, super::frame::Cells::Text(cells)
        if cells.iter().flatten().find(|cell| !cell.is_empty()).is_some_and(|cell| cell.trim_start().starts_with('{') || cell.contains("=\"")))
}

/// The first of the names that the table has, whatever its case.
fn find(table: &Table, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| {
        let exact = table.columns.iter().position(|column| column.name == *name);
        exact.or_else(|| table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)))
    })
}

fn prefixed(table: &Table, prefix: &str) -> Result<Option<usize>, InputError> {
    let starts =
        |column: &TypedColumn| column.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let mut found = (0..table.columns.len()).filter(|&index| starts(&table.columns[index]));
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => {
            let names = [table.columns[first].name.as_str(), table.columns[second].name.as_str()];
            Err(ambiguous(table, &format!("times in {}", quoted(&names))))
        }
        (first, _) => Ok(first),
    }
}

/// The column that the caller named.
fn named(table: &Table, name: &str) -> Result<usize, InputError> {
    let exact = table.columns.iter().position(|column| column.name == name);
    exact.ok_or_else(|| problem(table, &format!("no column {name:?}")))
}

fn ambiguous(table: &Table, what: &str) -> InputError {
    problem(table, what)
        .hint("say which column is the time, the series and the value, or leave the others out of the export")
}

fn problem(table: &Table, what: &str) -> InputError {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    InputError::whole(&table.file, format!("has {what}; its columns are {}", quoted(&names)))
}

/// `"a", "b" and 7 more`
fn quoted(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
