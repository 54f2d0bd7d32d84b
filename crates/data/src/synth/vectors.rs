//! Vectors at right angles.

/// Gram-Schmidt: unit vectors, each in the space of the given ones up to its own. The projection is taken off twice, which
/// keeps products of the results at rounding error even where two vectors were nearly parallel.
pub(super) fn orthonormal(vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut units: Vec<Vec<f64>> = Vec::with_capacity(vectors.len());
    for mut vector in vectors {
        for _ in 0..2 {
            vector = unit(vector);
            for u in &units {
                let along = dot(u, &vector);
                vector.iter_mut().zip(u).for_each(|(x, u)| *x -= along * u);
            }
        }
        units.push(unit(vector));
    }
    units
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let length = dot(&v, &v).sqrt();
    v.iter_mut().for_each(|x| *x /= length);
    v
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_parallel_vectors_become_orthogonal() {
        let mut almost = vec![1.0; 20];
        almost[3] += 1e-9;
        let units = orthonormal(vec![vec![1.0; 20], almost]);
        assert!(dot(&units[0], &units[1]).abs() < 1e-14);
        assert!((dot(&units[1], &units[1]) - 1.0).abs() < 1e-14);
    }
}
