//! CAGrad: the step near the mean gradient that is best for the task that it serves worst.

use super::Gram;

/// How far below the largest gradient a combination may vanish before it is held up, so that no coefficient passes
/// `c / DAMPING` and f32 noise in the gradients is not blown up.
const DAMPING: f64 = 1e-4;

/// Relative gap to the optimum at which the solver stops.
const GAP: f64 = 1e-10;

/// Moves of the solver at the most.
const MOVES: usize = 20_000;

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
/// F is convex; the solver moves weight between the two tasks that gain most by it, each time exactly to the minimum,
/// until F is within a relative 1e-10 of it (for two tasks: after one move). `|g_w|` is taken as
/// `sqrt(|g_w|^2 + (1e-4 max_k |g_k|)^2)`: a relative change of 1e-8 where `g_w` is of the size of the gradients. Where
/// the optimum is at `g_w = 0` (opposite gradients), d is any of several; this gives the limit without blowing up noise.
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
    let problem = Problem {
        gram: Gram::from_fn(active.len(), |i, j| gram.get(active[i], active[j]) / largest),
        mean: active.iter().map(|&k| gram.with_combination(k, &mean) / largest).collect(),
        radius: radius / largest.sqrt(),
    };
    let (weights, norm) = problem.solve();
    let mut coefficients = mean;
    for (&k, weight) in active.iter().zip(weights) {
        coefficients[k] += problem.radius / norm * weight;
    }
    coefficients
}

/// `min_w <w, mean> + radius sqrt(w^T gram w + DAMPING^2)` over the simplex.
struct Problem {
    gram: Gram,
    mean: Vec<f64>,
    radius: f64,
}

impl Problem {
    /// The minimum, and the damped norm there.
    fn solve(&self) -> (Vec<f64>, f64) {
        let n = self.gram.tasks();
        let mut w = vec![1.0 / n as f64; n];
        let mut norm = 1.0;
        for _ in 0..MOVES {
            // G w, anew each time: updates would gather rounding.
            let products: Vec<f64> = (0..n).map(|i| self.gram.with_combination(i, &w)).collect();
            let square: f64 = w.iter().zip(&products).map(|(w, p)| w * p).sum::<f64>().max(0.0) + DAMPING * DAMPING;
            norm = square.sqrt();
            let slope = |i: usize| self.mean[i] + self.radius * products[i] / norm;
            let to = (0..n).min_by(|&a, &b| slope(a).total_cmp(&slope(b))).unwrap_or(0);
            let from = (0..n).filter(|&i| w[i] > 0.0).max_by(|&a, &b| slope(a).total_cmp(&slope(b))).unwrap_or(0);
            // F is convex, so its minimum lies no further below than this.
            let gap: f64 = (0..n).map(|i| w[i] * (slope(i) - slope(to))).sum();
            if !(gap > GAP * self.radius) || from == to {
                break;
            }
            let share = self.best_move(from, to, w[from], &products, square);
            if share >= w[from] {
                w[to] += w[from];
                w[from] = 0.0;
            } else {
                w[to] += share;
                w[from] -= share;
            }
            if share <= 0.0 {
                break;
            }
        }
        (w, norm)
    }

    /// How much weight, at most `most`, to move from one task to another: the minimum of
    /// `delta t + radius sqrt(square + 2 b t + a t^2)`.
    fn best_move(&self, from: usize, to: usize, most: f64, products: &[f64], square: f64) -> f64 {
        let delta = self.mean[to] - self.mean[from];
        let b = products[to] - products[from];
        let a = self.gram.get(to, to) + self.gram.get(from, from) - 2.0 * self.gram.get(to, from);
        let steepest = self.radius * a.max(0.0).sqrt();
        if !(steepest > delta.abs()) {
            // One slope all along: the move was chosen because it is downwards.
            return most;
        }
        // The square is a (t + b/a)^2 + rest, and the derivative 0 where t + b/a = -ratio / sqrt(1 - ratio^2) sqrt(rest / a).
        let rest = (square - b * b / a).max(0.0);
        let ratio = delta / steepest;
        let at = -ratio / (1.0 - ratio * ratio).sqrt() * (rest / a).sqrt() - b / a;
        at.clamp(0.0, most)
    }
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
        for case in 0..200 {
            let (tasks, dims) = (2 + case % 9, 1 + case % 7);
            let scale = 10f64.powi(case as i32 % 13 - 6);
            let g: Vec<Vec<f64>> = (0..tasks).map(|_| (0..dims).map(|_| scale * unit()).collect()).collect();
            let gram = gram(&g);
            let largest = (0..tasks).map(|k| gram.get(k, k)).fold(0.0, f64::max);
            let mean = vec![1.0 / tasks as f64; tasks];
            let problem = Problem {
                gram: Gram::from_fn(tasks, |i, j| gram.get(i, j) / largest),
                mean: (0..tasks).map(|k| gram.with_combination(k, &mean) / largest).collect(),
                radius: 0.4,
            };
            let (w, norm) = problem.solve();
            assert!(w.iter().all(|&w| w >= 0.0) && (w.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{w:?}");
            let slope = |i: usize| problem.mean[i] + problem.radius * problem.gram.with_combination(i, &w) / norm;
            let least = (0..tasks).map(slope).fold(f64::INFINITY, f64::min);
            let gap: f64 = (0..tasks).map(|i| w[i] * (slope(i) - least)).sum();
            assert!(gap <= 1e-8, "case {case}, {tasks} tasks in {dims} dimensions: {gap}");
        }
    }

    #[test]
    fn numbers_that_are_none_do_not_hang() {
        assert_eq!(cagrad(&Gram::from_fn(2, |_, _| f64::NAN), 0.4), [0.5, 0.5]);
        assert_eq!(cagrad(&Gram::from_fn(2, |_, _| f64::INFINITY), 0.4), [0.5, 0.5]);
    }
}
