//! Gradients that are passed on at once: from one product to the product that alone made its input.
//!
//! Where products round their operands, the gradient of an expert's hidden layer is masked, summed into the bias'
//! gradient and rounded as soon as it is computed. It is never written to the wide gradient of all experts' hidden
//! layers.

use std::collections::HashMap;
use std::ops::Range;

use super::{Onward, Plan, Step, View, Write};
use crate::kernels::delta::STRIPE;

/// Finds them in a plan whose backward steps are written.
pub(super) fn find(plan: &mut Plan) {
    let steps = Steps::of(plan);
    // Per product, columns whose gradients come by themselves.
    let mut come: HashMap<usize, Vec<Range<usize>>> = HashMap::new();
    for back in &mut plan.backward {
        let (Step::Product { x, .. }, [(view, Write::Overwrite)]) = (&plan.steps[back.step], &back.writes[..]) else {
            continue;
        };
        back.onward = steps.onward(&plan.steps, *x).filter(|_| x == view);
        if let Some(onward) = &back.onward {
            come.entry(onward.step).or_default().push(onward.cols.clone());
        }
    }
    for back in &mut plan.backward {
        if let Step::Product { y, .. } = &plan.steps[back.step] {
            let mut come = come.remove(&back.step).unwrap_or_default();
            come.sort_by_key(|cols| cols.start);
            back.left = between(&come, y.at.width);
        }
    }
}

/// What is asked of a plan's steps.
struct Steps {
    /// Per buffer, the product that writes it.
    products: HashMap<usize, usize>,
    /// Per buffer, columns that a step reads or writes, other than the outputs of its product; predictions among them.
    touched: HashMap<usize, Vec<Range<usize>>>,
    /// Steps that have the weights at that place.
    applied: HashMap<usize, usize>,
}

impl Steps {
    fn of(plan: &Plan) -> Self {
        let (mut products, mut applied) = (HashMap::new(), HashMap::new());
        let mut touched: HashMap<usize, Vec<Range<usize>>> = HashMap::new();
        let mut touch = |view: &View| touched.entry(view.buffer).or_default().push(view.range());
        for (at, step) in plan.steps.iter().enumerate() {
            step.inputs().iter().for_each(&mut touch);
            if let Step::Product { y, weight, .. } = step {
                products.insert(y.buffer, at);
                *applied.entry(weight.offset).or_default() += 1;
            } else {
                touch(&step.output());
            }
        }
        plan.outputs.iter().for_each(&mut touch);
        Self { products, touched, applied }
    }

    /// Where the gradient of `x`, read by a product, may go on to.
    fn onward(&self, steps: &[Step], x: View) -> Option<Onward> {
        let step = *self.products.get(&x.buffer)?;
        // What rows gathered is summed as it is, in f32.
        let Step::Product { y, segments, weight, onto: false, .. } = &steps[step] else { return None };
        let cols = x.at.col - y.at.col..x.range().end - y.at.col;
        let alike = segments.iter().any(|s| s.cols.start <= cols.start && cols.end <= s.cols.end);
        let even = cols.start.is_multiple_of(STRIPE) && cols.len().is_multiple_of(STRIPE);
        // Gradients of a layer that is applied again are sums, which another step begins.
        let once = self.applied.get(&weight.offset) == Some(&1);
        let alone = self.touched.get(&x.buffer)?.iter().filter(|cols| meet(cols, &x.range())).count() == 1;
        (alike && even && once && alone).then_some(Onward { step, cols })
    }
}

fn meet(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// What of `0..width` lies between `parts`, which are in order.
fn between(parts: &[Range<usize>], width: usize) -> Vec<Range<usize>> {
    let mut from = 0;
    let mut left = Vec::new();
    for part in parts.iter().chain(std::iter::once(&(width..width))) {
        if from < part.start {
            left.push(from..part.start);
        }
        from = part.end;
    }
    left
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Purpose, Target};
    use super::*;
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;
    use serde_json::{Value, json};

    /// Two tasks over three numbers.
    fn plan(model: Value) -> Plan {
        let Value::Object(table) = model else { panic!() };
        let inputs = (0..3).map(|column| Input::Numeric { name: format!("n{column}"), column }).collect();
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let graph = ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &tasks).unwrap();
        Plan::compile(&graph, Purpose::Train, Target::cpu(Purpose::Train)).unwrap()
    }

    /// Columns of each product's output that gradients come to by themselves, and what is left.
    fn found(plan: &Plan) -> Vec<(usize, usize)> {
        let come = |step| plan.backward.iter().filter_map(|b| b.onward.as_ref()).filter(move |o| o.step == step);
        let products = plan.backward.iter().filter(|b| matches!(plan.steps[b.step], Step::Product { .. }));
        products
            .rev()
            .map(|b| (come(b.step).map(|o| o.cols.len()).sum(), b.left.iter().map(Range::len).sum()))
            .collect()
    }

    #[test]
    fn gradients_of_hidden_layers_go_on() {
        let level = json!({ "task_experts": 1, "shared_experts": 1, "widths": [64, 32] });
        let plan = plan(json!({ "kind": "ple", "levels": [level], "tower": [32] }));
        // The wide first layer: three experts, and two gates over two experts. Its experts' second layers are mixed, and
        // their gradients left; each tower's hidden layer is read by its output alone.
        let mut expected = vec![(3 * 64, 2 * 2), (0, 32), (0, 32), (0, 32)];
        expected.extend([(32, 0), (0, 1)].repeat(2));
        let mut found = found(&plan);
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_read_twice_or_ends_within_a_square_does_not() {
        // The bottom is read by two towers, as one product; its own hidden layer by one, but of 40 columns.
        let found = |bottom: [usize; 2]| {
            found(&plan(json!({ "kind": "hard-sharing", "bottom": bottom, "tower": [] })))
                .iter()
                .map(|f| f.0)
                .sum::<usize>()
        };
        assert_eq!(found([40, 32]), 32, "two outputs are one product, which alone reads the bottom");
        assert_eq!(found([64, 32]), 64 + 32);
        // The upper bottoms are stitched, which reads them twice.
        let stitched = plan(json!({ "kind": "cross-stitch", "bottom": [32, 32], "tower": [] }));
        assert!(stitched.backward.iter().all(|back| back.onward.is_none()));
    }

    #[test]
    fn what_lies_between_is_left() {
        let ends = |parts: &[Range<usize>]| between(parts, 9).iter().map(|r| (r.start, r.end)).collect::<Vec<_>>();
        assert_eq!(ends(&[]), [(0, 9)]);
        assert_eq!(ends(&[0..3, 3..5]), [(5, 9)]);
        assert_eq!(ends(&[2..4, 5..9]), [(0, 2), (4, 5)]);
        assert!(ends(&[0..4, 4..9]).is_empty());
    }
}
