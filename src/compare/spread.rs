//! One figure over the rounds of a run. It knows numbers, not what they measure.

use serde::{Deserialize, Serialize};

/// A figure that was measured once in every round: all values, and what to say of them in short.
///
/// The unit is in the name of the field that holds it (`p50_us`, `requests_per_s`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest value of a round.
    pub min: f64,
    /// The middle value; between the two middle values when the number of rounds is even.
    pub median: f64,
    /// The largest value of a round.
    pub max: f64,
    /// The values in the order of the rounds.
    pub rounds: Vec<f64>,
}

impl Spread {
    /// The spread of the values of the rounds, in their order, rounded to thousandths; nothing when there is no value, or
    /// one that is no finite number.
    ///
    /// ```
    /// use gatebridge::compare::Spread;
    ///
    /// let spread = Spread::of(vec![3.0, 1.0, 2.0]).expect("three numbers");
    /// assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 3.0));
    /// assert_eq!(spread.rounds, [3.0, 1.0, 2.0]);
    /// assert!(Spread::of(Vec::new()).is_none());
    /// ```
    #[must_use]
    pub fn of(mut rounds: Vec<f64>) -> Option<Self> {
        rounds.iter_mut().for_each(|value| *value = thousandths(*value));
        let median = thousandths(median(&rounds)?);
        let min = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let max = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (min.is_finite() && max.is_finite()).then_some(Self { min, median, max, rounds })
    }

    /// The difference between the extremes as a share of the median; nothing with fewer than two rounds, or a median
    /// of zero.
    #[must_use]
    pub fn coefficient(&self) -> Option<f64> {
        (self.rounds.len() > 1 && self.median > 0.0).then(|| (self.max - self.min) / self.median)
    }
}

/// Rounded to thousandths: of a microsecond or a request per second, that is less than anybody can measure.
pub(super) fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The middle of some numbers; nothing without numbers, or when one is not a number.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    Some(if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![7.0], Some(7.0)),
            (vec![9.0, 1.0], Some(5.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0, 3.0, 2.0], Some(2.5)),
            (vec![1.0, f64::NAN], None),
        ] {
            assert_eq!(median(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_spread_is_of_finite_numbers() {
        assert!(Spread::of(vec![1.0, f64::INFINITY]).is_none());
        assert!(Spread::of(vec![f64::NAN]).is_none());
    }

    #[test]
    fn the_coefficient_needs_two_rounds() {
        let coefficient =
            |rounds: &[f64]| Spread::of(rounds.to_vec()).and_then(|spread| spread.coefficient());
        assert_eq!(coefficient(&[2.0]), None);
        assert_eq!(coefficient(&[0.0, 0.0]), None);
        assert_eq!(coefficient(&[1.0, 2.0, 1.5]), Some(1.0 / 1.5));
    }
}
