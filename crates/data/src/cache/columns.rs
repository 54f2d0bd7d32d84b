//! [`StoredColumns`]: encoded rows as Arrow columns and back, each id as narrow as its table allows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeListArray, Float32Array, ListArray,
    PrimitiveArray, RecordBatch,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Field, FieldRef, Float32Type, Schema, SchemaRef, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::batch::{Batch, Ids, Labels};
use crate::encode::Encoder;
use crate::layout::{Input, InputLayout};
use crate::packed::id_bytes;
use crate::schema::{TaskKind, TaskSpec};
use crate::split::Split;

/// The columns of encoded rows.
///
/// | column | type |
/// | --- | --- |
/// | `numbers`, where there are any | fixed-size list of f32, the numeric features in their order |
/// | `feature <name>` for each categorical one | u8, u16, u32 or u64 by the rows of its table; a list of them where it is multiple |
/// | `weight <name>` behind that of its task, where rows have weights | f32, 0 where the task is null |
/// | `task <name>` | true/false of a binary task, f32 of a regression task; null outside of its sample space |
/// | `group`, where there are any | u64, 0 for a row without one |
#[derive(Debug)]
pub(super) struct StoredColumns {
    schema: SchemaRef,
    /// Width N of the numeric part.
    numbers: usize,
    slots: Vec<Slot>,
    /// Kinds, and whether their rows have weights.
    tasks: Vec<(TaskKind, bool)>,
    groups: bool,
}

/// A categorical feature.
#[derive(Debug)]
struct Slot {
    /// Rows of its table.
    rows: u64,
    /// The type of an id.
    kind: DataType,
    /// Field of the ids of a list.
    item: Option<FieldRef>,
}

impl Slot {
    fn new(rows: u64, multiple: bool) -> Self {
        let kind = match id_bytes(rows.saturating_sub(1)) {
            1 => DataType::UInt8,
            2 => DataType::UInt16,
            4 => DataType::UInt32,
            _ => DataType::UInt64,
        };
        let item = multiple.then(|| Arc::new(Field::new("item", kind.clone(), false)));
        Self { rows, kind, item }
    }

    fn narrow(&self, ids: &[u64]) -> Result<ArrayRef, String> {
        match self.kind {
            DataType::UInt8 => narrow::<UInt8Type>(ids),
            DataType::UInt16 => narrow::<UInt16Type>(ids),
            DataType::UInt32 => narrow::<UInt32Type>(ids),
            _ => narrow::<UInt64Type>(ids),
        }
    }

    fn widen(&self, array: &dyn Array) -> Result<Vec<u64>, String> {
        let ids = match self.kind {
            DataType::UInt8 => widen::<UInt8Type>(array),
            DataType::UInt16 => widen::<UInt16Type>(array),
            DataType::UInt32 => widen::<UInt32Type>(array),
            _ => widen::<UInt64Type>(array),
        }?;
        match ids.iter().max() {
            Some(&largest) if largest >= self.rows => Err(format!("id {largest} in a table of {} rows", self.rows)),
            _ => Ok(ids),
        }
    }
}

fn narrow<T: ArrowPrimitiveType>(ids: &[u64]) -> Result<ArrayRef, String>
where
    T::Native: TryFrom<u64>,
{
    let narrow = |&id: &u64| T::Native::try_from(id).map_err(|_| format!("id {id} is beyond its table"));
    let ids = ids.iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(ids), None)))
}

fn widen<T: ArrowPrimitiveType>(array: &dyn Array) -> Result<Vec<u64>, String>
where
    T::Native: Into<u64>,
{
    let array = array.as_primitive_opt::<T>().ok_or_else(|| wrong_type(array))?;
    Ok(array.values().iter().map(|&id| id.into()).collect())
}

fn wrong_type(array: &dyn Array) -> String {
    format!("a column of type {}", array.data_type())
}

fn number_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Float32, false))
}

impl StoredColumns {
    /// The columns of a split's rows: those that are trained on have no groups.
    pub(super) fn of(encoder: &Encoder, split: Split) -> Self {
        let groups = encoder.schema().groups.is_some() && split != Split::Train;
        Self::new(encoder.layout(), encoder.tasks(), groups)
    }

