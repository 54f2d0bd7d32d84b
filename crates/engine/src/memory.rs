//! Checks whether a model fits in memory before any is allocated: the system grants more memory than it has, and ends
//! the process when the memory is used.

use pleiad_model::Graph;
use pleiad_model::graph::{Op, TableSpec};

use crate::exec::MAX_LANES;
use crate::kernels::arithmetic::Arithmetic;
use crate::plan::Target;
use crate::precision::{Kernels, Precision};
use crate::runner::{lanes, shards};
use crate::sparse::{TableOptions, TablePrecision};
use crate::{EngineOptions, Error, Result};

/// Needs below this are not worth a question to the system.
const WORTH_ASKING: u128 = 1 << 26;

/// Bytes of a number.
const F32: u128 = 4;

/// Address space that a limited process is left for all that is no part of the model.
const SPARE: u64 = 1 << 28;

/// Refuses a model that needs more memory in training than is free, with batches of `batch_rows` rows; where that is not
/// known, none is. Numbers are added up in 128 bits, so nothing is too large to be counted.
///
/// What is counted is needed in any case: weights, their optimizer state, the gradient and that of every lane, weights as
/// products want them, forth and back, one more copy (of the weights before the first epoch, to see whether they have moved, and
/// after it of those that predictions want packed), the values of one shard, the gradients of looked-up vectors.
///
/// # Errors
/// [`Error::TablesTooLarge`] where embedding tables are the larger part, else [`Error::ModelTooLarge`].
pub fn check_memory(graph: &Graph, options: &EngineOptions, batch_rows: usize) -> Result<()> {
    let tables = table_bytes(&graph.tables, options.embedding_optimizer.slots(), &options.tables);
    let lanes = lanes(shards(batch_rows, shard_rows()).len(), MAX_LANES).len().max(1);
    let packed = match Arithmetic::choose(options.precision, options.kernels) {
        Arithmetic::Plain => 0,
        Arithmetic::Tiles => 2,
        // In half of the space each; or once, rounded.
        Arithmetic::PairTiles | Arithmetic::Amx | Arithmetic::Rounded => 1,
    };
    let copies = Copies {
        plain: 3 + lanes - packed_to_predict() + options.optimizer.slots(),
        packed: packed + packed_to_predict(),
    };
    refuse(graph, tables, dense_bytes(graph, copies, batch_rows))
}

/// Refuses a model that needs more memory than is free to be opened and to predict: its weights as they are read, where they
/// are computed with, and as products want them; tables once.
///
/// # Errors
/// As [`check_memory`].
pub fn check_memory_to_predict(graph: &Graph) -> Result<()> {
    let tables = table_bytes(&graph.tables, 0, &TableOptions::default());
    refuse(graph, tables, dense_bytes(graph, Copies { plain: 2, packed: packed_to_predict() }, 1))
}

/// Refuses an average of the weights that needs more memory than is free: one more copy of the dense ones.
///
/// # Errors
/// As [`check_memory`].
pub(crate) fn check_memory_to_average(graph: &Graph) -> Result<()> {
    refuse(graph, 0, dense_bytes(graph, Copies { plain: 1, packed: 0 }, 0))
}

/// Rows of a shard in training.
fn shard_rows() -> usize {
    Target::cpu().shard_rows
}

/// How often predictions need the weights as products want them.
fn packed_to_predict() -> usize {
    usize::from(Arithmetic::choose(Precision::F32, Kernels::Fastest) != Arithmetic::Plain)
}

fn refuse(graph: &Graph, tables: u128, dense: u128) -> Result<()> {
    let bytes = tables.saturating_add(dense);
    if bytes < WORTH_ASKING {
        return Ok(());
    }
    let Some(free) = free_memory().filter(|&free| bytes > u128::from(free)) else { return Ok(()) };
    let told = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
    if let Some(largest) = graph.tables.iter().max_by_key(|table| numbers(table)).filter(|_| tables >= dense) {
        let (bytes, rows) = (told(tables.max(1)), largest.rows);
        return Err(Error::TablesTooLarge { bytes, free, largest: largest.name.clone(), rows });
    }
    let largest = graph.params.iter().max_by_key(|param| elements(&param.shape));
    let (largest, parameters) = largest.map_or_else(Default::default, |p| (p.name.clone(), elements(&p.shape)));
    Err(Error::ModelTooLarge { bytes: told(bytes), free, largest, parameters: told(parameters) })
}

