//! Attacks on the binary: kills while it writes, pairs of runs in one folder, damaged files of every kind that it reads.
//!
//! What every attack must end in is the same: a documented exit code and nothing half-written, or the result of a process that nothing
//! disturbed. Never a panic, an abort, a wait without end, or another result with exit code 0.
//!
//! As a test, each kind of attack lasts some seconds. `tools/attack` runs the long form. Two variables decide:
//! `PLEIAD_ATTACK_SECONDS` (for each kind) and `PLEIAD_ATTACK_SEED`. Each kind prints a table of what it counted.

#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the counts are the result")]
#![cfg(target_os = "linux")]

mod arena;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod kills;
mod mutate;
mod pairs;
mod tally;

use arena::Clock;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tally::Tally;

/// Draws of one kind of attack.
fn draws(kind: u64) -> ChaCha8Rng {
    let seed = std::env::var("PLEIAD_ATTACK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(kind);
    rng
}

/// Tries all of `attacks` in turn until the time is over, each at least once.
fn in_turn<A>(kind: &'static str, attacks: &mut [A], mut attempt: impl FnMut(&mut A, &mut Tally)) {
    let mut tally = Tally::new(kind);
    let clock = Clock::new();
    loop {
        for attack in attacks.iter_mut() {
            attempt(attack, &mut tally);
        }
        if clock.is_over() {
            break;
        }
    }
    tally.finish();
}

#[test]
fn runs_that_are_killed_give_the_same_result() {
    let mut rng = draws(1);
    in_turn("kills", &mut kills::all(), |attack, tally| attack.attempt(&mut rng, tally));
}

#[test]
fn one_of_two_runs_in_a_folder_is_refused() {
    let mut rng = draws(2);
    in_turn("pairs", &mut pairs::all(), |attack, tally| attack.attempt(&mut rng, tally));
}

#[test]
fn damage_of_own_files_is_seen() {
    let mut rng = draws(3);
    in_turn("damage of own files", &mut damage::own_files(), |attack, tally| attack.attempt(&mut rng, tally));
}

#[test]
fn damage_of_data_files_is_seen_or_harmless() {
    let mut rng = draws(4);
    in_turn("damage of data files", &mut damage::data_files(), |attack, tally| attack.attempt(&mut rng, tally));
}

#[test]
fn any_configuration_is_read_or_refused() {
    let mut rng = draws(5);
    in_turn("damage of configurations", &mut damage::configurations(), |attack, tally| {
        attack.attempt(&mut rng, tally);
    });
}
