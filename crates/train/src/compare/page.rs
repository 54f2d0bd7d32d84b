//! `report.html` of a comparison.

use std::path::Path;

use pleiad_model::artifact::Provenance;

use super::result::Comparison;
use super::runs::{SeedOutcome, folder_of};
use super::sizes::SizedModel;
use crate::config::ConfigFile;
use crate::error::Result;
use crate::explain::Explanation;
use crate::pages::{ComparisonPage, ModelPage, Pages};
use crate::run::RunFolder;

/// Draws the report. Each model is explained by its first finished run.
///
/// # Errors
/// Those of reading `explain.json`.
pub(super) fn page(
    pages: &dyn Pages,
    file: &ConfigFile,
    out: &Path,
    comparison: &Comparison,
    models: &[SizedModel],
    slugs: &[String],
    runs: &[Vec<SeedOutcome>],
) -> Result<String> {
    let explained = |(slug, runs): (&String, &Vec<SeedOutcome>)| -> Result<Option<Explanation>> {
        let first = runs.iter().zip(&comparison.seeds).find(|(ran, _)| matches!(ran, SeedOutcome::Finished(_)));
        let Some((_, &seed)) = first else { return Ok(None) };
        RunFolder::new(&out.join(folder_of(slug, seed))).explanation()
    };
    let explanations = slugs.iter().zip(runs).map(explained).collect::<Result<Vec<_>>>()?;
    let models = comparison.models.iter().zip(models).zip(runs).zip(&explanations);
    let models = models.map(|(((compared, sized), runs), explanation)| ModelPage {
        name: &compared.name,
        runs: runs
            .iter()
            .filter_map(|ran| match ran {
                SeedOutcome::Finished(report) => Some(&**report),
                SeedOutcome::Failed(_) => None,
            })
            .collect(),
        explanation: explanation.as_ref(),
        graph: &sized.graph,
    });
    let provenance = Provenance::now();
    Ok(pages.comparison(&ComparisonPage {
        comparison,
        models: models.collect(),
        config: file,
        provenance: &provenance,
    }))
}
