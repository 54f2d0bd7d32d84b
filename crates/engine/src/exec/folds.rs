//! The layers above small tables, applied to these tables (`crate::plan::fold`): before the shards, and after them.

use rayon::prelude::*;

use super::layers::Layers;
use crate::kernels::Columns;
use crate::kernels::linear::{Arithmetic, Layer, Scratch, Target};
use crate::kernels::product::Matrix;
use crate::kernels::reduce::add_to;
use crate::plan::{Block, Fold, Folded, Plan};
use crate::sparse::{Storage, Table};

/// Outputs whose weights' gradients one thread makes at a time.
const OUTPUTS: usize = 128;

/// A fold, prepared for the shards.
#[derive(Debug)]
pub(super) struct Prepared {
    fields: Vec<Field>,
    /// What the layer makes of every row, `[rows, outputs]` by [`Fold::ld`].
    pub(super) products: Storage<f32>,
}

/// A field, as a layer whose batch is a table.
#[derive(Debug)]
struct Field {
    layer: Layer,
    /// The table's vectors, `[rows, dim]`.
    vectors: Vec<f32>,
    scratch: Scratch,
}

impl Prepared {
    /// Of a fold that is computed in `arithmetic`: in f32 always. Rounding would save little where there is little to do.
    pub(super) fn new(fold: &Fold, arithmetic: Arithmetic) -> Self {
        let field = |_| Field {
            layer: Layer::new(arithmetic.of_f32(), fold.weight.rows, std::iter::empty()),
            vectors: Vec::new(),
            scratch: Scratch::default(),
        };
        Self { fields: fold.features.iter().map(field).collect(), products: Storage::zeros(fold.rows * fold.ld()) }
    }

    /// Prepares one fold for these parameters and tables.
    pub(super) fn prepare(&mut self, fold: &Fold, params: &[f32], tables: &[Table]) {
        let (outputs, ld) = (fold.weight.rows, fold.ld());
        let mut rest = &mut *self.products;
        let mut jobs = Vec::with_capacity(self.fields.len());
        for (field, of) in self.fields.iter_mut().zip(&fold.features) {
            let (own, behind) = std::mem::take(&mut rest).split_at_mut(of.rows * ld);
            rest = behind;
            jobs.push((field, of, own));
        }
        jobs.into_par_iter().for_each(|(field, of, products)| {
            let w = weights_of(fold, of, params);
            field.vectors.clear();
            tables[of.table].read_part(0, 0..of.rows * of.dim, &mut field.vectors);
            field.layer.prepare(w, &[], Some(0..of.dim));
            let y_at = Columns { ld, col: 0, width: outputs };
            let x = (&field.vectors[..], whole(of.dim));
            field.layer.forward((products, y_at), x, w, of.rows, false, &mut field.scratch);
        });
    }
}

/// The weights of one field's columns.
fn weights_of<'p>(fold: &Fold, field: &Folded, params: &'p [f32]) -> Matrix<&'p [f32]> {
    let Block { offset, rows, ld, .. } = fold.weight;
    let end = offset + (rows - 1) * ld + field.col + field.dim;
    Matrix::new(&params[offset + field.col..end], rows, field.dim, ld)
}

/// All columns of a matrix of vectors.
fn whole(dim: usize) -> Columns {
    Columns { ld: dim, col: 0, width: dim }
}

/// What the shards have summed for folds in the lanes' gradients becomes gradients of weights, in the first lane, and of
/// the tables' rows: per fold and field `[rows, dim]`, in `rows`. Nothing happens where there is no lane.
///
/// The lanes' sums are added in the order of the lanes. The others' gradients of folded weights are zero.
pub(crate) fn unfold(
    plan: &Plan,
    layers: &Layers,
    params: &[f32],
    lanes: &mut [&mut [f32]],
    rows: &mut Vec<Vec<Vec<f32>>>,
) {
    let Some((first, others)) = lanes.split_first_mut() else { return };
    let others: Vec<&[f32]> = others.iter().map(|lane| &**lane).collect();
    let (dense, sums) = first.split_at_mut(plan.params.len);
    rows.resize_with(plan.folds.len(), Vec::new);
    add_up(plan, layers, params, &mut *sums, &others, rows);

    // Chunks of the outputs of each fold, whose rows lie below one another.
    let mut chunks = Vec::new();
    let (mut rest, mut at) = (dense, 0);
    for (fold, prepared) in plan.folds.iter().zip(layers.folds()) {
        let Block { offset, rows, cols, ld } = fold.weight;
        for from in (0..rows).step_by(OUTPUTS) {
            let outputs = from..rows.min(from + OUTPUTS);
            let start = offset + from * ld;
            let len = (outputs.len() - 1) * ld + cols;
            let (own, behind) = std::mem::take(&mut rest)[start - at..].split_at_mut(len);
            (rest, at) = (behind, start + len);
            chunks.push((fold, prepared, outputs, own));
        }
    }
    let sums = &*sums;
    let behind = plan.params.len;
    chunks.into_par_iter().for_each_init(Scratch::default, |scratch, (fold, prepared, outputs, gradient)| {
        let sums = &sums[fold.sums.offset - behind..];
        let d_at = Columns { ld: fold.ld(), col: outputs.start, width: outputs.len() };
        for (of, field) in fold.features.iter().zip(&prepared.fields) {
            let out = Matrix::new(&mut gradient[of.col..], outputs.len(), of.dim, fold.weight.ld);
            let d = (&sums[of.first * fold.ld()..], d_at);
            field.layer.weight_gradient(out, d, (&field.vectors, whole(of.dim)), of.rows, Target::New, scratch);
        }
    });
}

/// Adds the sums of the `others` to the first lane's, and gives the gradients of the tables' rows.
fn add_up(
    plan: &Plan,
    layers: &Layers,
    params: &[f32],
    mut sums: &mut [f32],
    others: &[&[f32]],
    rows: &mut [Vec<Vec<f32>>],
) {
    let mut start = plan.params.len;
    let mut jobs = Vec::new();
    for ((fold, prepared), rows) in plan.folds.iter().zip(layers.folds()).zip(rows) {
        rows.resize_with(fold.features.len(), Vec::new);
        for ((of, field), rows) in fold.features.iter().zip(&prepared.fields).zip(rows) {
            let (own, behind) = std::mem::take(&mut sums).split_at_mut(of.rows * fold.ld());
            let range = start..start + own.len();
            (sums, start) = (behind, range.end);
            jobs.push((fold, of, field, rows, (own, range)));
        }
    }
    jobs.into_par_iter().for_each_init(Scratch::default, |scratch, (fold, of, field, rows, (sums, range))| {
        others.iter().for_each(|lane| add_to(sums, &lane[range.clone()]));
        rows.resize(of.rows * of.dim, 0.0);
        let d_at = Columns { ld: fold.ld(), col: 0, width: fold.weight.rows };
        let w = weights_of(fold, of, params);
        field.layer.input_gradient((rows, whole(of.dim)), (sums, d_at), (w, 0), of.rows, false, scratch);
    });
}
