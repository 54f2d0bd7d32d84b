//! Applies the layers above small tables to these tables (`crate::plan::fold`): forward before the shards, backward
//! after them.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::folded::narrow;
use crate::kernels::linear::Layer;
use crate::kernels::product::product;
use crate::kernels::reduce::add_to;
use crate::kernels::scratch::Scratch;
use crate::kernels::{MatMut, MatRef};
use crate::plan::{Fold, Plan};
use crate::sparse::Table;
use crate::storage::Storage;

/// A fold, prepared for the shards.
#[derive(Debug)]
pub(super) struct Prepared {
    fields: Vec<Field>,
    /// What the layer makes of every row, `[rows, outputs]` by [`Fold::ld`], and a row of zeros for fields that are dropped.
    pub(super) products: Storage<f32>,
    /// What vectors are multiplied by: above 1 where fields are dropped.
    scale: f32,
}

/// A field, as a layer whose batch is a table.
#[derive(Debug)]
struct Field {
    layer: Layer,
    /// Whether its layer's products are our own.
    own: bool,
    /// The table's vectors times the fold's scale, `[rows, dim]`.
    vectors: Vec<f32>,
    scratch: Scratch,
}

impl Prepared {
    /// Prepares a fold. It is always computed in f32: rounding would save little in so small a product.
    pub(super) fn new(fold: &Fold, arithmetic: Arithmetic) -> Self {
        let arithmetic = arithmetic.of_f32();
        let field = |_| Field {
            own: arithmetic == Arithmetic::Tiles,
            layer: Layer::new(arithmetic, fold.outputs, Vec::new(), None),
            vectors: Vec::new(),
            scratch: Scratch::default(),
        };
        let products = Storage::zeros((fold.rows + 1) * fold.ld);
        Self { fields: fold.features.iter().map(field).collect(), products, scale: 1.0 }
    }

    /// Multiplies vectors by `scale`.
    pub(super) fn scale(&mut self, scale: f32) {
        self.scale = scale;
    }

    /// Prepares one fold for these parameters and tables.
    pub(super) fn prepare(&mut self, fold: &Fold, params: &[f32], tables: &[Table]) {
        let (outputs, ld, scale) = (fold.outputs, fold.ld, self.scale);
        let mut products = Pieces { rest: &mut self.products, at: 0 };
        let mut jobs = Vec::with_capacity(self.fields.len());
        for (field, of) in self.fields.iter_mut().zip(&fold.features) {
            jobs.push((field, of, products.take(of.first * ld..(of.first + of.rows) * ld)));
        }
        jobs.into_par_iter().for_each(|(field, of, products)| {
            let w = of.weight.of(params);
            field.vectors.clear();
            tables[of.table].read_part(0, 0..of.rows * of.dim, &mut field.vectors);
            if scale != 1.0 {
                field.vectors.iter_mut().for_each(|x| *x *= scale);
            }
            field.layer.prepare(w, &[]);
            let x = MatRef::new(&field.vectors, of.rows, of.dim, of.dim);
            field.layer.forward(MatMut::new(products, of.rows, outputs, ld), false, x, w, &mut field.scratch);
        });
    }
}

impl Field {
    /// `out = a b`, whose columns are as many as a vector is wide.
    fn multiply(&self, mut out: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>) {
        if !(self.own && narrow(out.by_ref(), a, b)) {
            product(out, a, b, false);
        }
    }
}

/// What the shards have summed for folds in the lanes' gradients becomes gradients of weights, in the first lane, and of
/// the tables' rows: per fold and field `[rows, dim]`, in `arrays`. Nothing happens where there is no lane.
///
/// The lanes' sums are added in the order of the lanes. The others' gradients of folded weights are zero.
pub(super) fn unfold(
    plan: &Plan,
    prepared: &[Prepared],
    params: &[f32],
    lanes: &mut [&mut [f32]],
    arrays: &mut [Storage<f32>],
) {
    let Some((first, others)) = lanes.split_first_mut() else { return };
    let others: Vec<&[f32]> = others.iter().map(|lane| &**lane).collect();
    let (dense, sums) = first.split_at_mut(plan.params.len);
    let (mut dense, mut sums) = (Pieces { rest: dense, at: 0 }, Pieces { rest: sums, at: plan.params.len });
    let (mut jobs, mut arrays) = (Vec::new(), arrays.iter_mut());
    for (fold, prepared) in plan.folds.iter().zip(prepared) {
        for ((of, field), rows) in fold.features.iter().zip(&prepared.fields).zip(&mut arrays) {
            let start = fold.sums.offset + of.first * fold.ld;
            let range = start..start + of.rows * fold.ld;
            jobs.push((
                fold,
                of,
                (field, prepared.scale),
                rows,
                dense.take(of.weight.range()),
                (sums.take(range.clone()), range),
            ));
        }
    }
    jobs.into_par_iter().for_each(|(fold, of, (field, scale), rows, weights_gradient, (sums, range))| {
        others.iter().for_each(|lane| add_to(sums, &lane[range.clone()]));
        let d = MatRef::new(sums, of.rows, fold.outputs, fold.ld);
        let vectors = MatRef::new(&field.vectors, of.rows, of.dim, of.dim);
        field.multiply(MatMut::new(rows, of.rows, of.dim, of.dim), d, of.weight.of(params));
        if scale != 1.0 {
            rows.iter_mut().for_each(|gradient| *gradient *= scale);
        }
        field.multiply(MatMut::new(weights_gradient, fold.outputs, of.dim, of.dim), d.transposed(), vectors);
    });
}

/// An array from which stretches are taken, in order.
struct Pieces<'a> {
    rest: &'a mut [f32],
    at: usize,
}

impl<'a> Pieces<'a> {
    fn take(&mut self, range: Range<usize>) -> &'a mut [f32] {
        let (own, behind) = std::mem::take(&mut self.rest)[range.start - self.at..].split_at_mut(range.len());
        (self.rest, self.at) = (behind, range.end);
        own
    }
}
