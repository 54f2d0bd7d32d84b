//! How far the work is, on standard error: a bar on a terminal, a line per epoch in a pipe.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pleiad_data::{CacheUse, Phase};
use pleiad_train::{EpochRecord, Evaluation, Event, Observer, named_metrics};
use pleiad_train::{RowCount, SplitRows};

use crate::output::count;

/// Shows a training.
pub(crate) struct TrainProgress {
    bar: Option<ProgressBar>,
    /// Stands before every line where several models are trained one after the other.
    label: String,
    epochs: u64,
    rows: u64,
}

impl TrainProgress {
    /// Progress of one model.
    pub(crate) fn new(label: &str) -> Self {
        let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
        Self { bar: None, label, epochs: 0, rows: 0 }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{}{text}", self.label)),
            None => eprintln!("{}{text}", self.label),
        }
    }

    /// Ends the bar at hand.
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Rows of work whose end is not known.
    fn count_rows(&mut self, what: &str, rows: u64) {
        let bar = self.bar.take().or_else(spinner);
        if let Some(bar) = &bar {
            bar.set_message(what.to_owned());
            bar.set_position(rows);
        }
        self.bar = bar;
    }
}

impl Observer for TrainProgress {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Generated { rows } => self.count_rows("writing rows", rows),
            Event::Loading(progress) => {
                let what = match progress.phase {
                    Phase::Fit => "fitting encoders".to_owned(),
                    Phase::Load(split) => format!("reading {} rows", split.name()),
                };
                self.count_rows(&what, progress.rows);
            }
            Event::Cache(cache) => {
                self.clear();
                let warning = if matches!(cache, CacheUse::NotKept { .. }) { "warning: " } else { "" };
                self.line(&format!("{warning}{cache}"));
            }
            Event::Loaded(rows) => {
                self.clear();
                self.line(&rows_line(rows));
            }
            Event::Built { summary } => self.line(&format!(
                "model of {} parameters ({} in tables), {} operations a row",
                count(summary.parameters()),
                count(summary.table_parameters),
                count(summary.flops_per_row)
            )),
            Event::Start { epochs, rows, done } => {
                (self.epochs, self.rows) = (epochs, rows);
                self.bar = bar(epochs * rows, done);
            }
            Event::Step { epoch, rows } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("{}epoch {epoch}/{}", self.label, self.epochs));
                    bar.set_position((epoch - 1) * self.rows + rows);
                }
            }
            Event::Epoch { record, best } => self.line(&epoch_line(record, self.epochs, best)),
            Event::Warning(text) => self.line(&format!("warning: {text}")),
            _ => {}
        }
    }
}

impl Drop for TrainProgress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Shows how many rows are done, on a terminal only.
pub(crate) struct RowProgress(Option<ProgressBar>);

impl RowProgress {
    /// Progress of `what`, over `rows` where their number is known.
    pub(crate) fn new(what: &str, rows: Option<u64>) -> Self {
        let bar = rows.map_or_else(spinner, |rows| bar(rows, 0));
        if let Some(bar) = &bar {
            bar.set_message(what.to_owned());
        }
        Self(bar)
    }

    /// This many rows are done.
    pub(crate) fn at(&self, rows: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(rows);
        }
    }
}

impl Drop for RowProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A bar of `rows`, of which `done` were so before.
fn bar(rows: u64, done: u64) -> Option<ProgressBar> {
    on_terminal(Some(rows), done, "{msg} [{bar:30}] {percent:>3}%  {human_pos} rows, {per_sec}, {eta} left")
}

fn spinner() -> Option<ProgressBar> {
    on_terminal(None, 0, "{msg}: {human_pos} rows, {per_sec}")
}

/// A bar on a terminal, nothing in a pipe.
fn on_terminal(rows: Option<u64>, done: u64, template: &str) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(rows, ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template(template) {
        let per_sec = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            // A line that cannot be drawn is not worth an error.
            let _ = write!(out, "{} rows/s", count(state.per_sec() as u64));
        };
        bar.set_style(style.progress_chars("=> ").with_key("per_sec", per_sec));
    }
    // Rows done before a resume are no measure of speed: they are drawn once, then the clock starts.
    bar.set_position(done);
    bar.tick();
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(250));
    Some(bar)
}

/// `159,618 training rows (income 159,618, marital 159,618), 39,905 validation rows, 99,762 test rows`
fn rows_line(rows: &SplitRows) -> String {
    let by_task = |rows: &RowCount| {
        rows.tasks.iter().map(|(task, n)| format!("{task} {}", count(*n))).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("{} training rows ({})", count(rows.train.rows), by_task(&rows.train));
    for (name, split) in [("validation", &rows.valid), ("test", &rows.test)] {
        if let Some(split) = split {
            text.push_str(&format!(", {} {name} rows", count(split.rows)));
        }
    }
    text
}

/// `epoch 3/10  loss 0.2134  valid income auc 0.9450, marital auc 0.9941  41,000 rows/s, 0.4 % waiting for rows  best`
fn epoch_line(record: &EpochRecord, epochs: u64, best: bool) -> String {
    let width = epochs.to_string().len();
    let mut text = format!("epoch {:>width$}/{epochs}  loss {:.4}", record.epoch, record.loss);
    match &record.valid {
        Some(valid) => text.push_str(&format!("  valid {}", main_metrics(valid))),
        None => {
            let losses = record.task_losses.iter().map(|(task, loss)| format!("{task} {}", short(*loss)));
            text.push_str(&format!("  {}", losses.collect::<Vec<_>>().join(", ")));
        }
    }
    let waiting = 100.0 * record.input_wait;
    text.push_str(&format!("  {} rows/s, {waiting:.1} % waiting for rows", count(record.rows_per_second as u64)));
    if best {
        text.push_str("  best");
    }
    text
}

fn short(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// Every task's main metric.
fn main_metrics(evaluation: &Evaluation) -> String {
    let of = |(task, metrics)| {
        let (kind, value) = named_metrics(metrics).first().copied()?;
        Some(format!("{task} {} {}", kind.name(), short(value)))
    };
    evaluation.tasks.iter().filter_map(of).collect::<Vec<_>>().join(", ")
}