    fn new(layout: &InputLayout, tasks: &[TaskSpec], groups: bool) -> Self {
        let numbers = layout.numeric_width();
        let mut fields = Vec::new();
        if numbers > 0 {
            // Wider than 2^31 is no schema.
            let kind = DataType::FixedSizeList(number_field(), numbers as i32);
            fields.push(Field::new("numbers", kind, false));
        }
        let mut slots = Vec::new();
        for input in &layout.inputs {
            let Input::Categorical { name, rows, pooling, .. } = input else { continue };
            let slot = Slot::new(*rows, pooling.is_some());
            let kind = slot.item.clone().map_or_else(|| slot.kind.clone(), DataType::List);
            fields.push(Field::new(format!("feature {name}"), kind, false));
            slots.push(slot);
        }
        for task in tasks {
            let kind = if task.kind == TaskKind::Binary { DataType::Boolean } else { DataType::Float32 };
            fields.push(Field::new(format!("task {}", task.name), kind, true));
            if task.weighted {
                fields.push(Field::new(format!("weight {}", task.name), DataType::Float32, false));
            }
        }
        if groups {
            fields.push(Field::new("group", DataType::UInt64, false));
        }
        let tasks = tasks.iter().map(|task| (task.kind, task.weighted)).collect();
        Self { schema: Arc::new(Schema::new(fields)), numbers, slots, tasks, groups }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows of a batch as columns.
    ///
    /// # Errors
    /// What cannot be written in these columns: an id beyond its table, a list that is longer than 2^31.
    pub(super) fn encode(&self, batch: &Batch) -> Result<RecordBatch, String> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        if self.numbers > 0 {
            let values = Arc::new(Float32Array::from(batch.numeric.clone()));
            let list = FixedSizeListArray::try_new(number_field(), self.numbers as i32, values, None);
            columns.push(Arc::new(list.map_err(|error| error.to_string())?));
        }
        for (slot, ids) in self.slots.iter().zip(&batch.categorical) {
            let array = slot.narrow(ids.table_rows())?;
            columns.push(match (ids, &slot.item) {
                (Ids::Multiple { offsets, .. }, Some(item)) => {
                    let offset = |&at: &usize| i32::try_from(at).map_err(|_| "lists are too long".to_owned());
                    let offsets = offsets.iter().map(offset).collect::<Result<Vec<i32>, _>>()?;
                    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                    Arc::new(ListArray::try_new(Arc::clone(item), offsets, array, None).map_err(|e| e.to_string())?)
                }
                _ => array,
            });
        }
        for (&(kind, weighted), labels) in self.tasks.iter().zip(&batch.labels) {
            let present = NullBuffer::from(labels.present.clone());
            columns.push(match kind {
                TaskKind::Binary => {
                    let values: BooleanBuffer = labels.values.iter().map(|&value| value != 0.0).collect();
                    Arc::new(BooleanArray::new(values, Some(present)))
                }
                TaskKind::Regression => {
                    Arc::new(Float32Array::new(ScalarBuffer::from(labels.values.clone()), Some(present)))
                }
            });
            if weighted {
                columns.push(Arc::new(Float32Array::from(labels.weights.clone())));
            }
        }
        if self.groups {
            columns.push(narrow::<UInt64Type>(&batch.groups)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| error.to_string())
    }

    /// The rows of columns, whatever is in them.
    ///
    /// # Errors
    /// What is wrong with them, where they are not what [`StoredColumns::encode`] gives.
    pub(super) fn decode(&self, record: &RecordBatch) -> Result<Batch, String> {
        let rows = record.num_rows();
        let mut columns = record.columns().iter();
        let mut next = || columns.next().ok_or("a column is missing");
        let mut batch = Batch { rows, ..Batch::default() };
        if self.numbers > 0 {
            let array = next()?;
            let list = array.as_fixed_size_list_opt().ok_or_else(|| wrong_type(array))?;
            let values = list.values();
            let values = values.as_primitive_opt::<Float32Type>().ok_or_else(|| wrong_type(values))?;
            if values.len() != rows * self.numbers {
                return Err(format!("{} numbers where {} are expected", values.len(), rows * self.numbers));
            }
            batch.numeric = values.values().to_vec();
        }
        for slot in &self.slots {
            let array = next()?;
            batch.categorical.push(if slot.item.is_some() {
                let list = array.as_list_opt::<i32>().ok_or_else(|| wrong_type(array))?;
                let offsets: Vec<usize> = list.offsets().iter().map(|&at| at as usize).collect();
                let ids = slot.widen(list.values())?;
                if offsets.first() != Some(&0) || offsets.last() != Some(&ids.len()) {
                    return Err("lists do not begin and end with their values".to_owned());
                }
                Ids::Multiple { offsets, rows: ids }
            } else {
                Ids::Single(slot.widen(array)?)
            });
        }
        for &(kind, weighted) in &self.tasks {
            let array = next()?;
            let present: Vec<bool> = match array.nulls() {
                Some(nulls) => nulls.iter().collect(),
                None => vec![true; rows],
            };
            let values: Vec<f32> = match kind {
                TaskKind::Binary => {
                    let array = array.as_boolean_opt().ok_or_else(|| wrong_type(array))?;
                    array.values().iter().map(|value| f32::from(u8::from(value))).collect()
                }
                TaskKind::Regression => {
                    let array = array.as_primitive_opt::<Float32Type>().ok_or_else(|| wrong_type(array))?;
                    array.values().to_vec()
                }
            };
            let mut weights = Vec::new();
            if weighted {
                let array = next()?;
                let array = array.as_primitive_opt::<Float32Type>().ok_or_else(|| wrong_type(array))?;
                weights = array.values().to_vec();
                let fits = |(&weight, &present): (&f32, &bool)| weight.is_finite() && (weight > 0.0) == present;
                if weights.len() != rows || !weights.iter().zip(&present).all(fits) {
                    return Err("weights that no row may have".to_owned());
                }
            }
            batch.labels.push(Labels { values, present, weights });
        }
        if self.groups {
            batch.groups = widen::<UInt64Type>(next()?)?;
        }
        let lengths = batch.categorical.iter().map(Ids::len).chain(batch.labels.iter().map(|l| l.values.len()));
        let lengths = lengths.chain(self.groups.then_some(batch.groups.len()));
        if lengths.into_iter().any(|length| length != rows) {
            return Err("columns of different lengths".to_owned());
        }
        Ok(batch)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::Pooling;

    fn layout(tables: &[(u64, bool)], numbers: usize) -> InputLayout {
        let numeric = (0..numbers).map(|column| Input::Numeric { name: format!("x{column}"), column });
        let categorical = tables.iter().enumerate().map(|(slot, &(rows, multiple))| Input::Categorical {
            name: format!("c{slot}"),
            slot,
            table: format!("c{slot}"),
            rows,
            dim: 4,
            pooling: multiple.then_some(Pooling::Mean),
        });
        InputLayout::new(numeric.chain(categorical).collect())
    }

    fn tasks() -> Vec<TaskSpec> {
        vec![TaskSpec::new("click", TaskKind::Binary), TaskSpec::new("time", TaskKind::Regression)]
    }

    fn labels(values: &[Option<f32>]) -> Labels {
        Labels {
            values: values.iter().map(|value| value.unwrap_or(0.0)).collect(),
            present: values.iter().map(Option::is_some).collect(),
            weights: Vec::new(),
        }
    }

    #[test]
    fn ids_are_as_narrow_as_their_table() {
        let sizes =
            [(1, DataType::UInt8), (256, DataType::UInt8), (257, DataType::UInt16), (1 << 16, DataType::UInt16)];
        let large = [((1 << 16) + 1, DataType::UInt32), (1 << 32, DataType::UInt32), ((1 << 32) + 1, DataType::UInt64)];
        for (rows, kind) in sizes.into_iter().chain(large) {
            let slot = Slot::new(rows, false);
            assert_eq!(slot.kind, kind, "{rows}");
            assert_eq!(slot.widen(&slot.narrow(&[rows - 1]).unwrap()), Ok(vec![rows - 1]));
        }
        assert!(Slot::new(256, false).narrow(&[256]).is_err());
        assert!(Slot::new(200, false).widen(&Slot::new(256, false).narrow(&[200]).unwrap()).is_err());
    }

    #[test]
    fn columns_of_other_rows_are_refused() {
        let columns = StoredColumns::new(&layout(&[(300, false), (9, true)], 2), &tasks(), true);
        let batch = Batch {
            rows: 1,
            numeric: vec![1.0, 2.0],
            categorical: vec![Ids::Single(vec![299]), Ids::Multiple { offsets: vec![0, 2], rows: vec![8, 0] }],
            labels: vec![labels(&[Some(1.0)]), labels(&[None])],
            groups: vec![u64::MAX],
        };
        let record = columns.encode(&batch).unwrap();
        assert_eq!(columns.decode(&record).unwrap(), batch);
        assert!(
            StoredColumns::new(&layout(&[(300, false), (9, true)], 2), &tasks(), false)
                .decode(&record)
                .is_ok_and(|rows| rows.groups.is_empty())
        );
        let others = [
            layout(&[(299, false), (9, true)], 2),
            layout(&[(300, false), (8, true)], 2),
            layout(&[(300, true), (9, true)], 2),
            layout(&[(300, false), (9, true)], 3),
            layout(&[(300, false), (9, true), (9, false)], 2),
        ];
        for other in others {
            assert!(StoredColumns::new(&other, &tasks(), true).decode(&record).is_err(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_come_back_to_the_bit(
            rows in prop::collection::vec(
                (any::<f32>(), 0u64..70_000, prop::collection::vec(0u64..3, 0..4), any::<Option<bool>>(),
                 any::<Option<f32>>()),
                0..40,
            ),
        ) {
            let columns = StoredColumns::new(&layout(&[(70_000, false), (3, true)], 1), &tasks(), false);
            let mut batch = Batch::empty(&layout(&[(70_000, false), (3, true)], 1), 2);
            batch.rows = rows.len();
            for (number, id, list, click, time) in rows {
                batch.numeric.push(number);
                match &mut batch.categorical[..] {
                    [Ids::Single(ids), Ids::Multiple { offsets, rows }] => {
                        ids.push(id);
                        rows.extend(list);
                        offsets.push(rows.len());
                    }
                    _ => unreachable!(),
                }
                let click = click.map(|click| f32::from(u8::from(click)));
                for (labels, label) in batch.labels.iter_mut().zip([click, time]) {
                    labels.values.push(label.unwrap_or(0.0));
                    labels.present.push(label.is_some());
                }
            }
            let back = columns.decode(&columns.encode(&batch).unwrap()).unwrap();
            // Bits, since NaN is not itself.
            prop_assert_eq!(back.xxh64(), batch.xxh64());
        }
    }
}
