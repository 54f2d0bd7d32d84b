//! `deepctr-torch` (0.3): `PLE` and `MMOE`. x is every embedding, then every number. A tower's last layer has no bias; that of
//! the output layer takes its place.
//!
//! Its `PLE` makes as many shared experts as a task has own ones (`specific_expert_num`) and reads the first
//! `shared_expert_num` of them: what is read is what gates weigh, and the others are left out. It has a shared gate at
//! the top level, too, which nothing reads.

use super::net::{Level, Net, NetBody};
use super::state::{HIDDEN_GATE, Linear, Stack, StateDict};
use crate::error::Result;

pub(super) const TABLES: &str = "embedding_dict";

pub(super) fn read(state: &mut StateDict, x: usize, tasks: usize) -> Result<Net> {
    for hidden in ["specific_gate_dnn.", "shared_gate_dnn.", "gate_dnn."] {
        if let Some(tensor) = state.first(hidden) {
            return Err(state.refuse(tensor, HIDDEN_GATE));
        }
    }
    if let Some(tensor) = state.first("linear_model.") {
        return Err(state.refuse(tensor, "a linear part beside the network has no form here"));
    }
    let mut width = x;
    let body = if state.first("specific_experts.").is_some() {
        let count = state.count("specific_experts");
        let mut levels = Vec::with_capacity(count);
        for j in 0..count {
            let level = level(state, j, count, width, tasks)?;
            width = super::layers::width_of(&level.shared, width);
            levels.push(level);
        }
        NetBody::Ple(levels)
    } else {
        super::layers::check_tasks(state, "gate_dnn_final_layer", tasks)?;
        let experts = experts(state, "expert_dnn", width)?;
        let mut gates = Vec::with_capacity(tasks);
        for k in 0..tasks {
            let gate = state.linear(&format!("gate_dnn_final_layer.{k}"), width)?;
            state.check_gate(&gate, experts.len(), "all")?;
            gates.push(gate);
        }
        width = super::layers::width_of(&experts, width);
        NetBody::Mmoe { experts, gates }
    };
    super::layers::check_tasks(state, "tower_dnn_final_layer", tasks)?;
    let mut towers = Vec::with_capacity(tasks);
    for k in 0..tasks {
        let at = format!("tower_dnn.{k}");
        let mut tower = if state.first(&format!("{at}.")).is_some() { dnn(state, &at, width)? } else { Stack::new() };
        let inputs = tower.last().map_or(width, |layer| layer.outputs);
        let mut last = state.linear(&format!("tower_dnn_final_layer.{k}"), inputs)?;
        let bias = state.shaped(&format!("out.{k}.bias"), &[1])?;
        last.bias.iter_mut().zip(bias).for_each(|(b, out)| *b += f64::from(out));
        tower.push(last);
        towers.push(tower);
    }
    Ok(Net { body, towers })
}

fn level(state: &mut StateDict, j: usize, count: usize, width: usize, tasks: usize) -> Result<Level> {
    super::layers::check_tasks(state, &format!("specific_experts.{j}"), tasks)?;
    let own: Vec<Vec<Stack>> =
        (0..tasks).map(|k| experts(state, &format!("specific_experts.{j}.{k}"), width)).collect::<Result<_>>()?;
    let mut shared = experts(state, &format!("shared_experts.{j}.0"), width)?;
    let mut gates: Vec<Linear> = Vec::with_capacity(tasks);
    for k in 0..tasks {
        gates.push(state.linear(&format!("specific_gate_dnn_final_layer.{j}.{k}"), width)?);
    }
    let mine = own.first().map_or(0, Vec::len);
    let read = gates.first().map_or(0, |gate| gate.outputs).saturating_sub(mine);
    if 0 < read && read < shared.len() {
        state.notes.push(format!(
            "experts {read} to {} of \"shared_experts.{j}.0\" were left out: the package makes as many shared experts as a task has own ones, \
             and reads {read} of them",
            shared.len() - 1
        ));
        shared.truncate(read);
    }
    for gate in &gates {
        state.check_gate(gate, mine + shared.len(), "own and shared ones")?;
    }
    let shared_gate = format!("shared_gate_dnn_final_layer.{j}");
    if j + 1 == count {
        state.leave_out(&format!("{shared_gate}."), "nothing reads the shared gate of the top level");
        return Ok(Level { own, shared, gates, shared_gate: None });
    }
    let gate = state.linear(&shared_gate, width)?;
    state.check_gate(&gate, mine * tasks + shared.len(), "all of its level")?;
    Ok(Level { own, shared, gates, shared_gate: Some(gate) })
}

fn experts(state: &mut StateDict, at: &str, inputs: usize) -> Result<Vec<Stack>> {
    (0..state.count(at).max(1)).map(|e| dnn(state, &format!("{at}.{e}"), inputs)).collect()
}

/// Layers of its `DNN`, each with a batch norm of the same number where it has them.
fn dnn(state: &mut StateDict, at: &str, inputs: usize) -> Result<Stack> {
    if let Some(tensor) = state.first(&format!("{at}.activation_layers.")) {
        return Err(state.refuse(tensor, "an activation with parameters of its own (PReLU, Dice) has no form here"));
    }
    let mut layers = Stack::new();
    let mut width = inputs;
    for l in 0..state.count(&format!("{at}.linears")).max(1) {
        let mut layer = state.linear(&format!("{at}.linears.{l}"), width)?;
        let norm = format!("{at}.bn.{l}");
        if state.first(&format!("{norm}.")).is_some() {
            state.fold_norm(&norm, &mut layer)?;
        }
        width = layer.outputs;
        layers.push(layer);
    }
    Ok(layers)
}
