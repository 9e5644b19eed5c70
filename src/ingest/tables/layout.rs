//! Which column of a table is what.

use super::table::{Column, Header, Kind};
use crate::domain::{InputError, Location};
use crate::metrics::TableShape;

/// Names of a time column; the first that the table has is it.
const TIMES: [&str; 7] = ["timestamp", "time", "ts", "date", "datetime", "ds", "step"];
/// Names of the column that names the series; the first that the table has is it.
const SERIES: [&str; 6] = ["metric", "series", "__name__", "name", "unique_id", "id"];
/// Those of them that say what is measured rather than whose measurement it is.
const METRICS: [&str; 3] = ["metric", "series", "__name__"];
/// Other names of a value column than `value`, if it holds numbers.
const VALUES: [&str; 2] = ["y", "v"];

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
pub(super) fn layout(table: &Header, shape: &TableShape) -> Result<Layout, InputError> {
    let time = match &shape.time {
        Some(name) => Some(named(table, name)?),
        None => find(table, &TIMES).or(prefixed(table, "timestamp")?),
    };
    let value = match &shape.value {
        Some(name) => Some(named(table, name)?),
        None => {
            find(table, &["value"]).or_else(|| find(table, &VALUES).filter(|&index| is_number(&table.columns[index])))
        }
    };
    let (unread, mut rest): (Vec<usize>, Vec<usize>) = (0..table.columns.len())
        .filter(|&index| Some(index) != time && Some(index) != value)
        .partition(|&index| is_unreadable(&table.columns[index]));
    let series = match &shape.series {
        Some(name) => Some(named(table, name)?),
        None => {
            SERIES.iter().find_map(|name| find(table, &[name]).filter(|index| rest.contains(index))).filter(|&index| {
                let kind = table.columns[index].kind;
                kind == Kind::Text || kind == Kind::Integer && value.is_some()
            })
        }
    };
    let braces = find(table, &["labels"]).filter(|&index| rest.contains(&index) && table.columns[index].braced);
    rest.retain(|&index| Some(index) != series && Some(index) != braces);

    let found = Layout { time, series, braces, ..Layout::default() };
    let mut found = match value {
        Some(value) => long(table, shape, value, &rest, found)?,
        None => wide(table, shape, &rest, found)?,
    };
    let instants = of_kind(table, &rest, Kind::Instant);
    let only_numbers =
        found.series.is_none() && found.braces.is_none() && found.labels.is_empty() && instants.is_empty();
    if found.time.is_none() && !only_numbers {
        let what =
            if instants.is_empty() { String::new() } else { format!(", but times in {}", names(table, &instants)) };
        return Err(problem(table, &format!("no time column{what}"))
            .hint(format!("call it one of {}, or say which it is", TIMES.join(", "))));
    }
    let left_out = [unread, instants].concat();
    if !left_out.is_empty() {
        found.notes.push(format!("columns left out: {}", names(table, &left_out)));
    }
    Ok(found)
}

/// One value column: texts, and numbers that are no measurements, beside it tell rows apart.
fn long(
    table: &Header,
    shape: &TableShape,
    value: usize,
    rest: &[usize],
    mut found: Layout,
) -> Result<Layout, InputError> {
    let Column { name, kind, type_name, .. } = &table.columns[value];
    if matches!(kind, Kind::Instant | Kind::Other) {
        let location = Location::Column(name.clone());
        let what = if *kind == Kind::Instant { "times".to_owned() } else { format!("cells of type {type_name}") };
        return Err(InputError::at(
            &table.file,
            location,
            format!("holds {what}, but a value column must hold numbers"),
        )
        .hint("export it as a number (integer, decimal or 32 or 64 bit floating point)"));
    }
    // Beside a metric and a value, a number written as text is a label such as `le`; a column of floats never is,
    // and where the caller chose the value among several, neither are the others.
    let (as_text, floats): (Vec<usize>, Vec<usize>) =
        of_kind(table, rest, Kind::Float).into_iter().partition(|&index| {
            let name = &table.columns[index].name;
            let may_be_label = shape.value.is_none() || name == "le" || name == "quantile";
            found.series.is_some() && may_be_label && table.all_text
        });
    if !floats.is_empty() {
        let numbers = names(table, &floats);
        if shape.value.is_none() {
            return Err(ambiguous(table, &format!("numbers in {numbers} beside {:?}", table.columns[value].name)));
        }
        found.notes.push(format!("columns left out: {numbers}"));
    }
    let numbers = [of_kind(table, rest, Kind::Integer), as_text].concat();
    if !numbers.is_empty() {
        found.notes.push(format!("numbers read as labels: {}", names(table, &numbers)));
    }
    found.values = vec![value];
    found.labels = [of_kind(table, rest, Kind::Text), numbers].concat();
    Ok(found)
}

