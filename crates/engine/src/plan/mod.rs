//! The static plan: a graph compiled once into steps over buffers, with its backward pass derived from it.
//!
//! A plan is data. It says which products are merged, where every value and gradient lives, in which order steps run
//! and which of them overwrites or adds to a gradient; executors read it ([`crate::exec`] on the CPU). It does not
//! depend on the names of structures.
//!
//! * [`target`]: the sizes of the machine that runs it.
//! * [`split`]: a layer over inputs of several spaces becomes one product for each, gathered and added.
//! * [`fold`]: the products in the space of small tables.
//! * [`fuse`]: linear layers that read one node become one wide product; activations join the product before them.
//! * [`place`]: every value gets its columns, and every dense parameter its place.
//! * [`compile`]: nodes become steps and views, in graph order.
//! * [`backward`]: the same steps in reverse, with the first writer of each gradient marked.
//! * [`allocate`]: buffers share memory where their lifetimes allow it.
//! * [`params`]: where each dense parameter lies in the one array of them all.

mod allocate;
mod backward;
mod compile;
mod compiler;
mod fold;
mod fuse;
mod params;
mod place;
mod purpose;
mod split;
mod target;

use std::ops::Range;

pub(crate) use fold::{Fold, Folded};
pub(crate) use params::{Block, ParamLayout, Region};
use pleiad_data::Pooling;
use pleiad_model::graph::{Activation, Node, Space};
pub(crate) use purpose::Purpose;
pub(crate) use target::Target;

use crate::kernels::Columns;
pub(crate) use crate::kernels::linear::Segment;

/// Columns of a buffer: the value or the gradient of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) buffer: usize,
    pub(crate) at: Columns,
}

impl View {
    fn range(&self) -> Range<usize> {
        self.at.col..self.at.col + self.at.width
    }

    /// Columns `part` of this view.
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        Self { at: Columns { col: self.at.col + part.start, width: part.len(), ..self.at }, ..*self }
    }
}

/// A row-major matrix of one shard's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buffer {
    /// Whose rows they are.
    pub(crate) space: Space,
    pub(crate) width: usize,
    /// Row stride, at least the width.
    pub(crate) ld: usize,
    /// Memory that it lives in; buffers whose lifetimes do not meet may share it.
    pub(crate) place: Place,
}

/// Where a buffer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Slot of the shard's workspace.
    Slot(usize),
    /// The array of that number that holds all rows of the batch: gradients that tables gather after all shards.
    Batch(usize),
    /// Nowhere: no step touches it.
    Nowhere,
}

/// Memory of a workspace for buffers whose lifetimes do not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Elements for each row.
    pub(crate) ld: usize,
    /// Whose rows it has room for: events of one kind, as many as the shard has, or rows and requests, as many as any shard has.
    pub(crate) space: Space,
}

/// One step forward.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Numeric columns of the batch.
    Numeric { first: usize, y: View },
    /// Rows of a table, pooled.
    Lookup { table: usize, slot: usize, pooling: Option<Pooling>, y: View },
    /// Rows of a table, one for each event.
    Events { table: usize, slot: usize, y: View },
    /// What waves make of a numeric column.
    Periodic { column: usize, frequencies: Region, weight: Region, bias: Region, y: View },
    /// A value moved to its place in a concatenation.
    Copy { x: View, y: View },
    /// `y = f(x W^T + b)` for all linear layers that read x, and `y = f(y + x W^T + b)` where it comes `onto` what was
    /// gathered. The first `bias.len` columns have a bias.
    Product { x: View, y: View, weight: Block, bias: Region, segments: Vec<Segment>, onto: bool },
    /// What each row names in another space: `y = x_r`, or `y = y + x_r` where it is to `add`.
    Gather { from: Gathered, y: View, add: bool },
    /// `y = f(x)` where f's derivative needs x, or x has other readers.
    Activate { function: Activation, x: View, y: View },
    /// Dropout of the node of that number.
    Dropout { node: usize, rate: f32, x: View, y: View },
    /// `g = softmax(g)` in place, then `y = sum_e g_e x_e`.
    GateMix { gate: View, experts: Vec<View>, y: View },
    /// `y = softmax(x)`.
    Softmax { x: View, y: View },
    /// `y = sum_e g_e x_e`.
    Mix { gate: View, experts: Vec<View>, y: View },
    /// `y = sum_n w_n x_n`.
    Combine { weights: Weights, inputs: Vec<View>, y: View },
    /// The logit of both events from that of each.
    Conjunction { first: View, second: View, y: View },
    /// `y = scale <a, b>`.
    Dot { scale: f32, a: View, b: View, y: View },
    /// `y = sum over i < j of x_i * x_j`, element by element.
    Pairs { inputs: Vec<View>, y: View },
    /// Of each row the sum over its events, or their mean.
    Segment { mean: bool, x: View, y: View },
    /// Softmax over the events of each row.
    SegmentSoftmax { x: View, y: View },
    /// Of each row the sum over its events, each weighed.
    SegmentMix { weights: View, x: View, y: View },
}

