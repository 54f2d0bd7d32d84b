//! `torch-rechub` (0.7 to 0.9): `PLE` and `MMOE`. Gates have a batch norm between linear layer and softmax, which folds, and a
//! bias; x is every embedding, then every number.

use super::net::{Level, Net, NetBody};
use super::state::{Stack, StateDict};
use crate::error::Result;

pub(super) const TABLES: &str = "embedding.embed_dict";

pub(super) fn read(state: &mut StateDict, x: usize, tasks: usize) -> Result<Net> {
    let mut width = x;
    let body = if state.first("cgc_layers.").is_some() {
        let count = state.count("cgc_layers");
        let mut levels = Vec::with_capacity(count);
        for j in 0..count {
            let at = format!("cgc_layers.{j}");
            let all = experts(state, &format!("{at}.experts_specific"), width)?;
            let shared = experts(state, &format!("{at}.experts_shared"), width)?;
            super::layers::check_tasks(state, &format!("{at}.gates_specific"), tasks)?;
            let own = super::layers::share_out(state, all, tasks, &format!("{at}.experts_specific"))?;
            let mut gates = Vec::with_capacity(tasks);
            for (k, own) in own.iter().enumerate() {
                let gate = state.gate(&format!("{at}.gates_specific.{k}.mlp"), width)?;
                state.check_gate(&gate, own.len() + shared.len(), "own and shared ones")?;
                gates.push(gate);
            }
            let shared_gate = if j + 1 < count {
                let gate = state.gate(&format!("{at}.gate_shared.mlp"), width)?;
                state.check_gate(&gate, own.iter().map(Vec::len).sum::<usize>() + shared.len(), "all of its level")?;
                Some(gate)
            } else {
                None
            };
            width = super::layers::width_of(&shared, width);
            levels.push(Level { own, shared, gates, shared_gate });
        }
        NetBody::Ple(levels)
    } else {
        super::layers::check_tasks(state, "gates", tasks)?;
        let experts = experts(state, "experts", width)?;
        let mut gates = Vec::with_capacity(tasks);
        for k in 0..tasks {
            let gate = state.gate(&format!("gates.{k}.mlp"), width)?;
            state.check_gate(&gate, experts.len(), "all")?;
            gates.push(gate);
        }
        width = super::layers::width_of(&experts, width);
        NetBody::Mmoe { experts, gates }
    };
    super::layers::check_tasks(state, "towers", tasks)?;
    let towers = (0..tasks).map(|k| state.sequential(&format!("towers.{k}.mlp"), width)).collect::<Result<_>>()?;
    Ok(Net { body, towers })
}

fn experts(state: &mut StateDict, at: &str, inputs: usize) -> Result<Vec<Stack>> {
    (0..state.count(at).max(1)).map(|e| state.sequential(&format!("{at}.{e}.mlp"), inputs)).collect()
}
