//! How far the work is, on standard error: a bar on a terminal, a line per epoch anywhere.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use pleiad_data::{CacheUse, Phase};
use pleiad_train::{Event, Observer};

use crate::lines::{Piece, clipped_within, epoch_line, rows_line, wrapped};
use crate::output::{count, duration};
use crate::paint::is_dumb;
use crate::stderr;

/// Runs of a comparison: those that were trained, and those that wait. They give the time that is left.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    trained: u32,
    seconds: f64,
    waiting: usize,
}

impl Outlook {
    /// Seconds until the last run ends, when the one at hand has `left` of its `passed + left`: those that wait take as
    /// long as the mean of those before them, or as this one.
    fn left(&self, passed: f64, left: f64) -> f64 {
        let run = if self.trained > 0 { self.seconds / f64::from(self.trained) } else { passed + left };
        left + run * self.waiting as f64
    }
}

/// Shows a training.
pub(crate) struct TrainProgress {
    bar: Option<ProgressBar>,
    /// Stands before every line where several models are trained one after the other.
    label: String,
    epochs: u64,
    rows: u64,
    begun: Instant,
    outlook: Arc<Mutex<Outlook>>,
    /// Whether this training says how long others may take.
    counts: bool,
    /// Columns for the name of what is done, beside a bar.
    room: usize,
}

/// Columns of a bar's line that time left, speed and share need.
const FIGURES: usize = 48;

impl TrainProgress {
    /// Progress of one model.
    pub(crate) fn new(label: &str) -> Self {
        let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
        let outlook = Arc::default();
        Self { bar: None, label, epochs: 0, rows: 0, begun: Instant::now(), outlook, counts: false, room: usize::MAX }
    }

    /// Progress of a model after which `waiting` others are to be trained.
    pub(crate) fn among(label: &str, outlook: &Arc<Mutex<Outlook>>, waiting: usize) -> Self {
        outlook.lock().unwrap_or_else(PoisonError::into_inner).waiting = waiting;
        let mut progress = Self::new(label);
        progress.outlook = Arc::clone(outlook);
        progress
    }

    fn note(&self, text: &str) {
        self.aside(|| stderr::note(&format!("{}{text}", self.label)));
    }

    fn warning(&self, text: &str) {
        self.aside(|| stderr::warning(&format!("{}{text}", self.label)));
    }

    /// Pieces that go on in a new line where the terminal ends.
    fn pieces(&self, mut pieces: Vec<Piece>) {
        if let Some(first) = pieces.first_mut() {
            first.text.insert_str(0, &self.label);
        }
        self.aside(|| stderr::note(&wrapped(&pieces, stderr::width())));
    }

    /// A bar of the part of a training at hand, of which `done` rows were read before. It says when the last run ends.
    fn bar_of(&self, what: &str, rows: u64, done: u64) -> Option<ProgressBar> {
        let (outlook, begun) = (Arc::clone(&self.outlook), self.begun);
        on_terminal(what, Some(rows), done, BAR, move |state: &ProgressState| {
            let outlook = outlook.lock().unwrap_or_else(PoisonError::into_inner);
            outlook.left(begun.elapsed().as_secs_f64(), state.eta().as_secs_f64())
        })
    }

