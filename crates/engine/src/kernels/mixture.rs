//! A gate's mixture of experts: `y = sum_e g_e x_e` per row, with the gate's softmax fused into both directions.

use super::exp::exp;
use super::{Columns, dispatch, inner, softmax};

/// Logits whose exponentials are taken at once.
const LOGITS: usize = 512;

/// `g = softmax(g)` in place for every row of the gate.
///
/// A gate has few experts: rows are gathered until their exponentials fill registers.
pub(crate) fn gate_forward(gate: &mut [f32], at: Columns, rows: usize) {
    if at.width > LOGITS {
        return dispatch(
            #[inline(always)]
            || at.rows_mut(gate, rows).for_each(softmax::forward),
        );
    }
    let width = at.width.max(1);
    let some = LOGITS / width;
    dispatch(
        #[inline(always)]
        || {
            let mut logits = [0.0; LOGITS];
            for first in (0..rows).step_by(some) {
                let (gate, rows) = (&mut gate[first * at.ld..], some.min(rows - first));
                for (logits, g) in logits.chunks_exact_mut(width).zip(at.rows(gate, rows)) {
                    softmax::shift(g, logits);
                }
                logits[..rows * width].iter_mut().for_each(|logit| *logit = exp(*logit));
                for (logits, g) in logits.chunks_exact(width).zip(at.rows_mut(gate, rows)) {
                    softmax::share(logits, g);
                }
            }
        },
    );
}

/// Gradient of the logits from that of the weights, in place: `d_e <- g_e (d_e - sum_f g_f d_f)`.
pub(crate) fn gate_backward(gate: &[f32], at: Columns, d: &mut [f32], d_at: Columns, rows: usize) {
    dispatch(
        #[inline(always)]
        || at.rows(gate, rows).zip(d_at.rows_mut(d, rows)).for_each(|(g, d)| softmax::backward(g, d)),
    );
}

/// `y = sum_e g_e x_e`; experts in order. A stretch of columns stays in registers until all experts are in it.
pub(crate) fn forward(
    y: &mut [f32],
    y_at: Columns,
    gate: &[f32],
    gate_at: Columns,
    experts: &[(&[f32], Columns)],
    rows: usize,
) {
    dispatch(
        #[inline(always)]
        || {
            for (i, (y, g)) in y_at.rows_mut(y, rows).zip(gate_at.rows(gate, rows)).enumerate() {
                let done = stretches::<64>(y, 0, i, g, experts);
                let done = stretches::<16>(y, done, i, g, experts);
                stretches::<1>(y, done, i, g, experts);
            }
        },
    );
}

/// Mixes as many stretches of N columns from column `from` on as there are, and gives the column behind them.
#[inline(always)]
fn stretches<const N: usize>(
    y: &mut [f32],
    mut from: usize,
    i: usize,
    g: &[f32],
    experts: &[(&[f32], Columns)],
) -> usize {
    let (stretches, _) = y[from..].as_chunks_mut::<N>();
    for y in stretches {
        let mut sums = [0.0f32; N];
        for (e, (&(x, x_at), &g)) in experts.iter().zip(g).enumerate() {
            let x = &x_at.row(x, i)[from..from + N];
            if e == 0 {
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum = g * x);
            } else {
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += g * x);
            }
        }
        *y = sums;
        from += N;
    }
    from
}

/// An expert in the backward pass of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Its number in the mixture.
    pub(crate) e: usize,
    /// Columns of its output.
    pub(crate) x: Columns,
    /// Columns of its output's gradient.
    pub(crate) d_x: Columns,
    /// Whether others have contributed to that gradient before.
    pub(crate) add: bool,
}

/// Backward pass to experts whose outputs lie in `x` and their gradients in `d_x`, from the mixture's gradient d, in
/// one pass over d: `d_x_e = g_e d`, overwritten or added, and `weights[i, e] = <d[i], x_e[i]>`, the gradient of the
/// gate's weights, E a row.
pub(crate) fn backward(
    d_x: &mut [f32],
    x: &[f32],
    shares: &[Share],
    d: (&[f32], Columns),
    gate: (&[f32], Columns),
    weights: &mut [f32],
    rows: usize,
) {
    let experts = gate.1.width;
    dispatch(
        #[inline(always)]
        || {
            let pairs = d.1.rows(d.0, rows).zip(gate.1.rows(gate.0, rows));
            for (i, ((d, g), weights)) in pairs.zip(weights.chunks_exact_mut(experts)).enumerate() {
                for share in shares {
                    let x = share.x.row(x, i);
                    let d_x = &mut d_x[i * share.d_x.ld + share.d_x.col..][..share.d_x.width];
                    let g = g[share.e];
                    weights[share.e] =
                        if share.add { back(d, x, d_x, |d_x, d| d_x + g * d) } else { back(d, x, d_x, |_, d| g * d) };
                }
            }
        },
    );
}

/// `weights[i, e] = <d[i], x[i]>` of an expert whose output wants no gradient; E weights a row.
pub(crate) fn weight_gradient(
    weights: &mut [f32],
    experts: usize,
    e: usize,
    d: (&[f32], Columns),
    x: (&[f32], Columns),
    rows: usize,
) {
    dispatch(
        #[inline(always)]
        || {
            let pairs = d.1.rows(d.0, rows).zip(x.1.rows(x.0, rows));
            weights
                .chunks_exact_mut(experts)
                .zip(pairs)
                .for_each(|(weights, (d, x))| weights[e] = inner::product(d, x));
        },
    );
}

