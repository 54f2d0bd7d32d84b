//! [`Net`]: a PLE or MMoE as it was found in a `state_dict`, and what it becomes: `[model]` and tensors with this project's names.

use pleiad_data::TaskSpec;
use pleiad_model::{ModelConfig, Weights};
use serde_json::{Value, json};

use super::state::{Linear, Stack};
use crate::error::{Error, Result};

/// What the tensors of a source describe.
pub(super) struct Net {
    pub(super) body: NetBody,
    /// Per task, hidden layers and the one that gives the logit.
    pub(super) towers: Vec<Stack>,
}

pub(super) enum NetBody {
    Ple(Vec<Level>),
    Mmoe { experts: Vec<Stack>, gates: Vec<Linear> },
}

/// One extraction level.
pub(super) struct Level {
    /// Experts by task.
    pub(super) own: Vec<Vec<Stack>>,
    pub(super) shared: Vec<Stack>,
    /// By task: own experts first, then the shared ones.
    pub(super) gates: Vec<Linear>,
    /// Below the top level: experts of every task in order, then the shared ones.
    pub(super) shared_gate: Option<Linear>,
}

impl Net {
    /// The layers that read x.
    pub(super) fn first_layers(&mut self) -> Vec<&mut Linear> {
        let mut found: Vec<&mut Linear> = Vec::new();
        match &mut self.body {
            NetBody::Mmoe { experts, gates } => {
                found.extend(experts.iter_mut().filter_map(|expert| expert.first_mut()));
                found.extend(gates);
            }
            NetBody::Ple(levels) => {
                let Some(level) = levels.first_mut() else { return found };
                let experts = level.own.iter_mut().flatten().chain(&mut level.shared);
                found.extend(experts.filter_map(|expert| expert.first_mut()));
                found.extend(level.gates.iter_mut().chain(&mut level.shared_gate));
            }
        }
        found
    }

    fn gates(&self) -> Vec<&Linear> {
        match &self.body {
            NetBody::Mmoe { gates, .. } => gates.iter().collect(),
            NetBody::Ple(levels) => {
                levels.iter().flat_map(|level| level.gates.iter().chain(&level.shared_gate)).collect()
            }
        }
    }

    fn gate_bias(&self) -> bool {
        self.gates().iter().any(|gate| gate.biased)
    }

    /// `[model]` with the sizes that the tensors have.
    pub(super) fn keys(&self, tasks: &[TaskSpec]) -> Value {
        let widths = |stack: Option<&Stack>| -> Vec<usize> {
            stack.iter().flat_map(|stack| stack.iter()).map(|layer| layer.outputs).collect()
        };
        let towers: Vec<Vec<usize>> = self
            .towers
            .iter()
            .map(|tower| tower.iter().take(tower.len().saturating_sub(1)).map(|layer| layer.outputs).collect())
            .collect();
        let tower = if towers.windows(2).all(|pair| pair[0] == pair[1]) {
            json!(towers.first())
        } else {
            tasks.iter().zip(&towers).map(|(task, widths)| (task.name.clone(), json!(widths))).collect::<Value>()
        };
        let mut keys = match &self.body {
            NetBody::Mmoe { experts, .. } => {
                json!({ "kind": "mmoe", "experts": experts.len(), "widths": widths(experts.first()) })
            }
            NetBody::Ple(levels) => {
                let level = |level: &Level| {
                    json!({
                        "task_experts": level.own.first().map_or(0, Vec::len),
                        "shared_experts": level.shared.len(),
                        "widths": widths(level.shared.first()),
                    })
                };
                json!({ "kind": "ple", "levels": levels.iter().map(level).collect::<Vec<_>>() })
            }
        };
        keys["tower"] = tower;
        keys["gate_bias"] = json!(self.gate_bias());
        keys
    }

    /// [`Net::keys`] as a model.
    pub(super) fn model(&self, tasks: &[TaskSpec]) -> Result<ModelConfig> {
        serde_json::from_value(self.keys(tasks)).map_err(|error| Error::Encode { reason: error.to_string() })
    }

    /// Its layers under the names of `weights.safetensors`; the caller adds the tables.
    pub(super) fn weights(&self, tasks: &[TaskSpec]) -> Weights {
        let mut weights = Weights::default();
        let gate_bias = self.gate_bias();
        let mut put = |name: &str, layer: &Linear, bias: bool| {
            let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
            weights.insert(format!("{name}.weight"), vec![layer.outputs, layer.inputs], narrow(&layer.weight));
            if bias {
                weights.insert(format!("{name}.bias"), vec![layer.outputs], narrow(&layer.bias));
            }
        };
        let mut stacks: Vec<(String, &Stack)> = Vec::new();
        let mut gates: Vec<(String, &Linear)> = Vec::new();
        match &self.body {
            NetBody::Mmoe { experts, gates: by_task } => {
                stacks.extend(experts.iter().enumerate().map(|(e, expert)| (format!("experts.{e}"), expert)));
                gates.extend(tasks.iter().zip(by_task).map(|(task, gate)| (format!("gates.{}", task.name), gate)));
            }
            NetBody::Ple(levels) => {
                for (j, level) in levels.iter().enumerate() {
                    let modules = tasks.iter().map(|task| task.name.as_str()).zip(&level.own);
                    for (module, experts) in modules.chain([("shared", &level.shared)]) {
                        let name = |e| format!("levels.{j}.{module}.experts.{e}");
                        stacks.extend(experts.iter().enumerate().map(|(e, expert)| (name(e), expert)));
                    }
                    let own = tasks.iter().map(|task| task.name.as_str()).zip(&level.gates);
                    let all = own.chain(level.shared_gate.iter().map(|gate| ("shared", gate)));
                    gates.extend(all.map(|(module, gate)| (format!("levels.{j}.{module}.gate"), gate)));
                }
            }
        }
        stacks.extend(tasks.iter().zip(&self.towers).map(|(task, tower)| (format!("towers.{}", task.name), tower)));
        for (name, stack) in stacks {
            stack.iter().enumerate().for_each(|(l, layer)| put(&format!("{name}.{l}"), layer, true));
        }
        gates.into_iter().for_each(|(name, gate)| put(&name, gate, gate_bias));
        weights
    }
}
