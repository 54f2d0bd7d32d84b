//! [`Shares`]: what each task has of the score of a row.

use pleiad_engine::Predictions;

use super::Scorer;
use crate::config::RankFusion;

/// What each task has of the score of a row; tasks and transform add up to `total`.
///
/// In a product `prod_k p_k^w_k * f(x)^power` a task has `w_k ln |p_k|` and the transform `power ln |f(x)|` of `ln |score|`;
/// p_k is what counts of the prediction, after `joint`, `floor` and `cap`. What has the exponent 0 has a share of 0. A share is
/// minus or plus infinity where p_k is 0.
///
/// In a sum `(sum_k w_k p_k) * f(x)^power` a task has its term times the transform, and the transform has no share of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// The tasks that count, by their number, in their order.
    pub tasks: Vec<(usize, f64)>,
    /// That of the transform, where it has one.
    pub transform: Option<f64>,
    /// The logarithm of the score; in a sum the score.
    pub total: f64,
}

/// The logarithm of `|base|^power`.
fn logarithm(base: f64, power: f64) -> f64 {
    if power == 0.0 { 0.0 } else { power * base.abs().ln() }
}

impl Scorer {
    /// The shares of row `row` of predictions `[T][B]`; `numbers` as for [`Scorer::score`].
    #[must_use]
    pub fn shares(&self, predictions: &Predictions, numbers: &[f64], row: usize) -> Shares {
        let of = |task: usize| {
            predictions.tasks.get(task).and_then(|task| task.get(row)).map_or(f64::NAN, |p| f64::from(*p))
        };
        let x = numbers.get(row).copied().unwrap_or(f64::NAN);
        let f = self.transform.as_ref().map(|transform| (transform.kind.apply(x), transform.power));
        let times = f.map_or(1.0, |(base, power)| base.powf(power));
        let share = |factor: &super::Factor| {
            let given: f64 = factor.given.iter().map(|&task| of(task)).product();
            let counts = factor.bounded(of(factor.task) * given);
            match self.fusion {
                RankFusion::Product => logarithm(counts, factor.power),
                RankFusion::Sum => factor.power * counts * times,
            }
        };
        let tasks: Vec<(usize, f64)> = self.factors.iter().map(|factor| (factor.task, share(factor))).collect();
        let transform = match self.fusion {
            RankFusion::Product => f.map(|(base, power)| logarithm(base, power)),
            RankFusion::Sum => None,
        };
        let total = tasks.iter().map(|(_, share)| share).sum::<f64>() + transform.unwrap_or(0.0);
        Shares { tasks, transform, total }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{predictions, scorer};

    #[test]
    fn shares_add_up_to_the_logarithm_of_the_score() {
        for rank in [
            "score = { click = 1.0, share = 0.5 }",
            "score = { click = 1.0, share = -0.5, hours = 0 }",
            "score = { hours = 2 }\njoint = true\nfloor = { hours = 1.25 }",
            "score = { hours = 2, click = 1 }\ncap = { hours = 2 }\n\
             transform = { column = 'seconds', kind = 'log1p', power = 0.3 }",
        ] {
            let scorer = scorer(rank).unwrap();
            let numbers = [10.0, 0.25];
            let scores = scorer.score(&predictions(), &numbers, 0).unwrap();
            for (row, score) in scores.iter().enumerate() {
                let shares = scorer.shares(&predictions(), &numbers, row);
                assert!((shares.total - score.ln()).abs() < 1e-12, "{rank}: {shares:?}");
                let sum = shares.tasks.iter().map(|(_, share)| share).sum::<f64>() + shares.transform.unwrap_or(0.0);
                assert_eq!(sum, shares.total, "{rank}");
                assert_eq!(shares.transform.is_some(), rank.contains("transform"));
            }
        }
        let by_hand = scorer("score = { click = 1.0, share = 0.5 }").unwrap().shares(&predictions(), &[], 1);
        assert_eq!(by_hand.tasks, [(0, 0.25f64.ln()), (1, 0.5 * f64::from(0.4f32).ln())]);
    }

    #[test]
    fn shares_of_a_sum_are_its_terms() {
        let rank = "score = { click = 2.0, share = -0.5 }\nfusion = 'sum'\n\
                    transform = { column = 'seconds', kind = 'identity', power = 2 }";
        let scorer = scorer(rank).unwrap();
        let score = scorer.score(&predictions(), &[3.0, 1.0], 0).unwrap()[0];
        let shares = scorer.shares(&predictions(), &[3.0, 1.0], 0);
        assert_eq!(shares.tasks, [(0, 9.0), (1, -0.5 * f64::from(0.2f32) * 9.0)]);
        assert!((shares.total - score).abs() < 1e-12 && shares.transform.is_none());
    }

    #[test]
    fn a_prediction_of_zero_has_no_finite_share() {
        let scorer = scorer("score = { click = 1, hours = 2 }").unwrap();
        let mut zero = predictions();
        zero.tasks[0][0] = 0.0;
        zero.tasks[2][0] = -2.0;
        let shares = scorer.shares(&zero, &[], 0);
        assert_eq!(shares.tasks[0].1, f64::NEG_INFINITY);
        assert!((shares.tasks[1].1 - 4f64.ln()).abs() < 1e-12);
        assert!(scorer.shares(&zero, &[], 9).total.is_nan());
    }
}