fn table_bytes(tables: &[TableSpec], slots: usize, options: &TableOptions) -> u128 {
    if options.folder.is_some() {
        return 0;
    }
    let width: u128 = match options.precision {
        TablePrecision::F32 => 4,
        TablePrecision::Bf16 => 2,
    };
    tables.iter().fold(0, |sum, table| numbers(table).saturating_mul((1 + slots as u128) * width).saturating_add(sum))
}

fn numbers(table: &TableSpec) -> u128 {
    u128::from(table.rows).saturating_mul(table.dim as u128)
}

fn elements(shape: &[usize]) -> u128 {
    shape.iter().fold(1, |n, &d| n.saturating_mul(d as u128))
}

/// How often dense parameters lie in memory.
#[derive(Clone, Copy)]
struct Copies {
    /// As they are.
    plain: usize,
    /// As products want them: once for every product, so twice where two layers share their weights.
    packed: usize,
}

/// `copies` of the dense parameters, and what a batch needs.
fn dense_bytes(graph: &Graph, copies: Copies, batch_rows: usize) -> u128 {
    let parameters = graph.params.iter().fold(0u128, |sum, param| sum.saturating_add(elements(&param.shape)));
    let (mut values, mut looked_up, mut multiplied) = (0u128, 0u128, 0u128);
    for node in &graph.nodes {
        if let Op::Linear { weight, .. } = &node.op {
            multiplied = multiplied.saturating_add(elements(&graph.params[weight.0].shape));
        }
        match node.op {
            // They have places of their own on the way; what is put together or bent lies where it was computed.
            Op::Concat | Op::Activation { .. } => {}
            // There may be none.
            Op::Events { .. } => {}
            Op::Embedding { .. } => looked_up = looked_up.saturating_add(node.width as u128),
            _ => values = values.saturating_add(node.width as u128),
        }
    }
    let shard = values.saturating_mul(shard_rows() as u128);
    let batch = looked_up.saturating_mul(batch_rows as u128);
    let plain = parameters.saturating_mul(copies.plain as u128);
    let packed = multiplied.saturating_mul(copies.packed as u128);
    F32.saturating_mul(plain.saturating_add(packed).saturating_add(shard).saturating_add(batch))
}

/// Where a container's limit stands, by the version of control groups.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Bytes that can be filled before the system, the container's share of it, or the process's limit of address space runs
/// out of them, as far as they say so.
fn free_memory() -> Option<u64> {
    // A container without a limit says "max", or a number larger than any memory.
    let limit = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limits = LIMITS.iter().filter_map(limit);
    limits.chain(free_in_system()).chain(free_addresses()).min()
}

fn free_in_system() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(kibibytes(&text, "MemAvailable:")?.saturating_add(kibibytes(&text, "SwapFree:").unwrap_or(0)))
}

/// What `ulimit -v` leaves.
#[cfg(unix)]
fn free_addresses() -> Option<u64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current?;
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(limit.saturating_sub(kibibytes(&text, "VmSize:")?).saturating_sub(SPARE))
}

#[cfg(not(unix))]
fn free_addresses() -> Option<u64> {
    None
}