    /// Writes while the bar is away.
    fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
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
        let bar = self.bar.take().or_else(|| spinner(what));
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
                match cache {
                    CacheUse::NotKept { .. } => self.warning(&cache.to_string()),
                    _ => self.note(&cache.to_string()),
                }
            }
            Event::Loaded(rows) => {
                self.clear();
                self.pieces(rows_line(rows));
            }
            Event::Built { summary } => self.note(&format!(
                "model of {} parameters ({} in tables), {} operations a row",
                count(summary.parameters()),
                count(summary.table_parameters),
                count(summary.flops_per_row)
            )),
            Event::Start { epochs, rows, done } => {
                (self.epochs, self.rows) = (epochs, rows);
                self.counts = true;
                self.room = stderr::width().map_or(usize::MAX, |width| width.saturating_sub(FIGURES).max(12));
                self.bar = self.bar_of(&self.label, epochs.saturating_mul(rows), done);
            }
            Event::Step { epoch, rows } => {
                if let Some(bar) = &self.bar {
                    let what = format!("{}epoch {epoch}/{}", self.label, self.epochs);
                    bar.set_message(clipped_within(&what, self.room));
                    bar.set_position((epoch - 1) * self.rows + rows);
                }
            }
            Event::Epoch { record, best } => self.pieces(epoch_line(record, self.epochs, best)),
            Event::Explaining { rows, of } => {
                if rows >= of {
                    return self.clear();
                }
                // The bar of the epochs is full by now; this one has other rows.
                let bar = self.bar.take().filter(|bar| bar.length() == Some(of));
                let what = clipped_within(&format!("{}explaining", self.label), self.room);
                let bar = bar.or_else(|| self.bar_of(&what, of, 0));
                if let Some(bar) = &bar {
                    bar.set_position(rows);
                }
                self.bar = bar;
            }
            Event::Warning(text) => self.warning(text),
            _ => {}
        }
    }
}

impl Drop for TrainProgress {
    fn drop(&mut self) {
        self.clear();
        if self.counts {
            let mut outlook = self.outlook.lock().unwrap_or_else(PoisonError::into_inner);
            outlook.trained += 1;
            outlook.seconds += self.begun.elapsed().as_secs_f64();
        }
    }
}

/// Shows how many rows are done, on a terminal only.
pub(crate) struct RowProgress(Option<ProgressBar>);

impl RowProgress {
    /// Progress of `what`, over `rows` where their number is known.
    pub(crate) fn new(what: &str, rows: Option<u64>) -> Self {
        Self(rows.map_or_else(|| spinner(what), |rows| bar(what, rows)))
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

/// What stands beside a bar; the bar takes what room is left, so that time left is not cut off.
const BAR: &str = "{msg} {percent:>3}% [{wide_bar}] {left} left, {speed}";

/// A bar of `rows`.
fn bar(what: &str, rows: u64) -> Option<ProgressBar> {
    on_terminal(what, Some(rows), 0, BAR, |state: &ProgressState| state.eta().as_secs_f64())
}

fn spinner(what: &str) -> Option<ProgressBar> {
    on_terminal(what, None, 0, "{msg}: {human_pos} rows, {speed}", |_: &ProgressState| 0.0)
}

/// A bar on a terminal; nothing in a pipe, or with `--quiet`.
fn on_terminal(
    what: &str,
    rows: Option<u64>,
    done: u64,
    template: &str,
    left: impl Fn(&ProgressState) -> f64 + Clone + Send + Sync + 'static,
) -> Option<ProgressBar> {
    if stderr::is_quiet() || is_dumb() || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(rows, ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template(template) {
        // A line that cannot be drawn is not worth an error.
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{} rows/s", count(state.per_sec() as u64));
        };
        let left = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // No speed yet, no time.
            let left = if state.per_sec() > 0.0 { duration(left(state)) } else { "?".to_owned() };
            let _ = out.write_str(&left);
        };
        bar.set_style(style.progress_chars("=> ").with_key("speed", speed).with_key("left", left));
    }
    bar.set_message(what.to_owned());
    // Rows done before a resume are no measure of speed: they are drawn once, then the clock starts.
    bar.set_position(done);
    bar.tick();
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(250));
    Some(bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_that_of_all_runs() {
        let first = Outlook { trained: 0, seconds: 0.0, waiting: 3 };
        assert_eq!(first.left(4.0, 6.0), 6.0 + 3.0 * 10.0);
        let later = Outlook { trained: 2, seconds: 16.0, waiting: 1 };
        assert_eq!(later.left(4.0, 6.0), 6.0 + 8.0);
        assert_eq!(Outlook::default().left(4.0, 6.0), 6.0);
    }
}
