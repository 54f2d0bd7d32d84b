//! Mean, spread, and the confidence interval of a mean from few values: seeds of a comparison, shuffles of a feature.
//! [`holm`] corrects p values for many questions.

use serde::{Deserialize, Serialize};

/// Mean and standard deviation over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Number of seeds, n.
    pub seeds: usize,
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation, with n - 1; `None` for one seed.
    pub sd: Option<f64>,
}

impl Spread {
    /// That of these values; `None` if there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Some(Self { seeds: n, mean, sd: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()) })
    }
}

/// A mean over seeds with its 95 % confidence interval.
///
/// `mean ± t_(0.975, n-1) sd / sqrt(n)`: Student's interval. It assumes that gains over seeds are roughly normal and
/// independent, and says what a training with other seeds would give on these same rows. It says nothing about
/// other rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Number of seeds, n.
    pub seeds: usize,
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; `None` for one seed.
    pub sd: Option<f64>,
    /// Lower and upper end; `None` for one seed.
    pub bounds: Option<(f64, f64)>,
}

/// Where an interval lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// All of it above zero.
    Above,
    /// All of it below zero.
    Below,
    /// It holds zero.
    Across,
    /// One seed has no interval.
    Unknown,
}

impl Interval {
    /// That of these values; `None` if there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let Spread { seeds, mean, sd } = Spread::of(values)?;
        let bounds = sd.map(|sd| {
            let half = t_quantile_975(seeds - 1) * sd / (seeds as f64).sqrt();
            (mean - half, mean + half)
        });
        Some(Self { seeds, mean, sd, bounds })
    }

    /// The p value of Student's test that the mean is 0, two-sided: below 0.05 where the interval leaves zero out.
    /// `None` for one seed.
    #[must_use]
    pub fn p_value(&self) -> Option<f64> {
        let sd = self.sd?;
        Some(match (self.mean == 0.0, sd == 0.0) {
            (true, _) => 1.0,
            (false, true) => 0.0,
            (false, false) => t_tails(self.mean / (sd / (self.seeds as f64).sqrt()), self.seeds - 1),
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn side(&self) -> Side {
        match self.bounds {
            None => Side::Unknown,
            Some((low, _)) if low > 0.0 => Side::Above,
            Some((_, high)) if high < 0.0 => Side::Below,
            Some(_) => Side::Across,
        }
    }
}

/// The 0.975 quantile of Student's t with `df` degrees of freedom: a table up to 30 (Python: `scipy.stats.t.ppf(0.975,
/// df)`), above it the expansion of Cornish and Fisher around the normal quantile, right to 1e-6 there.
fn t_quantile_975(df: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706_204_736,
        4.302_652_730,
        3.182_446_305,
        2.776_445_105,
        2.570_581_836,
        2.446_911_851,
        2.364_624_252,
        2.306_004_135,
        2.262_157_163,
        2.228_138_852,
        2.200_985_160,
        2.178_812_830,
        2.160_368_656,
        2.144_786_688,
        2.131_449_546,
        2.119_905_299,
        2.109_815_578,
        2.100_922_040,
        2.093_024_054,
        2.085_963_447,
        2.079_613_845,
        2.073_873_068,
        2.068_657_610,
        2.063_898_562,
        2.059_538_553,
        2.055_529_439,
        2.051_830_516,
        2.048_407_142,
        2.045_229_642,
        2.042_272_456,
    ];
    match df {
        0 => f64::INFINITY,
        1..=30 => TABLE[df - 1],
        _ => {
            let (z, n) = (1.959_963_984_540_054_f64, df as f64);
            let (z3, z5, z7, z9) = (z.powi(3), z.powi(5), z.powi(7), z.powi(9));
            z + (z3 + z) / (4.0 * n)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n.powi(3))
                + (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / (92160.0 * n.powi(4))
        }
    }
}

/// `P(|T| > |t|)` of Student's t with `df` degrees of freedom, by the finite sums for whole `df` (Abramowitz and Stegun
/// 26.7.3 and 26.7.4). Right to some 1e-15 absolutely.
fn t_tails(t: f64, df: usize) -> f64 {
    if df == 0 || t.is_nan() {
        return 1.0;
    }
    let angle = (t.abs() / (df as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = df % 2 == 1;
    // The terms' exponents of the cosine go 1, 3, ... for odd df and 0, 2, ... for even, up to df - 2.
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    let mut power = usize::from(odd);
    while power + 2 <= df {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    let within = if odd { (angle + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum };
    (1.0 - within).clamp(0.0, 1.0)
}

/// Holm's correction: p values of several questions, each raised so that one wrong "yes" among all has the probability
/// that one alone had.
///
/// Sorted, the smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than the one before.
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max((p_values.len() - rank) as f64 * p_values[at]).min(1.0);
        adjusted[at] = least;
    }
    adjusted
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A part of what `tools/golden/gains.py` made.
    fn golden(part: &str) -> Vec<serde_json::Value> {
        let text = include_str!("../tests/golden/gains.json");
        let all: serde_json::Value = serde_json::from_str(text).unwrap();
        all[part].as_array().unwrap().clone()
    }

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn tails_are_those_of_scipy() {
        let cases = golden("tails");
        assert!(cases.len() > 80);
        for case in cases {
            let (t, df) = (case["t"].as_f64().unwrap(), case["df"].as_u64().unwrap() as usize);
            let (found, exact) = (t_tails(t, df), case["p"].as_f64().unwrap());
            assert!((found - exact).abs() < 1e-14, "{case}: {found}");
            assert_eq!(t_tails(-t, df), found);
        }
    }

    #[test]
    fn gains_paired_by_seed_have_the_interval_and_the_p_value_of_scipy() {
        for case in golden("pairs") {
            let gains: Vec<f64> =
                numbers(&case["model"]).iter().zip(numbers(&case["single"])).map(|(m, s)| m - s).collect();
            let interval = Interval::of(&gains).unwrap();
            let (low, high) = interval.bounds.unwrap();
            let near = |found: f64, key: &str| (found - case[key].as_f64().unwrap()).abs() < 1e-8;
            assert!(near(low, "low") && near(high, "high"), "{case}: {interval:?}");
            let p = interval.p_value().unwrap();
            assert!(near(p, "p"), "{case}: {p}");
            // The interval leaves zero out exactly where the test says no.
            assert_eq!(matches!(interval.side(), Side::Above | Side::Below), p < 0.05, "{case}");
        }
        for df in 1..200 {
            assert!((t_tails(t_quantile_975(df), df) - 0.05).abs() < 1e-7, "{df}");
        }
    }

    #[test]
    fn what_has_no_spread_has_a_p_value_where_it_can() {
        assert_eq!(Interval::of(&[0.5]).unwrap().p_value(), None);
        assert_eq!(Interval::of(&[0.5, 0.5]).unwrap().p_value(), Some(0.0));
        assert_eq!(Interval::of(&[0.0, 0.0]).unwrap().p_value(), Some(1.0));
    }

    #[test]
    fn holm_is_that_of_statsmodels() {
        for case in golden("holm") {
            let (found, exact) = (holm(&numbers(&case["p"])), numbers(&case["adjusted"]));
            assert!(found.iter().zip(&exact).all(|(f, e)| (f - e).abs() < 1e-14), "{case}: {found:?}");
        }
        assert!(holm(&[]).is_empty());
        // By hand: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 0.04 not below the one before.
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]);
    }

    #[test]
    fn quantiles_meet_where_the_table_ends() {
        // scipy.stats.t.ppf(0.975, [31, 60, 1000])
        for (df, exact) in [(31, 2.039_513_446), (60, 2.000_297_822), (1000, 1.962_339_081)] {
            assert!((t_quantile_975(df) - exact).abs() < 1e-6, "{df}: {}", t_quantile_975(df));
        }
        assert!((1..200).all(|df| t_quantile_975(df) > t_quantile_975(df + 1)));
    }

    #[test]
    fn an_interval_is_that_of_the_textbook() {
        // scipy.stats.t.interval(0.95, 4, loc=x.mean(), scale=scipy.stats.sem(x)) of x = 1, 2, 3, 4, 5.
        let interval = Interval::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let (low, high) = interval.bounds.unwrap();
        assert!((low - 1.036_756_838).abs() < 1e-8 && (high - 4.963_243_162).abs() < 1e-8, "{low} {high}");
        assert_eq!(interval.side(), Side::Above);
        assert_eq!(Interval::of(&[-1.0, -1.0]).unwrap().side(), Side::Below);
        assert_eq!(Interval::of(&[-1.0, 1.0]).unwrap().side(), Side::Across);
    }

    #[test]
    fn one_seed_has_no_spread_and_none_no_mean() {
        let one = Interval::of(&[0.5]).unwrap();
        assert_eq!((one.mean, one.sd, one.bounds, one.side()), (0.5, None, None, Side::Unknown));
        assert_eq!(Spread::of(&[]), None);
    }
}
