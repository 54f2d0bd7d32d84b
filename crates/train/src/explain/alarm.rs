//! [`Alarm`]: what is wrong with gates and experts, if anything.

use serde::{Deserialize, Serialize};

use super::utilisation::{ExpertRange, GateUtilisation};

/// A weight below this on every row: the gate does not use the expert.
const UNUSED: f64 = 0.01;

/// Weights that all move less than this, as a standard deviation over rows: the gate does not depend on the row.
const STILL: f64 = 1e-3;

/// How far an output may move, relative to its size, by nothing but rounding.
const ROUNDING: f64 = 1e-6;

/// Something that a trained mixture of experts should not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// The gate, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// The expert, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<String>,
    /// The figure that raised it: the highest weight of an expert, the spread of a dead expert's output, the largest
    /// standard deviation of a gate's weights.
    pub value: f64,
    /// Rows observed.
    pub rows: u64,
    /// What was seen and what to do, in a sentence.
    pub text: String,
}

/// Kinds of alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A gate gives an expert less than 1 % on every row.
    Collapsed,
    /// An expert gives the same output for every row, or no gate gives it 1 % on any row.
    DeadExpert,
    /// A gate gives every row the same weights.
    StaticGate,
}

impl AlarmKind {
    /// In words, such as `collapsed gate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Collapsed => "collapsed gate",
            Self::DeadExpert => "dead expert",
            Self::StaticGate => "gate that ignores the row",
        }
    }
}

/// Every alarm: experts first, since a gate that turns away from a dead expert is right. Over fewer than two rows there
/// are none: nothing can be told from one.
pub(crate) fn alarms(gates: &[GateUtilisation], experts: &[ExpertRange]) -> Vec<Alarm> {
    let seen = |rows: u64| rows >= 2;
    let dead = experts.iter().filter(|expert| seen(expert.rows)).filter_map(|expert| dead_expert(expert, gates));
    let dead: Vec<Alarm> = dead.collect();
    let is_dead = |name: &str| dead.iter().any(|alarm| alarm.expert.as_deref() == Some(name));
    let mut all = dead.clone();
    for gate in gates.iter().filter(|gate| seen(gate.rows) && gate.experts.len() > 1) {
        all.extend(gate.experts.iter().filter(|e| e.max < UNUSED && !is_dead(&e.expert)).map(|expert| Alarm {
            kind: AlarmKind::Collapsed,
            gate: Some(gate.gate.clone()),
            expert: Some(expert.expert.clone()),
            value: expert.max,
            rows: gate.rows,
            text: format!(
                "{} never gives {} more than {} over {} rows: fewer experts would do, or a lower learning rate, or \
                 another seed if other runs use it",
                gate.gate,
                expert.expert,
                percent(expert.max),
                gate.rows
            ),
        }));
        all.extend(static_gate(gate));
    }
    all
}

fn dead_expert(expert: &ExpertRange, gates: &[GateUtilisation]) -> Option<Alarm> {
    let alarm = |value: f64, text: String| {
        Some(Alarm {
            kind: AlarmKind::DeadExpert,
            gate: None,
            expert: Some(expert.expert.clone()),
            value,
            rows: expert.rows,
            text,
        })
    };
    let (name, rows) = (&expert.expert, expert.rows);
    if expert.spread <= ROUNDING * expert.largest {
        let text = match expert.largest {
            0.0 => format!(
                "{name} gives only zeros for all {rows} rows, so that no gradient reaches it any more; try a lower \
                 learning rate, or an activation without a flat side such as leaky_relu or elu"
            ),
            _ => format!(
                "{name} gives the same output for all {rows} rows, so that it says nothing of them; check that what it \
                 reads differs from row to row, and try a lower learning rate"
            ),
        };
        return alarm(expert.spread, text);
    }
    let uses = || gates.iter().filter(|g| g.experts.len() > 1).flat_map(|g| &g.experts).filter(|e| e.expert == *name);
    let most = uses().map(|e| e.max).fold(None, |most: Option<f64>, max| Some(most.map_or(max, |most| most.max(max))));
    // With a single gate this is that gate's collapse, which says more.
    match most {
        Some(most) if most < UNUSED && uses().count() > 1 => alarm(
            most,
            format!(
                "{name} gets {} at most from any of its {} gates over {rows} rows: nobody uses it; take an expert away, \
                 or try another seed if other runs use it",
                percent(most),
                uses().count()
            ),
        ),
        _ => None,
    }
}

