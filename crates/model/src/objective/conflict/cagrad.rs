//! CAGrad: the step near the mean gradient that lowers the loss of the worst task most.

use super::Gram;

/// What `|g_w|` is held up by where `g_w` all but vanishes beside the largest gradient, so that no coefficient passes
/// `c / DAMPING` and f32 noise in the gradients is not blown up.
const DAMPING: f64 = 1e-4;

/// What it is held up by elsewhere, where it serves no more than to keep a division by zero away.
const HARDLY: f64 = 1e-9;

/// Relative gap to the optimum at which the solver stops.
const GAP: f64 = 1e-10;

/// Rounds of the solver at the most; 25 were enough for 3,000 random problems of up to ten tasks.
const ROUNDS: usize = 1000;

/// Coefficients of CAGrad (Liu, Liu, Jin, Stone and Liu, NeurIPS 2021, algorithm 1).
///
/// With the mean `g_0 = 1/T sum_k g_k`, the step sought is
///
/// ```text
/// max_d min_k <g_k, d>    with |d - g_0| <= c |g_0|
/// ```
///
/// whose solution is `d = g_0 + sqrt(phi) / |g_w| g_w` with `phi = c^2 |g_0|^2`, `g_w = sum_k w_k g_k` and w from the
/// simplex at the minimum of `F(w) = <g_w, g_0> + sqrt(phi) |g_w|`. Returned are the c_k of `d = sum_k c_k g_k`:
/// `1/T + sqrt(phi) / |g_w| w_k`. With `c = 0` that is the mean, as in the paper, not the sum.
///
/// Tasks with a zero gradient (no rows in the batch) count in the mean, but have no say in the minimum, which they would
/// hold at 0. If all gradients are zero, or cancel in the mean, d is the mean.
///
/// # Accuracy
/// F is convex. Each round moves weight between the two tasks that gain most by it, exactly to the minimum (for two
/// tasks that is the end), then takes a Newton step over the tasks that have weight; it ends when F is within a relative
/// 1e-10 of the minimum. Where `|g_w|` comes out below a thousandth of the largest gradient (gradients that cancel, as
/// opposite ones do), d is all but any of several; then, and only then, `|g_w|` is taken as
/// `sqrt(|g_w|^2 + (1e-4 max_k |g_k|)^2)`, which gives a step within reach without blowing up noise.
#[must_use]
pub fn cagrad(gram: &Gram, c: f64) -> Vec<f64> {
    let tasks = gram.tasks();
    let mean = vec![1.0 / tasks as f64; tasks];
    let square = (0..tasks).map(|k| mean[k] * gram.with_combination(k, &mean)).sum::<f64>();
    let radius = c * square.max(0.0).sqrt();
    let active: Vec<usize> = (0..tasks).filter(|&k| gram.get(k, k) > 0.0).collect();
    let largest = active.iter().map(|&k| gram.get(k, k)).fold(0.0, f64::max);
    // Written so that what is no number ends here, too.
    if !(radius > 0.0 && radius.is_finite() && largest.is_finite()) {
        return mean;
    }
    // In units of the largest gradient, so that gaps mean the same for gradients of any size.
    let mut problem = LeastNorm {
        gram: Gram::from_fn(active.len(), |i, j| gram.get(active[i], active[j]) / largest),
        mean: active.iter().map(|&k| gram.with_combination(k, &mean) / largest).collect(),
        radius: radius / largest.sqrt(),
        damping: DAMPING,
    };
    let (mut weights, mut norm) = problem.solve(vec![1.0 / active.len() as f64; active.len()]);
    if norm > 10.0 * DAMPING {
        problem.damping = HARDLY;
        (weights, norm) = problem.solve(weights);
    }
    let mut coefficients = mean;
    for (&k, weight) in active.iter().zip(weights) {
        coefficients[k] += problem.radius / norm * weight;
    }
    coefficients
}

/// `min_w F(w) = <w, mean> + radius sqrt(w^T gram w + damping^2)` over the simplex.
struct LeastNorm {
    gram: Gram,
    mean: Vec<f64>,
    radius: f64,
    damping: f64,
}

/// F at a point: `G w`, the damped norm, and the slope of F by each weight.
struct At {
    products: Vec<f64>,
    norm: f64,
    slope: Vec<f64>,
    value: f64,
}

