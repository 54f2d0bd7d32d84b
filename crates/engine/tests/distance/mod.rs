//! How far apart two sets of tensors are.

use pleiad_model::Weights;

/// Distance over the length of the first. What the second has beyond that, rows of tables that nobody reads, must be zero.
pub(crate) fn distance(a: &Weights, b: &Weights) -> f64 {
    let (mut apart, mut length) = (0.0, 0.0);
    for ((name, a), (other, b)) in a.tensors.iter().zip(&b.tensors) {
        assert_eq!(name, other);
        assert!(b.data[a.data.len()..].iter().all(|&b| b == 0.0), "{name}: rows that nobody reads");
        for (&a, &b) in a.data.iter().zip(&b.data) {
            apart += f64::from(a - b).powi(2);
            length += f64::from(a).powi(2);
        }
    }
    (apart / length).sqrt()
}
