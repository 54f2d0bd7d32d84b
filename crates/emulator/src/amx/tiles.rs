//! Tiles in memory, and the effects of instructions on them as Intel defines.

use std::arch::asm;

use super::Refusal;

/// Rows of a tile, and units of 32 bits in a row.
const ROWS: usize = 16;
const UNITS: usize = 16;

/// Rounding to nearest, no exceptions, subnormal numbers of operands and results zero: the control word (MXCSR) that
/// products of tiles always have.
static FLUSHING: u32 = 0x9FC0;

/// The eight tiles of a thread.
pub(super) struct Tiles {
    configured: bool,
    /// Units in a row, and rows; both zero for a tile that cannot be used.
    shapes: [(usize, usize); 8],
    data: [[[u32; UNITS]; ROWS]; 8],
}

impl Tiles {
    /// Without a configuration.
    pub(super) const fn new() -> Self {
        Self { configured: false, shapes: [(0, 0); 8], data: [[[0; UNITS]; ROWS]; 8] }
    }

    /// LDTILECFG: palette, first row (0 but after a fault), 14 bytes of zeros; row bytes of eight tiles, 16 bytes of zeros;
    /// rows of eight tiles, 8 bytes of zeros. All tiles become zero.
    pub(super) fn configure(&mut self, memory: &[u8; 64]) -> Result<(), Refusal> {
        let (head, rest) = memory.split_at(16);
        let (row_bytes, rest) = rest.split_at(16);
        let (gap, rest) = rest.split_at(16);
        let (rows, end) = rest.split_at(8);
        if head[0] != 1 {
            return Err("a palette that is not 1");
        }
        if head[1..].iter().chain(gap).chain(end).any(|&byte| byte != 0) {
            return Err("a configuration with reserved bits set");
        }
        *self = Self::new();
        for ((shape, bytes), &rows) in self.shapes.iter_mut().zip(row_bytes.as_chunks::<2>().0).zip(rows) {
            let (bytes, rows) = (usize::from(u16::from_le_bytes(*bytes)), usize::from(rows));
            if bytes > 4 * UNITS || rows > ROWS {
                return Err("a tile that is too large");
            }
            if (bytes == 0) != (rows == 0) {
                return Err("a tile with rows of nothing, or no rows of something");
            }
            // Intel lets this pass here and refuses it when the tile is used, as this does: no product of units fits.
            *shape = (if bytes.is_multiple_of(4) { bytes / 4 } else { 0 }, rows);
        }
        self.configured = true;
        Ok(())
    }

    /// Units in a row, and rows.
    fn shape(&self, tile: usize) -> Result<(usize, usize), Refusal> {
        if !self.configured {
            return Err("tiles are not configured");
        }
        match self.shapes[tile] {
            (0, _) | (_, 0) => Err("a tile that the configuration leaves out"),
            shape => Ok(shape),
        }
    }

    /// TILEZERO.
    pub(super) fn zero(&mut self, tile: usize) -> Result<(), Refusal> {
        self.shape(tile)?;
        self.data[tile] = [[0; UNITS]; ROWS];
        Ok(())
    }

    /// TILELOADD: rows from `start` on, `stride` bytes apart. What is beyond the tile's shape becomes zero.
    ///
    /// # Safety
    /// The rows may be read, as far as the tile's shape goes.
    pub(super) unsafe fn load(&mut self, tile: usize, start: *const u8, stride: isize) -> Result<(), Refusal> {
        let (units, rows) = self.shape(tile)?;
        self.data[tile] = [[0; UNITS]; ROWS];
        for (i, row) in self.data[tile].iter_mut().take(rows).enumerate() {
            let from = start.wrapping_offset(i as isize * stride);
            // SAFETY: the caller's promise; a row of the tile has room for 16 units.
            unsafe { from.copy_to_nonoverlapping(row.as_mut_ptr().cast(), 4 * units) };
        }
        Ok(())
    }

    /// TILESTORED.
    ///
    /// # Safety
    /// The rows may be written, as far as the tile's shape goes.
    pub(super) unsafe fn store(&self, tile: usize, start: *mut u8, stride: isize) -> Result<(), Refusal> {
        let (units, rows) = self.shape(tile)?;
        for (i, row) in self.data[tile].iter().take(rows).enumerate() {
            let to = start.wrapping_offset(i as isize * stride);
            // SAFETY: the caller's promise.
            unsafe { to.copy_from_nonoverlapping(row.as_ptr().cast(), 4 * units) };
        }
        Ok(())
    }

