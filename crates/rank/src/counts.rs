//! Values of features, by the name of the feature.

use pleiad_data::{Encoder, FeatureCount};

use crate::by_task::ByTask;

/// Counts under the names of their features.
#[must_use]
pub fn by_feature(encoder: &Encoder, counts: &[FeatureCount]) -> ByTask<FeatureCount> {
    let names = encoder.schema().features.iter().map(|feature| feature.name.clone());
    names.zip(counts.iter().cloned()).collect()
}

/// The other way round; None if a feature lacks its count.
#[must_use]
pub fn in_order(encoder: &Encoder, counts: &ByTask<FeatureCount>) -> Option<Vec<FeatureCount>> {
    encoder.schema().features.iter().map(|feature| counts.get(&feature.name).cloned()).collect()
}
