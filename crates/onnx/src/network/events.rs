//! Events: values of lists, one by one `[E, ..]`, and how they come down to the rows of the batch that they belong to.

use pleiad_model::graph::{Node, TableId};

use super::Network;
use crate::inputs::TableRows;
use crate::schema::{DataType, int, word};
use crate::writer::{NetworkWriter, Value};

/// Where the events of a list belong.
struct List<'l> {
    /// The row of the batch of each, `[E]`.
    owners: &'l str,
    /// How many each row of the batch has, `[B]`.
    lengths: &'l str,
}

impl Network<'_> {
    /// The value of a node, with one row for each event of `list` where that is asked for.
    pub(super) fn read(&mut self, node: Node, list: Option<usize>) -> Value {
        let value = self.values[node.0].clone();
        let (Some(list), None) = (list, self.spaces[node.0].list()) else { return value };
        if let Some(known) = self.by_event.get(&(node.0, list)) {
            return known.clone();
        }
        let inputs = self.inputs;
        let Some(List { owners, .. }) = of_slot(&inputs.categories, Some(list)) else { return value };
        let name = format!("{}/by_event", self.graph.node(node).scope);
        let gathered = self.writer.op("Gather", &name, &[&value, owners], vec![int("axis", 0)]);
        self.by_event.insert((node.0, list), gathered.clone());
        gathered
    }

    /// One row of the table for each value of a list.
    pub(super) fn events(&mut self, scope: &str, table: TableId, slot: usize) -> Value {
        let spec = self.graph.table(table);
        let table = self.writer.weight(&spec.tensor(), &spec.shape());
        let (TableRows::Single(rows) | TableRows::Multiple { rows, .. }) = &self.inputs.categories[slot];
        self.writer.op("Gather", scope, &[&table, rows], vec![int("axis", 0)])
    }

    /// The sum over the events of each row of the batch, or their mean: they are added row by row, with `ScatterElements`.
    pub(super) fn segment_sum(&mut self, scope: &str, x: &str, list: Option<usize>, width: usize, mean: bool) -> Value {
        let inputs = self.inputs;
        let Some(list) = of_slot(&inputs.categories, list) else { return x.to_owned() };
        let w = &mut *self.writer;
        let sums = scattered(w, scope, x, &list, width, (0.0, "add"));
        if !mean {
            return sums;
        }
        let counts = w.cast(list.lengths, &format!("{scope}/counts"), DataType::Float);
        // A row without values has zeros, and none of them is divided by none.
        let one = w.float(1.0);
        let counts = w.op("Max", &format!("{scope}/counts"), &[&counts, &one], vec![]);
        let counts = w.column(&counts);
        w.op("Div", scope, &[&sums, &counts], vec![])
    }

    /// Softmax over the events of each row of the batch; the largest exponent is taken out, so that none overflows.
    pub(super) fn segment_softmax(&mut self, scope: &str, x: &str, list: Option<usize>, width: usize) -> Value {
        let inputs = self.inputs;
        let Some(list) = of_slot(&inputs.categories, list) else { return x.to_owned() };
        let w = &mut *self.writer;
        w.needs_opset(18);
        let by_event =
            |w: &mut NetworkWriter, name: &str, x: &str| w.op("Gather", name, &[x, list.owners], vec![int("axis", 0)]);
        let largest = scattered(w, &format!("{scope}/largest"), x, &list, width, (f32::MIN, "max"));
        let largest = by_event(w, &format!("{scope}/largest_of_row"), &largest);
        let rest = w.op("Sub", &format!("{scope}/rest"), &[x, &largest], vec![]);
        let terms = w.op("Exp", &format!("{scope}/term"), &[&rest], vec![]);
        let sums = scattered(w, &format!("{scope}/sum"), &terms, &list, width, (0.0, "add"));
        let sums = by_event(w, &format!("{scope}/sum_of_row"), &sums);
        w.op("Div", scope, &[&terms, &sums], vec![])
    }
}

/// The list in a slot.
fn of_slot(categories: &[TableRows], slot: Option<usize>) -> Option<List<'_>> {
    match categories.get(slot?)? {
        TableRows::Multiple { owners, lengths, .. } => Some(List { owners, lengths }),
        TableRows::Single(_) => None,
    }
}

/// What `ScatterElements` makes of the events of each row of the batch, `[B, width]`, from a number on.
fn scattered(
    w: &mut NetworkWriter,
    scope: &str,
    x: &str,
    list: &List<'_>,
    width: usize,
    (from, how): (f32, &str),
) -> Value {
    let shape = w.op("Shape", &format!("{scope}/shape"), &[x], vec![]);
    let owners = w.column(list.owners);
    let owners = w.op("Expand", &format!("{scope}/owners"), &[&owners, &shape], vec![]);
    let batch = w.op("Shape", &format!("{scope}/batch"), &[list.lengths], vec![]);
    let width = w.int64s(&[width as i64]);
    let shape = w.concat(&format!("{scope}/pooled"), &[batch, width], 0);
    let from = w.float(from);
    let start = w.op("Expand", &format!("{scope}/zeros"), &[&from, &shape], vec![]);
    w.op("ScatterElements", scope, &[&start, &owners, x], vec![int("axis", 0), word("reduction", how)])
}
