//! Decodes bytes as an AMX instruction.
//!
//! All instructions that the engine's kernels use have the three-byte VEX prefix: `C4`, then `R X B` (inverted) and the opcode
//! map 0F38, then W, `vvvv` (inverted), L and the mandatory prefix (0 none, 1 66, 2 F3, 3 F2). ModRM follows the
//! opcode, and where it names memory SIB and a displacement. (Intel SDM, volume 2, chapter 2.)

use super::Refusal;

/// An instruction; tiles by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// `ldtilecfg`.
    Configure(Memory),
    /// `tilerelease`.
    Release,
    /// `tilezero`.
    Zero(usize),
    /// `tileloadd`.
    Load(usize, Memory),
    /// `tilestored`.
    Store(Memory, usize),
    /// `tdpbf16ps`.
    Multiply { sum: usize, a: usize, b: usize },
}

/// Base plus displacement, and an index with its scale, of which tiles make their stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    base: usize,
    index: Option<(usize, u8)>,
    displacement: i32,
}

/// Where Linux saves the general registers, in the order of their numbers.
const SAVED: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl Memory {
    /// Base plus displacement.
    pub(super) fn start(self, registers: &[i64; 23]) -> *mut u8 {
        let base = registers[SAVED[self.base] as usize];
        base.wrapping_add(i64::from(self.displacement)) as usize as *mut u8
    }

    /// The index times its scale.
    pub(super) fn index(self, registers: &[i64; 23]) -> Option<isize> {
        self.index.map(|(index, scale)| (registers[SAVED[index] as usize] << scale) as isize)
    }
}

