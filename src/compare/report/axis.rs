//! Axes: numbers to pixels, and where the ticks are. It knows numbers, not what they measure.

/// How a number becomes a place on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    /// The numbers at its ends, as they are mapped.
    ends: (f64, f64),
    /// The pixels at its ends.
    pixels: (f64, f64),
    is_logarithmic: bool,
}

impl Axis {
    /// From zero.
    pub(super) fn linear(most: f64, pixels: (f64, f64)) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        Self { ends: (0.0, most), pixels, is_logarithmic: false }
    }

    /// Each factor is as long as any other. Both ends must be above zero; what is not is moved there.
    pub(super) fn logarithmic(least: f64, most: f64, pixels: (f64, f64)) -> Self {
        let least = if least > 0.0 { least } else { 1e-3 };
        let most = if most > least { most } else { least * 10.0 };
        Self { ends: (least.log10(), most.log10()), pixels, is_logarithmic: true }
    }

    /// The pixel of a number.
    pub(super) fn pixel(&self, number: f64) -> f64 {
        let mapped = if self.is_logarithmic { number.max(1e-6).log10() } else { number };
        let share = (mapped - self.ends.0) / (self.ends.1 - self.ends.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Round numbers on the axis, about half a dozen.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic { self.logarithmic_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let step = step(self.ends.1 / 5.0);
        (0..=20)
            .map(|index| f64::from(index) * step)
            .take_while(|tick| *tick <= self.ends.1 * 1.001)
            .collect()
    }

    fn logarithmic_ticks(&self) -> Vec<f64> {
        let (least, most) = self.ends;
        let decades = most - least;
        let within: &[f64] = if decades < 1.5 {
            &[1.0, 2.0, 3.0, 5.0]
        } else if decades < 3.0 {
            &[1.0, 3.0]
        } else {
            &[1.0]
        };
        let decades = (-6..=15).map(|decade| 10_f64.powi(decade));
        let ticks = decades.flat_map(|decade| within.iter().map(move |digit| decade * digit));
        ticks.filter(|tick| (least - 1e-6..=most + 1e-6).contains(&tick.log10())).collect()
    }
}

/// The round number that is this or the next larger one: 1, 2 or 5 times a power of ten.
pub(super) fn step(least: f64) -> f64 {
    if least <= 0.0 {
        return 1.0;
    }
    let decade = 10_f64.powf(least.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * decade >= least * 0.999_999).unwrap_or(10.0);
    digit * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_pixels() {
        let axis = Axis::linear(10.0, (100.0, 200.0));
        assert_eq!([0.0, 5.0, 10.0].map(|number| axis.pixel(number)), [100.0, 150.0, 200.0]);
        let axis = Axis::logarithmic(1.0, 100.0, (200.0, 100.0));
        assert_eq!([1.0, 10.0, 100.0].map(|number| axis.pixel(number)), [200.0, 150.0, 100.0]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Axis::linear(9_400.0, (0.0, 1.0)).ticks(), [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0]);
        assert_eq!(Axis::linear(0.5, (0.0, 1.0)).ticks().len(), 6);
        assert_eq!(Axis::logarithmic(50.0, 900.0, (0.0, 1.0)).ticks(), [50.0, 100.0, 200.0, 300.0, 500.0]);
        assert_eq!(Axis::logarithmic(1.0, 1e6, (0.0, 1.0)).ticks().len(), 7);
        for most in [0.0, -1.0, 1e-9, 1.0, 7.0, 1e12] {
            for axis in [Axis::linear(most, (0.0, 1.0)), Axis::logarithmic(most / 100.0, most, (0.0, 1.0))] {
                let ticks = axis.ticks();
                assert!(ticks.len() <= 12, "{most}: {ticks:?}");
                assert!(ticks.iter().all(|tick| axis.pixel(*tick).is_finite()), "{most}: {ticks:?}");
            }
        }
    }
}
