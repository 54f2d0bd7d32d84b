//! What happens when an instruction of AMX is met.
//!
//! An instruction that the processor does not know ends in SIGILL. A handler decodes it ([`decode`]), changes tiles in
//! memory as Intel defines ([`tiles`]), and goes on behind it. An instruction that the processor would refuse, or that
//! our kernels do not use, ends the process with a message. Instructions other than AMX go to the previous handler.
//!
//! All of this runs inside a signal handler, so it does not allocate, lock or unwind. The signal is synchronous, and
//! only `asm!` blocks of the engine's kernels and of tests raise it, so it never interrupts code of a library.

mod decode;
mod tiles;

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use self::decode::{Instruction, Memory, decode};
use self::tiles::Tiles;

/// Why an instruction cannot be run.
type Refusal = &'static str;

/// Emulates AMX in this process from now on, wherever the AVX-512 is there that it goes with; gives whether it does.
pub fn install() -> bool {
    is_x86_feature_detected!("avx512f") && *INSTALLED.get_or_init(handle_signal)
}

/// Whether this process emulates AMX.
#[must_use]
pub fn installed() -> bool {
    INSTALLED.get().copied().unwrap_or(false)
}

static INSTALLED: OnceLock<bool> = OnceLock::new();

/// What handled SIGILL before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

thread_local! {
    /// Tiles of this thread. Neither made lazily nor dropped, so that a signal handler may reach them.
    static TILES: UnsafeCell<Tiles> = const { UnsafeCell::new(Tiles::new()) };
}

fn handle_signal() -> bool {
    let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: `sigaction` writes one structure where it is told, and reads another that is whole: all zeros is valid for
    // its integers, its set of signals and its optional pointer. The handler takes three arguments, as SA_SIGINFO says.
    unsafe {
        if libc::sigaction(libc::SIGILL, null(), previous.as_mut_ptr()) != 0 {
            return false;
        }
        PREVIOUS.get_or_init(|| previous.assume_init());
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGILL, &raw const action, null_mut()) == 0
    }
}

extern "C" fn handle(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: for a handler with SA_SIGINFO this is the interrupted thread's context, which is its own to change.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let instruction = registers[libc::REG_RIP as usize] as usize as *const u8;
    // SAFETY: the processor has read an instruction there; bytes are read one by one, none behind its end.
    let decoded = decode(|at| unsafe { instruction.add(at).read() });
    let done = decoded.and_then(|decoded| {
        let Some((instruction, length)) = decoded else { return Ok(None) };
        // SAFETY: tiles are this thread's and used here alone; the handler does not interrupt itself, since its signal is
        // blocked as long as it runs.
        TILES.with(|tiles| unsafe { execute(&mut *tiles.get(), instruction, registers) })?;
        Ok(Some(length))
    });
    match done {
        Ok(Some(length)) => registers[libc::REG_RIP as usize] += length as i64,
        // The instruction is tried again, and meets whoever handled it before.
        Ok(None) => match PREVIOUS.get() {
            // SAFETY: what was installed may be installed again.
            Some(previous) => unsafe {
                libc::sigaction(libc::SIGILL, previous, null_mut());
            },
            None => refuse("a signal from before the handler's installation"),
        },
        Err(reason) => refuse(reason),
    }
}

/// Ends the process: no test can go on, and a signal handler cannot panic.
fn refuse(reason: Refusal) {
    for text in ["emulated AMX: ", reason, "\n"] {
        // SAFETY: `write` reads that many bytes, which are there.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
    // SAFETY: has no conditions.
    unsafe { libc::abort() }
}

/// # Safety
/// Memory at the addresses that the instruction makes of `registers` may be read, or written, as a processor would.
unsafe fn execute(tiles: &mut Tiles, instruction: Instruction, registers: &[i64; 23]) -> Result<(), Refusal> {
    // SAFETY: the caller's promise; a configuration is 64 bytes.
    unsafe {
        match instruction {
            Instruction::Configure(memory) => tiles.configure(&*memory.start(registers).cast::<[u8; 64]>()),
            Instruction::Release => {
                *tiles = Tiles::new();
                Ok(())
            }
            Instruction::Zero(tile) => tiles.zero(tile),
            Instruction::Load(tile, memory) => tiles.load(tile, memory.start(registers), stride(memory, registers)?),
            Instruction::Store(memory, tile) => tiles.store(tile, memory.start(registers), stride(memory, registers)?),
            Instruction::Multiply { sum, a, b } => tiles.multiply(sum, a, b),
        }
    }
}

fn stride(memory: Memory, registers: &[i64; 23]) -> Result<isize, Refusal> {
    memory.index(registers).ok_or("a tile in memory without a stride")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::arch::asm;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    use super::*;

    const CHILD: &str = "PLEIAD_TEST_OF_SIGNALS";

    /// Runs test `name` of this module in a process of its own, where it finds [`CHILD`] set.
    fn child(name: &str) -> Output {
        let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
        let tests = std::env::current_exe().unwrap();
        Command::new(tests).args(["--exact", &name, "--nocapture"]).env(CHILD, "1").output().unwrap()
    }

    #[test]
    fn what_is_not_amx_goes_to_the_handler_before() {
        if !install() {
            return;
        }
        if std::env::var_os(CHILD).is_some() {
            // SAFETY: an instruction that is defined to be none.
            unsafe { asm!("ud2") }
            return;
        }
        let output = child("what_is_not_amx_goes_to_the_handler_before");
        assert_eq!(output.status.signal(), Some(libc::SIGILL), "{output:?}");
    }

    #[test]
    fn what_a_processor_refuses_ends_the_process() {
        if !install() {
            return;
        }
        if std::env::var_os(CHILD).is_some() {
            // SAFETY: no processor gets beyond the second instruction, since tiles have been given back.
            unsafe { asm!("tilerelease", "tilezero tmm3", out("tmm3") _, options(nostack)) }
            return;
        }
        let output = child("what_a_processor_refuses_ends_the_process");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
        assert!(message.contains("emulated AMX: tiles are not configured"), "{message}");
    }
}
