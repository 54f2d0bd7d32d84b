//! Numbers piece by piece: [`FeatureKind::Pieces`](crate::schema::FeatureKind::Pieces).

use super::buckets::Sample;
use super::fitted::{Fitted, filling};
use super::numeric::{Moments, Step};
use crate::schema::Missing;

/// Looks at the training rows' values.
pub(super) struct PiecesFit {
    pieces: usize,
    missing: Missing,
    sample: Sample,
    moments: Moments,
    is_done: bool,
}

impl PiecesFit {
    pub(super) fn new(pieces: usize, missing: Missing) -> Self {
        Self { pieces, missing, sample: Sample::default(), moments: Moments::default(), is_done: false }
    }

    pub(super) fn needs_pass(&self) -> bool {
        !self.is_done
    }

    pub(super) fn observe(&mut self, values: impl Iterator<Item = f64>) {
        for value in values {
            self.sample.observe(value);
            self.moments.observe(value);
        }
    }

    pub(super) fn end_pass(&mut self) {
        self.is_done = true;
    }

    /// Boundaries are those of as many buckets, with the least value before and the greatest behind them.
    pub(super) fn finish(self) -> Fitted {
        let Moments { count, mean, min, max, .. } = self.moments;
        let mut boundaries = vec![if count == 0 { 0.0 } else { min }];
        boundaries.extend(self.sample.boundaries(self.pieces));
        if count > 0 && boundaries.last().is_some_and(|&last| last < max) {
            boundaries.push(max);
        }
        if let [only] = boundaries[..] {
            // All values are one. Whatever lies above it is another.
            boundaries.push(only + only.abs().max(1.0));
        }
        Fitted::Pieces { boundaries, missing: filling(self.missing, mean) }
    }
}

/// The steps that make each piece of the number.
pub(super) fn steps(boundaries: &[f64]) -> Vec<[Step; 2]> {
    let piece = |pair: &[f64]| [Step::Clip([pair[0], pair[1]]), Step::MinMax { min: pair[0], max: pair[1] }];
    boundaries.windows(2).map(piece).collect()
}

/// Why boundaries that were read from a file cannot be those of `pieces` pieces.
pub(super) fn check(boundaries: &[f64], pieces: usize) -> Result<(), String> {
    let ascend = boundaries.windows(2).all(|pair| pair[0] < pair[1]) && boundaries.iter().all(|b| b.is_finite());
    if ascend && (2..=pieces + 1).contains(&boundaries.len()) {
        return Ok(());
    }
    Err(format!("the boundaries of its pieces are not 2 to {} finite and ascending numbers", pieces + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::numeric::apply;

    fn fitted(values: &[f64], pieces: usize) -> Vec<f64> {
        let mut fit = PiecesFit::new(pieces, Missing::Mean);
        fit.observe(values.iter().copied());
        let Fitted::Pieces { boundaries, .. } = fit.finish() else { panic!() };
        assert_eq!(check(&boundaries, pieces), Ok(()));
        boundaries
    }

    #[test]
    fn boundaries_are_quantiles_between_the_least_and_the_greatest() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(fitted(&values, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(fitted(&[3.0; 9], 4), [3.0, 6.0]);
        assert_eq!(fitted(&[], 4), [0.0, 1.0]);
        // A value of a bucket of its own: from it to the next larger one.
        let zeros: Vec<f64> = [0.0; 90].into_iter().chain((1..=10).map(|i| f64::from(i) * 100.0)).collect();
        assert_eq!(fitted(&zeros, 3), [0.0, 100.0, 600.0, 1000.0]);
        assert_eq!(fitted(&[1.0, 2.0, 2.0], 2), [1.0, 2.0]);
    }

    #[test]
    fn pieces_add_up_to_where_a_number_lies() {
        let steps = steps(&[0.0, 10.0, 40.0]);
        for (number, expected) in
            [(-5.0, [0.0, 0.0]), (2.5, [0.25, 0.0]), (10.0, [1.0, 0.0]), (25.0, [1.0, 0.5]), (99.0, [1.0, 1.0])]
        {
            let found: Vec<f64> = steps.iter().map(|steps| apply(steps, number)).collect();
            assert_eq!(found, expected, "{number}");
        }
    }

    #[test]
    fn boundaries_that_are_none_are_refused() {
        for boundaries in [&[][..], &[1.0], &[2.0, 1.0], &[1.0, 1.0], &[0.0, f64::INFINITY], &[0.0, 1.0, 2.0, 3.0]] {
            assert!(check(boundaries, 2).is_err(), "{boundaries:?}");
        }
    }
}
