//! Strips between protected pages: kernels read and write only the memory that a strip's fields describe.

#![allow(clippy::unwrap_used)]

use std::ptr::null_mut;

use super::*;
use crate::kernels::MatMut;
use crate::kernels::tiles::round_to_bf16;

/// Memory of exactly some elements, with a page that cannot be touched right before its start, or right after its end.
struct Fenced<T> {
    map: *mut libc::c_void,
    bytes: usize,
    start: *mut T,
    len: usize,
}

impl<T: Copy> Fenced<T> {
    fn new(data: &[T], at_the_end: bool) -> Self {
        const PAGE: usize = 4096;
        let inner = size_of_val(data).next_multiple_of(PAGE);
        let bytes = inner + 2 * PAGE;
        // SAFETY: a new mapping, whose first and last page are closed; what is between them holds the elements.
        unsafe {
            let open = libc::PROT_READ | libc::PROT_WRITE;
            let map = libc::mmap(null_mut(), bytes, open, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            assert!(map != libc::MAP_FAILED);
            for fence in [0, bytes - PAGE] {
                assert_eq!(libc::mprotect(map.byte_add(fence), PAGE, libc::PROT_NONE), 0);
            }
            let first = PAGE + if at_the_end { inner - size_of_val(data) } else { 0 };
            let start = map.byte_add(first).cast::<T>();
            start.copy_from_nonoverlapping(data.as_ptr(), data.len());
            Self { map, bytes, start, len: data.len() }
        }
    }

    fn elements(&self) -> &[T] {
        // SAFETY: so many were written there.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    fn elements_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and whole.
        unsafe { libc::munmap(self.map, self.bytes) };
    }
}

/// A bf16 that is no whole number of anything.
fn number(i: usize) -> f32 {
    round_to_bf16(((i as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65536.0 - 0.5)
}

fn pairs(len: usize) -> Vec<Pair> {
    (0..len).map(|i| Pair(number(2 * i).to_bits() >> 16 | number(2 * i + 1).to_bits())).collect()
}

fn terms(pair: Pair) -> [f64; 2] {
    [f32::from_bits(pair.0 << 16), f32::from_bits(pair.0 & 0xFFFF_0000)].map(f64::from)
}

/// One strip, its memory fenced at one side. `gap` columns are between the rows of C.
fn check([rows, cols, depth]: [usize; 3], gap: usize, at_the_end: bool, add: bool, shifts: bool) {
    let (read, width) = (rows.next_multiple_of(ROWS), cols.next_multiple_of(LANES));
    let ldc = cols + gap;
    let a = Fenced::new(&pairs(read * depth), at_the_end);
    let b = Fenced::new(&pairs(depth * width), at_the_end);
    let mut c = Fenced::new(&vec![0.75f32; (rows - 1) * ldc + cols], at_the_end);
    let bias = Fenced::new(&(0..cols).map(number).collect::<Vec<f32>>(), at_the_end);
    let floor = Fenced::new(&vec![0.0f32; cols], at_the_end);
    let of_c = MatMut::new(c.elements_mut(), rows, cols, ldc);
    let of_a = MatRef::new(a.elements(), read / ROWS, ROWS * depth, ROWS * depth);
    let shift = shifts.then(|| [bias.elements(), floor.elements()]);
    let held = Amx::hold().unwrap();
    Amx::strip(&held, Strip::new(of_c, of_a, b.elements(), Finish { add, past: false, shift }));
    drop(held);
    let at = |i: usize, r: usize| (i - i % ROWS) * depth + (r - r % LANES + i % ROWS) * LANES + r % LANES;
    for (at_c, &found) in c.elements().iter().enumerate() {
        let (i, j) = (at_c / ldc, at_c % ldc);
        if j >= cols {
            assert_eq!(found, 0.75, "between rows");
            continue;
        }
        let products = (0..depth).flat_map(|r| {
            let (a, b) = (terms(a.elements()[at(i, r)]), terms(b.elements()[r * width + j]));
            [a[0] * b[0], a[1] * b[1]]
        });
        let sum = products.sum::<f64>() + if add { 0.75 } else { 0.0 };
        let expected = if shifts { (sum + f64::from(bias.elements()[j])).max(0.0) } else { sum };
        assert!((f64::from(found) - expected).abs() < 2e-5, "({i}, {j}) of {rows} x {cols}: {found}, not {expected}");
    }
}

#[test]
fn strips_keep_to_their_memory() {
    if !crate::kernels::tiles::amx_here() {
        return;
    }
    for rows in [1, 15, 16, 17, 31, 32, 33, 48, 70] {
        for cols in [1, 15, 16, 17, 32, 33, 47, 48] {
            for (at_the_end, add) in [(false, false), (true, true), (false, true), (true, false)] {
                check([rows, cols, LANES], 3, at_the_end, add, rows % 2 == 1);
                check([rows, cols, 2 * LANES], 0, at_the_end, add, rows % 3 == 1);
            }
        }
    }
}

#[test]
fn fences_hold() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "PLEIAD_TEST_OF_FENCES";
    if let Ok(side) = std::env::var(CHILD) {
        let memory = Fenced::new(&[1.0f32; 5], side == "end");
        let outside = if side == "end" { memory.start.wrapping_add(5) } else { memory.start.wrapping_sub(1) };
        // SAFETY: a read of memory that is mapped, and closed: it ends the process.
        let found = unsafe { outside.read_volatile() };
        unreachable!("{found}");
    }
    let name = format!("{}::fences_hold", module_path!().split_once("::").unwrap().1);
    for side in ["start", "end"] {
        let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
        let status = tests.args(["--exact", &name]).env(CHILD, side).output().unwrap().status;
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{side}: {status}");
    }
}
