//! Lines about a training, in pieces that go on in a new line where a terminal ends.

use pleiad_train::{EpochRecord, Evaluation, SplitRows};

use crate::output::count;

/// A part of a line that is not broken, and what stands before it where it does not begin a line.
#[derive(Debug)]
pub(crate) struct Piece {
    before: &'static str,
    pub(crate) text: String,
}

impl Piece {
    fn new(before: &'static str, text: impl Into<String>) -> Self {
        Self { before, text: text.into() }
    }
}

/// Columns that lines after the first are moved to the right by.
const INDENT: usize = 4;

/// The pieces in a line, or in as many as the width asks for. A piece that is wider alone loses its middle.
pub(crate) fn wrapped(pieces: &[Piece], width: Option<usize>) -> String {
    let Some(width) = width else {
        return pieces.iter().map(|piece| format!("{}{}", piece.before, piece.text)).collect();
    };
    // The last column stays free: some terminals begin a new line behind it.
    let width = width.saturating_sub(1).max(INDENT + 8);
    let (mut text, mut used) = (String::new(), 0);
    for piece in pieces {
        let (before, own) = (piece.before.chars().count(), piece.text.chars().count());
        if used > 0 && used + before + own > width {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            used = INDENT;
        } else if used > 0 {
            text.push_str(piece.before);
            used += before;
        }
        let short = clipped_within(&piece.text, width - used);
        used += short.chars().count();
        text.push_str(&short);
    }
    text
}

/// At most `most` characters, the middle left out: names differ in their ends.
pub(crate) fn clipped_within(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let head = most.saturating_sub(1).div_ceil(2);
    let tail = most.saturating_sub(1) - head;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

/// Adds a piece behind a comma, which belongs to the piece before it.
fn after_comma(pieces: &mut Vec<Piece>, text: impl Into<String>) {
    if let Some(last) = pieces.last_mut() {
        last.text.push(',');
    }
    pieces.push(Piece::new(" ", text));
}

/// `159,618 training rows (income 159,618, marital 159,618), 39,905 validation rows, 99,762 test rows`
pub(crate) fn rows_line(rows: &SplitRows) -> Vec<Piece> {
    let mut pieces = vec![Piece::new("", format!("{} training rows", count(rows.train.rows)))];
    for (i, (task, n)) in rows.train.tasks.iter().enumerate() {
        match i {
            0 => pieces.push(Piece::new(" ", format!("({task} {}", count(*n)))),
            _ => after_comma(&mut pieces, format!("{task} {}", count(*n))),
        }
    }
    if let Some(last) = pieces.last_mut() {
        last.text.push(')');
    }
    for (name, split) in [("validation", &rows.valid), ("test", &rows.test)] {
        if let Some(split) = split {
            after_comma(&mut pieces, format!("{} {name} rows", count(split.rows)));
        }
    }
    pieces
}

/// `epoch 3/10  loss 0.2134  valid income auc 0.9450, marital auc 0.9941  41,000 rows/s, 0.4 % waiting for rows  best`
pub(crate) fn epoch_line(record: &EpochRecord, epochs: u64, best: bool) -> Vec<Piece> {
    let width = epochs.to_string().len();
    let mut pieces = vec![
        Piece::new("", format!("epoch {:>width$}/{epochs}", record.epoch)),
        Piece::new("  ", format!("loss {:.4}", record.loss)),
    ];
    let by_task: Vec<String> = match &record.valid {
        Some(valid) => main_metrics(valid),
        None => record.task_losses.iter().map(|(task, loss)| format!("{task} {}", short(*loss))).collect(),
    };
    let valid = if record.valid.is_some() { "valid " } else { "" };
    for (i, text) in by_task.into_iter().enumerate() {
        match i {
            0 => pieces.push(Piece::new("  ", format!("{valid}{text}"))),
            _ => after_comma(&mut pieces, text),
        }
    }
    pieces.push(Piece::new("  ", format!("{} rows/s", count(record.rows_per_second as u64))));
    after_comma(&mut pieces, format!("{:.1} % waiting for rows", 100.0 * record.input_wait));
    if best {
        pieces.push(Piece::new("  ", "best"));
    }
    pieces
}

fn short(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// Every task's main metric.
fn main_metrics(evaluation: &Evaluation) -> Vec<String> {
    let first = evaluation.named().filter_map(|(task, _, named)| Some((task, named.first().copied()?)));
    first.map(|(task, (kind, value))| format!("{task} {kind} {}", short(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tasks: &[&str]) -> EpochRecord {
        let binary = |_: &&str| {
            serde_json::json!({
                "rows": 100, "positives": 10, "auc": 0.745_61, "log_loss": 0.3, "calibration": 1.0,
            })
        };
        let metrics: serde_json::Map<_, _> = tasks.iter().map(|task| ((*task).to_owned(), binary(task))).collect();
        let record = serde_json::json!({
            "epoch": 3, "loss": 0.213_41, "task_losses": {}, "valid": { "rows": 100, "tasks": metrics },
            "score": 0.7, "learning_rate": 1e-3, "rows_per_second": 41_000.0, "input_wait": 0.004,
        });
        serde_json::from_value(record).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_epoch_of_five_tasks_fits_the_terminal() {
        let tasks = ["click", "valid_view", "completion", "share", "comment"];
        let whole = "epoch  3/10  loss 0.2134  valid click auc 0.7456, valid_view auc 0.7456, completion auc 0.7456, share \
                     auc 0.7456, comment auc 0.7456  41,000 rows/s, 0.4 % waiting for rows  best";
        let pieces = epoch_line(&record(&tasks), 10, true);
        assert_eq!(wrapped(&pieces, None), whole);
        assert_eq!(wrapped(&pieces, Some(200)), whole);
        assert_eq!(
            wrapped(&pieces, Some(80)),
            "epoch  3/10  loss 0.2134  valid click auc 0.7456, valid_view auc 0.7456,\n    \
             completion auc 0.7456, share auc 0.7456, comment auc 0.7456  41,000 rows/s,\n    \
             0.4 % waiting for rows  best"
        );
        for width in 1..200 {
            let lines = wrapped(&pieces, Some(width));
            assert!(lines.lines().all(|line| line.chars().count() < width.max(INDENT + 9)), "{width}: {lines}");
        }
    }

    #[test]
    fn a_name_wider_than_the_terminal_loses_its_middle() {
        let name = "x".repeat(90) + "_of_video";
        let pieces = epoch_line(&record(&[&name]), 3, false);
        let lines = wrapped(&pieces, Some(80));
        assert!(
            lines.lines().all(|line| line.chars().count() < 80) && lines.contains("_of_video auc 0.7456"),
            "{lines}"
        );
    }
}
