//! Whether tables fit in memory, found out before they are filled: the system promises more than it has, and ends the
//! process when that shows.

use pleiad_model::graph::TableSpec;

use super::{TableOptions, TablePrecision};
use crate::{Error, Result};

/// Tables below this size in all are not worth a question to the system.
const WORTH_ASKING: u64 = 1 << 30;

/// Refuses tables with `slots` state values per weight that need more memory than is free. Where that is not known, or
/// they are kept in files, none are.
///
/// # Errors
/// [`Error::TablesTooLarge`].
pub(crate) fn check_memory(tables: &[TableSpec], slots: usize, options: &TableOptions) -> Result<()> {
    if options.folder.is_some() {
        return Ok(());
    }
    let bytes: u64 = tables.iter().fold(0, |sum: u64, table| sum.saturating_add(bytes(table, slots, options)));
    let largest = tables.iter().max_by_key(|table| bytes_of_rows(table));
    match (largest, free_memory()) {
        (Some(largest), Some(free)) if bytes >= WORTH_ASKING && bytes > free => {
            Err(Error::TablesTooLarge { bytes, free, largest: largest.name.clone(), rows: largest.rows })
        }
        _ => Ok(()),
    }
}

fn bytes_of_rows(table: &TableSpec) -> u64 {
    table.rows.saturating_mul(table.dim as u64)
}

fn bytes(table: &TableSpec, slots: usize, options: &TableOptions) -> u64 {
    let width = match options.precision {
        TablePrecision::F32 => 4,
        TablePrecision::Bf16 => 2,
    };
    bytes_of_rows(table).saturating_mul((1 + slots as u64) * width)
}

/// Where a container's limit stands, by the version of control groups.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Bytes that can be filled before the system, or the container's share of it, runs out of them, if it says so.
fn free_memory() -> Option<u64> {
    // A container without a limit says "max", or a number larger than any memory.
    let limit = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = LIMITS.iter().filter_map(limit).min();
    match (free_in_system(), limit) {
        (Some(free), Some(limit)) => Some(free.min(limit)),
        (free, limit) => free.or(limit),
    }
}

fn free_in_system() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_end().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((kibibytes("MemAvailable:")? + kibibytes("SwapFree:").unwrap_or(0)).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pleiad_model::init::Init;

    use super::*;

    fn spec(name: &str, rows: u64) -> TableSpec {
        TableSpec { name: name.to_owned(), rows, dim: 16, init: Init::Zeros }
    }

    #[test]
    fn tables_that_fit_alone_but_not_together_are_refused_with_the_way_out() {
        let Some(free) = free_memory() else { return };
        // Far from the limit on both sides: others take and give memory meanwhile.
        let tables = [spec("users", free / 64), spec("items", free / 64 + 1)];
        let small = [spec("users", 1000)];
        let options = |precision, folder| TableOptions { precision, folder };
        let message = check_memory(&tables, 2, &options(TablePrecision::F32, None)).unwrap_err().to_string();
        for told in ["`items`", "table_folder", "embedding_precision"] {
            assert!(message.contains(told), "{message}");
        }
        check_memory(&small, 2, &options(TablePrecision::F32, None)).unwrap();
        check_memory(&tables, 2, &options(TablePrecision::F32, Some("anywhere".into()))).unwrap();
        check_memory(&tables[..1], 0, &options(TablePrecision::Bf16, None)).unwrap();
        assert!(check_memory(&[spec("most", u64::MAX)], 2, &options(TablePrecision::Bf16, None)).is_err());
    }
}
