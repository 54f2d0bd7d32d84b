//! Named tensors whose elements are read and written in parts, so that weights larger than half the memory need no
//! copy.

use std::collections::BTreeMap;
use std::ops::Range;

use xxhash_rust::xxh64::Xxh64;

/// Shape of every tensor by name.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Elements that are handed over at a time.
pub const PART: usize = 1 << 20;

/// Tensors that can be read.
pub trait TensorSource {
    /// What there is.
    fn shapes(&self) -> Shapes;

    /// Appends elements `range` of a tensor, in row-major order, to `out`; nothing for one that is not there.
    fn read(&self, name: &str, range: Range<usize>, out: &mut Vec<f32>);
}

/// Tensors that can be written.
pub trait TensorSink {
    /// What is expected.
    fn shapes(&self) -> Shapes;

    /// Replaces the elements of a tensor from `at` on, in row-major order.
    fn write(&mut self, name: &str, at: usize, values: &[f32]);
}

/// Ranges of `len` elements that are handed over one after the other.
pub(crate) fn parts(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PART).map(move |from| from..len.min(from + PART))
}

/// XXH64 (seed 0) of tensors that come in the order of their names: of each its name, a zero byte, its dimensions as
/// little-endian u64, its elements as little-endian f32.
pub(crate) struct TensorHash(Xxh64);

impl TensorHash {
    pub(crate) fn new() -> Self {
        Self(Xxh64::new(0))
    }

    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) {
        self.0.update(name.as_bytes());
        self.0.update(&[0]);
        shape.iter().for_each(|&n| self.0.update(&(n as u64).to_le_bytes()));
    }

    /// Some of its elements, as they are written.
    pub(crate) fn elements(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.0.digest()
    }
}
