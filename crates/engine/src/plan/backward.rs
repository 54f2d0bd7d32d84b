//! The backward pass: forward steps in reverse, each with the gradients that it is the first to
//! write.
//!
//! Several steps may contribute to one gradient, and views may overlap (a concatenation and its parts). So the plan
//! records by column what has been written. A contribution overwrites if none of its columns has been written, and
//! adds if all have been. If only some have been, the new columns are cleared first, and it adds.

use std::collections::HashSet;
use std::ops::Range;

use pleiad_model::Graph;
use pleiad_model::graph::{Node, Op};

use super::compiler::Compiler;
use super::split::Part;
use super::{ArrayRows, BackStep, Buffer, Gathered, GradientArray, Place, Step, TableUse, View, Write};

/// Writes the plan's backward steps, gradient buffers and table uses.
pub(super) fn derive(compiler: &mut Compiler<'_>) {
    let wanted = wanted(compiler);
    let (graph, views, spaces) = (compiler.graph, &compiler.views, &compiler.spaces);
    let plan = &mut compiler.plan;
    let mut written: Vec<Columns> = plan.values.iter().map(|_| Columns::default()).collect();
    for output in &plan.outputs {
        written[output.buffer].add(output.range());
    }

    // Weights, by where they lie, whose gradient some step has written.
    let mut differentiated = HashSet::new();
    for (at, step) in plan.steps.iter().enumerate().rev() {
        let mut back = BackStep { step: at, clear: Vec::new(), writes: Vec::new(), again: false };
        let mut contribute = |back: &mut BackStep, x: View| {
            let Some(hull) = wanted[x.buffer].hull_within(x.range()) else {
                back.writes.push((x, Write::Skip));
                return;
            };
            // A product need not compute the gradient of numeric columns at the ends of its input.
            let x = match step {
                Step::Product { .. } => x.part(hull.start - x.at.col..hull.end - x.at.col),
                _ => x,
            };
            let written = &mut written[x.buffer];
            let new = written.missing(x.range());
            let write = if new.is_empty() {
                Write::Accumulate
            } else if new == [x.range()] {
                Write::Overwrite
            } else {
                back.clear.extend(new.iter().map(|r| x.part(r.start - x.at.col..r.end - x.at.col)));
                Write::Accumulate
            };
            written.add(x.range());
            back.writes.push((x, write));
        };
        let inputs = step.inputs();
        // Waves read the batch, and learn; so do the layers over tables.
        let learns = matches!(step, Step::Periodic { .. } | Step::Gather { from: Gathered::Table(_), .. });
        if inputs.is_empty() && !learns {
            continue;
        }
        inputs.into_iter().for_each(|x| contribute(&mut back, x));
        if let Step::Product { weight, .. } = step {
            back.again = !differentiated.insert(weight.offset);
        }
        plan.backward.push(back);
    }
    // Gradient buffers mirror value buffers; those that hold an embedding's gradient span the batch.
    plan.gradients = plan.values.iter().map(|v| Buffer { place: Place::Nowhere, ..v.clone() }).collect();
    for (at, node) in graph.nodes.iter().enumerate() {
        let (table, slot, pooling) = match &node.op {
            Op::Embedding { table, slot, pooling } => (table, slot, *pooling),
            Op::Events { table, slot, .. } => (table, slot, None),
            _ => continue,
        };
        let Some(view) = views[at] else { continue };
        let gradient = &mut plan.gradients[view.buffer];
        let array = match gradient.place {
            Place::Batch(array) => array,
            _ => {
                plan.arrays.push(GradientArray { ld: gradient.ld, rows: ArrayRows::Of(gradient.space) });
                gradient.place = Place::Batch(plan.arrays.len() - 1);
                plan.arrays.len() - 1
            }
        };
        plan.table_uses[table.0].push(TableUse { space: spaces[at], slot: *slot, pooling, array, at: view.at });
    }
    for fold in &plan.folds {
        for of in &fold.features {
            let (array, at) = (plan.arrays.len(), crate::kernels::Columns { col: 0, width: of.dim, ld: of.dim });
            plan.arrays.push(GradientArray { ld: of.dim, rows: ArrayRows::Table(of.rows) });
            plan.table_uses[of.table].push(TableUse { space: fold.space, slot: of.slot, pooling: None, array, at });
        }
    }
}

