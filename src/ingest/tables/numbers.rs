//! Cells as values.

use super::table::{Cells, Header, is_missing};
use crate::domain::InputError;

/// Calls `take(row, value)` for each finite value of a block's column, in order, and counts the missing ones. Rows count
/// from the block's first; `first_row` is its place in the table.
///
/// # Errors
/// At the first cell that is infinite or no number.
pub(super) fn for_each_value(
    header: &Header,
    column: usize,
    cells: &Cells,
    first_row: usize,
    mut take: impl FnMut(usize, f64) -> Result<(), InputError>,
) -> Result<usize, InputError> {
    let mut missing = 0;
    let mut keep = |row: usize, value: Option<f64>| match value {
        Some(value) if value.is_finite() => take(row, value),
        Some(value) if value.is_infinite() => {
            let problem = format!("found {value} where a finite number was expected");
            Err(header.error_at(first_row + row, column, &problem))
        }
        _ => {
            missing += 1;
            Ok(())
        }
    };
    match cells {
        Cells::Floats(cells) => cells.iter().enumerate().try_for_each(|(row, value)| keep(row, value.copied()))?,
        Cells::Integers(cells) => {
            cells.iter().enumerate().try_for_each(|(row, value)| keep(row, value.map(|&v| v as f64)))?;
        }
        Cells::Text(cells) => {
            for (row, cell) in cells.iter().enumerate() {
                let cell = cell.unwrap_or_default();
                let value = match cell.trim_ascii().parse::<f64>() {
                    Ok(value) => Some(value),
                    Err(_) if is_missing(cell) => None,
                    Err(_) => {
                        let problem = format!("found {cell:?} where a number was expected");
                        return Err(header.error_at(first_row + row, column, &problem));
                    }
                };
                keep(row, value)?;
            }
        }
        // Whether a column may hold values was decided before; one without any cell has none.
        Cells::Instants(cells) => missing = cells.len(),
    }
    Ok(missing)
}