/// No value column by name: each column of numbers is a series, or a metric where texts tell rows apart.
fn wide(table: &Header, shape: &TableShape, rest: &[usize], mut found: Layout) -> Result<Layout, InputError> {
    let numbers: Vec<usize> = rest
        .iter()
        .copied()
        .filter(|&index| is_number(&table.columns[index]) || table.columns[index].kind == Kind::Empty)
        .collect();
    if numbers.is_empty() {
        let hint = "a value column holds numbers; say which it is if it is not called value";
        return Err(problem(table, "no column of numbers").hint(hint));
    }
    let is_time = |&&index: &&usize| TIMES.iter().any(|time| table.columns[index].name.eq_ignore_ascii_case(time));
    if let Some(&second) = numbers.iter().find(is_time) {
        return Err(ambiguous(table, &format!("{} beside another time column", names(table, &[second]))));
    }
    if let Some(series) = found.series
        && numbers.len() > 1
    {
        let name = &table.columns[series].name;
        if shape.series.is_some() || METRICS.iter().any(|metric| name.eq_ignore_ascii_case(metric)) {
            let numbers = names(table, &numbers);
            return Err(ambiguous(table, &format!("numbers in {numbers} beside the series in {name:?}")));
        }
        found.series = None;
        found.labels.push(series);
    }
    found.labels.extend(of_kind(table, rest, Kind::Text));
    found.values = numbers;
    Ok(found)
}

fn of_kind(table: &Header, columns: &[usize], kind: Kind) -> Vec<usize> {
    columns.iter().copied().filter(|&index| table.columns[index].kind == kind).collect()
}

fn is_number(column: &Column) -> bool {
    matches!(column.kind, Kind::Integer | Kind::Float)
}

/// A type that means nothing here, or numbers of rows as data frames write their index.
fn is_unreadable(column: &Column) -> bool {
    let is_index = ["Unnamed: ", "__index_level_"].iter().any(|start| column.name.starts_with(start));
    column.kind == Kind::Other || column.kind == Kind::Integer && (column.name.is_empty() || is_index)
}

/// The first of the names that the table has; a name in another case counts where no column has it in this one.
fn find(table: &Header, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| {
        let exact = table.columns.iter().position(|column| column.name == *name);
        exact.or_else(|| table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)))
    })
}

fn prefixed(table: &Header, prefix: &str) -> Result<Option<usize>, InputError> {
    let starts =
        |column: &Column| column.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let found: Vec<usize> = (0..table.columns.len()).filter(|&index| starts(&table.columns[index])).collect();
    match found[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(ambiguous(table, &format!("times in {}", names(table, &found)))),
    }
}

/// The column that the caller named.
fn named(table: &Header, name: &str) -> Result<usize, InputError> {
    let exact = table.columns.iter().position(|column| column.name == name);
    exact.ok_or_else(|| problem(table, &format!("no column {name:?}")))
}

fn ambiguous(table: &Header, what: &str) -> InputError {
    problem(table, what)
        .hint("say which column is the time, the series and the value, or leave the others out of the export")
}

fn problem(table: &Header, what: &str) -> InputError {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    InputError::whole(&table.file, format!("has {what}; its columns are {}", names(table, &all)))
}

/// `"a", "b" and 7 more`
fn names(table: &Header, columns: &[usize]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> =
        columns.iter().take(SHOWN).map(|&index| format!("{:?}", table.columns[index].name)).collect();
    let more = columns.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
