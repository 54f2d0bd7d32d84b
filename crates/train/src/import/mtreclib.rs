//! `mtreclib` (Multitask-Recommendation-Library): `PLEModel` and `MMoEModel`.
//!
//! One table holds the rows of every categorical feature, one after the other. All numbers go through one linear layer P before
//! experts and gates read x: `W [e; P n] = [W_e, W_n P] [e; n]`, so that P folds into every layer that reads x. Gates have a bias.
//!
//! `PLEModel` has two forms. One (`task_experts`, `share_experts`) is the paper's, with a shared gate at the top that
//! nothing reads. An early one (`expert`, `gate`) lets every task's gate weigh shared experts that read the task's own
//! mixture, which is the paper's structure for one level alone.

use std::path::Path;

use pleiad_data::{Input, InputLayout};
use pleiad_model::Weights;

use super::layers::{check_tasks, share_out, width_of};
use super::net::{Level, Net, NetBody};
use super::state::{Stack, StateDict};
use crate::error::{Error, Result};

pub(super) fn read(
    state: &mut StateDict,
    config: &Path,
    layout: &InputLayout,
    tasks: usize,
    weights: &mut Weights,
) -> Result<Net> {
    let (embedded, dim) = tables(state, config, layout, weights)?;
    let numbers = layout.numeric_width();
    // Without a number the package cannot make its layer.
    let projection = state.linear("numerical_layer", numbers)?;
    let x = embedded + projection.outputs;
    if dim != projection.outputs && embedded > 0 {
        let reason = format!("it gives {} numbers, and embeddings have {dim}", projection.outputs);
        return Err(state.refuse("numerical_layer.weight", reason));
    }
    let mut width = x;
    let body = if state.first("task_experts.").is_some() {
        let count = state.count("task_experts");
        let mut levels = Vec::with_capacity(count);
        for j in 0..count {
            let level = level(state, j, count, width, tasks)?;
            width = width_of(&level.shared, width);
            levels.push(level);
        }
        NetBody::Ple(levels)
    } else if state.first("expert.0.0.").is_some() {
        let level = early(state, width, tasks)?;
        width = width_of(&level.shared, width);
        NetBody::Ple(vec![level])
    } else {
        check_tasks(state, "gate", tasks)?;
        let experts = experts(state, "expert", width)?;
        let mut gates = Vec::with_capacity(tasks);
        for k in 0..tasks {
            let gate = state.gate(&format!("gate.{k}"), width)?;
            state.check_gate(&gate, experts.len(), "all")?;
            gates.push(gate);
        }
        width = width_of(&experts, width);
        NetBody::Mmoe { experts, gates }
    };
    check_tasks(state, "tower", tasks)?;
    let towers = (0..tasks).map(|k| state.sequential(&format!("tower.{k}.mlp"), width)).collect::<Result<_>>()?;
    let mut net = Net { body, towers };
    net.first_layers().into_iter().for_each(|layer| layer.after(embedded, &projection));
    Ok(net)
}

/// Cuts the one table into those of the features; gives the width of all embeddings, and of one.
fn tables(state: &mut StateDict, config: &Path, layout: &InputLayout, weights: &mut Weights) -> Result<(usize, usize)> {
    let name = "embedding.embedding.weight";
    let fields: Vec<(&str, &str, usize, usize)> = layout
        .inputs
        .iter()
        .filter_map(|input| match input {
            Input::Categorical { name, table, rows, dim, .. } => {
                Some((name.as_str(), table.as_str(), usize::try_from(*rows).unwrap_or(usize::MAX), *dim))
            }
            _ => None,
        })
        .collect();
    let dim = fields.first().map_or(0, |field| field.3);
    let rows = fields.iter().fold(0_usize, |sum, field| sum.saturating_add(field.2));
    let mut values = state.shaped(name, &[rows, dim])?.into_iter();
    for (feature, table, rows, width) in &fields {
        let tensor = format!("embeddings.{table}.weight");
        let reason = if *width != dim {
            format!("mtreclib has embeddings of one width, and others before have {dim}, this one {width}")
        } else if weights.get(&tensor).is_some() {
            "mtreclib has rows of its own for every feature; leave `table` out".to_owned()
        } else {
            weights.insert(tensor, vec![*rows, dim], values.by_ref().take(rows * dim).collect());
            continue;
        };
        return Err(Error::ForeignFeature {
            path: config.to_path_buf(),
            what: "feature",
            name: (*feature).to_owned(),
            reason,
        });
    }
    Ok((fields.len() * dim, dim))
}

fn level(state: &mut StateDict, j: usize, count: usize, width: usize, tasks: usize) -> Result<Level> {
    check_tasks(state, &format!("task_experts.{j}"), tasks)?;
    let own: Vec<Vec<Stack>> =
        (0..tasks).map(|k| experts(state, &format!("task_experts.{j}.{k}"), width)).collect::<Result<_>>()?;
    let shared = experts(state, &format!("share_experts.{j}"), width)?;
    let mut gates = Vec::with_capacity(tasks);
    for (k, own) in own.iter().enumerate() {
        let gate = state.gate(&format!("task_gates.{j}.{k}"), width)?;
        state.check_gate(&gate, own.len() + shared.len(), "own and shared ones")?;
        gates.push(gate);
    }
    let shared_gate = format!("share_gates.{j}");
    if j + 1 == count {
        state.leave_out(&format!("{shared_gate}."), "nothing reads the shared gate of the top level");
        return Ok(Level { own, shared, gates, shared_gate: None });
    }
    let gate = state.gate(&shared_gate, width)?;
    state.check_gate(&gate, own.iter().map(Vec::len).sum::<usize>() + shared.len(), "all of its level")?;
    Ok(Level { own, shared, gates, shared_gate: Some(gate) })
}

/// The early form, of one level.
fn early(state: &mut StateDict, width: usize, tasks: usize) -> Result<Level> {
    if let Some(tensor) = state.first("expert.1.") {
        return Err(state.refuse(
            tensor,
            "above the lowest level, this early PLEModel lets shared experts read each task's own mixture, once per task; the paper's, and those \
             here, read the shared mixture",
        ));
    }
    let all = experts(state, "expert.0", width)?;
    let mut gates = Vec::with_capacity(tasks);
    for k in 0..tasks {
        gates.push(state.gate(&format!("gate.0.{k}"), width)?);
    }
    state.leave_out(&format!("gate.0.{tasks}."), "nothing reads the shared gate of the top level");
    // K m + s experts, of which a gate weighs m + s.
    let (all_of_them, weighed) = (all.len(), gates.first().map_or(0, |gate| gate.outputs));
    let beyond = all_of_them.saturating_sub(weighed);
    let each = if tasks > 1 { beyond / (tasks - 1) } else { 0 };
    let mut all = all.into_iter();
    let own = share_out(state, all.by_ref().take(each * tasks).collect(), tasks, "expert.0")?;
    let shared: Vec<Stack> = all.collect();
    for gate in &gates {
        state.check_gate(gate, each + shared.len(), "own and shared ones")?;
    }
    Ok(Level { own, shared, gates, shared_gate: None })
}

fn experts(state: &mut StateDict, at: &str, inputs: usize) -> Result<Vec<Stack>> {
    (0..state.count(at).max(1)).map(|e| state.sequential(&format!("{at}.{e}.mlp"), inputs)).collect()
}
