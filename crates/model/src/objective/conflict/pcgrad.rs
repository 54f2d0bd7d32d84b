//! PCGrad: projecting conflicting gradients.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh64::xxh64;

use super::Gram;

/// Coefficients of PCGrad (Yu et al., NeurIPS 2020, algorithm 1).
///
/// Each task starts from its gradient and meets the other tasks in a random order: where its gradient, as it is by
/// then, points against theirs, that part is taken out,
///
/// ```text
/// g_i <- g_i - min(<g_i, g_j>, 0) / |g_j|^2 g_j,
/// ```
///
/// with the other tasks' gradients as they were. The sum of the results is `sum_k c_k g_k`; c_k is returned. Gradients
/// that do not conflict are simply added (all `c_k = 1`), and a task with a zero gradient (no rows in the batch)
/// conflicts with no other. The orders depend only on `(seed, step)`, so a resumed run draws the same.
#[must_use]
pub fn pcgrad(gram: &Gram, seed: u64, step: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(xxh64(b"pcgrad", seed));
    rng.set_stream(step);
    let mut order: Vec<usize> = (0..gram.tasks()).collect();
    pcgrad_in_order(gram, |_| {
        order.shuffle(&mut rng);
        order.clone()
    })
}

/// As [`pcgrad`], where task i meets the others in the order that `order(i)` gives; i itself is passed over.
#[must_use]
pub fn pcgrad_in_order(gram: &Gram, mut order: impl FnMut(usize) -> Vec<usize>) -> Vec<f64> {
    let tasks = gram.tasks();
    let mut sum = vec![0.0; tasks];
    for i in 0..tasks {
        let mut own = vec![0.0; tasks];
        own[i] = 1.0;
        for j in order(i).into_iter().filter(|&j| j != i) {
            let (product, square) = (gram.with_combination(j, &own), gram.get(j, j));
            if product < 0.0 && square > 0.0 {
                own[j] -= product / square;
            }
        }
        sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(gradients: &[[f64; 3]]) -> Gram {
        Gram::from_fn(gradients.len(), |i, j| gradients[i].iter().zip(gradients[j]).map(|(a, b)| a * b).sum())
    }

    fn combined(gradients: &[[f64; 3]], coefficients: &[f64]) -> [f64; 3] {
        std::array::from_fn(|d| gradients.iter().zip(coefficients).map(|(g, c)| c * g[d]).sum())
    }

    /// Two conflicting gradients: each loses its component along the other, in any order.
    #[test]
    fn two_tasks_by_hand() {
        let g = [[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0]];
        // g_1' = (1, 0) + 1/2 (-1, 1) = (1/2, 1/2); g_2' = (-1, 1) + (1, 0) = (0, 1).
        let d = combined(&g, &pcgrad(&gram(&g), 1, 0));
        assert_eq!(d, [0.5, 1.5, 0.0]);
        // Neither is hurt any more.
        for g in g {
            assert!(g.iter().zip(d).map(|(a, b)| a * b).sum::<f64>() > 0.0);
        }
    }

    #[test]
    fn agreement_is_a_sum() {
        for g in [[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 1.0, 1.0]], [[1.0, 0.0, 2.0], [0.0; 3], [0.1, 0.0, 0.0]]] {
            assert_eq!(pcgrad(&gram(&g), 7, 3), [1.0; 3]);
        }
    }

    /// With three tasks the order matters; it depends on seed and step alone.
    #[test]
    fn orders_are_drawn_by_seed_and_step() {
        let g = [[1.0, 0.0, 0.2], [-1.0, 1.0, 0.0], [-0.5, -1.0, 0.3]];
        let gram = gram(&g);
        let by_hand = pcgrad_in_order(&gram, |_| vec![0, 1, 2]);
        let reverse = pcgrad_in_order(&gram, |_| vec![2, 1, 0]);
        assert_ne!(by_hand, reverse);
        assert_eq!(pcgrad(&gram, 5, 9), pcgrad(&gram, 5, 9));
        let drawn: Vec<Vec<f64>> = (0..20).map(|step| pcgrad(&gram, 5, step)).collect();
        assert!(drawn.iter().any(|d| *d != drawn[0]), "every step has one order");
        assert!((0..20).any(|seed| pcgrad(&gram, seed, 0) != drawn[0]), "every seed has one order");
        // The same with plain vectors, as the paper writes it.
        let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut exact = [0.0; 3];
        for i in 0..3 {
            let mut own = g[i];
            for j in (0..3).filter(|&j| j != i) {
                let share = dot(own, g[j]).min(0.0) / dot(g[j], g[j]);
                own = std::array::from_fn(|d| own[d] - share * g[j][d]);
            }
            exact = std::array::from_fn(|d| exact[d] + own[d]);
        }
        let found = combined(&g, &by_hand);
        assert!(found.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {exact:?}");
    }
}
