//! [`Sharing`]: a model compiled again for batches whose requests have more features in common than its graph says.
//!
//! A server is asked with fields that all candidates share. What depends on these alone lives in request space then, whether or
//! not the schema says `per = "request"`. The tables are those of the model; dense weights are laid out once more, since
//! a plan that splits its layers differently wants them in another order.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use pleiad_model::Graph;

use crate::parameters::Parameters;
use crate::plan::Purpose;
use crate::runner::Runner;
use crate::storage::Storage;

/// Sets of features that a model is compiled for: callers mostly have one or two of them.
const MOST: usize = 4;

/// Bytes of weights that all sets but the first may take, twice each: as they are, and as products want them.
const ROOM: usize = 256 << 20;

/// The plans of a model by what requests have in common.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    plans: RwLock<Vec<Arc<InCommon>>>,
    /// Held while one is made.
    making: Mutex<()>,
}

/// A model compiled for requests that have these features in common.
#[derive(Debug)]
pub(crate) struct InCommon {
    /// In the order of their names.
    features: Vec<String>,
    /// None where the graph cannot be compiled so: events that belong together, of a request here and of a row there.
    compiled: Option<(Runner, Storage<f32>)>,
}

impl InCommon {
    /// What runs it, and its dense weights.
    pub(crate) fn runner(&self) -> Option<(&Runner, &[f32])> {
        self.compiled.as_ref().map(|(runner, dense)| (runner, &**dense))
    }

    fn new(graph: &Graph, parameters: &Parameters, features: Vec<String>) -> Self {
        let mut graph = graph.clone();
        let own = std::mem::take(&mut graph.layout.per_request);
        graph.layout.per_request = own.into_iter().chain(features.iter().cloned()).collect();
        let compiled = Runner::new(&graph, Purpose::Predict).ok().map(|mut runner| {
            let layout = &runner.plan().params;
            let mut dense = Storage::zeros(layout.len);
            for param in 0..graph.params.len() {
                layout.scatter(param, &parameters.layout.gather(param, &parameters.dense), &mut dense);
            }
            runner.prepare_for(&dense, &parameters.tables);
            (runner, dense)
        });
        Self { features, compiled }
    }
}

impl Sharing {
    /// The plan for requests that have `features` in common beside those of which the graph says so. It is made when it is asked for
    /// the first time; where there is no room for one more, the one that has most of these features is taken. `None` if
    /// none fits.
    pub(crate) fn plan(&self, graph: &Graph, parameters: &Parameters, features: &[&str]) -> Option<Arc<InCommon>> {
        let is_own = |name: &str| graph.layout.per_request.iter().any(|own| own == name);
        let is_input = |name: &str| graph.layout.inputs.iter().any(|input| input.name() == name);
        let wanted = features.iter().copied().filter(|name| is_input(name) && !is_own(name));
        let mut wanted: Vec<&str> = wanted.collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return None;
        }
        if let Some(found) = self.found(&wanted) {
            return Some(found);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have made it meanwhile.
        if let Some(found) = self.found(&wanted) {
            return Some(found);
        }
        let plans = self.plans.read().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = parameters.dense.len().saturating_mul(2 * size_of::<f32>());
        if plans.len() >= MOST || plans.len().saturating_mul(bytes) > ROOM {
            let of_these = |plan: &&Arc<InCommon>| plan.features.iter().all(|name| wanted.contains(&name.as_str()));
            return plans.iter().filter(of_these).max_by_key(|plan| plan.features.len()).cloned();
        }
        let made = Arc::new(InCommon::new(graph, parameters, wanted.into_iter().map(str::to_owned).collect()));
        self.plans.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&made));
        Some(made)
    }

    fn found(&self, wanted: &[&str]) -> Option<Arc<InCommon>> {
        let plans = self.plans.read().unwrap_or_else(PoisonError::into_inner);
        plans.iter().find(|plan| plan.features.iter().map(String::as_str).eq(wanted.iter().copied())).cloned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::sparse::TableOptions;

    #[test]
    fn a_set_is_made_once_and_the_nearest_is_taken_where_there_is_no_room() {
        let numbers = (0..6).map(|column| Input::Numeric { name: format!("n{column}"), column }).collect();
        let layout = InputLayout { per_request: vec!["n0".to_owned()], ..InputLayout::new(numbers) };
        let Value::Object(keys) = json!({ "kind": "hard-sharing", "bottom": [4] }) else { panic!() };
        let task = TaskSpec::new("a", TaskKind::Binary);
        let graph = ModelConfig::from_table(keys).unwrap().build(&layout, &[task]).unwrap();
        let runner = Runner::new(&graph, Purpose::Predict).unwrap();
        let parameters = Parameters::new(&graph, runner.plan().params.clone(), 0, &TableOptions::default(), 0).unwrap();
        let sharing = Sharing::default();
        let plan = |features: &[&str]| sharing.plan(&graph, &parameters, features);
        assert!(plan(&[]).is_none() && plan(&["n0", "unknown"]).is_none());
        let first = plan(&["n2", "n1", "n0"]).unwrap();
        assert_eq!(first.features, ["n1", "n2"]);
        assert!(Arc::ptr_eq(&first, &plan(&["n1", "n2", "n1"]).unwrap()));
        for other in ["n3", "n4", "n5"] {
            assert_eq!(plan(&[other]).unwrap().features, [other]);
        }
        assert!(Arc::ptr_eq(&first, &plan(&["n1", "n2", "n3"]).unwrap()));
        assert!(plan(&["n1"]).is_none());
        assert_eq!(sharing.plans.read().unwrap().len(), MOST);
    }
}
