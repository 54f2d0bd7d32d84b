//! [`NetworkWriter`]: a graph of ONNX, put together node by node. It has names and elements, and no model.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::schema::{AttributeProto, DataType, NodeProto, Size, ValueInfoProto, value_info};

/// A value of the graph, by its name.
pub(crate) type Value = String;

/// A tensor that the graph holds.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) of: DataType,
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Elements,
}

/// Where its elements are.
#[derive(Debug)]
pub(crate) enum Elements {
    /// Here, in little endian.
    Bytes(Vec<u8>),
    /// In the model's tensor of this name, f32.
    Weight(String),
}

impl Constant {
    /// Bytes of its elements.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.elements {
            Elements::Bytes(bytes) => bytes.len() as u64,
            Elements::Weight(_) => self.shape.iter().fold(4u64, |bytes, &size| bytes.saturating_mul(size as u64)),
        }
    }
}

/// What the graph takes or gives, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its elements, as ONNX calls them: `float`, `double`, `int64`, `string`.
    #[serde(rename = "type")]
    pub elements: &'static str,
    /// Its dimensions; those that are not known before have a name.
    pub shape: Vec<String>,
    /// What it is, in a sentence.
    pub holds: String,
    /// The features that read it; none of an output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

/// The dimension that all rows of a batch have.
pub(crate) const BATCH: &str = "batch";

/// A dimension with a name.
pub(crate) fn named(name: &str) -> Size {
    Size::DimParam(name.to_owned())
}

/// A dimension that is known.
pub(crate) fn size(size: usize) -> Size {
    Size::DimValue(size as i64)
}

/// A graph that grows.
#[derive(Debug, Default)]
pub(crate) struct NetworkWriter {
    names: HashSet<String>,
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) input_infos: Vec<ValueInfoProto>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) output_infos: Vec<ValueInfoProto>,
    /// Constants that are there, by type, shape and bytes.
    known: BTreeMap<(i32, Vec<usize>, Vec<u8>), Value>,
    weights: BTreeMap<String, Value>,
    /// Dimensions that have a name, beside that of the batch.
    ragged: usize,
    /// The opset that operations need beyond [`crate::file`]'s own; 0 where none does.
    pub(crate) opset: i64,
}

impl NetworkWriter {
    /// A name that nothing else has: this one, or with a number behind it.
    pub(crate) fn unique(&mut self, name: &str) -> String {
        if self.names.insert(name.to_owned()) {
            return name.to_owned();
        }
        let mut number = 2;
        loop {
            let other = format!("{name}_{number}");
            if self.names.insert(other.clone()) {
                return other;
            }
            number += 1;
        }
    }

    /// Says that an operation is one of this opset, or of later ones.
    pub(crate) fn needs_opset(&mut self, opset: i64) {
        self.opset = self.opset.max(opset);
    }

    /// Keeps a name for what comes later; whether nothing has it.
    pub(crate) fn reserve(&mut self, name: &str) -> bool {
        self.names.insert(name.to_owned())
    }

    /// A dimension that no other input has: the number of values of a list. Its name is an identifier, as runtimes compute with it.
    pub(crate) fn ragged(&mut self) -> Size {
        self.ragged += 1;
        named(&format!("values_{}", self.ragged))
    }

    /// Adds an input.
    pub(crate) fn input(&mut self, name: &str, of: DataType, shape: &[Size], holds: String, feature: &str) -> Value {
        let name = self.unique(name);
        self.input_infos.push(value_info(&name, of, shape, &holds));
        let features = if feature.is_empty() { vec![] } else { vec![feature.to_owned()] };
        self.inputs.push(port(&name, of, shape, holds, features));
        name
    }

    /// Adds an output that has a name already, and what it is called in the graph.
    pub(crate) fn output(&mut self, name: &str, of: DataType, shape: &[Size], holds: String) {
        self.output_infos.push(value_info(name, of, shape, &holds));
        self.outputs.push(port(name, of, shape, holds, Vec::new()));
    }

    /// Adds a node with one output, which is called after `hint`.
    pub(crate) fn op(&mut self, kind: &str, hint: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Value {
        let output = self.unique(hint);
        self.node(kind, "", inputs, vec![output.clone()], attributes);
        output
    }

    /// Adds a node with one output of this name.
    pub(crate) fn op_named(&mut self, kind: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        self.node(kind, "", inputs, vec![name.to_owned()], attributes);
    }

    /// Adds a node of `ai.onnx.ml`.
    pub(crate) fn ml(&mut self, kind: &str, hint: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Value {
        let output = self.unique(hint);
        self.node(kind, "ai.onnx.ml", inputs, vec![output.clone()], attributes);
        output
    }

    /// Columns of `x` `[B, parts]`, each `[B, 1]`, or elements of a list `[parts]`, each `[1]`.
    pub(crate) fn split(&mut self, x: &str, axis: i64, parts: usize, hint: &str) -> Vec<Value> {
        if parts == 1 {
            return vec![x.to_owned()];
        }
        let outputs: Vec<Value> = (0..parts).map(|_| self.unique(hint)).collect();
        // The sizes are given since opsets differ in what they take without them.
        let sizes = self.int64s(&vec![1; parts]);
        self.node("Split", "", &[x, &sizes], outputs.clone(), vec![crate::schema::int("axis", axis)]);
        outputs
    }

    fn node(&mut self, kind: &str, domain: &str, inputs: &[&str], output: Vec<String>, attribute: Vec<AttributeProto>) {
        let name = output.first().map(|output| format!("{output}:{kind}"));
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output,
            name,
            op_type: Some(kind.to_owned()),
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
            attribute,
            ..NodeProto::default()
        });
    }

