//! `pleiad inspect`: what a model is made of and, with data, which experts it uses.

use std::path::PathBuf;

use pleiad_data::TaskKind;
use pleiad_rank::Model;
use pleiad_train::{Inspection, inspect, utilisation};

use crate::commands::rows::FileForm;
use crate::exit::Failure;
use crate::output::{Format, Table, count, print, print_json};
use crate::progress::RowProgress;
use crate::{Global, signals};

/// Width of the bar of an expert that gets all the weight.
const BAR: f64 = 30.0;

/// Show structure, size and cost of a model and, on data, its use of experts and what is wrong with it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad inspect run/model --data test.csv.gz")]
pub(crate) struct Inspect {
    /// Model (the folder RUN/model)
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Rows to observe the gates on; a file, a folder, a glob in quotes, or - for standard input
    #[arg(long, value_name = "FILE")]
    data: Vec<String>,
    #[command(flatten)]
    form: FileForm,
}

impl Inspect {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let model = Model::open(&self.model)?;
        let mut inspection = inspect(&model);
        if !self.data.is_empty() {
            let source = self.form.source(&self.data)?;
            let progress = RowProgress::new("observing gates", None);
            let seen = utilisation(&model, &source, &interrupt, &mut |rows| progress.at(rows))?;
            drop(progress);
            super::warn_of(&seen.read);
            inspection.gates = Some(seen.gates);
            inspection.experts = Some(seen.experts);
            inspection.alarms = Some(seen.alarms);
        }
        match global.format {
            Format::Json => print_json(&inspection)?,
            Format::Text => print(&text(&inspection))?,
        }
        Ok(())
    }
}

fn text(inspection: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<13}{value}\n"));
    line("structure", inspection.kind.clone());
    let task = |(name, kind): (&str, &TaskKind)| match kind {
        TaskKind::Binary => format!("{name} (binary)"),
        TaskKind::Regression => format!("{name} (regression)"),
    };
    line("tasks", inspection.tasks.iter().map(task).collect::<Vec<_>>().join(", "));
    line("inputs", format!("{} features, {} numbers wide", inspection.features, inspection.input_width));
    line(
        "parameters",
        format!(
            "{} ({} dense, {} in tables)",
            count(inspection.parameters.total),
            count(inspection.parameters.dense),
            count(inspection.parameters.tables)
        ),
    );
    line("cost", format!("{} floating-point operations a row", count(inspection.flops_per_row)));
    text.push('\n');
    let mut table = Table::new(["module", "parameters", "operations"]);
    for module in &inspection.modules {
        table.row([module.name.clone(), count(module.parameters), count(module.flops)]);
    }
    text.push_str(&table.render());
    let Some(gates) = &inspection.gates else { return text };
    if gates.is_empty() {
        text.push_str("\nThis structure has no gates.\n");
    }
    for gate in gates {
        text.push_str(&format!("\n{} over {} rows\n", gate.gate, count(gate.rows)));
        let mut table = Table::new(["expert", "mean", "sd", "min", "max"]);
        for expert in &gate.experts {
            let figures = [expert.mean, expert.sd, expert.min, expert.max].map(|figure| format!("{figure:.4}"));
            table.row(std::iter::once(expert.expert.clone()).chain(figures));
        }
        for (i, line) in table.render().lines().enumerate() {
            let bar = i.checked_sub(2).and_then(|i| gate.experts.get(i)).map_or(0.0, |e| e.mean * BAR);
            text.push_str(format!("  {line}  {}", "#".repeat(bar.round() as usize)).trim_end());
            text.push('\n');
        }
    }
    if !gates.is_empty() && inspection.alarms.as_ref().is_some_and(Vec::is_empty) {
        text.push_str(
            "\nNo alarms: gates use every expert on some rows, and neither weights nor outputs stand still.\n",
        );
    }
    for alarm in inspection.alarms.iter().flatten() {
        text.push_str(&format!("\n{}: {}\n", alarm.kind.name(), alarm.text));
    }
    text
}