fn static_gate(gate: &GateUtilisation) -> Option<Alarm> {
    let most = gate.experts.iter().map(|expert| expert.sd).fold(0.0, f64::max);
    (most < STILL).then(|| Alarm {
        kind: AlarmKind::StaticGate,
        gate: Some(gate.gate.clone()),
        expert: None,
        value: most,
        rows: gate.rows,
        text: format!(
            "{} gives all {} rows the same weights (standard deviation {most:.1e} at most): it does not look at the \
             row; check that what it reads is scaled, train longer, or use fewer experts",
            gate.gate, gate.rows
        ),
    })
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::super::utilisation::ExpertUse;
    use super::*;

    fn gate(name: &str, rows: u64, weights: &[(&str, f64, f64)]) -> GateUtilisation {
        let expert = |&(expert, max, sd): &(&str, f64, f64)| ExpertUse {
            expert: expert.into(),
            mean: max / 2.0,
            sd,
            min: 0.0,
            max,
        };
        GateUtilisation { gate: name.into(), rows, experts: weights.iter().map(expert).collect() }
    }

    fn range(expert: &str, rows: u64, spread: f64, largest: f64) -> ExpertRange {
        ExpertRange { expert: expert.into(), rows, spread, largest }
    }

    fn kinds(gates: &[GateUtilisation], experts: &[ExpertRange]) -> Vec<(AlarmKind, Option<String>, Option<String>)> {
        alarms(gates, experts).into_iter().map(|a| (a.kind, a.gate, a.expert)).collect()
    }

    const FINE: (f64, f64) = (0.9, 0.2);

    #[test]
    fn a_healthy_model_raises_none() {
        let gates = [gate("g", 100, &[("a", FINE.0, FINE.1), ("b", 0.0101, 0.002)])];
        assert_eq!(kinds(&gates, &[range("a", 100, 1.0, 1.0), range("b", 100, 0.1, 5.0)]), []);
    }

    #[test]
    fn an_expert_that_one_gate_never_uses_is_a_collapse() {
        let gates = [
            gate("g", 100, &[("a", FINE.0, FINE.1), ("b", 0.009, 0.002)]),
            gate("h", 100, &[("a", FINE.0, FINE.1), ("b", 0.5, 0.1)]),
        ];
        let expected = [(AlarmKind::Collapsed, Some("g".into()), Some("b".into()))];
        assert_eq!(kinds(&gates, &[range("a", 100, 1.0, 1.0), range("b", 100, 1.0, 1.0)]), expected);
    }

    #[test]
    fn an_expert_that_no_gate_uses_is_dead_and_told_once() {
        let one = || [("a", FINE.0, FINE.1), ("b", 0.009, 0.002)];
        let gates = [gate("g", 100, &one()), gate("h", 100, &one())];
        let expected = [(AlarmKind::DeadExpert, None, Some("b".into()))];
        assert_eq!(kinds(&gates, &[range("a", 100, 1.0, 1.0), range("b", 100, 1.0, 1.0)]), expected);
    }

    #[test]
    fn an_expert_whose_output_does_not_move_is_dead() {
        let gates = [gate("g", 100, &[("a", FINE.0, FINE.1), ("b", 0.5, 0.1), ("c", 0.5, 0.1)])];
        let found =
            alarms(&gates, &[range("a", 100, 0.0, 0.0), range("b", 100, 1e-7, 2.0), range("c", 100, 1e-5, 2.0)]);
        assert_eq!(found.iter().map(|a| a.expert.as_deref()).collect::<Vec<_>>(), [Some("a"), Some("b")]);
        assert!(found[0].text.contains("only zeros") && found[1].text.contains("the same output"), "{found:?}");
    }

    #[test]
    fn a_gate_that_ignores_the_row_is_told() {
        let gates = [
            gate("g", 100, &[("a", 0.5, 9e-4), ("b", 0.5, 9e-4)]),
            gate("h", 100, &[("a", 0.5, 9e-4), ("b", 0.5, 2e-3)]),
        ];
        let expected = [(AlarmKind::StaticGate, Some("g".into()), None)];
        assert_eq!(kinds(&gates, &[]), expected);
    }

    #[test]
    fn one_row_and_one_expert_say_nothing() {
        let still = [("a", 1.0, 0.0)];
        assert_eq!(kinds(&[gate("g", 100, &still)], &[range("a", 100, 1.0, 1.0)]), []);
        assert_eq!(kinds(&[gate("g", 1, &[("a", 1.0, 0.0), ("b", 0.0, 0.0)])], &[range("a", 1, 0.0, 1.0)]), []);
    }
}
