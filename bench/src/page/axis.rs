//! From values to places on a drawing, and the marks between.

/// How values lie along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    Linear,
    /// For values above zero.
    Log,
}

/// Values from `low` to `high` with marks on round ones.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) marks: Vec<f64>,
}

impl Axis {
    /// From zero to a round value that is not below `high`.
    pub(super) fn linear(high: f64, marks_about: usize) -> Axis {
        let high = if high > 0.0 { high } else { 1.0 };
        let rough = high / marks_about as f64;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|part| part * decade).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * decade);
        let count = (high / step - 1e-9).ceil();
        let marks = (0..=count as usize).map(|at| at as f64 * step).collect();
        Axis { scale: Scale::Linear, low: 0.0, high: count * step, marks }
    }

    /// Round values around those between `low` and `high`, which are above zero.
    pub(super) fn log(low: f64, high: f64) -> Axis {
        let steps: &[f64] = if (high / low).log10() > 1.7 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut all = Vec::new();
        for decade in low.log10().floor() as i32 - 1..=high.log10().ceil() as i32 + 1 {
            all.extend(steps.iter().map(|step| step * 10_f64.powi(decade)));
        }
        let first = all.iter().rposition(|mark| *mark <= low * 1.0001).unwrap_or(0);
        let last = all.iter().position(|mark| *mark >= high * 0.9999).unwrap_or(all.len() - 1);
        let last = if last == first { last + 1 } else { last };
        let marks = all[first..=last].to_vec();
        Axis { scale: Scale::Log, low: all[first], high: all[last], marks }
    }

    /// From zero, or by decades where the largest is far above the least.
    pub(super) fn fitting(values: impl Iterator<Item = f64>, marks_about: usize) -> Axis {
        const FAR: f64 = 20.0;
        let (mut low, mut high, mut has_zero) = (f64::INFINITY, 0.0_f64, false);
        for value in values {
            has_zero |= value <= 0.0;
            low = if value > 0.0 { low.min(value) } else { low };
            high = high.max(value);
        }
        if high > low * FAR && !has_zero { Axis::log(low, high) } else { Axis::linear(high, marks_about) }
    }

    /// 0 at its low end, 1 at its high one; values beyond are held there.
    pub(super) fn part(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln(),
        };
        part.clamp(0.0, 1.0)
    }

    pub(super) fn is_log(&self) -> bool {
        self.scale == Scale::Log
    }

    /// The marks that get a word, at most `words_max`: every second of them, or third.
    pub(super) fn words(&self, words_max: usize) -> impl Iterator<Item = f64> + '_ {
        self.marks.iter().copied().step_by(self.marks.len().div_ceil(words_max).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_enclose_the_values() {
        let axis = Axis::linear(873.0, 4);
        assert_eq!((axis.marks.as_slice(), axis.high), ([0.0, 250.0, 500.0, 750.0, 1000.0].as_slice(), 1000.0));
        let axis = Axis::log(0.3, 90.0);
        assert!(axis.low <= 0.1001 && axis.high >= 99.9, "{axis:?}");
        assert!((axis.part(3.1623) - 0.5).abs() < 0.001);
        let near = Axis::log(46.0, 49.0);
        assert_eq!((near.low, near.high), (20.0, 50.0));
        assert_eq!(Axis::linear(0.0, 4).high, 1.0);
    }

    #[test]
    fn far_values_get_decades_and_a_zero_forbids_them() {
        assert!(Axis::fitting([100.0, 4000.0].into_iter(), 4).is_log());
        assert!(!Axis::fitting([0.0, 4000.0, 100.0].into_iter(), 4).is_log());
        assert!(!Axis::fitting([100.0, 400.0].into_iter(), 4).is_log());
    }
}
