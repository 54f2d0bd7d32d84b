//! Element-wise operations on vectors as short as an embedding, for use inside of `Arch::dispatch`.
//!
//! A loop over a slice of unknown length is vectorised for long ones and leaves 16 elements to its scalar tail. Blocks
//! of a fixed length do not.

use std::array;

use super::number::Number;

/// `y <- x`.
#[inline(always)]
pub(super) fn copy<N: Number>(y: &mut [f32], x: &[N]) {
    zip(y, x, |_, x| x.value());
}

/// `y <- x`, both of D elements: a move or two, where [`copy`] finds out first how many.
#[inline(always)]
pub(super) fn copy_all<const D: usize, N: Number>(y: &mut [f32], x: &[N]) {
    debug_assert!(y.len() == D && x.len() == D, "vectors of {D}");
    if let (Some(y), Some(x)) = (y.first_chunk_mut::<D>(), x.first_chunk::<D>()) {
        *y = array::from_fn(
            #[inline(always)]
            |i| x[i].value(),
        );
    }
}

/// `y <- y + x`.
#[inline(always)]
pub(super) fn add<N: Number>(y: &mut [f32], x: &[N]) {
    zip(y, x, |y, x| y + x.value());
}

/// `y <- y + a x`.
#[inline(always)]
pub(super) fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    zip(y, x, |y, x| y + a * x);
}

#[inline(always)]
fn zip<N: Copy>(y: &mut [f32], x: &[N], f: impl Fn(f32, N) -> f32 + Copy) {
    let (y, x) = blocks::<16, N>(y, x, f);
    let (y, x) = blocks::<4, N>(y, x, f);
    blocks::<1, N>(y, x, f);
}

#[inline(always)]
fn blocks<'y, 'x, const LEN: usize, N: Copy>(
    y: &'y mut [f32],
    x: &'x [N],
    f: impl Fn(f32, N) -> f32,
) -> (&'y mut [f32], &'x [N]) {
    let (y, y_rest) = y.as_chunks_mut::<LEN>();
    let (x, x_rest) = x.as_chunks::<LEN>();
    for (y, x) in y.iter_mut().zip(x) {
        *y = array::from_fn(|i| f(y[i], x[i]));
    }
    (y_rest, x_rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_covered_once() {
        for n in 0..70 {
            let x: Vec<f32> = (0..n).map(|i| i as f32 + 1.0).collect();
            let mut y = vec![0.5; n];
            add(&mut y, &x);
            assert!(y.iter().zip(&x).all(|(y, x)| *y == x + 0.5), "{n}");
            add_scaled(&mut y, 2.0, &x);
            assert!(y.iter().zip(&x).all(|(y, x)| *y == 3.0 * x + 0.5), "{n}");
            copy(&mut y, &x);
            assert_eq!(y, x);
        }
    }

    #[test]
    fn vectors_of_a_known_length_are_copied_whole() {
        let x: Vec<f32> = (1..=32).map(|i| i as f32).collect();
        let mut y = [0.0; 32];
        copy_all::<8, f32>(&mut y[..8], &x[..8]);
        assert_eq!((&y[..8], y[8]), (&x[..8], 0.0));
        copy_all::<32, f32>(&mut y, &x);
        assert_eq!(y, x[..]);
    }
}