/// Per buffer, the columns whose gradient leads anywhere.
fn wanted(compiler: &Compiler<'_>) -> Vec<Columns> {
    let Compiler { graph, plan, views, spaces, splits, .. } = compiler;
    let needs = needs_gradient(graph);
    let mut wanted: Vec<Columns> = plan.values.iter().map(|_| Columns::default()).collect();
    let mut want = |view: &View| wanted[view.buffer].add(view.range());
    for (at, view) in views.iter().enumerate() {
        let Some(view) = view else { continue };
        if graph.nodes[at].op != Op::Concat {
            if needs[at] {
                want(view);
                compiler.gathered[at].iter().for_each(|(_, gathered)| want(gathered));
            }
            continue;
        }
        // Part by part: what a concatenation copies in has its place elsewhere, but its gradient passes here.
        for (input, part) in splits.parts(graph, spaces, Node(at)) {
            let (place, col) = match part {
                Part::Kept(col) => (view, col),
                Part::Apart(space, col) => (&compiler.apart_inputs[&(Node(at), space)], col),
                Part::Folded => continue,
            };
            if needs[input.0] {
                want(&place.part(col..col + graph.node(input).width));
            }
        }
    }
    compiler.apart_of.values().flat_map(|apart| &apart.products).for_each(|product| want(&product.y));
    wanted
}

/// Whether a gradient of the node leads anywhere: numeric inputs have none.
fn needs_gradient(graph: &Graph) -> Vec<bool> {
    let mut needs = vec![false; graph.nodes.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        needs[at] = match node.op {
            Op::Numeric { .. } => false,
            Op::Embedding { .. }
            | Op::Events { .. }
            | Op::Periodic { .. }
            | Op::Linear { .. }
            | Op::Combination { .. } => true,
            _ => node.inputs.iter().any(|i| needs[i.0]),
        };
    }
    needs
}

/// A set of columns, as disjoint ranges in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Columns(Vec<Range<usize>>);

impl Columns {
    fn add(&mut self, range: Range<usize>) {
        let (mut start, mut end) = (range.start, range.end);
        self.0.retain(|r| {
            let apart = r.end < start || r.start > end;
            if !apart {
                start = start.min(r.start);
                end = end.max(r.end);
            }
            apart
        });
        let at = self.0.partition_point(|r| r.start < start);
        self.0.insert(at, start..end);
    }

    /// The parts of `range` that are not in the set.
    fn missing(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let mut missing = Vec::new();
        let mut from = range.start;
        for r in &self.0 {
            if r.start >= range.end {
                break;
            }
            if r.start > from {
                missing.push(from..r.start);
            }
            from = from.max(r.end);
        }
        if from < range.end {
            missing.push(from..range.end);
        }
        missing
    }

    /// The smallest range that holds all columns of the set within `range`.
    fn hull_within(&self, range: Range<usize>) -> Option<Range<usize>> {
        let within = |r: &Range<usize>| r.start.max(range.start)..r.end.min(range.end);
        let mut parts = self.0.iter().map(within).filter(|r| !r.is_empty());
        let first = parts.next()?;
        Some(first.start..parts.next_back().map_or(first.end, |last| last.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(usize, usize)]) -> Columns {
        let mut columns = Columns::default();
        ranges.iter().for_each(|&(start, end)| columns.add(start..end));
        columns
    }

    fn ends(ranges: &[Range<usize>]) -> Vec<(usize, usize)> {
        ranges.iter().map(|r| (r.start, r.end)).collect()
    }

    #[test]
    fn ranges_are_joined() {
        assert_eq!(ends(&set(&[(4, 6), (0, 2), (2, 4)]).0), [(0, 6)]);
        assert_eq!(ends(&set(&[(4, 6), (0, 2)]).0), [(0, 2), (4, 6)]);
        assert_eq!(ends(&set(&[(0, 10), (2, 4)]).0), [(0, 10)]);
    }

    #[test]
    fn what_is_missing_is_told() {
        let columns = set(&[(2, 4), (6, 8)]);
        assert_eq!(ends(&columns.missing(0..10)), [(0, 2), (4, 6), (8, 10)]);
        assert_eq!(ends(&columns.missing(2..4)), []);
        assert_eq!(ends(&columns.missing(4..6)), [(4, 6)]);
        assert_eq!(ends(&columns.missing(3..7)), [(4, 6)]);
    }

    #[test]
    fn the_hull_stays_within() {
        let columns = set(&[(2, 4), (6, 8)]);
        assert_eq!(columns.hull_within(0..10), Some(2..8));
        assert_eq!(columns.hull_within(3..7), Some(3..7));
        assert_eq!(columns.hull_within(4..6), None);
    }
}
