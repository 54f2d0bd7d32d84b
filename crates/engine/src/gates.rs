//! [`GateStatistics`]: how much each gate uses each expert (figure 8 of the PLE paper).

use pleiad_model::Graph;

/// Mean and standard deviation of every expert's weight per gate, over the rows seen. Mergeable.
#[derive(Debug, Clone, PartialEq)]
pub struct GateStatistics {
    gates: Vec<GateSums>,
}

#[derive(Debug, Clone, PartialEq)]
struct GateSums {
    scope: String,
    experts: Vec<String>,
    rows: u64,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

/// One gate's use of its experts.
#[derive(Debug, Clone, PartialEq)]
pub struct GateUse<'s> {
    /// Where the gate stands, such as `levels.0.income.gate`.
    pub scope: &'s str,
    /// Rows seen.
    pub rows: u64,
    /// Per expert: its name, and mean and standard deviation of its weight.
    pub experts: Vec<(&'s str, f64, f64)>,
}

impl GateStatistics {
    /// Statistics over no rows for every gate of `graph`.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        let empty = |n| vec![0.0; n];
        let gates = graph.gates.iter().map(|g| GateSums {
            scope: g.scope.clone(),
            experts: g.experts.clone(),
            rows: 0,
            sums: empty(g.experts.len()),
            squares: empty(g.experts.len()),
        });
        Self { gates: gates.collect() }
    }

    /// Adds one row's weights of gate `gate`.
    pub(crate) fn observe(&mut self, gate: usize, weights: &[f32]) {
        let gate = &mut self.gates[gate];
        gate.rows += 1;
        for ((sum, square), &w) in gate.sums.iter_mut().zip(&mut gate.squares).zip(weights) {
            *sum += f64::from(w);
            *square += f64::from(w) * f64::from(w);
        }
    }

    /// Adds the rows of `other`, which must be of the same graph.
    pub fn merge(&mut self, other: &Self) {
        for (gate, other) in self.gates.iter_mut().zip(&other.gates) {
            gate.rows += other.rows;
            gate.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
            gate.squares.iter_mut().zip(&other.squares).for_each(|(a, b)| *a += b);
        }
    }

    /// Each gate's use of its experts, in the order of the graph; over no rows all means are 0.
    #[must_use]
    pub fn gates(&self) -> Vec<GateUse<'_>> {
        let usage = |gate: &'_ GateSums, e: usize| {
            let n = gate.rows.max(1) as f64;
            let mean = gate.sums[e] / n;
            // Weights lie in [0, 1], so the difference of squares loses nothing that matters.
            (mean, (gate.squares[e] / n - mean * mean).max(0.0).sqrt())
        };
        let of = |gate: &'_ GateSums| -> Vec<(f64, f64)> { (0..gate.experts.len()).map(|e| usage(gate, e)).collect() };
        self.gates
            .iter()
            .map(|gate| GateUse {
                scope: &gate.scope,
                rows: gate.rows,
                experts: gate.experts.iter().zip(of(gate)).map(|(e, (mean, sd))| (e.as_str(), mean, sd)).collect(),
            })
            .collect()
    }
}