impl LeastNorm {
    /// The minimum, found from w, and the damped norm there.
    fn solve(&self, mut w: Vec<f64>) -> (Vec<f64>, f64) {
        let n = self.gram.tasks();
        let mut at = self.at(&w);
        for _ in 0..ROUNDS {
            let by_slope = |a: &usize, b: &usize| at.slope[*a].total_cmp(&at.slope[*b]);
            let to = (0..n).min_by(by_slope).unwrap_or(0);
            let from = (0..n).filter(|&i| w[i] > 0.0).max_by(by_slope).unwrap_or(0);
            // F is convex, so its minimum lies no further below than this.
            let gap: f64 = w.iter().zip(&at.slope).map(|(w, slope)| w * (slope - at.slope[to])).sum();
            if gap.is_nan() || gap <= GAP * self.radius || from == to {
                break;
            }
            let share = self.best_move(from, to, w[from], &at);
            w[to] += share;
            w[from] = if share < w[from] { w[from] - share } else { 0.0 };
            at = self.at(&w);
            if let Some(better) = self.newton(&w, &at) {
                w = better;
                at = self.at(&w);
            }
        }
        (w, at.norm)
    }

    fn at(&self, w: &[f64]) -> At {
        let products: Vec<f64> = (0..w.len()).map(|i| self.gram.with_combination(i, w)).collect();
        let square: f64 = w.iter().zip(&products).map(|(w, p)| w * p).sum();
        let norm = (square.max(0.0) + self.damping * self.damping).sqrt();
        let slope =
            self.mean.iter().zip(&products).map(|(mean, product)| mean + self.radius * product / norm).collect();
        let value = w.iter().zip(&self.mean).map(|(w, mean)| w * mean).sum::<f64>() + self.radius * norm;
        At { products, norm, slope, value }
    }

    /// A Newton step over the tasks that have weight, cut where a weight reaches 0 and halved until F falls; `None` if it
    /// does not.
    fn newton(&self, w: &[f64], at: &At) -> Option<Vec<f64>> {
        let support: Vec<usize> = (0..w.len()).filter(|&i| w[i] > 0.0).collect();
        let n = support.len();
        // Curvature of F, and the weights' sum held by a Lagrange multiplier in the last row.
        let mut rows = vec![vec![0.0; n + 2]; n + 1];
        for (row, &i) in rows.iter_mut().zip(&support) {
            for (entry, &j) in row.iter_mut().zip(&support) {
                let along = at.products[i] * at.products[j] / at.norm.powi(2);
                *entry = self.radius / at.norm * (self.gram.get(i, j) - along);
            }
            row[n] = 1.0;
            row[n + 1] = -at.slope[i];
        }
        // More tasks than dimensions leave directions without curvature.
        let ridge = 1e-12 * (0..n).map(|i| rows[i][i]).sum::<f64>() + f64::MIN_POSITIVE;
        (0..n).for_each(|i| rows[i][i] += ridge);
        rows[n][..n].fill(1.0);
        let direction = eliminate(rows)?;
        let cut = |(&i, &d): (&usize, &f64)| (d < 0.0).then(|| (w[i] / -d, i));
        let first = support.iter().zip(&direction).filter_map(cut).min_by(|a, b| a.0.total_cmp(&b.0));
        let (mut length, mut emptied) = match first {
            Some((length, i)) if length < 1.0 => (length, Some(i)),
            _ => (1.0, None),
        };
        for _ in 0..30 {
            let mut moved = w.to_vec();
            support.iter().zip(&direction).for_each(|(&i, d)| moved[i] = (w[i] + length * d).max(0.0));
            if let Some(i) = emptied {
                moved[i] = 0.0;
            }
            if self.at(&moved).value < at.value {
                return Some(moved);
            }
            length /= 2.0;
            emptied = None;
        }
        None
    }

