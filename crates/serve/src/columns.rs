//! [`Columns`]: the columns that a model reads, found by name.

use std::collections::HashMap;

use pleiad_data::schema::{FeatureKind, Schema};

/// The columns that a model reads.
#[derive(Debug, Clone)]
pub struct Columns {
    pub(crate) names: Vec<String>,
    /// Whether a feature reads the column as a list.
    pub(crate) lists: Vec<bool>,
    pub(crate) by_name: HashMap<String, usize>,
}

impl Columns {
    /// Those of the features of a schema.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let mut columns = Self { names: Vec::new(), lists: Vec::new(), by_name: HashMap::new() };
        for feature in &schema.features {
            let is_list = matches!(feature.read, FeatureKind::Categorical { multiple: Some(_), .. });
            let name = feature.column();
            match columns.by_name.get(name) {
                Some(&at) => columns.lists[at] |= is_list,
                None => {
                    columns.by_name.insert(name.to_owned(), columns.names.len());
                    columns.names.push(name.to_owned());
                    columns.lists.push(is_list);
                }
            }
        }
        columns
    }

    /// The number of a column.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}
