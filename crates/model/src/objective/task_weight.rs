//! Equation 10: a task's weight over time.

/// `w_k(t) = initial * ratio^t`, t counted in steps or epochs from 0.
///
/// Computed as one power in f64, so that no rounding piles up over millions of steps.
#[must_use]
pub fn task_weight(initial: f64, ratio: f64, t: u64) -> f64 {
    if ratio == 1.0 { initial } else { initial * ratio.powf(t as f64) }
}

#[cfg(test)]
mod tests {
    use super::task_weight;

    #[test]
    fn follows_equation_10() {
        assert_eq!(task_weight(2.0, 1.0, 1_000_000), 2.0);
        assert_eq!(task_weight(2.0, 0.5, 0), 2.0);
        assert_eq!(task_weight(2.0, 0.5, 3), 0.25);
        assert!((task_weight(1.0, 0.9999, 10_000) - 0.367_861).abs() < 1e-6);
    }
}