/// Bytes in the line of `key` in a text of the system's.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = line.trim_end().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::optim::OptimizerConfig;

    fn options(precision: TablePrecision, folder: Option<&str>) -> EngineOptions {
        EngineOptions {
            optimizer: OptimizerConfig::default(),
            embedding_optimizer: OptimizerConfig::default(),
            clip_norm: None,
            precision: Precision::F32,
            kernels: Kernels::Fastest,
            tables: TableOptions { precision, folder: folder.map(Into::into) },
            seed: 0,
        }
    }

    /// A bottom of these widths over tables of so many rows.
    fn layout(tables: &[(&str, u64)]) -> InputLayout {
        let table = |(slot, &(name, rows)): (usize, &(&str, u64))| Input::Categorical {
            name: name.into(),
            slot,
            table: name.into(),
            rows,
            dim: 16,
            pooling: None,
        };
        InputLayout::new(tables.iter().enumerate().map(table).collect())
    }

    fn graph(tables: &[(&str, u64)], bottom: &[usize]) -> Graph {
        let Value::Object(keys) = json!({ "kind": "hard-sharing", "bottom": bottom }) else { panic!() };
        let task = TaskSpec::new("a", TaskKind::Binary);
        ModelConfig::from_table(keys).unwrap().build(&layout(tables), &[task]).unwrap()
    }

    #[test]
    fn tables_that_fit_alone_but_not_together_are_refused_with_the_way_out() {
        let Some(free) = free_memory() else { return };
        // Far from the limit on both sides: others take and give memory meanwhile.
        let both = graph(&[("users", free / 64), ("items", free / 64 + 1)], &[4]);
        let check = |graph: &Graph, precision, folder| check_memory(graph, &options(precision, folder), 512);
        let message = check(&both, TablePrecision::F32, None).unwrap_err().to_string();
        for told in ["`items`", "table_folder", "embedding_precision"] {
            assert!(message.contains(told), "{message}");
        }
        check(&graph(&[("users", 1000)], &[4]), TablePrecision::F32, None).unwrap();
        check(&both, TablePrecision::F32, Some("anywhere")).unwrap();
        assert!(check(&graph(&[("most", 1 << 58)], &[4]), TablePrecision::Bf16, None).is_err());
    }

    #[test]
    fn dense_sizes_are_added_up_and_the_largest_is_named() {
        if free_memory().is_none() {
            return;
        }
        let wide = graph(&[("users", 10)], &[8, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 4]);
        // Seven times 16 GiB, five times over: no test runs on a machine that has them free.
        let error = check_memory(&wide, &options(TablePrecision::F32, None), 1).unwrap_err();
        let Error::ModelTooLarge { largest, parameters, bytes, .. } = &error else { panic!("{error}") };
        assert!(("bottom.2.weight"..="bottom.8.weight").contains(&largest.as_str()), "{largest}");
        assert_eq!(*parameters, 65_536 * 65_536);
        assert!(*bytes > 7 * 5 * 4 * 65_536 * 65_536);
        check_memory(&graph(&[("users", 10)], &[512, 512]), &options(TablePrecision::F32, None), 4096).unwrap();
    }

    #[test]
    fn weights_of_two_layers_are_packed_for_each() {
        let Value::Object(keys) = json!({ "kind": "aitm", "funnel": ["a", "b"], "bottom": [64], "tower": [8] }) else {
            panic!()
        };
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let graph = ModelConfig::from_table(keys).unwrap().build(&layout(&[("users", 10)]), &tasks).unwrap();
        let parameters: u128 = graph.params.iter().map(|param| elements(&param.shape)).sum();
        let bytes = |plain, packed| dense_bytes(&graph, Copies { plain, packed }, 1);
        assert_eq!(bytes(1, 0) - bytes(0, 0), F32 * parameters);
        assert!(bytes(0, 1) > bytes(1, 0), "three square layers are applied to two inputs each");
    }

    #[test]
    fn a_batch_counts() {
        let one = Copies { plain: 1, packed: 0 };
        let small = graph(&[("users", 10)], &[4]);
        let bytes = |rows| dense_bytes(&small, one, rows);
        assert_eq!(bytes(1001) - bytes(1), 4 * 16 * 1000);
        // Weights and biases of the bottom and of the tower; the values of both for one shard.
        assert_eq!(dense_bytes(&small, one, 0), 4 * (16 * 4 + 4 + 4 + 1 + 256 * (4 + 1)));
    }

    #[test]
    fn sizes_of_the_system_are_read() {
        assert_eq!(kibibytes("MemFree: 1 kB\nMemAvailable:     12 kB\n", "MemAvailable:"), Some(12 * 1024));
        assert_eq!(kibibytes("MemAvailable: many kB", "MemAvailable:"), None);
        assert_eq!(kibibytes("", "MemAvailable:"), None);
    }
}
