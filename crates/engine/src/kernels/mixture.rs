//! A gate's mixture of experts: `y = sum_e g_e x_e` per row, with the gate's softmax fused into both directions.

use super::{Columns, dispatch, inner, softmax};

/// `g = softmax(g)` in place for every row of the gate.
pub(crate) fn gate_forward(gate: &mut [f32], at: Columns, rows: usize) {
    dispatch(
        #[inline(always)]
        || at.rows_mut(gate, rows).for_each(softmax::forward),
    );
}

/// Gradient of the logits from that of the weights, `d` being turned in place.
pub(crate) fn gate_backward(gate: &[f32], at: Columns, d: &mut [f32], d_at: Columns, rows: usize) {
    dispatch(
        #[inline(always)]
        || at.rows(gate, rows).zip(d_at.rows_mut(d, rows)).for_each(|(g, d)| softmax::backward(g, d)),
    );
}

/// `y = sum_e g_e x_e`; experts in order.
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
                for (e, (&(x, x_at), &g)) in experts.iter().zip(g).enumerate() {
                    let x = x_at.row(x, i);
                    if e == 0 {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = g * x);
                    } else {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y += g * x);
                    }
                }
            }
        },
    );
}

/// The gradient of weight e: `d_gate[i, e] = <d[i], x_e[i]>`, overwritten or added.
pub(crate) fn weight_gradient(
    d_gate: &mut [f32],
    d_gate_at: Columns,
    e: usize,
    d: (&[f32], Columns),
    expert: (&[f32], Columns),
    rows: usize,
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            let pairs = d.1.rows(d.0, rows).zip(expert.1.rows(expert.0, rows));
            for (d_gate, (d, x)) in d_gate_at.rows_mut(d_gate, rows).zip(pairs) {
                let inner = inner::product(d, x);
                d_gate[e] = if accumulate { d_gate[e] + inner } else { inner };
            }
        },
    );
}

/// The gradient of expert e: `d_x[i] = g[i, e] d[i]`, overwritten or added.
pub(crate) fn expert_gradient(
    d_x: &mut [f32],
    d_x_at: Columns,
    e: usize,
    d: (&[f32], Columns),
    gate: (&[f32], Columns),
    rows: usize,
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            let pairs = d.1.rows(d.0, rows).zip(gate.1.rows(gate.0, rows));
            for (d_x, (d, g)) in d_x_at.rows_mut(d_x, rows).zip(pairs) {
                let g = g[e];
                if accumulate {
                    d_x.iter_mut().zip(d).for_each(|(d_x, d)| *d_x += g * d);
                } else {
                    d_x.iter_mut().zip(d).for_each(|(d_x, d)| *d_x = g * d);
                }
            }
        },
    );
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

        let d = [1.0, 1.0, 2.0, 0.5];
        let mut d_gate = [0.0; 4];
        weight_gradient(&mut d_gate, at, 0, (&d, at), (&x0, at), 2, false);
        weight_gradient(&mut d_gate, at, 1, (&d, at), (&x1, at), 2, false);
        assert_eq!(d_gate, [3.0, 30.0, 8.0, 80.0]);

        let mut d_x = [1.0; 4];
        expert_gradient(&mut d_x, at, 1, (&d, at), (&gate, at), 2, true);
        assert_eq!(d_x, [1.75, 1.75, 1.0, 1.0]);
        expert_gradient(&mut d_x, at, 0, (&d, at), (&gate, at), 2, false);
        assert_eq!(d_x, [0.25, 0.25, 2.0, 0.5]);
    }
}
