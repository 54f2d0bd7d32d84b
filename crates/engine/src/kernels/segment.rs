//! Events and the rows that they belong to: `ends` has where the events of each row begin, and at its end where the last ones
//! end. Events are counted from the first of these.
//!
//! Sums run in the order of the events.

use super::exp::exp;
use super::inner::product;
use super::{Columns, dispatch};

/// The range of each row's events.
#[inline(always)]
fn segments(ends: &[usize]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let first = ends.first().copied().unwrap_or_default();
    ends.windows(2).map(move |pair| pair[0] - first..pair[1] - first)
}

/// `y_r = s_r sum_(e of r) x_e`: s is 1, or for a mean one over the number of events; zeros without any.
pub(crate) fn sum(y: &mut [f32], y_at: Columns, x: (&[f32], Columns), ends: &[usize], mean: bool) {
    dispatch(
        #[inline(always)]
        || {
            for (y, events) in y_at.rows_mut(y, ends.len()).zip(segments(ends)) {
                y.fill(0.0);
                let scale = share(events.len(), mean);
                for x in events.map(|e| x.1.row(x.0, e)) {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                }
                if mean {
                    y.iter_mut().for_each(|y| *y *= scale);
                }
            }
        },
    );
}

/// The gradient of x from d, that of y: `d_x_e = s_r d_r`, overwritten or added.
pub(crate) fn sum_gradient(
    d_x: &mut [f32],
    d_x_at: Columns,
    d: (&[f32], Columns),
    ends: &[usize],
    mean: bool,
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            for (row, events) in segments(ends).enumerate() {
                let (d, scale) = (d.1.row(d.0, row), share(events.len(), mean));
                for e in events {
                    scaled(d_x_at.row_mut(d_x, e), scale, d, accumulate);
                }
            }
        },
    );
}

#[inline(always)]
fn share(events: usize, mean: bool) -> f32 {
    if mean && events > 0 { 1.0 / events as f32 } else { 1.0 }
}

/// `y = scale x` or `y += scale x`.
#[inline(always)]
fn scaled(y: &mut [f32], scale: f32, x: &[f32], accumulate: bool) {
    if accumulate {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += scale * x);
    } else {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = scale * x);
    }
}

/// `y_e <- exp(y_e - m) / sum_f exp(y_f - m)` in place over the events f of each row, column by column; m is their largest, so that
/// no finite score overflows.
pub(crate) fn softmax(y: &mut [f32], at: Columns, ends: &[usize]) {
    dispatch(
        #[inline(always)]
        || {
            for events in segments(ends) {
                for column in 0..at.width {
                    let column = Columns { col: at.col + column, width: 1, ..at };
                    let largest = events.clone().fold(f32::NEG_INFINITY, |most, e| most.max(column.row(y, e)[0]));
                    let mut sum = 0.0;
                    for e in events.clone() {
                        let y = &mut column.row_mut(y, e)[0];
                        *y = exp(*y - largest);
                        sum += *y;
                    }
                    let scale = 1.0 / sum;
                    events.clone().for_each(|e| column.row_mut(y, e)[0] *= scale);
                }
            }
        },
    );
}

/// The gradient of the scores from d, that of their softmax g, in place: `d_e <- g_e (d_e - sum_f g_f d_f)`.
pub(crate) fn softmax_gradient(g: &[f32], at: Columns, d: &mut [f32], d_at: Columns, ends: &[usize]) {
    dispatch(
        #[inline(always)]
        || {
            for events in segments(ends) {
                for column in 0..at.width {
                    let g_at = Columns { col: at.col + column, width: 1, ..at };
                    let d_at = Columns { col: d_at.col + column, width: 1, ..d_at };
                    let inner: f32 = events.clone().map(|e| g_at.row(g, e)[0] * d_at.row(d, e)[0]).sum();
                    for e in events.clone() {
                        let d = &mut d_at.row_mut(d, e)[0];
                        *d = g_at.row(g, e)[0] * (*d - inner);
                    }
                }
            }
        },
    );
}

/// `y_r = sum_(e of r) w_e x_e`; zeros without events.
pub(crate) fn mix(y: &mut [f32], y_at: Columns, w: (&[f32], Columns), x: (&[f32], Columns), ends: &[usize]) {
    dispatch(
        #[inline(always)]
        || {
            for (y, events) in y_at.rows_mut(y, ends.len()).zip(segments(ends)) {
                y.fill(0.0);
                for e in events {
                    scaled(y, w.1.row(w.0, e)[0], x.1.row(x.0, e), true);
                }
            }
        },
    );
}

/// The gradient of w from d, that of y: `d_w_e = <d_r, x_e>`, overwritten or added.
pub(crate) fn mix_weight_gradient(
    d_w: &mut [f32],
    d_w_at: Columns,
    d: (&[f32], Columns),
    x: (&[f32], Columns),
    ends: &[usize],
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            for (row, events) in segments(ends).enumerate() {
                let d = d.1.row(d.0, row);
                for e in events {
                    let (own, inner) = (&mut d_w_at.row_mut(d_w, e)[0], product(d, x.1.row(x.0, e)));
                    *own = if accumulate { *own + inner } else { inner };
                }
            }
        },
    );
}

/// The gradient of x from d, that of y: `d_x_e = w_e d_r`, overwritten or added.
pub(crate) fn mix_gradient(
    d_x: &mut [f32],
    d_x_at: Columns,
    d: (&[f32], Columns),
    w: (&[f32], Columns),
    ends: &[usize],
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            for (row, events) in segments(ends).enumerate() {
                let d = d.1.row(d.0, row);
                for e in events {
                    scaled(d_x_at.row_mut(d_x, e), w.1.row(w.0, e)[0], d, accumulate);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Columns = Columns { ld: 2, col: 1, width: 1 };

    #[test]
    fn rows_without_events_have_zeros_and_weights_sum_to_one() {
        // Three rows of two, no and one event, which are not the first of their list.
        let ends = [5, 7, 7, 8];
        let mut scores = [9.0, 1000.0, 9.0, 1001.0, 9.0, -3.0];
        softmax(&mut scores, ONE, &ends);
        assert!((scores[1] + scores[3] - 1.0).abs() < 1e-6 && (scores[3] / scores[1] - 1f32.exp()).abs() < 1e-4);
        assert_eq!(scores[5], 1.0);
        let mut y = [7.0; 6];
        let x = [0.0, 2.0, 0.0, 4.0, 0.0, 6.0];
        sum(&mut y, ONE, (&x, ONE), &ends, true);
        assert_eq!(y, [7.0, 3.0, 7.0, 0.0, 7.0, 6.0]);
        mix(&mut y, ONE, (&x, ONE), (&x, ONE), &ends);
        assert_eq!(y, [7.0, 20.0, 7.0, 0.0, 7.0, 36.0]);
    }

    #[test]
    fn without_rows_nothing_is_touched() {
        let mut y = [7.0; 2];
        sum(&mut y, ONE, (&[], ONE), &[3], false);
        softmax(&mut y, ONE, &[]);
        assert_eq!(y, [7.0; 2]);
    }
}
