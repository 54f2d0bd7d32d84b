//! [`DataFile`]: a file of rows.

use std::path::PathBuf;

/// A file of rows, and what the names of its folders say about all of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Its path; a name for messages where it is the standard input.
    pub path: PathBuf,
    /// Whether it is the standard input.
    pub is_standard_input: bool,
    /// The columns of its `key=value` folders, outermost first.
    pub folders: Vec<FolderColumn>,
}

impl From<PathBuf> for DataFile {
    fn from(path: PathBuf) -> Self {
        Self { path, is_standard_input: false, folders: Vec::new() }
    }
}

impl DataFile {
    pub(super) fn standard_input() -> Self {
        Self { path: "standard input".into(), is_standard_input: true, folders: Vec::new() }
    }
}

/// A column that the name of a folder gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderColumn {
    /// Name of the column.
    pub column: String,
    /// Its value in every row of the folder, a text; `None` where it is missing.
    pub value: Option<String>,
}
