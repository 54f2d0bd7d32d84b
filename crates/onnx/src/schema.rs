//! The messages of ONNX, as `build.rs` compiles them from `proto/onnx-ml.proto`, and short ways to make them.

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

pub(crate) use generated::attribute_proto::AttributeType;
pub(crate) use generated::tensor_proto::{DataLocation, DataType};
pub(crate) use generated::tensor_shape_proto::Dimension;
pub(crate) use generated::tensor_shape_proto::dimension::Value as Size;
pub(crate) use generated::type_proto::{Tensor as TensorType, Value as TypeValue};
pub(crate) use generated::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};

fn attribute(name: &str, of: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(of.into()), ..AttributeProto::default() }
}

/// A whole number.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// A number.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// A word.
pub(crate) fn word(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.as_bytes().to_vec()), ..attribute(name, AttributeType::String) }
}

/// Whole numbers.
pub(crate) fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto { ints: values, ..attribute(name, AttributeType::Ints) }
}

/// Numbers.
pub(crate) fn floats(name: &str, values: Vec<f32>) -> AttributeProto {
    AttributeProto { floats: values, ..attribute(name, AttributeType::Floats) }
}

/// Words.
pub(crate) fn words<'w>(name: &str, values: impl Iterator<Item = &'w str>) -> AttributeProto {
    let strings = values.map(|value| value.as_bytes().to_vec()).collect();
    AttributeProto { strings, ..attribute(name, AttributeType::Strings) }
}

/// A key and its value.
pub(crate) fn entry(key: &str, value: impl Into<String>) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.into()) }
}

/// What a graph takes or gives: its name, its elements, its dimensions, and a sentence for people.
pub(crate) fn value_info(name: &str, of: DataType, shape: &[Size], doc: &str) -> ValueInfoProto {
    let dim = shape.iter().map(|size| Dimension { value: Some(size.clone()), ..Dimension::default() }).collect();
    let tensor = TensorType { elem_type: Some(of.into()), shape: Some(TensorShapeProto { dim }) };
    let kind = TypeProto { value: Some(TypeValue::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(kind),
        doc_string: (!doc.is_empty()).then(|| doc.to_owned()),
        ..ValueInfoProto::default()
    }
}
