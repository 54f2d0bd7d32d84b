//! The search: each exponent in turn, on a grid of factors that becomes finer, from the weights at hand and from others.

use std::collections::{BTreeMap, HashMap};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Factors by which an exponent is multiplied and divided, the coarsest first.
const FACTORS: [f64; 5] = [4.0, 2.0, std::f64::consts::SQRT_2, 1.189_207_115_002_721, 1.090_507_732_665_257_7];

/// Other weights begin at these factors of those at hand, at the most.
const WIDEST: f64 = 8.0;

/// Rounds over all exponents by one factor.
const ROUNDS: usize = 4;

/// No exponent becomes larger than so many times the largest at hand, or smaller without being 0.
const RANGE: f64 = 256.0;

/// What a search changes.
pub(super) struct Space {
    /// The weights at hand.
    pub(super) now: BTreeMap<String, f64>,
    /// The tasks whose exponents change.
    pub(super) free: Vec<String>,
    /// Starts beside the weights at hand.
    pub(super) restarts: usize,
    /// Seed of these starts.
    pub(super) seed: u64,
}

/// What a search found: the weights, and how good they are.
pub(super) type Found = (BTreeMap<String, f64>, f64);

/// Weights that were tried, with what they are worth.
struct Tried<'a> {
    worth: &'a mut dyn FnMut(&BTreeMap<String, f64>) -> Option<f64>,
    known: HashMap<Vec<u64>, Option<f64>>,
    order: Vec<String>,
}

impl Tried<'_> {
    fn worth(&mut self, weights: &BTreeMap<String, f64>) -> Option<f64> {
        let key = self.order.iter().map(|task| weights.get(task).copied().unwrap_or(0.0).to_bits()).collect();
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let worth = (self.worth)(weights);
        self.known.insert(key, worth);
        worth
    }
}

/// The best weights that are found, and how many were tried. `worth` is `None` for weights that cannot be or break a bound; it is asked in
/// an order that depends on the space and on its answers alone. `stop` ends it with what it has.
pub(super) fn search(
    space: &Space,
    worth: &mut dyn FnMut(&BTreeMap<String, f64>) -> Option<f64>,
    stop: &dyn Fn() -> bool,
) -> (Option<Found>, usize) {
    let largest = space.now.values().fold(0f64, |largest, power| largest.max(power.abs()));
    let largest = if largest > 0.0 { largest } else { 1.0 };
    let mut tried = Tried { worth, known: HashMap::new(), order: space.now.keys().cloned().collect() };
    let mut best: Option<Found> = None;
    for start in 0..=space.restarts {
        let mut weights = space.now.clone();
        if start > 0 {
            let mut rng = ChaCha8Rng::seed_from_u64(space.seed);
            rng.set_stream(start as u64);
            for task in &space.free {
                let factor = WIDEST.powf(rng.random_range(-1.0..1.0));
                let power = weights.get(task).copied().unwrap_or(0.0);
                weights.insert(
                    task.clone(),
                    rounded(if power == 0.0 { largest * factor / WIDEST } else { power * factor }),
                );
            }
        }
        let Some(worth) = tried.worth(&weights) else { continue };
        let found = climb(&mut tried, space, (weights, worth), largest, stop);
        // Only better ones, so that of equal ones the first stays: the weights at hand, if they are.
        if best.as_ref().is_none_or(|(_, worth)| found.1 > *worth) {
            best = Some(found);
        }
        if stop() {
            break;
        }
    }
    (best, tried.known.len())
}

fn climb(tried: &mut Tried<'_>, space: &Space, mut at: Found, largest: f64, stop: &dyn Fn() -> bool) -> Found {
    for (level, factor) in FACTORS.into_iter().enumerate() {
        for _ in 0..ROUNDS {
            let before = at.1;
            for task in &space.free {
                let power = at.0.get(task).copied().unwrap_or(0.0);
                let mut steps = match power == 0.0 {
                    // From nothing a step is a part of the largest.
                    true => vec![largest / factor / factor, largest / factor],
                    false => vec![power * factor, power / factor],
                };
                if level == 0 && power != 0.0 {
                    steps.push(0.0);
                }
                for power in steps.into_iter().map(rounded) {
                    if power.abs() > largest * RANGE || (power != 0.0 && power.abs() < largest / RANGE) {
                        continue;
                    }
                    let mut weights = at.0.clone();
                    weights.insert(task.clone(), power);
                    if let Some(worth) = tried.worth(&weights).filter(|worth| *worth > at.1) {
                        at = (weights, worth);
                    }
                    if stop() {
                        return at;
                    }
                }
            }
            if at.1 <= before {
                break;
            }
        }
    }
    at
}

/// To three digits: weights that can be read, and written into a configuration as they are.
fn rounded(power: f64) -> f64 {
    if power == 0.0 || !power.is_finite() {
        return power;
    }
    let digits = 2 - power.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits.abs());
    let scaled = if digits >= 0 { (power * scale).round() / scale } else { (power / scale).round() * scale };
    if scaled == 0.0 { power } else { scaled }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn space(free: &[&str]) -> Space {
        let now = [("a".to_owned(), 1.0), ("b".to_owned(), 1.0), ("c".to_owned(), 0.0)].into();
        Space { now, free: free.iter().map(|&task| task.to_owned()).collect(), restarts: 4, seed: 1 }
    }

    /// Best at a = 1, b = 0.25, c = 0.1.
    fn worth(weights: &BTreeMap<String, f64>) -> f64 {
        let off = |task: &str, best: f64| ((weights[task] + 0.001).ln() - (best + 0.001f64).ln()).powi(2);
        -(off("a", 1.0) + off("b", 0.25) + off("c", 0.1))
    }

    #[test]
    fn it_finds_the_best_weights_and_the_same_ones_again() {
        let find = || search(&space(&["b", "c"]), &mut |weights| Some(worth(weights)), &|| false);
        let (found, tried) = find();
        let (weights, best) = found.clone().unwrap();
        assert!(best > -0.02, "{weights:?} {best}");
        assert_eq!(weights["a"], 1.0);
        assert_eq!(find(), (found, tried));
    }

    #[test]
    fn bounds_are_kept_and_nothing_better_leaves_the_weights() {
        let bounded = |weights: &BTreeMap<String, f64>| (weights["b"] >= 0.5).then(|| worth(weights));
        let (found, _) = search(&space(&["b", "c"]), &mut { bounded }, &|| false);
        assert!((0.5..0.56).contains(&found.unwrap().0["b"]));
        let flat = search(&space(&["b", "c"]), &mut |_| Some(1.0), &|| false).0.unwrap();
        assert_eq!(flat.0, space(&[]).now);
        assert_eq!(search(&space(&["b"]), &mut |_| None, &|| false).0, None);
    }

    #[test]
    fn weights_have_three_digits() {
        assert_eq!(
            [rounded(1.234_5), rounded(0.001_234_5), rounded(1234.5), rounded(-0.5), rounded(0.0)],
            [1.23, 0.001_23, 1230.0, -0.5, 0.0]
        );
    }
}
