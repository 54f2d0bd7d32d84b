//! [`product_peak`]: the highest speed that products reach.

use std::time::Instant;

use super::arithmetic::Arithmetic;
use super::linear::Layer;
use super::scratch::Scratch;
use super::{MatMut, MatRef};
use crate::precision::{Kernels, Precision};

/// GFLOP/s that products of this precision reach on the current `rayon` pool where their shapes are kind: the peak that
/// a step's share of is reported.
///
/// Each thread multiplies matrices of 512 x 512 of its own, by the same kernels as shards do, for some 0.1 s in all; the
/// best of several rounds counts, each the sum of what the threads reached by their own clocks, so that a neighbour who
/// takes a core for a moment does not lower it.
#[must_use]
pub fn product_peak(precision: Precision, kernels: Kernels) -> f64 {
    const SIDE: usize = 512;
    /// A stride that is no multiple of 4 KiB, as the plan's.
    const LD: usize = SIDE + 16;
    const ROUNDS: usize = 8;
    const PRODUCTS: usize = 4;
    let rates = rayon::broadcast(|_| {
        let (x, w, mut y) = (vec![0.5f32; SIDE * LD], vec![0.25f32; SIDE * LD], vec![0.0f32; SIDE * LD]);
        let (x, weights) = (MatRef::new(&x, SIDE, SIDE, LD), MatRef::new(&w, SIDE, SIDE, LD));
        let mut layer = Layer::new(Arithmetic::choose(precision, kernels), SIDE, Vec::new(), None);
        layer.prepare(weights, &[]);
        let mut scratch = Scratch::default();
        let mut rates = [0.0; ROUNDS];
        for rate in &mut rates {
            let start = Instant::now();
            for _ in 0..PRODUCTS {
                layer.forward(MatMut::new(&mut y, SIDE, SIDE, LD), false, x, weights, &mut scratch);
                std::hint::black_box(&mut y);
            }
            *rate = 2e-9 * (PRODUCTS * SIDE.pow(3)) as f64 / start.elapsed().as_secs_f64();
        }
        rates
    });
    (0..ROUNDS).map(|round| rates.iter().map(|rates| rates[round]).sum()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_a_rate() {
        for precision in [Precision::F32, Precision::Bf16] {
            let peak = product_peak(precision, Kernels::Fastest);
            assert!(peak.is_finite() && peak > 0.0, "{peak}");
        }
    }
}
