//! Columns as numbers.

use super::frame::{Cells, Table, TypedColumn, is_missing};
use crate::domain::InputError;

/// Calls `take(row, value)` for each finite value of the column, in order, and counts the missing ones.
///
/// # Errors
/// At the first cell that is infinite or no number.
pub(super) fn for_each_value(
    table: &Table,
    column: &TypedColumn,
    mut take: impl FnMut(usize, f64) -> Result<(), InputError>,
) -> Result<usize, InputError> {
    let mut missing = 0;
    let mut keep = |row: usize, value: Option<f64>| match value {
        Some(value) if value.is_finite() => take(row, value),
        Some(value) if value.is_infinite() => {
            Err(table.error_at(row, column, &format!("found {value} where a finite number was expected")))
        }
        _ => {
            missing += 1;
            Ok(())
        }
    };
    match &column.cells {
        Cells::Floats(cells) => cells.iter().enumerate().try_for_each(|(row, value)| keep(row, value))?,
        Cells::Integers(cells) => {
            cells.iter().enumerate().try_for_each(|(row, value)| keep(row, value.map(|v| v as f64)))?;
        }
        Cells::Text(cells) => {
            for (row, cell) in cells.iter().enumerate() {
                let cell = cell.unwrap_or_default();
                let value = match cell.trim_ascii().parse::<f64>() {
                    Ok(value) => Some(value),
                    Err(_) if is_missing(cell) => None,
                    Err(_) => {
                        return Err(table.error_at(
                            row,
                            column,
                            &format!("found {cell:?} where a number was expected"),
                        ));
                    }
                };
                keep(row, value)?;
            }
        }
        // Whether a column may hold values was decided before; one without any cell has none.
        Cells::Instants(_) | Cells::Other => missing = table.rows,
    }
    Ok(missing)
}