    /// TDPBF16PS: `sum += a b`, with pairs as elements of `a` [m, k] and `b` [k, n].
    pub(super) fn multiply(&mut self, sum: usize, a: usize, b: usize) -> Result<(), Refusal> {
        let [(n, m), (k, a_rows), (b_units, b_rows)] = [self.shape(sum)?, self.shape(a)?, self.shape(b)?];
        if sum == a || sum == b || a == b {
            return Err("a product of one tile with itself");
        }
        if m != a_rows || k != b_rows || n != b_units {
            return Err("a product of tiles whose shapes do not fit");
        }
        let (a, b) = (self.data[a], self.data[b]);
        for (sums, a) in self.data[sum].iter_mut().zip(&a).take(m) {
            add_products(sums, &a[..k], &b);
            sums[n..].fill(0);
        }
        self.data[sum][m..].fill([0; UNITS]);
        Ok(())
    }
}

/// One row: earlier terms of all pairs one after another onto zero, later ones too, then both together, then that onto the
/// sum; fused, in f32, with [`FLUSHING`].
///
/// The order of operations is that of Intel's pseudo-code (SDM, TDPBF16PS). In assembly, since compiled code must never meet
/// another control word than the usual one.
fn add_products(sums: &mut [u32; UNITS], a: &[u32], b: &[[u32; UNITS]; ROWS]) {
    assert!((1..=ROWS).contains(&a.len()));
    let mut usual = 0u32;
    // SAFETY: reads `a`, as many rows of `b`, `sums` and the control words, and writes `sums` and `usual`; the control word
    // is the usual one again at the end. The processor has AVX-512: nothing is emulated without (`install`).
    unsafe {
        asm!(
            "stmxcsr [{usual}]",
            "ldmxcsr [{flushing}]",
            "vpxord zmm0, zmm0, zmm0",
            "vpxord zmm1, zmm1, zmm1",
            "vpbroadcastd zmm2, {upper:e}",
            "2:",
            "vpbroadcastd zmm3, dword ptr [{a}]",
            "vmovdqu32 zmm4, zmmword ptr [{b}]",
            "vpslld zmm5, zmm3, 16",
            "vpslld zmm6, zmm4, 16",
            "vfmadd231ps zmm0, zmm5, zmm6",
            "vpandd zmm5, zmm3, zmm2",
            "vpandd zmm6, zmm4, zmm2",
            "vfmadd231ps zmm1, zmm5, zmm6",
            "add {a}, 4",
            "add {b}, 64",
            "dec {left}",
            "jnz 2b",
            "vaddps zmm0, zmm0, zmm1",
            "vmovdqu32 zmm1, zmmword ptr [{sums}]",
            "vaddps zmm0, zmm1, zmm0",
            "vmovdqu32 zmmword ptr [{sums}], zmm0",
            "ldmxcsr [{usual}]",
            usual = in(reg) &raw mut usual,
            flushing = in(reg) &raw const FLUSHING,
            upper = in(reg) 0xFFFF_0000u32,
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            sums = in(reg) sums.as_mut_ptr(),
            left = inout(reg) a.len() => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HUGE: f32 = 16_777_216.0;

    /// Two bf16, of numbers that are some.
    fn pair(earlier: f32, later: f32) -> u32 {
        assert!(earlier.to_bits() & 0xFFFF == 0 && later.to_bits() & 0xFFFF == 0, "{earlier} and {later} are bf16");
        earlier.to_bits() >> 16 | later.to_bits()
    }

    fn configuration(tiles: &[(u16, u8)]) -> [u8; 64] {
        let mut memory = [0; 64];
        memory[0] = 1;
        for (tile, &(row_bytes, rows)) in tiles.iter().enumerate() {
            memory[16 + 2 * tile..][..2].copy_from_slice(&row_bytes.to_le_bytes());
            memory[48 + tile] = rows;
        }
        memory
    }

    /// `c + sum of a b`, by tiles of one sum.
    fn product(c: f32, a: &[(f32, f32)], b: &[(f32, f32)]) -> f32 {
        let k = a.len() as u8;
        let mut tiles = Tiles::new();
        tiles.configure(&configuration(&[(4, 1), (4 * u16::from(k), 1), (4, k)])).unwrap();
        let [a, b] = [a, b].map(|x| x.iter().map(|&(x, y)| pair(x, y)).collect::<Vec<u32>>());
        let mut c = c.to_bits();
        // SAFETY: a row of `k` units, `k` rows of one unit, and one sum, are what the configuration tells.
        unsafe {
            tiles.load(0, (&raw const c).cast(), 4).unwrap();
            tiles.load(1, a.as_ptr().cast(), 4).unwrap();
            tiles.load(2, b.as_ptr().cast(), 4).unwrap();
            tiles.multiply(0, 1, 2).unwrap();
            tiles.store(0, (&raw mut c).cast(), 4).unwrap();
        }
        f32::from_bits(c)
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        if !is_x86_feature_detected!("avx512f") {
            return;
        }
        assert_eq!(product(10.0, &[(1.0, 2.0)], &[(3.0, 4.0)]), 21.0);
        // Earlier terms: 2^24 + 1 is 2^24 in f32. Later ones: 1 + 1. In one chain it would be 2^24.
        let ones = [(1.0, 1.0); 2];
        assert_eq!(product(0.0, &[(HUGE, 1.0), (1.0, 1.0)], &ones), HUGE + 2.0);
        // The old sum comes last: 1 + (2^24 + 2) is a tie, which goes to the even 2^24 + 4.
        assert_eq!(product(1.0, &[(HUGE, 1.0), (1.0, 1.0)], &ones), HUGE + 4.0);
        // Fused: 2^128 is beyond f32 by itself, and 2^128 - 2^127 is not.
        let large = 2f32.powi(127);
        assert_eq!(product(0.0, &[(-large, 0.0), (large, 0.0)], &[(1.0, 0.0), (2.0, 0.0)]), large);
        assert_eq!(product(0.0, &[(large, 0.0)], &[(2.0, 0.0)]), f32::INFINITY);
        assert!(product(f32::NEG_INFINITY, &[(large, 0.0)], &[(2.0, 0.0)]).is_nan());
    }

    #[test]
    fn subnormal_numbers_are_zero() {
        if !is_x86_feature_detected!("avx512f") {
            return;
        }
        let (tiny, large) = (f32::from_bits(1 << 16), 2f32.powi(120));
        assert!(tiny > 0.0 && !tiny.is_normal());
        assert_eq!(product(0.0, &[(tiny, large)], &[(large, tiny)]), 0.0, "of an operand");
        assert_eq!(product(tiny, &[(0.0, 0.0)], &[(0.0, 0.0)]), 0.0, "of the old sum");
        let small = 2f32.powi(-70);
        assert_eq!(product(0.0, &[(small, 0.0)], &[(small, 0.0)]), 0.0, "of the result");
        // The control word is the usual one again: this is no constant for the compiler.
        assert!(std::hint::black_box(tiny) * 0.5 > 0.0);
    }

    #[test]
    fn rows_and_columns_are_where_they_belong() {
        if !is_x86_feature_detected!("avx512f") {
            return;
        }
        let (m, k, n) = (3, 2, 5);
        let mut tiles = Tiles::new();
        tiles.configure(&configuration(&[(20, 3), (8, 3), (20, 2)])).unwrap();
        let a: Vec<u32> = (0..m * k).map(|i| pair(i as f32, 1.0)).collect();
        let b: Vec<u32> = (0..k * n).map(|i| pair(i as f32, -1.0)).collect();
        // One column more than the tile has.
        let mut c = vec![7.0f32; m * (n + 1)];
        // SAFETY: three rows of two units, two of five, and three of five with one between.
        unsafe {
            tiles.zero(0).unwrap();
            tiles.load(1, a.as_ptr().cast(), 8).unwrap();
            tiles.load(2, b.as_ptr().cast(), 20).unwrap();
            tiles.multiply(0, 1, 2).unwrap();
            tiles.store(0, c.as_mut_ptr().cast(), 24).unwrap();
        }
        for (i, row) in c.chunks(n + 1).enumerate() {
            let sum = |j: usize| (0..k).map(|r| ((i * k + r) * (r * n + j)) as f32 - 1.0).sum::<f32>();
            assert_eq!(row[..n], (0..n).map(sum).collect::<Vec<f32>>());
            assert_eq!(row[n], 7.0);
        }
    }

    #[test]
    fn what_a_processor_refuses_is_refused() {
        let refused = |memory: [u8; 64]| Tiles::new().configure(&memory).unwrap_err();
        let changed = |at: usize, to: u8| {
            let mut memory = configuration(&[(64, 16); 8]);
            assert_eq!(Tiles::new().configure(&memory), Ok(()));
            memory[at] = to;
            memory
        };
        assert!(refused(changed(0, 0)).contains("palette"));
        for reserved in [1, 15, 32, 47, 56] {
            assert!(refused(changed(reserved, 1)).contains("reserved"));
        }
        assert!(refused(changed(16, 65)).contains("too large"));
        assert!(refused(changed(55, 17)).contains("too large"));
        assert!(refused(changed(48, 0)).contains("rows of nothing"));

        let mut tiles = Tiles::new();
        assert!(tiles.zero(0).unwrap_err().contains("not configured"));
        let shapes = [(64, 16), (64, 8), (32, 16), (0, 0), (64, 16), (6, 2), (64, 8)];
        tiles.configure(&configuration(&shapes)).unwrap();
        for left_out in [3, 5, 7] {
            assert!(tiles.zero(left_out).unwrap_err().contains("leaves out"));
        }
        assert!(tiles.multiply(0, 4, 4).unwrap_err().contains("itself"));
        // 16 x 8 by 8 x 16 fits, and no other order of the same tiles.
        for (sum, a, b) in [(0, 1, 4), (0, 2, 4), (0, 4, 1), (1, 2, 6), (4, 1, 0)] {
            assert!(tiles.multiply(sum, a, b).unwrap_err().contains("do not fit"), "{sum} {a} {b}");
        }
    }
}
