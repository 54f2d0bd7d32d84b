//! Sums of f64 that depend on the summands alone.

/// An exact sum: the correctly rounded f64 of the true sum, whatever the order of the summands.
///
/// Shewchuk 1997 (*Adaptive precision floating-point arithmetic*), as in Python's `math.fsum`: the state is a few f64
/// that do not overlap and whose sum is exact. Adding costs a few operations. A summand that is not finite makes the
/// sum `None`. Summands of metrics come from f32 and stay far below the f64 range, so that no partial sum overflows.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    /// By increasing magnitude; none is zero, except that the last may be.
    partials: Vec<f64>,
    broken: bool,
}

impl ExactSum {
    /// Adds `x`.
    pub fn add(&mut self, x: f64) {
        if !x.is_finite() {
            self.broken = true;
            return;
        }
        let mut x = x;
        let mut kept = 0;
        for i in 0..self.partials.len() {
            let (high, low) = two_sum(x, self.partials[i]);
            if low != 0.0 {
                self.partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.partials.truncate(kept);
        self.partials.push(x);
        self.broken |= !x.is_finite();
    }

    /// Adds everything that `other` has summed.
    pub fn merge(&mut self, other: &Self) {
        other.partials.iter().for_each(|&x| self.add(x));
        self.broken |= other.broken;
    }

    /// The sum, rounded once; 0 if nothing was added, `None` if a summand was not finite.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        if self.broken {
            return None;
        }
        let mut rest = self.partials.iter().rev().copied();
        let Some(mut sum) = rest.next() else { return Some(0.0) };
        while let Some(partial) = rest.next() {
            let (high, low) = two_sum(sum, partial);
            sum = high;
            if low != 0.0 {
                // `low` may be exactly half a unit of `sum`; then what follows decides to which side it rounds.
                if rest.next().is_some_and(|next| (next > 0.0) == (low > 0.0)) {
                    let (away, left) = two_sum(sum, 2.0 * low);
                    if left == 0.0 {
                        sum = away;
                    }
                }
                break;
            }
        }
        Some(sum)
    }

    /// The sum as `high + low` with 106 bits: `high` is [`ExactSum::value`], `low` what it lacks.
    #[must_use]
    pub fn double_value(&self) -> Option<(f64, f64)> {
        let high = self.value()?;
        let mut rest = self.clone();
        rest.add(-high);
        Some((high, rest.value()?))
    }
}

/// Knuth: `high = fl(a + b)` and `high + low = a + b` exactly.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let high = a + b;
    let b_part = high - a;
    (high, (a - (high - b_part)) + (b - b_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> Option<f64> {
        let mut sum = ExactSum::default();
        values.iter().for_each(|&x| sum.add(x));
        sum.value()
    }

    #[test]
    fn small_summands_are_not_lost() {
        assert_eq!(sum(&[]), Some(0.0));
        assert_eq!(sum(&[1e16, 1.0, -1e16]), Some(1.0));
        assert_eq!(sum(&[0.1; 10]), Some(1.0));
        assert_eq!(sum(&[1e100, 1.0, -1e100, 1e-30]), Some(1.0));
    }

    #[test]
    fn a_half_rounds_by_what_follows() {
        let unit = f64::EPSILON;
        assert_eq!(sum(&[1.0, unit / 2.0]), Some(1.0));
        assert_eq!(sum(&[1.0, unit / 2.0, 1e-40]), Some(1.0 + unit));
        assert_eq!(sum(&[1.0 + unit, unit / 2.0]), Some(1.0 + 2.0 * unit));
        assert_eq!(sum(&[1.0 + unit, unit / 2.0, -1e-40]), Some(1.0 + unit));
    }

    #[test]
    fn what_is_not_finite_has_no_sum() {
        assert_eq!(sum(&[1.0, f64::NAN]), None);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), None);
    }

    #[test]
    fn the_low_part_is_what_the_high_part_lacks() {
        let mut sum = ExactSum::default();
        [1e20, 3.0, 1e-3].iter().for_each(|&x| sum.add(x));
        assert_eq!(sum.double_value(), Some((1e20, 3.001)));
    }
}
