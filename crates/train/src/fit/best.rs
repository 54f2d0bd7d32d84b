//! Which weights are kept: those of one epoch, or, where tasks share nothing, of each task those of its own best epoch.

use std::collections::BTreeSet;

use pleiad_model::Graph;
use pleiad_model::graph::{ParamId, TableId};

use super::state::{Best, FitState};
use super::stopping::Stopping;
use crate::config::TrainConfig;

/// What an epoch means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// For one model of all tasks: whether it is the best.
    All(bool),
    /// The tasks whose best it is.
    Tasks(Vec<usize>),
}

impl Judged {
    pub(super) fn best(&self) -> Best<'_> {
        match self {
            Self::All(true) => Best::All,
            Self::Tasks(tasks) if !tasks.is_empty() => Best::Tasks(tasks),
            _ => Best::No,
        }
    }
}

impl FitState {
    /// Takes note of an epoch's score, or of every task's own, and of whether training is to stop: by task, when patience has
    /// run out for all of them at once.
    pub(super) fn judge(
        &mut self,
        config: &TrainConfig,
        epoch: u64,
        score: f64,
        own: Option<&[f64]>,
    ) -> (Judged, bool) {
        let stopping = config.early_stopping.as_ref();
        let (patience, min_delta) = (stopping.map(|s| s.patience), stopping.map_or(0.0, |s| s.min_delta));
        let Some(own) = own else {
            let verdict = self.stopping.update(epoch, score, patience, min_delta);
            return (Judged::All(verdict.best), verdict.stop);
        };
        self.of_tasks.resize_with(own.len(), Stopping::default);
        let (mut best, mut stop) = (Vec::new(), true);
        for (task, (stopping, &score)) in self.of_tasks.iter_mut().zip(own).enumerate() {
            let verdict = stopping.update(epoch, score, patience, min_delta);
            if verdict.best {
                best.push(task);
            }
            stop &= verdict.stop;
        }
        (Judged::Tasks(best), stop)
    }

    /// By task, its best epoch, where each has its own.
    pub(super) fn best_epochs(&self) -> Vec<u64> {
        self.of_tasks.iter().map(|stopping| stopping.best_epoch().unwrap_or(self.epoch)).collect()
    }
}

/// By task, the tensors that no other task reaches.
pub(super) fn own_tensors(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reach = graph.reach();
    let of = |task: usize| {
        let own = |reached: &[bool]| reached[task] && reached.iter().filter(|&&reached| reached).count() == 1;
        let params = graph.params.iter().enumerate().filter(|(at, _)| own(reach.of_param(ParamId(*at))));
        let tables = graph.tables.iter().enumerate().filter(|(at, _)| own(reach.of_table(TableId(*at))));
        params.map(|(_, param)| param.name.clone()).chain(tables.map(|(_, table)| table.tensor())).collect()
    };
    (0..graph.outputs.len()).map(of).collect()
}

/// A tensor that several tasks reach, if there is one.
pub(crate) fn shared_tensor(graph: &Graph) -> Option<String> {
    let reach = graph.reach();
    let table = (0..graph.tables.len()).map(TableId).find(|&table| reach.shares_table(table));
    let param = (0..graph.params.len()).map(ParamId).find(|&param| reach.shares_param(param));
    table.map(|table| graph.table(table).tensor()).or_else(|| param.map(|param| graph.param(param).name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EarlyStopping;

    #[test]
    fn each_task_has_its_own_best_and_patience_ends_with_the_last() {
        let stopping =
            EarlyStopping { patience: 2, ..serde_json::from_str(r#"{"patience": 2}"#).unwrap_or_else(|_| panic!()) };
        let config = TrainConfig { early_stopping: Some(stopping), ..TrainConfig::default() };
        let mut state = FitState::new(&config, 2);
        let scores = [[0.5, 0.5], [0.7, 0.4], [0.6, 0.3], [0.6, 0.8], [0.6, 0.7], [0.6, 0.7]];
        let mut judged = Vec::new();
        for (epoch, own) in (1..).zip(&scores) {
            state.epoch = epoch;
            let (best, stop) = state.judge(&config, epoch, 0.0, Some(own));
            judged.push((best, stop));
        }
        let tasks = |tasks: &[usize]| Judged::Tasks(tasks.to_vec());
        assert_eq!(
            judged[..4],
            [(tasks(&[0, 1]), false), (tasks(&[0]), false), (tasks(&[]), false), (tasks(&[1]), false)]
        );
        // Task 0 has waited for long; task 1 has not until the last.
        assert_eq!(judged[4..], [(tasks(&[]), false), (tasks(&[]), true)]);
        assert_eq!(state.best_epochs(), [2, 4]);
        assert_eq!(judged[2].0.best(), Best::No);
        assert_eq!(judged[3].0.best(), Best::Tasks(&[1]));
    }
}