impl Step {
    /// What the step writes.
    fn output(&self) -> View {
        match self {
            Self::Numeric { y, .. }
            | Self::Lookup { y, .. }
            | Self::Events { y, .. }
            | Self::Periodic { y, .. }
            | Self::Copy { y, .. }
            | Self::Product { y, .. }
            | Self::Gather { y, .. }
            | Self::Activate { y, .. }
            | Self::Dropout { y, .. }
            | Self::GateMix { y, .. }
            | Self::Softmax { y, .. }
            | Self::Mix { y, .. }
            | Self::Combine { y, .. }
            | Self::Conjunction { y, .. }
            | Self::Dot { y, .. }
            | Self::Pairs { y, .. }
            | Self::Segment { y, .. }
            | Self::SegmentSoftmax { y, .. }
            | Self::SegmentMix { y, .. } => *y,
        }
    }

    /// What the step reads, in the order of [`BackStep::writes`].
    fn inputs(&self) -> Vec<View> {
        match self {
            Self::Numeric { .. }
            | Self::Lookup { .. }
            | Self::Events { .. }
            | Self::Periodic { .. }
            | Self::Gather { from: Gathered::Table(_), .. } => Vec::new(),
            Self::Copy { x, .. }
            | Self::Gather { from: Gathered::Space(x), .. }
            | Self::Product { x, .. }
            | Self::Activate { x, .. }
            | Self::Dropout { x, .. }
            | Self::Softmax { x, .. }
            | Self::Segment { x, .. }
            | Self::SegmentSoftmax { x, .. } => vec![*x],
            Self::GateMix { gate, experts, .. } | Self::Mix { gate, experts, .. } => {
                std::iter::once(gate).chain(experts).copied().collect()
            }
            Self::Combine { inputs, .. } | Self::Pairs { inputs, .. } => inputs.clone(),
            Self::Conjunction { first: a, second: b, .. }
            | Self::Dot { a, b, .. }
            | Self::SegmentMix { weights: a, x: b, .. } => vec![*a, *b],
        }
    }
}

/// Where a row gathers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// What the layer makes of the rows of tables: the fold of that number in [`Plan::folds`]. A row names one row of each
    /// table, and gathers their sum.
    Table(usize),
    /// Columns of the row that it names in their space: of its request, or as an event of its row.
    Space(View),
}

/// Weights of a combination of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weights {
    /// The same constant for all inputs.
    Equal(f32),
    /// A learned one per input.
    Learned(Region),
}

impl Weights {
    /// The weight of input `n`, given the dense parameters.
    pub(crate) fn of(self, n: usize, params: &[f32]) -> f32 {
        match self {
            Self::Equal(weight) => weight,
            Self::Learned(region) => params[region.offset + n],
        }
    }
}

/// What a step does to a gradient that it contributes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// No step needs it.
    Skip,
    /// It is the first contribution.
    Overwrite,
    /// There are others already.
    Accumulate,
}