    /// How much weight, at most `most`, to move from one task to another: the minimum of
    /// `delta t + radius sqrt(norm^2 + 2 b t + a t^2)`.
    fn best_move(&self, from: usize, to: usize, most: f64, at: &At) -> f64 {
        let delta = self.mean[to] - self.mean[from];
        let b = at.products[to] - at.products[from];
        let a = self.gram.get(to, to) + self.gram.get(from, from) - 2.0 * self.gram.get(to, from);
        let steepest = self.radius * a.max(0.0).sqrt();
        if steepest.is_nan() || steepest <= delta.abs() {
            // One slope all along: the move was chosen because it is downwards.
            return most;
        }
        // The square is a (t + b/a)^2 + rest, and the derivative 0 where t + b/a = -ratio / sqrt(1 - ratio^2) sqrt(rest / a).
        let rest = (at.norm * at.norm - b * b / a).max(0.0);
        let ratio = delta / steepest;
        let share = -ratio / (1.0 - ratio * ratio).sqrt() * (rest / a).sqrt() - b / a;
        share.clamp(0.0, most)
    }
}

/// Solves n equations, given as rows of n coefficients and the right-hand side, by elimination with row pivots; `None`
/// if they do not determine the unknowns.
fn eliminate(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    for c in 0..n {
        let pivot = (c..n).max_by(|&a, &b| rows[a][c].abs().total_cmp(&rows[b][c].abs()))?;
        rows.swap(c, pivot);
        let (done, below) = rows.split_at_mut(c + 1);
        let pivot = &done[c];
        if pivot[c] == 0.0 {
            return None;
        }
        for row in below {
            let factor = row[c] / pivot[c];
            row[c..].iter_mut().zip(&pivot[c..]).for_each(|(entry, pivot)| *entry -= factor * pivot);
        }
    }
    let mut solution = vec![0.0; n];
    for c in (0..n).rev() {
        let known: f64 = (c + 1..n).map(|j| rows[c][j] * solution[j]).sum();
        solution[c] = (rows[c][n] - known) / rows[c][c];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(gradients: &[Vec<f64>]) -> Gram {
        Gram::from_fn(gradients.len(), |i, j| gradients[i].iter().zip(&gradients[j]).map(|(a, b)| a * b).sum())
    }

    fn combined(gradients: &[Vec<f64>], coefficients: &[f64]) -> Vec<f64> {
        (0..gradients[0].len()).map(|d| gradients.iter().zip(coefficients).map(|(g, c)| c * g[d]).sum()).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn without_room_it_is_the_mean() {
        let g = [vec![1.0, 0.0], vec![-3.0, 1.0]];
        assert_eq!(cagrad(&gram(&g), 0.0), [0.5, 0.5]);
        assert_eq!(cagrad(&gram(&[vec![0.0; 2], vec![0.0; 2]]), 0.4), [0.5, 0.5]);
        assert_eq!(cagrad(&gram(&[vec![1.0, 0.0], vec![-1.0, 0.0]]), 0.4), [0.5, 0.5]);
    }

    /// Equal norms: by symmetry w = (1/2, 1/2), so g_w = g_0 and d = (1 + c) g_0, orthogonal or conflicting.
    #[test]
    fn equal_norms_lengthen_the_mean() {
        for g in [[vec![1.0, 0.0], vec![0.0, 1.0]], [vec![1.0, 0.3], vec![-1.0, 0.3]]] {
            let c = cagrad(&gram(&g), 0.4);
            assert!(c.iter().all(|c| (c - 0.7).abs() < 1e-7), "{c:?}");
        }
    }

    /// g_1 = (2, 0), g_2 = (0, 1): `F = w^2 a + (1-w)^2 b ...` has its minimum where the smaller gradient's worst case is
    /// met; the best d is found by hand on the circle around g_0 = (1, 1/2) of radius c |g_0|: the one that makes
    /// `min(2 d_x, d_y)` largest.
    #[test]
    fn unequal_orthogonal_gradients_by_hand() {
        let g = [vec![2.0, 0.0], vec![0.0, 1.0]];
        let c = 0.4;
        let d = combined(&g, &cagrad(&gram(&g), c));
        // 2 d_x = 2 and d_y = 1/2 at the mean: the second is worse, and still so at the top of the circle, where
        // d_y = 1/2 + c sqrt(5)/2 = 0.947 < 2. So d is the top of the circle.
        let radius = c * 1.25f64.sqrt();
        assert!((d[0] - 1.0).abs() < 1e-7 && (d[1] - 0.5 - radius).abs() < 1e-7, "{d:?}");
    }

    /// The definition itself: d is within the ball, and no other point of it is better for the worst task, tried all
    /// around the ball in the plane of three gradients.
    #[test]
    fn no_step_within_reach_serves_the_worst_task_better() {
        let g = [vec![1.0, 0.2], vec![-0.6, 0.9], vec![0.3, -0.5]];
        for c in [0.1, 0.4, 0.9, 2.0] {
            let d = combined(&g, &cagrad(&gram(&g), c));
            let mean = combined(&g, &[1.0 / 3.0; 3]);
            let radius = c * dot(&mean, &mean).sqrt();
            let worst = |d: &[f64]| g.iter().map(|g| dot(g, d)).fold(f64::INFINITY, f64::min);
            let away = ((d[0] - mean[0]).powi(2) + (d[1] - mean[1]).powi(2)).sqrt();
            assert!(away <= radius * (1.0 + 1e-6), "{away} {radius}");
            let best = (0..200_000)
                .map(|i| f64::from(i) / 200_000.0 * std::f64::consts::TAU)
                .map(|a| worst(&[mean[0] + radius * a.cos(), mean[1] + radius * a.sin()]))
                .fold(f64::NEG_INFINITY, f64::max);
            assert!(worst(&d) > best - 1e-4 * radius, "c = {c}: {} is worse than {best}", worst(&d));
        }
    }

    #[test]
    fn a_task_without_a_gradient_has_no_say() {
        let g = [vec![2.0, 0.0], vec![0.0, 1.0], vec![0.0, 0.0]];
        let c = cagrad(&gram(&g), 0.4);
        let d = combined(&g, &c);
        // As by hand above, around a mean of thirds.
        let mean = [2.0 / 3.0, 1.0 / 3.0];
        let radius = 0.4 * dot(&mean, &mean).sqrt();
        assert!((d[0] - mean[0]).abs() < 1e-7 && (d[1] - mean[1] - radius).abs() < 1e-7, "{d:?}");
    }

    /// Random gradients of many tasks and few dimensions, so that the matrix is singular: the solver ends at its gap.
    #[test]
    fn the_solver_reaches_its_accuracy() {
        let mut state = 7u64;
        let mut unit = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
        };
        for case in 0..1000 {
            let (tasks, dims) = (2 + case % 9, 1 + case % 7);
            let scale = 10f64.powi(case as i32 % 13 - 6);
            let mut g: Vec<Vec<f64>> = (0..tasks).map(|_| (0..dims).map(|_| scale * unit()).collect()).collect();
            // Some that are opposite, some that are equal.
            if case % 5 == 0 {
                g[tasks - 1] = g[0].iter().map(|x| -2.0 * x).collect();
            } else if case % 11 == 0 {
                g[tasks - 1] = g[0].clone();
            }
            let gram = gram(&g);
            let largest = (0..tasks).map(|k| gram.get(k, k)).fold(0.0, f64::max);
            let mean = vec![1.0 / tasks as f64; tasks];
            let problem = LeastNorm {
                gram: Gram::from_fn(tasks, |i, j| gram.get(i, j) / largest),
                mean: (0..tasks).map(|k| gram.with_combination(k, &mean) / largest).collect(),
                radius: 0.4,
                damping: DAMPING,
            };
            let (w, norm) = problem.solve(mean);
            assert!(w.iter().all(|&w| w >= 0.0) && (w.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{w:?}");
            let slope = |i: usize| problem.mean[i] + problem.radius * problem.gram.with_combination(i, &w) / norm;
            let least = (0..tasks).map(slope).fold(f64::INFINITY, f64::min);
            let gap: f64 = (0..tasks).map(|i| w[i] * (slope(i) - least)).sum();
            assert!(gap <= GAP * problem.radius * 1.01, "case {case}, {tasks} tasks in {dims} dimensions: {gap}");
        }
    }

    #[test]
    fn numbers_that_are_none_do_not_hang() {
        assert_eq!(cagrad(&Gram::from_fn(2, |_, _| f64::NAN), 0.4), [0.5, 0.5]);
        assert_eq!(cagrad(&Gram::from_fn(2, |_, _| f64::INFINITY), 0.4), [0.5, 0.5]);
    }
}
