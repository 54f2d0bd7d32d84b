//! `blog`: the PLE of two tasks and two levels that Chinese blogs copy from each other, with classes `Expert_net`,
//! `Extraction_Network` and `PLE`, over numbers alone.
//!
//! Its first form registers the experts of task A, of the shared module and of task B under one name (`expert_layer1`, ...), and gates
//! likewise, so that its `state_dict` holds the last of each alone. Corrected copies use `ModuleList`s `Experts_A`, `Experts_Shared`,
//! `Experts_B`, `Task_Gates`, `Shared_Gates`, and can be carried over. Their shared gate weighs the experts of A, the shared ones, then
//! those of B.

use super::layers::width_of;
use super::net::{Level, Net, NetBody};
use super::state::{Stack, StateDict};
use crate::error::Result;

pub(super) fn read(state: &mut StateDict, x: usize, tasks: usize) -> Result<Net> {
    let parts = ["Extraction_layer1", "CGC"];
    for part in parts {
        for shared_name in ["expert_layer", "Exper_Layer", "gate_layer", "Task_Gate_Layer"] {
            if let Some(tensor) = state.first(&format!("{part}.{shared_name}")) {
                return Err(state.refuse(
                    tensor,
                    "experts (or gates) of task A, of the shared module and of task B were registered under this one name, so that the state_dict \
                     holds those registered last alone; the weights of the others are not in it, nor did the optimizer move them. Make each list a \
                     torch.nn.ModuleList and train again",
                ));
            }
        }
    }
    if let Some(tensor) = state.first("w_gates") {
        return Err(state.refuse(
            tensor,
            "experts beside gates named w_gates have no activation after their last layer; those here have one after every layer",
        ));
    }
    if tasks != 2 {
        return Err(state.refuse(
            "Extraction_layer1",
            format!("this PLE has two tasks, and the configuration has {tasks} [[task]] blocks"),
        ));
    }
    let mut width = x;
    let mut levels = Vec::with_capacity(parts.len());
    for part in parts {
        let a = experts(state, &format!("{part}.Experts_A"), width)?;
        let shared = experts(state, &format!("{part}.Experts_Shared"), width)?;
        let b = experts(state, &format!("{part}.Experts_B"), width)?;
        let mut gates = Vec::with_capacity(tasks);
        for (k, own) in [&a, &b].into_iter().enumerate() {
            let gate = state.gate(&format!("{part}.Task_Gates.{k}"), width)?;
            state.check_gate(&gate, own.len() + shared.len(), "own and shared ones")?;
            gates.push(gate);
        }
        let shared_gate = if part == parts[0] {
            let mut gate = state.gate(&format!("{part}.Shared_Gates.0"), width)?;
            state.check_gate(&gate, a.len() + shared.len() + b.len(), "all of its level")?;
            let (first, all) = (a.len(), a.len() + shared.len() + b.len());
            let order: Vec<usize> =
                (0..first).chain(first + shared.len()..all).chain(first..first + shared.len()).collect();
            gate.reorder_outputs(&order);
            Some(gate)
        } else {
            state.leave_out(&format!("{part}.Shared_Gates."), "nothing reads the shared gate of the top level");
            None
        };
        width = width_of(&shared, width);
        levels.push(Level { own: vec![a, b], shared, gates, shared_gate });
    }
    let towers = (1..=tasks).map(|k| state.sequential(&format!("tower{k}"), width)).collect::<Result<_>>()?;
    Ok(Net { body: NetBody::Ple(levels), towers })
}

/// Experts whose layers stand in a `Sequential` named `dnn_layer` or `layer`.
fn experts(state: &mut StateDict, at: &str, inputs: usize) -> Result<Vec<Stack>> {
    let mut experts = Vec::new();
    for e in 0..state.count(at).max(1) {
        let long = format!("{at}.{e}.dnn_layer");
        let name = if state.first(&format!("{long}.")).is_some() { long } else { format!("{at}.{e}.layer") };
        experts.push(state.sequential(&name, inputs)?);
    }
    Ok(experts)
}