/// One step backward: the transpose of forward step `step`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BackStep {
    pub(crate) step: usize,
    /// Gradient columns to be cleared first: parts that later contributions add to and nothing has written yet.
    pub(crate) clear: Vec<View>,
    /// Per input of the step (x; or gate, then experts), the gradient's columns and what happens to them.
    pub(crate) writes: Vec<(View, Write)>,
    /// Whether a step before this one has written the gradient of the step's own parameters: a layer is applied again.
    pub(crate) again: bool,
}

impl BackStep {
    /// Where the gradient of the step's input `i` goes, and whether it is added; `None` if no step needs it.
    pub(crate) fn contribution(&self, i: usize) -> Option<(View, bool)> {
        let (view, write) = self.writes[i];
        (write != Write::Skip).then_some((view, write == Write::Accumulate))
    }
}

/// How a part of a table's gradient is gathered after all shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableUse {
    /// Whose rows look it up.
    pub(crate) space: Space,
    pub(crate) slot: usize,
    pub(crate) pooling: Option<Pooling>,
    /// The array of [`Plan::arrays`] that has the gradient of what it gave, and its columns there.
    pub(crate) array: usize,
    pub(crate) at: Columns,
}

/// An array of gradients of what tables gave, for all rows of a space: of rows that look them up, or of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GradientArray {
    /// Row stride.
    pub(crate) ld: usize,
    pub(crate) rows: ArrayRows,
}

/// Whose rows a [`GradientArray`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArrayRows {
    /// Those of a space of the batch.
    Of(Space),
    /// Those of a table, so many: the layer above was applied to the table.
    Table(usize),
}

/// A compiled graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Forward steps in order.
    pub(crate) steps: Vec<Step>,
    /// Backward steps in order; empty where only predictions are wanted.
    pub(crate) backward: Vec<BackStep>,
    /// Buffers of values.
    pub(crate) values: Vec<Buffer>,
    /// Buffers of gradients, each the mirror of the value buffer of the same number.
    pub(crate) gradients: Vec<Buffer>,
    /// Slots of the workspace.
    pub(crate) slots: Vec<Slot>,
    /// Arrays of gradients of what tables gave: those that the shards write, then those in table space, in the order of the folds.
    pub(crate) arrays: Vec<GradientArray>,
    /// Per table, how its gradient is gathered.
    pub(crate) table_uses: Vec<Vec<TableUse>>,
    /// Tables that are multiplied as a whole, in the order of their layers' weights.
    pub(crate) folds: Vec<Fold>,
    /// Per task, the column of its number.
    pub(crate) outputs: Vec<View>,
    /// Per gate, the columns of its weights.
    pub(crate) gates: Vec<View>,
    /// What gates mix, each expert once; kept where gates are.
    pub(crate) experts: Vec<(Node, View)>,
    /// Where dense parameters lie.
    pub(crate) params: ParamLayout,
    /// What it was compiled for.
    pub(crate) target: Target,
}

impl Plan {
    /// Whose rows a step computes.
    pub(crate) fn space(&self, step: &Step) -> Space {
        self.values[step.output().buffer].space
    }

    /// The first array in table space.
    pub(crate) fn first_of_tables(&self) -> usize {
        self.arrays.partition_point(|array| matches!(array.rows, ArrayRows::Of(_)))
    }

    /// Elements of one lane's gradient: dense parameters in their layout, behind them what folds sum.
    pub(crate) fn gradient_len(&self) -> usize {
        self.folds.last().map_or(self.params.len, |fold| fold.sums.range().end)
    }
}

/// Row stride for `width` columns: whole cache lines, and never a multiple of 4 KiB, which would send every row of a
/// column to the same cache sets. That halved weight-gradient products in the prototype behind this design; it was not
/// measured again here.
pub(crate) fn stride(width: usize) -> usize {
    let ld = width.next_multiple_of(16);
    if ld.is_multiple_of(1024) { ld + 16 } else { ld }
}
