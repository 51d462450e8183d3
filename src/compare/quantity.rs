//! Times, sizes, rates and ratios as people read them: three significant digits and a unit. It knows numbers only.

/// A number and its unit, apart so that a table can align both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// The number, with a comma between thousands.
    pub number: String,
    /// The unit; empty for a count or a ratio.
    pub unit: &'static str,
}

impl Quantity {
    /// Without the zeros at its end, for a number that was chosen and not measured: a tick of an axis, a setting.
    ///
    /// ```
    /// use gatebridge::compare::quantity::time;
    ///
    /// assert_eq!((time(2e6).short(), time(2e6).to_string()), ("2 s".to_owned(), "2.00 s".to_owned()));
    /// ```
    #[must_use]
    pub fn short(&self) -> String {
        let number = match self.number.split_once('.') {
            Some(_) => self.number.trim_end_matches('0').trim_end_matches('.'),
            None => &self.number,
        };
        let unit = if number == "0" { "" } else { self.unit };
        Self { number: number.to_owned(), unit }.to_string()
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let space = if self.unit.is_empty() { "" } else { " " };
        write!(f, "{}{space}{}", self.number, self.unit)
    }
}

/// A time given in microseconds, in the unit that makes it shortest.
///
/// ```
/// use gatebridge::compare::quantity::time;
///
/// assert_eq!(time(52.34).to_string(), "52.3 µs");
/// assert_eq!(time(2_030_000.0).to_string(), "2.03 s");
/// ```
#[must_use]
pub fn time(us: f64) -> Quantity {
    scaled(us, &[(1.0, "µs"), (1e3, "ms"), (1e6, "s")], 1e3)
}

/// An amount of memory, given in bytes.
#[must_use]
pub fn size(bytes: u64) -> Quantity {
    const KIB: f64 = 1024.0;
    let units = [(1.0, "B"), (KIB, "KiB"), (KIB * KIB, "MiB"), (KIB * KIB * KIB, "GiB")];
    scaled(super::verdict::exact(bytes), &units, KIB)
}

/// The number in the largest unit of which it is at least one, as it will be shown: what rounds up to the next unit is
/// shown in that.
fn scaled(value: f64, units: &[(f64, &'static str)], step: f64) -> Quantity {
    let shown = |factor: f64| rounded(value / factor);
    let fitting = units.iter().find(|(factor, _)| shown(*factor) < step).or(units.last());
    let (factor, unit) = fitting.copied().unwrap_or((1.0, ""));
    Quantity { number: number(value / factor), unit }
}

/// Requests per second, without the unit.
#[must_use]
pub fn rate(requests_per_s: f64) -> Quantity {
    Quantity { number: number(requests_per_s), unit: "" }
}

/// How many, exactly.
#[must_use]
pub fn count(how_many: u64) -> String {
    grouped(&how_many.to_string())
}

/// How many times as much.
#[must_use]
pub fn ratio(times: f64) -> String {
    match times {
        times if times < 1.995 => format!("{times:.2}"),
        times if times < 9.95 => format!("{times:.1}"),
        times => grouped(&format!("{times:.0}")),
    }
}

/// A share of one, as percent: "0.31%", "4.2%", "18%".
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        percent if percent < 0.005 => "0%".to_owned(),
        small if small < 0.995 => format!("{percent:.2}%"),
        middle if middle < 9.95 => format!("{percent:.1}%"),
        _ => format!("{}%", grouped(&format!("{percent:.0}"))),
    }
}

/// Rounded to three significant digits, and to a whole number from 100 on.
fn rounded(value: f64) -> f64 {
    let factor = match value.abs() {
        value if value < 9.995 => 100.0,
        value if value < 99.95 => 10.0,
        _ => 1.0,
    };
    (value * factor).round() / factor
}

/// Three significant digits; from 100 on all of the whole number, with commas.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => grouped(&format!("{value:.0}")),
    }
}

/// A comma between thousands.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_makes_them_short() {
        for (us, expected) in [
            (0.0, "0 µs"),
            (0.42, "0.42 µs"),
            (9.994, "9.99 µs"),
            (9.996, "10.0 µs"),
            (99.94, "99.9 µs"),
            (99.96, "100 µs"),
            (999.4, "999 µs"),
            (999.6, "1.00 ms"),
            (1_000.0, "1.00 ms"),
            (52_340.0, "52.3 ms"),
            (999_600.0, "1.00 s"),
            (140_000.0, "140 ms"),
            (59.94e6, "59.9 s"),
            (12_345.6e6, "12,346 s"),
        ] {
            assert_eq!(time(us).to_string(), expected, "{us}");
        }
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1,023 B"),
            (1_024, "1.00 KiB"),
            (3 << 20, "3.00 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            (5_000_000_000, "4.66 GiB"),
            (u64::MAX, "17,179,869,184 GiB"),
        ] {
            assert_eq!(size(bytes).to_string(), expected, "{bytes}");
        }
    }

    #[test]
    fn rates_ratios_counts_and_shares() {
        for (value, expected) in [(0.123, "0.12"), (7.14, "7.14"), (1_234.5, "1,234"), (98_765.4, "98,765")] {
            assert_eq!(rate(value).to_string(), expected);
        }
        for (value, expected) in
            [(0.05, "0.05"), (1.044, "1.04"), (3.16, "3.2"), (9.96, "10"), (20.6, "21"), (1_234.0, "1,234")]
        {
            assert_eq!(ratio(value), expected);
        }
        for (value, expected) in [
            (0.0, "0%"),
            (0.0031, "0.31%"),
            (0.042, "4.2%"),
            (0.0999, "10%"),
            (0.18, "18%"),
            (1.0, "100%"),
            (12.34, "1,234%"),
        ] {
            assert_eq!(percent(value), expected);
        }
        for (value, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), expected);
        }
    }
}
