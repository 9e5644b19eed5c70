//! Kubernetes quantities, read exactly: `100m`, `1.5Gi`, `1e3`.
//!
//! Grammar and suffixes follow `k8s.io/apimachinery/pkg/api/resource`. Amounts are rounded up to the unit asked
//! for, as `Quantity.Value` and `Quantity.MilliValue` do.

use thiserror::Error;

/// A text that is no quantity, or one too large.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// Not of the grammar.
    #[error("invalid quantity {0:?}: expected a number with an optional suffix such as m, k, Mi or Gi")]
    Malformed(String),
    /// Beyond 2⁶³ in the unit asked for.
    #[error("quantity {0:?} is too large")]
    TooLarge(String),
}

/// The amount in whole units (bytes, pods, devices), rounded up.
///
/// # Errors
/// If the text is no quantity or the amount does not fit 63 bits.
pub fn parse_units(text: &str) -> Result<i64, QuantityError> {
    parse_scaled(text, 0)
}

/// The amount in thousandths (millicores), rounded up.
///
/// # Errors
/// If the text is no quantity or the amount does not fit 63 bits.
pub fn parse_milli(text: &str) -> Result<i64, QuantityError> {
    parse_scaled(text, 3)
}

/// Power-of-two and power-of-ten factors of a suffix.
fn suffix_factor(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (0, exponent.parse().ok()?)
        }
    })
}

fn parse_scaled(text: &str, decimals: i32) -> Result<i64, QuantityError> {
    let malformed = || QuantityError::Malformed(text.to_owned());
    let too_large = || QuantityError::TooLarge(text.to_owned());
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(malformed());
    }
    let (binary, decimal) = suffix_factor(suffix).ok_or_else(malformed)?;
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    let fraction_len = i32::try_from(fraction.len()).map_err(|_| too_large())?;
    let power = decimal.saturating_add(decimals).saturating_sub(fraction_len);
    let amount = scale_up_rounding(digits, binary, power, negative).ok_or_else(too_large)?;
    let amount = if negative { -amount } else { amount };
    i64::try_from(amount).map_err(|_| too_large())
}

/// digits · 2^binary · 10^power, rounded away from zero (`None` beyond the range). A negative amount is rounded
/// towards zero, which is up.
fn scale_up_rounding(digits: &str, binary: u32, power: i32, negative: bool) -> Option<i128> {
    // More digits than these are above 63 bits or below one unit; either way decided without arithmetic.
    let magnitude = i64::try_from(digits.len()).ok()? + i64::from(power);
    if magnitude > 20 {
        return None;
    }
    if magnitude < -40 {
        return Some(i128::from(!negative));
    }
    let cut = digits.len().min(30);
    let (kept, dropped) = digits.split_at(cut);
    let power = power.checked_add(i32::try_from(dropped.len()).ok()?)?;
    let inexact = dropped.bytes().any(|b| b != b'0');
    let mut amount: i128 = kept.parse().ok()?;
    if power >= 0 {
        amount = amount.checked_mul(10i128.checked_pow(u32::try_from(power).ok()?)?)?;
        amount = amount.checked_mul(1i128.checked_shl(binary)?)?;
        return Some(amount + i128::from(inexact && !negative));
    }
    // kept · 2^binary may overflow: take the powers of two out of 10^-power = 2^p · 5^p first.
    let p = power.unsigned_abs();
    let (twos_up, twos_down) = if binary >= p { (binary - p, 0) } else { (0, p - binary) };
    amount = amount.checked_mul(1i128.checked_shl(twos_up)?)?;
    let fives = 5i128.checked_pow(p.min(54))?;
    let mut remainder = inexact;
    for divisor in [fives, 1i128.checked_shl(twos_down.min(120))?] {
        remainder |= amount % divisor != 0;
        amount /= divisor;
    }
    Some(amount + i128::from(remainder && !negative))
}

/// Millicores as Kubernetes writes them: `250m`, `2`.
#[must_use]
pub fn format_cpu(millis: i64) -> String {
    if millis % 1000 == 0 { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// Bytes as Kubernetes writes them, with the largest binary suffix that keeps the amount exact: `128Mi`.
#[must_use]
pub fn format_bytes(bytes: i64) -> String {
    let mut amount = bytes;
    let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
    let mut suffix = suffixes.next().unwrap_or("");
    while amount != 0 && amount % 1024 == 0 {
        match suffixes.next() {
            Some(next) => suffix = next,
            None => break,
        }
        amount /= 1024;
    }
    format!("{amount}{suffix}")
}

/// An amount of the named resource as Kubernetes writes it.
#[must_use]
pub fn format_amount(resource: &str, amount: i64) -> String {
    match resource {
        "cpu" => format_cpu(amount),
        "memory" | "ephemeral-storage" => format_bytes(amount),
        _ if resource.starts_with("hugepages-") => format_bytes(amount),
        _ => amount.to_string(),
    }
}

/// An amount of the named resource as Kubernetes writes it in a manifest; `cpu` in millicores, the rest in units.
///
/// # Errors
/// As [`parse_units`].
pub fn parse_amount(resource: &str, text: &str) -> Result<i64, QuantityError> {
    if resource == "cpu" { parse_milli(text) } else { parse_units(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_exact() {
        for (text, units, milli) in [
            ("100m", 1, 100),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("1e3", 1000, 1_000_000),
            ("1E3", 1000, 1_000_000),
            ("1E", 1_000_000_000_000_000_000, i64::MAX),
            ("0.3", 1, 300),
            ("200M", 200_000_000, 200_000_000_000),
            ("0.1Ki", 103, 102_400),
            (".5", 1, 500),
            ("5.", 5, 5000),
            ("-1.5", -1, -1500),
            ("0", 0, 0),
            ("0.0000", 0, 0),
            ("1n", 1, 1),
            ("-1n", 0, 0),
            ("1e-50", 1, 1),
            ("0.000000000000000000000000000000000000000001", 1, 1),
            ("1Ei", 1_152_921_504_606_846_976, i64::MAX),
        ] {
            assert_eq!(parse_units(text), Ok(units), "{text}");
            if milli != i64::MAX {
                assert_eq!(parse_milli(text), Ok(milli), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_quantity_is_named() {
        for text in
            ["", "x", "1.2.3", "1 Gi", "Gi", "--1", "1ee3", "1e", "0x10", "1KI", "NaN", "∞", "+", ".", "1e99999999999"]
        {
            assert_eq!(parse_units(text), Err(QuantityError::Malformed(text.to_owned())), "{text}");
        }
        for text in ["1e19", "8Ei", "10E", "99999999999999999999", "1e400", "9999999999999999999999999999999999999999"]
        {
            assert_eq!(parse_units(text), Err(QuantityError::TooLarge(text.to_owned())), "{text}");
        }
        assert_eq!(parse_milli("1E"), Err(QuantityError::TooLarge("1E".to_owned())));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(amount in 0i64..i64::MAX / 1000) {
            prop_assert_eq!(parse_milli(&format_cpu(amount)), Ok(amount));
            prop_assert_eq!(parse_units(&format_bytes(amount)), Ok(amount));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = parse_units(&text);
            let _ = parse_milli(&text);
        }

        #[test]
        fn decimals_agree_with_integer_arithmetic(whole in 0i64..1_000_000, thousandths in 0i64..1000) {
            let text = format!("{whole}.{thousandths:03}");
            prop_assert_eq!(parse_milli(&text), Ok(whole * 1000 + thousandths));
            prop_assert_eq!(parse_units(&text), Ok(whole + i64::from(thousandths > 0)));
        }
    }
}
