//! Combinations of equally wide inputs: `y = sum_n w_n x_n`, with the same weights for every row.

use super::{Columns, dispatch, inner};

/// `y = sum_n w_n x_n`; inputs, each with its weight, in order.
pub(crate) fn forward(y: &mut [f32], y_at: Columns, inputs: &[(f32, (&[f32], Columns))], rows: usize) {
    dispatch(
        #[inline(always)]
        || {
            for (i, y) in y_at.rows_mut(y, rows).enumerate() {
                for (n, &(w, (x, x_at))) in inputs.iter().enumerate() {
                    let x = x_at.row(x, i);
                    if n == 0 {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = w * x);
                    } else {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y += w * x);
                    }
                }
            }
        },
    );
}

/// The gradient of an input's weight: `sum_i <d[i], x[i]>`. Its terms are as many as the input has elements, so they
/// are summed over the rows in f64.
pub(crate) fn weight_gradient(d: (&[f32], Columns), x: (&[f32], Columns), rows: usize) -> f32 {
    let sum: f64 = dispatch(
        #[inline(always)]
        || {
            let pairs = d.1.rows(d.0, rows).zip(x.1.rows(x.0, rows));
            pairs.map(|(d, x)| f64::from(inner::product(d, x))).sum()
        },
    );
    sum as f32
}

/// The gradient of an input of weight `w`: `d_x[i] = w d[i]`, overwritten or added.
pub(crate) fn input_gradient(
    d_x: &mut [f32],
    d_x_at: Columns,
    w: f32,
    d: (&[f32], Columns),
    rows: usize,
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            for (d_x, d) in d_x_at.rows_mut(d_x, rows).zip(d.1.rows(d.0, rows)) {
                if accumulate {
                    d_x.iter_mut().zip(d).for_each(|(d_x, d)| *d_x += w * d);
                } else {
                    d_x.iter_mut().zip(d).for_each(|(d_x, d)| *d_x = w * d);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combines_and_gives_each_input_and_weight_its_gradient() {
        let at = Columns { ld: 3, col: 1, width: 2 };
        let a = [9.0, 1.0, 2.0, 9.0, 3.0, 4.0];
        let b = [9.0, 10.0, 20.0, 9.0, 30.0, 40.0];
        let mut y = [-1.0; 6];
        forward(&mut y, at, &[(2.0, (&a, at)), (0.5, (&b, at)), (1.0, (&a, at))], 2);
        assert_eq!(y, [-1.0, 8.0, 16.0, -1.0, 24.0, 32.0]);

        let d = [7.0, 1.0, -1.0, 7.0, 0.5, 2.0];
        assert_eq!(weight_gradient((&d, at), (&a, at), 2), 1.0 - 2.0 + 1.5 + 8.0);
        assert_eq!(weight_gradient((&d, at), (&a, at), 1), -1.0);

        let mut d_x = [3.0; 6];
        input_gradient(&mut d_x, at, 0.5, (&d, at), 2, true);
        assert_eq!(d_x, [3.0, 3.5, 2.5, 3.0, 3.25, 4.0]);
        input_gradient(&mut d_x, at, 2.0, (&d, at), 2, false);
        assert_eq!(d_x, [3.0, 2.0, -2.0, 3.0, 1.0, 4.0]);
    }
}
