//! [`Tally`]: what became of each attempt, counted and printed.

use std::collections::BTreeMap;

/// Attempts of one kind of attack, by name and outcome.
pub(crate) struct Tally {
    kind: &'static str,
    counts: BTreeMap<String, BTreeMap<String, u64>>,
    failures: Vec<String>,
}

impl Tally {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, counts: BTreeMap::new(), failures: Vec::new() }
    }

    /// Counts an attempt that ended as it should.
    pub(crate) fn count(&mut self, attack: &str, outcome: impl Into<String>) {
        *self.counts.entry(attack.to_owned()).or_default().entry(outcome.into()).or_default() += 1;
    }

    /// Counts an attempt that did not. `story` has what is needed to look into it.
    pub(crate) fn fail(&mut self, attack: &str, story: String) {
        self.count(attack, "FAILED");
        eprintln!("{}, {attack}: {story}", self.kind);
        self.failures.push(format!("{attack}: {story}"));
    }

    /// How many attempts of `attack` had this outcome.
    pub(crate) fn of(&self, attack: &str, outcome: &str) -> u64 {
        self.counts.get(attack).and_then(|counts| counts.get(outcome)).copied().unwrap_or(0)
    }

    /// Prints the table; panics if any attempt failed.
    pub(crate) fn finish(self) {
        println!("\n{}", self.kind);
        for (attack, counts) in &self.counts {
            let total: u64 = counts.values().sum();
            let each: Vec<String> = counts.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
            println!("  {attack:<22} {total:>6} attempts: {}", each.join(", "));
        }
        let shown = self.failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.failures.is_empty(), "{} of {} failed:\n{shown}", self.failures.len(), self.kind);
    }
}
