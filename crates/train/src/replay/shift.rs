//! How far two orders of the same candidates are from each other.

use std::ops::Range;

use serde::Serialize;

use crate::statistics::Interval;

/// What a task predicts of the first candidates, in both orders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskShift {
    /// The task.
    pub task: String,
    /// Mean prediction of the first candidates before: mean over requests.
    pub before: f64,
    /// The same after.
    pub after: f64,
    /// After minus before.
    pub change: f64,
    /// 95 % interval of the change, Student's over requests; `None` for one request.
    pub bounds: Option<(f64, f64)>,
}

impl TaskShift {
    pub(super) fn of(
        task: &str,
        values: &[f32],
        requests: &[Range<usize>],
        orders: &[[Vec<usize>; 2]],
        top: usize,
    ) -> Self {
        let mean = |range: &Range<usize>, order: &[usize]| {
            let first = &order[..order.len().min(top)];
            first.iter().map(|&at| f64::from(values[range.start + at])).sum::<f64>() / first.len().max(1) as f64
        };
        let pairs: Vec<(f64, f64)> = requests
            .iter()
            .zip(orders)
            .map(|(range, [before, after])| (mean(range, before), mean(range, after)))
            .collect();
        let count = pairs.len().max(1) as f64;
        let changes: Vec<f64> = pairs.iter().map(|(before, after)| after - before).collect();
        let interval = Interval::of(&changes);
        Self {
            task: task.to_owned(),
            before: pairs.iter().map(|(before, _)| before).sum::<f64>() / count,
            after: pairs.iter().map(|(_, after)| after).sum::<f64>() / count,
            change: interval.map_or(0.0, |interval| interval.mean),
            bounds: interval.and_then(|interval| interval.bounds),
        }
    }
}

/// The share of the first `top` that two orders have in common.
pub(super) fn overlap(before: &[usize], after: &[usize], top: usize) -> f64 {
    let top = top.min(before.len());
    if top == 0 {
        return 1.0;
    }
    let mut is_first = vec![false; before.len()];
    before[..top].iter().for_each(|&at| is_first[at] = true);
    after[..top].iter().filter(|&&at| is_first[at]).count() as f64 / top as f64
}

/// Kendall's rank correlation of two orders: pairs in the same order less those in the other one, as a share of all pairs. `None` of
/// fewer than two candidates.
pub(super) fn kendall(before: &[usize], after: &[usize]) -> Option<f64> {
    let n = before.len();
    if n < 2 {
        return None;
    }
    let mut place = vec![0; n];
    before.iter().enumerate().for_each(|(rank, &at)| place[at] = rank);
    let mut ranks: Vec<usize> = after.iter().map(|&at| place[at]).collect();
    let swapped = inversions(&mut ranks, &mut vec![0; n]);
    let pairs = n as f64 * (n as f64 - 1.0) / 2.0;
    Some(1.0 - 2.0 * swapped as f64 / pairs)
}

/// Pairs in the wrong order, counted while they are sorted.
fn inversions(values: &mut [usize], scratch: &mut [usize]) -> u64 {
    let n = values.len();
    if n < 2 {
        return 0;
    }
    let middle = n / 2;
    let mut count = {
        let (left, right) = values.split_at_mut(middle);
        let (of_left, of_right) = scratch.split_at_mut(middle);
        inversions(left, of_left) + inversions(right, of_right)
    };
    let (mut left, mut right) = (0, middle);
    for slot in scratch.iter_mut() {
        if right >= n || (left < middle && values[left] <= values[right]) {
            *slot = values[left];
            left += 1;
        } else {
            *slot = values[right];
            right += 1;
            count += (middle - left) as u64;
        }
    }
    values.copy_from_slice(scratch);
    count
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_are_compared() {
        let (forth, back) = ([0, 1, 2, 3], [3, 2, 1, 0]);
        assert_eq!((kendall(&forth, &forth), kendall(&forth, &back)), (Some(1.0), Some(-1.0)));
        assert_eq!(kendall(&forth, &[1, 0, 2, 3]), Some(1.0 - 2.0 / 6.0));
        assert_eq!((kendall(&[], &[]), kendall(&[0], &[0])), (None, None));
        assert_eq!(
            (overlap(&forth, &back, 1), overlap(&forth, &back, 3), overlap(&forth, &back, 9)),
            (0.0, 2.0 / 3.0, 1.0)
        );
        assert_eq!(overlap(&[], &[], 3), 1.0);
    }

    proptest! {
        #[test]
        fn inversions_are_those_of_all_pairs(values in prop::collection::vec(0usize..50, 0..60)) {
            let slow = (0..values.len()).flat_map(|a| (a + 1..values.len()).map(move |b| (a, b)));
            let slow = slow.filter(|&(a, b)| values[a] > values[b]).count() as u64;
            let mut sorted = values.clone();
            prop_assert_eq!(inversions(&mut sorted, &mut vec![0; values.len()]), slow);
            prop_assert!(sorted.is_sorted());
        }
    }

    #[test]
    fn means_are_over_requests() {
        let values = [0.5, 0.25, 1.0];
        let requests = [0..2, 2..3];
        let orders = [[vec![0, 1], vec![1, 0]], [vec![0], vec![0]]];
        let shift = TaskShift::of("click", &values, &requests, &orders, 1);
        assert_eq!((shift.before, shift.after, shift.change), (0.75, 0.625, -0.125));
        assert!(shift.bounds.unwrap().0 < -0.125);
    }
}
