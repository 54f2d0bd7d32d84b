//! The innermost loops: one or two rows of tiles of C over a whole reduction.
//!
//! Tiles hold values only within one `asm!` block, which names them as clobbered. Their configuration lasts
//! longer, as long as a [`super::Configured`] lives; no compiled code reads or writes it.

use std::arch::asm;

use super::{LANES, Pair, ROWS};

/// What a block reads and writes: [`ROWS`] rows of C, or twice as many. Strides are in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Squares, one after another along the reduction.
    pub(super) a: *const Pair,
    /// From a square to the one below.
    pub(super) a_below: usize,
    /// A panel, from its first column.
    pub(super) b: *const Pair,
    /// Length of the reduction in tiles.
    pub(super) steps: usize,
    pub(super) sums: *mut f32,
    pub(super) sums_row: usize,
    /// Whether sums go on from what is there.
    pub(super) add: bool,
}

/// Bytes of a tile's row.
const ROW: usize = LANES * size_of::<Pair>();

/// A block whose columns of tiles are (tile of the sum, bytes from the row's start). The second row of tiles takes them in
/// reverse: it begins with the tile of B that the first ended with.
macro_rules! block {
    ($(#[$doc:meta])* $name:ident, $wide:literal, [$(($t:literal, $at:literal))*]
     $(, $a2:ident $c2:ident ($t0:literal, $at0:literal) [$(($u:literal, $bt:literal))*])?) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The processor has AMX, this thread's tiles are configured in full, and the memory that the fields describe
        /// may be read, sums written: whole tiles of each.
        unsafe fn $name(block: &Block) {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    "test {add}, {add}",
                    "jz 2f",
                    $(concat!("tileloadd tmm", $t, ", [{c} + {c_row} + ", $at, "]"),)*
                    $(
                        concat!("tileloadd tmm", $t0, ", [{", stringify!($c2), "} + {c_row} + ", $at0, "]"),
                        $(concat!("tileloadd tmm", $u, ", [{", stringify!($c2), "} + {c_row} + ", $bt, "]"),)*
                    )?
                    "jmp 3f",
                    "2:",
                    $(concat!("tilezero tmm", $t),)*
                    $(
                        concat!("tilezero tmm", $t0),
                        $(concat!("tilezero tmm", $u),)*
                    )?
                    "3:",
                    "test {steps}, {steps}",
                    "jz 5f",
                    "4:",
                    "tileloadd tmm6, [{a} + {row}]",
                    $(
                        concat!("tileloadd tmm7, [{b} + {b_row} + ", $at, "]"),
                        concat!("tdpbf16ps tmm", $t, ", tmm6, tmm7"),
                    )*
                    $(
                        concat!("tileloadd tmm6, [{", stringify!($a2), "} + {row}]"),
                        concat!("tdpbf16ps tmm", $t0, ", tmm6, tmm7"),
                        $(
                            concat!("tileloadd tmm7, [{b} + {b_row} + ", $bt, "]"),
                            concat!("tdpbf16ps tmm", $u, ", tmm6, tmm7"),
                        )*
                        concat!("add {", stringify!($a2), "}, {step}"),
                    )?
                    "add {a}, {step}",
                    "add {b}, {b_step}",
                    "dec {steps}",
                    "jnz 4b",
                    "5:",
                    $(concat!("tilestored [{c} + {c_row} + ", $at, "], tmm", $t),)*
                    $(
                        concat!("tilestored [{", stringify!($c2), "} + {c_row} + ", $at0, "], tmm", $t0),
                        $(concat!("tilestored [{", stringify!($c2), "} + {c_row} + ", $bt, "], tmm", $u),)*
                    )?
                    add = in(reg) usize::from(block.add),
                    a = inout(reg) block.a => _,
                    row = in(reg) ROW,
                    b = inout(reg) block.b => _,
                    b_row = in(reg) $wide * ROW,
                    c = in(reg) block.sums,
                    c_row = in(reg) block.sums_row,
                    steps = inout(reg) block.steps => _,
                    step = const ROWS * ROW,
                    b_step = const $wide * LANES * ROW,
                    $(
                        $a2 = inout(reg) block.a.wrapping_byte_add(block.a_below) => _,
                        $c2 = in(reg) block.sums.wrapping_byte_add(ROWS * block.sums_row),
                    )?
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

block!(/** 16 x 16 sums. */ one_by_one, 1, [(0, 0)]);
block!(/** 16 x 32 sums. */ one_by_two, 2, [(0, 0) (1, 64)]);
block!(/** 16 x 48 sums. */ one_by_three, 3, [(0, 0) (1, 64) (2, 128)]);
block!(/** 32 x 16 sums. */ two_by_one, 1, [(0, 0)], a2 c2 (3, 0) []);
block!(/** 32 x 32 sums. */ two_by_two, 2, [(0, 0) (1, 64)], a2 c2 (4, 64) [(3, 0)]);
block!(/** 32 x 48 sums. */ two_by_three, 3, [(0, 0) (1, 64) (2, 128)], a2 c2 (5, 128) [(4, 64) (3, 0)]);

/// Multiplies one block of `high` by `WIDE` tiles.
///
/// # Safety
/// As every block; `high` is 1 or 2, and `WIDE` at most 3.
pub(super) unsafe fn run<const WIDE: usize>(high: usize, block: &Block) {
    // SAFETY: the caller's promise.
    unsafe {
        match (high, WIDE) {
            (1, 1) => one_by_one(block),
            (1, 2) => one_by_two(block),
            (1, _) => one_by_three(block),
            (_, 1) => two_by_one(block),
            (_, 2) => two_by_two(block),
            (_, _) => two_by_three(block),
        }
    }
}
