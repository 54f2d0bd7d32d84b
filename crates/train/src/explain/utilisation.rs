//! [`GateUtilisation`] and [`ExpertRange`]: what gates weigh, and what experts give them.

use pleiad_engine::GateStatistics;
use serde::{Deserialize, Serialize};

/// How a gate spreads its weight over its experts (figure 8 of the PLE paper).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateUtilisation {
    /// Where the gate stands, such as `levels.0.income.gate`.
    pub gate: String,
    /// Rows observed.
    pub rows: u64,
    /// How evenly it spreads a row's weight, mean over rows: `-sum_e g_e ln g_e / ln E`, 1 where weights are even and 0
    /// where each row is one expert's alone. None in explanations that are older than it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    /// Its experts, in the order of its weights.
    pub experts: Vec<ExpertUse>,
}

/// An expert's weight in a gate, over the rows observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertUse {
    /// The expert.
    pub expert: String,
    /// Mean of its weight.
    pub mean: f64,
    /// Standard deviation of its weight.
    pub sd: f64,
    /// Its lowest weight.
    pub min: f64,
    /// Its highest weight.
    pub max: f64,
}

/// What an expert gives the gates that weigh it, over the rows observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertRange {
    /// The expert.
    pub expert: String,
    /// Rows observed.
    pub rows: u64,
    /// `max_u (max_i h_iu - min_i h_iu)` over units u and rows i; 0 if its output is the same for every row.
    pub spread: f64,
    /// `max_iu |h_iu|`; 0 for an expert that says nothing.
    pub largest: f64,
}

/// Every gate, in the order of the graph.
pub(crate) fn gates(statistics: &GateStatistics) -> Vec<GateUtilisation> {
    let gates = statistics.gates().into_iter().map(|gate| GateUtilisation {
        gate: gate.scope.to_owned(),
        rows: gate.rows,
        entropy: Some(gate.entropy),
        experts: gate
            .experts
            .into_iter()
            .map(|expert| ExpertUse {
                expert: expert.name.to_owned(),
                mean: expert.mean,
                sd: expert.sd,
                min: expert.lowest,
                max: expert.highest,
            })
            .collect(),
    });
    gates.collect()
}

/// Every expert, in the order of the graph.
pub(crate) fn experts(statistics: &GateStatistics) -> Vec<ExpertRange> {
    let experts = statistics.experts().into_iter().map(|expert| ExpertRange {
        expert: expert.name.to_owned(),
        rows: expert.rows,
        spread: expert.spread,
        largest: expert.largest,
    });
    experts.collect()
}