    /// Inputs side by side along an axis; one is what it is.
    pub(crate) fn concat(&mut self, hint: &str, inputs: &[Value], axis: i64) -> Value {
        if let [only] = inputs {
            return only.clone();
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.op("Concat", hint, &inputs, vec![crate::schema::int("axis", axis)])
    }

    /// The sum of values of one shape; one is what it is.
    pub(crate) fn sum(&mut self, hint: &str, inputs: &[Value]) -> Value {
        if let [only] = inputs {
            return only.clone();
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.op("Sum", hint, &inputs, Vec::new())
    }

    /// `[B]` as a column `[B, 1]`.
    pub(crate) fn column(&mut self, x: &str) -> Value {
        let axes = self.int64s(&[1]);
        self.op("Unsqueeze", &format!("{x}/column"), &[x, &axes], Vec::new())
    }

    /// The same elements in another type.
    pub(crate) fn cast(&mut self, x: &str, hint: &str, to: DataType) -> Value {
        self.op("Cast", hint, &[x], vec![crate::schema::int("to", i64::from(i32::from(to)))])
    }

    /// The model's tensor of this name.
    pub(crate) fn weight(&mut self, tensor: &str, shape: &[usize]) -> Value {
        if let Some(value) = self.weights.get(tensor) {
            return value.clone();
        }
        let name = self.unique(tensor);
        let elements = Elements::Weight(tensor.to_owned());
        self.constants.push(Constant { name: name.clone(), of: DataType::Float, shape: shape.to_vec(), elements });
        self.weights.insert(tensor.to_owned(), name.clone());
        name
    }

    /// Whole numbers `[n]`.
    pub(crate) fn int64s(&mut self, values: &[i64]) -> Value {
        self.constant(DataType::Int64, vec![values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A whole number without dimensions.
    pub(crate) fn int64(&mut self, value: i64) -> Value {
        self.constant(DataType::Int64, vec![], value.to_le_bytes().to_vec())
    }

    /// A number of 32 bits without dimensions.
    pub(crate) fn float(&mut self, value: f32) -> Value {
        self.constant(DataType::Float, vec![], value.to_le_bytes().to_vec())
    }

    /// A number of 64 bits without dimensions.
    pub(crate) fn double(&mut self, value: f64) -> Value {
        self.constant(DataType::Double, vec![], value.to_le_bytes().to_vec())
    }

    /// A number without dimensions, f64 or else f32.
    pub(crate) fn number(&mut self, value: f64, of: DataType) -> Value {
        if of == DataType::Double { self.double(value) } else { self.float(value as f32) }
    }

    /// `ln(1 + x)` of numbers `of`, which ONNX has no operation for. `1 + x` rounds; with u the rounded sum, `ln(u) x / (u - 1)` has
    /// all digits (Higham, *Accuracy and Stability of Numerical Algorithms*, section 1.14.1), and where u is 1 it is x.
    pub(crate) fn log1p(&mut self, hint: &str, x: &str, of: DataType) -> Value {
        let at = |part: &str| format!("{hint}/{part}");
        let (one, zero) = (self.number(1.0, of), self.number(0.0, of));
        let u = self.op("Add", &at("one_more"), &[x, &one], vec![]);
        let rounded = self.op("Sub", &at("rounded"), &[&u, &one], vec![]);
        let log = self.op("Log", &at("log"), &[&u], vec![]);
        let product = self.op("Mul", &at("product"), &[&log, x], vec![]);
        let exact = self.op("Div", &at("exact"), &[&product, &rounded], vec![]);
        let is_small = self.op("Equal", &at("is_small"), &[&rounded, &zero], vec![]);
        self.op("Where", hint, &[&is_small, x, &exact], vec![])
    }

    /// Numbers of 64 bits, of this shape.
    pub(crate) fn doubles(&mut self, values: &[f64], shape: Vec<usize>) -> Value {
        self.constant(DataType::Double, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// True or false, of this shape.
    pub(crate) fn bools(&mut self, values: &[bool], shape: Vec<usize>) -> Value {
        self.constant(DataType::Bool, shape, values.iter().map(|&v| u8::from(v)).collect())
    }

    fn constant(&mut self, of: DataType, shape: Vec<usize>, bytes: Vec<u8>) -> Value {
        let key = (i32::from(of), shape, bytes);
        if let Some(value) = self.known.get(&key) {
            return value.clone();
        }
        let name = self.unique("constant");
        let (_, shape, bytes) = key.clone();
        self.constants.push(Constant { name: name.clone(), of, shape, elements: Elements::Bytes(bytes) });
        self.known.insert(key, name.clone());
        name
    }
}

fn port(name: &str, of: DataType, shape: &[Size], holds: String, features: Vec<String>) -> Port {
    let elements = match of {
        DataType::Double => "double",
        DataType::Int64 => "int64",
        DataType::String => "string",
        _ => "float",
    };
    let dimension = |size: &Size| match size {
        Size::DimValue(size) => size.to_string(),
        Size::DimParam(name) => name.clone(),
    };
    Port { name: name.to_owned(), elements, shape: shape.iter().map(dimension).collect(), holds, features }
}
