//! Turns columns back into Arrow arrays, which are written to a file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, LargeListArray, NullArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;

use super::column::{Column, List};
use super::times::Times;

impl Column {
    /// The values as an Arrow array: texts as UTF-8, whole numbers of 64 bits, floats, decimals and times as they are.
    ///
    /// # Errors
    /// A sentence without subject, for times and lists that no array can hold.
    pub fn to_arrow(&self) -> Result<ArrayRef, String> {
        Ok(match self {
            Self::Missing(rows) => Arc::new(NullArray::new(*rows)),
            Self::Text(array) => Arc::new(array.clone()),
            Self::Repeated(repeated) => {
                Arc::new((0..repeated.len()).map(|row| repeated.text(row)).collect::<StringArray>())
            }
            Self::Int(array) => Arc::new(array.clone()),
            Self::UInt(array) => Arc::new(array.clone()),
            Self::Float(array) => Arc::new(array.clone()),
            Self::Single(array) => Arc::new(array.clone()),
            Self::Decimal(array) => Arc::new(array.clone()),
            Self::Time(times) => {
                let values: Vec<Option<i64>> = (0..times.len()).map(|row| times.value(row)).collect();
                Times::to_arrow(times.kind(), times.per_second(), &values)?
            }
            Self::Bool(array) => Arc::new(array.clone()),
            Self::List(list) => list.to_arrow()?,
        })
    }
}

impl List {
    fn to_arrow(&self) -> Result<ArrayRef, String> {
        let values = self.values().to_arrow()?;
        let (offsets, nulls) = self.parts();
        let offsets = offsets.iter().map(|&offset| i64::try_from(offset)).collect::<Result<Vec<_>, _>>();
        let offsets = OffsetBuffer::new(offsets.map_err(|_| "holds lists that are too long")?.into());
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        let lists = LargeListArray::try_new(item, offsets, values, nulls.cloned());
        lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(|error| format!("cannot be handed out ({error})"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array, TimestampMillisecondArray,
        UInt64Array,
    };
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn every_type_is_handed_out_as_it_was_read() {
        let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(NullArray::new(3)),
            Arc::new(StringArray::from(vec![Some("ä|b"), None, Some("")])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(1)])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(1)])),
            Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(f64::INFINITY)])),
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(3.0)])),
            Arc::new(Decimal128Array::from(vec![Some(1), None, Some(-150)]).with_precision_and_scale(38, 2).unwrap()),
            Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_454)])),
            Arc::new(TimestampMillisecondArray::from(vec![1, 2, i64::MIN]).with_timezone("UTC")),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        ];
        for array in arrays {
            let column = Column::from_arrow(&array).unwrap();
            assert_eq!(&column.to_arrow().unwrap(), &array);
            // And as it is after rows are left out.
            let kept = column.filter(&[true, false, true]).to_arrow().unwrap();
            let mask = BooleanArray::from(vec![true, false, true]);
            assert_eq!(kept.len(), 2);
            if !matches!(column, Column::List(_)) {
                assert_eq!(&kept, &arrow::compute::filter(&array, &mask).unwrap());
            }
        }
    }

    #[test]
    fn repeated_texts_are_texts() {
        let texts = StringArray::from(vec!["a", "b", "a", "a"]);
        let dictionary = arrow::compute::cast(
            &(Arc::new(texts.clone()) as ArrayRef),
            &arrow::datatypes::DataType::Dictionary(
                Box::new(arrow::datatypes::DataType::Int32),
                Box::new(arrow::datatypes::DataType::Utf8),
            ),
        )
        .unwrap();
        let handed_out = Column::from_arrow(&dictionary).unwrap().to_arrow().unwrap();
        assert_eq!(handed_out.as_any().downcast_ref::<StringArray>(), Some(&texts));
    }
}
