//! Columns of numbers, the decimal points of which stand below one another.

/// As wide as a digit, and never dropped at the end of a line.
const DIGIT_SPACE: char = '\u{2007}';
/// As wide as a point.
const POINT_SPACE: char = '\u{2008}';

/// Pads each number to the longest fraction of its column, so that in a right-aligned column of digits of one width the
/// points line up. A unit stays behind the padding; a cell that holds no number stays as it is.
pub(super) fn align_points<'a>(column: impl IntoIterator<Item = &'a mut String>) {
    let column: Vec<(&mut String, Number)> = column
        .into_iter()
        .filter_map(|cell| {
            let number = Number::of(cell)?;
            Some((cell, number))
        })
        .collect();
    let Some(longest) = column.iter().map(|(_, number)| number.decimals).max().filter(|longest| *longest > 0) else {
        return;
    };
    for (cell, number) in column {
        let point = (number.decimals == 0).then_some(POINT_SPACE);
        let digits = std::iter::repeat_n(DIGIT_SPACE, longest - number.decimals);
        cell.insert_str(number.end, &point.into_iter().chain(digits).collect::<String>());
    }
}

/// Where a cell's number ends, and how many digits follow its point.
struct Number {
    end: usize,
    decimals: usize,
}

impl Number {
    /// The number that a cell begins with, a sign or `<` before it; `None` where there is none.
    fn of(cell: &str) -> Option<Self> {
        let start = cell.find(|c: char| !matches!(c, '<' | '−' | '-' | '+' | '±'))?;
        let length = cell[start..].find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')));
        let end = length.map_or(cell.len(), |length| start + length);
        let number = &cell[start..end];
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let decimals = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        Some(Self { end, decimals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(cells: &[&str]) -> Vec<String> {
        let mut column: Vec<String> = cells.iter().map(|&cell| cell.to_owned()).collect();
        align_points(&mut column);
        column.iter().map(|cell| cell.replace(DIGIT_SPACE, "_").replace(POINT_SPACE, ":")).collect()
    }

    #[test]
    fn points_stand_below_one_another() {
        assert_eq!(aligned(&["0.63", "0.248", "1,002", "0"]), ["0.63_", "0.248", "1,002:___", "0:___"]);
    }

    #[test]
    fn units_stay_behind_and_what_is_no_number_stays() {
        assert_eq!(aligned(&["2.6 %", "<0.01 %", "–", "", "12 %"]), ["2.6_ %", "<0.01 %", "–", "", "12:__ %"]);
        assert_eq!(aligned(&["−0.5", "not measured"]), ["−0.5", "not measured"]);
    }

    #[test]
    fn whole_numbers_stay_as_they_are() {
        assert_eq!(aligned(&["1", "20", "1,000"]), ["1", "20", "1,000"]);
    }
}
