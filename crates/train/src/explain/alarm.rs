//! What is wrong with gates and experts, if anything.

use super::utilisation::{ExpertRange, ExpertUse, GateUtilisation};
use crate::alarm::{Alarm, AlarmKind, percent};

/// A weight below this on every row: the gate does not use the expert.
const UNUSED: f64 = 0.01;

/// A mean weight from this on: the gate uses one expert, whatever it does on a few rows.
const ALONE: f64 = 0.99;

/// A mean weight from this on is as much where the gate does not weigh: where its weights on a row are as uneven as
/// [`UNEVEN`] says.
const NEARLY_ALONE: f64 = 0.95;

/// A mean entropy over rows, of the largest possible, below which a gate gives nearly every row to one expert.
const UNEVEN: f64 = 0.02;

/// Weights that all move less than this, as a standard deviation over rows: the gate does not depend on the row.
const STILL: f64 = 1e-3;

/// How far an output may move, relative to its size, by nothing but rounding.
const ROUNDING: f64 = 1e-6;

/// Every alarm: experts first, since a gate that turns away from a dead expert is right. Fewer than two rows
/// give no alarm: one row shows no variation.
pub(crate) fn alarms(gates: &[GateUtilisation], experts: &[ExpertRange]) -> Vec<Alarm> {
    let seen = |rows: u64| rows >= 2;
    let dead = experts.iter().filter(|expert| seen(expert.rows)).filter_map(|expert| dead_expert(expert, gates));
    let dead: Vec<Alarm> = dead.collect();
    let is_dead = |name: &str| dead.iter().any(|alarm| alarm.expert.as_deref() == Some(name));
    let mut all = dead.clone();
    for gate in gates.iter().filter(|gate| seen(gate.rows) && gate.experts.len() > 1) {
        let unused = |expert: &&ExpertUse| expert.max < UNUSED && !is_dead(&expert.expert);
        all.extend(gate.experts.iter().filter(unused).map(|expert| never_used(gate, expert)));
        // If all others have an alarm already, or are dead, that says the same.
        let told = gate.experts.iter().filter(|e| e.max < UNUSED || is_dead(&e.expert)).count();
        if told + 1 < gate.experts.len() {
            all.extend(one_expert(gate));
        }
        all.extend(static_gate(gate));
    }
    all
}

fn never_used(gate: &GateUtilisation, expert: &ExpertUse) -> Alarm {
    let text = format!(
        "{} never gives {} more than {} over {} rows: fewer experts would do, or a lower learning rate, or another seed if \
         other runs use it",
        gate.gate,
        expert.expert,
        percent(expert.max),
        gate.rows
    );
    Alarm::new(AlarmKind::Collapsed, expert.max, gate.rows, text).of_gate(&gate.gate).of_expert(&expert.expert)
}

/// A gate that gives nearly all weight to one expert, though others have some on a few rows.
fn one_expert(gate: &GateUtilisation) -> Option<Alarm> {
    let most = gate.experts.iter().max_by(|a, b| a.mean.total_cmp(&b.mean))?;
    let is_uneven = gate.entropy.is_some_and(|entropy| entropy < UNEVEN);
    (most.mean >= ALONE || (most.mean >= NEARLY_ALONE && is_uneven)).then(|| {
        let text = format!(
            "{} gives {} {} of its weight on average over {} rows, and the other {} nearly nothing: fewer experts would do, \
             or a lower learning rate, or another seed if other runs use them",
            gate.gate,
            most.expert,
            percent(most.mean),
            gate.rows,
            gate.experts.len() - 1
        );
        Alarm::new(AlarmKind::Collapsed, most.mean, gate.rows, text).of_gate(&gate.gate).of_expert(&most.expert)
    })
}

fn dead_expert(expert: &ExpertRange, gates: &[GateUtilisation]) -> Option<Alarm> {
    let alarm = |value: f64, text: String| {
        Some(Alarm::new(AlarmKind::DeadExpert, value, expert.rows, text).of_expert(&expert.expert))
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
                "{name} gets {} at most from any of its {} gates over {rows} rows: no gate uses it; take an expert away, \
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
    (most < STILL).then(|| {
        let text = format!(
            "{} gives all {} rows the same weights (standard deviation {most:.1e} at most): it does not look at the row; check \
             that what it reads is scaled, train longer, or use fewer experts",
            gate.gate, gate.rows
        );
        Alarm::new(AlarmKind::StaticGate, most, gate.rows, text).of_gate(&gate.gate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(name: &str, rows: u64, weights: &[(&str, f64, f64)]) -> GateUtilisation {
        let expert = |&(expert, max, sd): &(&str, f64, f64)| ExpertUse {
            expert: expert.into(),
            mean: max / 2.0,
            sd,
            min: 0.0,
            max,
        };
        GateUtilisation { gate: name.into(), rows, entropy: None, experts: weights.iter().map(expert).collect() }
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

    /// A gate of three experts with these means, each of which has most of the weight on some row.
    fn means(means: [f64; 3], entropy: f64) -> Vec<Alarm> {
        let expert = |(name, mean): (&str, f64)| ExpertUse { expert: name.into(), mean, sd: 0.1, min: 0.0, max: 0.9 };
        let experts = ["a", "b", "c"].into_iter().zip(means).map(expert).collect();
        alarms(&[GateUtilisation { gate: "g".into(), rows: 1000, entropy: Some(entropy), experts }], &[])
    }

    #[test]
    fn a_gate_of_one_expert_on_average_has_collapsed_whatever_its_rarest_row_does() {
        let found = means([0.002, 0.995, 0.003], 0.03);
        assert_eq!((found.len(), found[0].kind, found[0].value), (1, AlarmKind::Collapsed, 0.995));
        assert!(found[0].text.starts_with("g gives b 99.5 % of its weight on average"), "{}", found[0].text);
        // What is left decides between 95 % and 99 %: whether the gate weighs on any row.
        assert_eq!((means([0.02, 0.96, 0.02], 0.01).len(), means([0.02, 0.96, 0.02], 0.1).len()), (1, 0));
        assert_eq!(means([0.4, 0.3, 0.3], 0.001), []);
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