/// `d_x = f(d_x, d)`, and `<d, x>` in as many partial sums as [`inner::product`].
#[inline(always)]
fn back(d: &[f32], x: &[f32], d_x: &mut [f32], f: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let mut sums = [0.0f32; inner::LANES];
    let ((d, d_rest), (x, x_rest), (d_x, d_x_rest)) =
        (d.as_chunks::<{ inner::LANES }>(), x.as_chunks::<{ inner::LANES }>(), d_x.as_chunks_mut::<{ inner::LANES }>());
    for ((d, x), d_x) in d.iter().zip(x).zip(d_x) {
        let mut after = [0.0; inner::LANES];
        for l in 0..inner::LANES {
            after[l] = f(d_x[l], d[l]);
        }
        for l in 0..inner::LANES {
            sums[l] += d[l] * x[l];
        }
        *d_x = after;
    }
    d_x_rest.iter_mut().zip(d_rest).for_each(|(d_x, &d)| *d_x = f(*d_x, d));
    inner::sum(sums) + d_rest.iter().zip(x_rest).map(|(d, x)| d * x).sum::<f32>()
}

/// Writes the gradient of the gate's weights to its columns, or adds it.
pub(crate) fn gather_weights(d_gate: &mut [f32], at: Columns, weights: &[f32], rows: usize, add: bool) {
    for (d, weights) in at.rows_mut(d_gate, rows).zip(weights.chunks_exact(at.width)) {
        if add {
            d.iter_mut().zip(weights).for_each(|(d, w)| *d += w);
        } else {
            d.copy_from_slice(weights);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_rows_and_gives_each_expert_its_share_of_the_gradient() {
        let at = Columns { ld: 2, col: 0, width: 2 };
        let (x0, x1) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
        let gate = [0.25, 0.75, 1.0, 0.0];
        let mut y = [0.0; 4];
        forward(&mut y, at, &gate, at, &[(&x0, at), (&x1, at)], 2);
        assert_eq!(y, [7.75, 15.5, 3.0, 4.0]);

        // Both experts in one buffer, the first's gradient new, the second's not.
        let d = [1.0, 1.0, 2.0, 0.5];
        let x = [1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0];
        let mut d_x = [1.0; 8];
        let share = |e: usize, add| {
            let columns = Columns { ld: 4, col: 2 * e, width: 2 };
            Share { e, x: columns, d_x: columns, add }
        };
        let mut weights = [9.0; 4];
        backward(&mut d_x, &x, &[share(0, false), share(1, true)], (&d, at), (&gate, at), &mut weights, 2);
        assert_eq!(weights, [3.0, 30.0, 8.0, 80.0]);
        assert_eq!(d_x, [0.25, 0.25, 1.75, 1.75, 2.0, 0.5, 1.0, 1.0]);

        let mut d_gate = [1.0; 4];
        gather_weights(&mut d_gate, at, &weights, 2, true);
        assert_eq!(d_gate, [4.0, 31.0, 9.0, 81.0]);
        gather_weights(&mut d_gate, at, &weights, 2, false);
        assert_eq!(d_gate, weights);
    }

    #[test]
    fn gates_of_many_rows_are_those_of_each() {
        for (width, rows) in [(1, 3), (4, 300), (6, 85), (6, 86), (7, 200), (LOGITS, 2), (LOGITS + 1, 2)] {
            let at = Columns { ld: width + 2, col: 1, width };
            let mut gate: Vec<f32> = (0..rows * at.ld).map(|i| ((i * 37) % 101) as f32 / 7.0 - 7.0).collect();
            gate[at.ld + 1] = f32::NAN;
            let mut each = gate.clone();
            at.rows_mut(&mut each, rows).for_each(softmax::forward);
            gate_forward(&mut gate, at, rows);
            let same = gate.iter().zip(&each).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
            assert!(same, "{rows} rows of {width}");
            assert_eq!(gate.iter().filter(|g| g.is_nan()).count(), width, "NaN stays in its row");
        }
    }

    #[test]
    fn every_width_is_mixed_whole_both_ways() {
        for width in [1, 15, 16, 17, 63, 64, 100, 131] {
            let at = Columns { ld: width + 1, col: 1, width };
            let value = |i: usize| ((i * 7) % 11) as f32 - 5.0;
            let x: Vec<Vec<f32>> = (0..3).map(|e| (0..2 * (width + 1)).map(|i| value(i + e)).collect()).collect();
            let gate_at = Columns { ld: 3, col: 0, width: 3 };
            let gate = [0.5, 0.25, 0.25, 0.125, 0.75, 0.125];
            let mut y = vec![7.0; 2 * (width + 1)];
            let experts: Vec<_> = x.iter().map(|x| (&x[..], at)).collect();
            forward(&mut y, at, &gate, gate_at, &experts, 2);
            for (i, j) in (0..2).flat_map(|i| (0..width).map(move |j| (i, j))) {
                let mixed: f32 = (0..3).map(|e| gate[3 * i + e] * at.row(&x[e], i)[j]).sum();
                assert_eq!(at.row(&y, i)[j], mixed, "({i}, {j}) of {width}");
            }
            let (mut d_x, mut weights) = (vec![0.0; 2 * (width + 1)], [0.0; 6]);
            let share = Share { e: 1, x: at, d_x: at, add: false };
            backward(&mut d_x, &x[1], &[share], (&y, at), (&gate, gate_at), &mut weights, 2);
            for i in 0..2 {
                let (d, x) = (at.row(&y, i), at.row(&x[1], i));
                let exact: f64 = d.iter().zip(x).map(|(d, x)| f64::from(d * x)).sum();
                assert!((f64::from(weights[3 * i + 1]) - exact).abs() < 1e-3, "{width}");
                assert!(at.row(&d_x, i).iter().zip(d).all(|(d_x, d)| *d_x == gate[3 * i + 1] * d), "{width}");
            }
        }
    }
}
