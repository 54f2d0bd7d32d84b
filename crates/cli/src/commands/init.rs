//! `pleiad init`: some rows into a first configuration.

use std::path::{Path, PathBuf};

use pleiad_train::infer::{InferOptions, InferProblem, Inferred, infer, read_sample, shell};

use super::file::{self, IfThere};
use super::rows::FileForm;
use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::{Global, stderr};

/// Write a first configuration for a log
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pleiad init log.parquet --out config.toml
  pleiad init 'log/*.parquet' --label click --label share:click --out config.toml
  pleiad init people.csv --label 'marital_status=Never married' --out config.toml

The configuration trains as it stands, and says beside each setting why it was chosen.
At most 65,536 rows are read (fewer of a table of more than 256 columns): the first ones
of up to 16 of the files. Labels that are to be seen by name and values are chosen; where
there are none, the candidates are listed. Columns that nearly say a label, ids, times and
what cannot be read are left out and named in comments, for you to decide.")]
pub(crate) struct Init {
    /// Rows: CSV, Parquet or Arrow; files, folders, or globs in quotes
    #[arg(value_name = "DATA", required = true)]
    data: Vec<String>,
    /// What to predict: COLUMN; COLUMN=VALUE where VALUE is the positive one of several texts; :SPACE behind it for the
    /// rows in which the column SPACE is positive (share:click). May be repeated
    #[arg(long, value_name = "COLUMN[=VALUE][:SPACE]")]
    label: Vec<String>,
    /// File to write; must not exist [default: standard output]
    #[arg(long, value_name = "CONFIG")]
    out: Option<PathBuf>,
    #[command(flatten)]
    form: FileForm,
}

impl Init {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        if let Some(out) = self.out.as_deref().filter(|out| out.symlink_metadata().is_ok()) {
            return Err(file::exists(out));
        }
        let form = self.form.source(&self.data)?;
        let (csv, said) = form.csv()?;
        let mut options = InferOptions {
            labels: self.label.clone(),
            train: self.data.clone(),
            format: form.format(),
            csv,
            file: self.out.as_ref().map(|out| out.display().to_string()),
        };
        let (header, trim, separator) = (options.csv.header, options.csv.trim, options.csv.separator.clone());
        let sample = read_sample(Path::new(""), &mut options, &|key| said.contains(&key))?;
        if options.csv.header != header {
            let columns = sample.columns.len();
            stderr::note(&format!(
                "the first row holds values and no names, so the columns are c0 to c{}; --csv header=true takes it for names",
                columns - 1
            ));
        }
        if options.csv.trim != trim {
            stderr::note("spaces around fields are taken for none of them; --csv trim=false keeps them");
        }
        if let Some(found) = options.csv.separator.as_ref().filter(|_| options.csv.separator != separator) {
            stderr::note(&format!("fields are separated by {found:?}; --csv separator=',' is another"));
        }
        if let Some(folder) = self.out.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty())
        {
            options.train = self.data.iter().map(|path| from_folder(folder, path)).collect::<std::io::Result<_>>()?;
        }
        let inferred = infer(&sample, &options).map_err(|problem| {
            let advice = self.advice(&problem);
            Failure::from(pleiad_train::Error::from(problem)).saying(&advice)
        })?;
        if inferred.tasks_are_guessed {
            let tasks = inferred.tasks.join(", ");
            stderr::note(&format!(
                "labels, by their names and values: {tasks}; if others are meant, name them with --label"
            ));
        }
        match (&self.out, global.format) {
            (Some(out), _) => file::write(out, inferred.toml.as_bytes(), IfThere::Refuse)?,
            (None, Format::Text) => return Ok(print(&inferred.toml)?),
            (None, Format::Json) => {}
        }
        match global.format {
            Format::Json => print_json(&inferred)?,
            Format::Text => print(&self.text(&inferred))?,
        }
        Ok(())
    }

    /// The command to type where no label was to be seen.
    fn advice(&self, problem: &InferProblem) -> String {
        let InferProblem::NoLabel { candidates } = problem else { return String::new() };
        let Some((first, _)) = candidates.first() else { return String::new() };
        let mut command = "pleiad init".to_owned();
        for word in &self.data {
            command.push_str(&format!(" {}", shell(word)));
        }
        command.push_str(&format!(" --label {}", shell(first)));
        if let Some(out) = &self.out {
            command.push_str(&format!(" --out {}", shell(&out.to_string_lossy())));
        }
        format!("\nThe first of them, as an example:\n  {command}")
    }

    fn text(&self, inferred: &Inferred) -> String {
        let out = self.out.as_deref().unwrap_or(Path::new("")).display();
        let features = count(inferred.features as u64);
        let left_out = match inferred.left_out.len() {
            0 => String::new(),
            columns => format!("; {} columns are left out: the end of the file says why", count(columns as u64)),
        };
        let tasks = inferred.tasks.join(", ");
        format!("{out}: {features} features; tasks: {tasks}{left_out}\ntrain it: pleiad train {out} --out run")
    }
}

/// A path of the working directory as a configuration in `folder` says it.
fn from_folder(folder: &Path, path: &str) -> std::io::Result<String> {
    let is_here = std::path::absolute(folder)? == std::env::current_dir()?;
    if is_here || Path::new(path).is_absolute() {
        return Ok(path.to_owned());
    }
    let absolute = std::path::absolute(path)?;
    Ok(absolute.to_str().map_or_else(|| path.to_owned(), str::to_owned))
}