/// The instruction whose bytes `byte` gives by position, and its length; nothing if it is not AMX's.
pub(super) fn decode(byte: impl Fn(usize) -> u8) -> Result<Option<(Instruction, usize)>, Refusal> {
    if byte(0) != 0xC4 || byte(1) & 0x1F != 2 || !matches!(byte(3), 0x49 | 0x4B | 0x5C) {
        return Ok(None);
    }
    let (first, second, opcode, modrm) = (!byte(1), byte(2), byte(3), byte(4));
    if second & 0x84 != 0 {
        return Err("an AMX opcode with W or L set");
    }
    if first & 0x80 != 0 {
        return Err("a tile beyond 7");
    }
    let (reg, rm) = (usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    let vvvv = usize::from(!second >> 3 & 15);
    let registers_alone = modrm >> 6 == 3;
    let instruction = match (opcode, second & 3, registers_alone) {
        (0x5C, 2, true) => {
            if first & 0x20 != 0 || vvvv > 7 {
                return Err("a tile beyond 7");
            }
            return Ok(Some((Instruction::Multiply { sum: reg, a: rm, b: vvvv }, 5)));
        }
        _ if vvvv != 0 => return Err("an AMX opcode with a register too many"),
        (0x49, 0, true) if modrm == 0xC0 => return Ok(Some((Instruction::Release, 5))),
        (0x49, 3, true) if rm == 0 => return Ok(Some((Instruction::Zero(reg), 5))),
        (0x49, 0, false) if reg == 0 => Instruction::Configure,
        (0x4B, 3, false) if rm == 4 => {
            return memory(byte).map(|(m, length)| Some((Instruction::Load(reg, m), length)));
        }
        (0x4B, 2, false) if rm == 4 => {
            return memory(byte).map(|(m, length)| Some((Instruction::Store(m, reg), length)));
        }
        _ => return Err("an AMX instruction that no kernel uses"),
    };
    memory(byte).map(|(m, length)| Some((instruction(m), length)))
}

/// The memory operand that starts with the ModRM at byte 4, and the length of the instruction.
fn memory(byte: impl Fn(usize) -> u8) -> Result<(Memory, usize), Refusal> {
    let (inverted, modrm) = (!byte(1), byte(4));
    let (x, b) = (usize::from(inverted >> 6 & 1) << 3, usize::from(inverted >> 5 & 1) << 3);
    let (mode, rm) = (modrm >> 6, modrm & 7);
    let (low, index, at) = if rm == 4 {
        let sib = byte(5);
        let index = usize::from(sib >> 3 & 7) | x;
        // Number 4 is the stack pointer, which is no index: there is none then.
        (sib & 7, (index != 4).then_some((index, sib >> 6)), 6)
    } else {
        (rm, None, 5)
    };
    if mode == 0 && low == 5 {
        return Err("an address without a base, or relative to the instruction");
    }
    let (displacement, length) = match mode {
        0 => (0, at),
        1 => (i32::from(byte(at).cast_signed()), at + 1),
        _ => (i32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]), at + 4),
    };
    Ok((Memory { base: usize::from(low) | b, index, displacement }, length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RAX: usize = 0;
    const RCX: usize = 1;
    const RDI: usize = 7;
    const R9: usize = 9;
    const R12: usize = 12;
    const R13: usize = 13;

    fn at(base: usize, index: Option<(usize, u8)>, displacement: i32) -> Memory {
        Memory { base, index, displacement }
    }

    /// Bytes as LLVM's assembler writes them.
    #[test]
    fn instructions_are_what_an_assembler_makes_of_them() {
        use Instruction::*;
        let cases: [(&[u8], Instruction); 12] = [
            // ldtilecfg [rax]; [r12]; [r13 + 16]
            (&[0xC4, 0xE2, 0x78, 0x49, 0x00], Configure(at(RAX, None, 0))),
            (&[0xC4, 0xC2, 0x78, 0x49, 0x04, 0x24], Configure(at(R12, None, 0))),
            (&[0xC4, 0xC2, 0x78, 0x49, 0x45, 0x10], Configure(at(R13, None, 16))),
            (&[0xC4, 0xE2, 0x78, 0x49, 0xC0], Release),
            (&[0xC4, 0xE2, 0x7B, 0x49, 0xC0], Zero(0)),
            (&[0xC4, 0xE2, 0x7B, 0x49, 0xE8], Zero(5)),
            // tileloadd tmm6, [rax + rcx]; tmm7, [r9 + rdi + 64]; tmm1, [rdi + 4 * r12 - 128]
            (&[0xC4, 0xE2, 0x7B, 0x4B, 0x34, 0x08], Load(6, at(RAX, Some((RCX, 0)), 0))),
            (&[0xC4, 0xC2, 0x7B, 0x4B, 0x7C, 0x39, 0x40], Load(7, at(R9, Some((RDI, 0)), 64))),
            (&[0xC4, 0xA2, 0x7B, 0x4B, 0x4C, 0xA7, 0x80], Load(1, at(RDI, Some((R12, 2)), -128))),
            // tilestored [rax + rcx + 128], tmm2
            (&[0xC4, 0xE2, 0x7A, 0x4B, 0x94, 0x08, 0x80, 0, 0, 0], Store(at(RAX, Some((RCX, 0)), 128), 2)),
            // tdpbf16ps tmm0, tmm6, tmm7; tmm5, tmm1, tmm2
            (&[0xC4, 0xE2, 0x42, 0x5C, 0xC6], Multiply { sum: 0, a: 6, b: 7 }),
            (&[0xC4, 0xE2, 0x6A, 0x5C, 0xE9], Multiply { sum: 5, a: 1, b: 2 }),
        ];
        for (bytes, instruction) in cases {
            assert_eq!(decode(|at| bytes[at]), Ok(Some((instruction, bytes.len()))), "{bytes:02X?}");
        }
    }

    #[test]
    fn others_are_left_alone_and_odd_ones_refused() {
        // ud2; vpdpbusd xmm0, xmm0, xmm0 (map 0F38, too).
        for bytes in [&[0x0F, 0x0B, 0, 0, 0][..], &[0xC4, 0xE2, 0x79, 0x50, 0xC0]] {
            assert_eq!(decode(|at| bytes[at]), Ok(None));
        }
        let refused: [(&[u8], &str); 5] = [
            (&[0xC4, 0xE2, 0x79, 0x49, 0x00], "no kernel"), // sttilecfg [rax]
            (&[0xC4, 0xE2, 0xF8, 0x49, 0x00], "W or L"),    // W1
            (&[0xC4, 0x62, 0x7B, 0x49, 0xC0], "beyond 7"),  // tilezero tmm8
            (&[0xC4, 0xE2, 0x43, 0x5C, 0xC6], "no kernel"), // tdpfp16ps has the prefix F2
            (&[0xC4, 0xE2, 0x78, 0x49, 0x05, 0, 0, 0, 0], "relative"), // ldtilecfg [rip]
        ];
        for (bytes, reason) in refused {
            let found = decode(|at| bytes[at]).unwrap_err();
            assert!(found.contains(reason) || found.contains("too many"), "{bytes:02X?}: {found}");
        }
    }

    #[test]
    fn addresses_are_made_of_the_registers_that_are_named() {
        let mut registers = [0; 23];
        registers[libc::REG_R9 as usize] = 1000;
        registers[libc::REG_RDI as usize] = -3;
        let memory = at(R9, Some((RDI, 2)), -8);
        assert_eq!((memory.start(&registers).addr(), memory.index(&registers)), (992, Some(-12)));
    }
}
