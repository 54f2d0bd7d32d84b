//! `pleiad schema`: the JSON Schema of a configuration.

use pleiad_train::Config;

use crate::exit::Failure;
use crate::output::print_json;

/// Print the JSON Schema of a configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad schema > pleiad.schema.json

Editors with TOML support (Even Better TOML, for one) complete and check keys with it: put
  #:schema ./pleiad.schema.json
in the first line of a configuration.")]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self) -> Result<(), Failure> {
        Ok(print_json(&Config::json_schema())?)
    }
}
