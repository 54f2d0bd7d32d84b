//! Numbers as people read them; those of metrics and gains are [`pleiad_train::figures`], with a minus as wide as a plus.

use pleiad_train::figures;

/// A count with its thousands set apart: `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(super) fn plural(n: u64, word: &str) -> String {
    format!("{} {word}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A minus that is as wide as a plus.
fn typographic(text: String) -> String {
    text.replace('-', "\u{2212}")
}

/// A metric, a dash where it is not defined.
pub(super) fn metric(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| typographic(figures::metric(Some(value))))
}

/// A standard deviation beside a metric of that mean.
pub(super) fn deviation(sd: f64, mean: f64) -> String {
    typographic(figures::deviation(sd, mean))
}

/// A gain with its sign.
pub(super) fn signed(value: f64) -> String {
    typographic(figures::gain(value))
}

/// `[low, high]` of a gain, or nothing.
pub(super) fn bounds(bounds: Option<(f64, f64)>) -> String {
    bounds.map_or_else(String::new, |bounds| typographic(figures::bounds(bounds)))
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent != 0.0 && percent < 1.0 { format!("{percent:.2} %") } else { format!("{percent:.1} %") }
}

/// A number for an axis whose ticks are `step` apart.
pub(super) fn tick(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e5 || step < 1e-6 {
        // As many digits as make two ticks distinct.
        let digits = (value.abs().log10().floor() - step.log10().floor()).clamp(1.0, 7.0) as usize;
        return typographic(format!("{value:.digits$e}"));
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 7.0) as usize;
    typographic(format!("{value:.decimals$}"))
}

/// A length of time: `0.8 s`, `1 min 40 s`, `2 h 3 min`.
pub(super) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=9 => format!("{seconds:.1} s"),
        10..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// Many floating-point operations, or many rows, in a word: `12.3 k`, `4.6 M`.
pub(super) fn short(n: f64) -> String {
    match n.abs() {
        v if v >= 1e9 => format!("{:.1} G", n / 1e9),
        v if v >= 1e6 => format!("{:.1} M", n / 1e6),
        v if v >= 1e4 => format!("{:.1} k", n / 1e3),
        _ => count(n.round().max(0.0) as u64),
    }
}

/// At most `most` characters, the last of them an ellipsis where some are missing.
pub(super) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// At most `most` characters, with an ellipsis in the middle: names of features often differ in their last part alone.
pub(super) fn clipped_within(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let head = most.saturating_sub(1).div_ceil(2);
    let tail = most.saturating_sub(1) - head;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!((plural(1, "row"), plural(2000, "row")), ("1 row".to_owned(), "2,000 rows".to_owned()));
        assert_eq!((metric(Some(-0.000_012)), metric(None)), ("\u{2212}1.2000e\u{2212}5".into(), "–".into()));
        assert_eq!((signed(-0.0123), deviation(0.000_56, 0.9)), ("\u{2212}0.01230".into(), "0.00056".into()));
        assert_eq!(bounds(Some((-0.1, 0.2))), "[\u{2212}0.10000, +0.20000]");
        assert_eq!((percent(0.25), percent(0.001), percent(0.0)), ("25.0 %".into(), "0.10 %".into(), "0.0 %".into()));
        assert_eq!(
            (tick(0.25, 0.05), tick(0.0, 0.1), tick(-3.0, 1.0)),
            ("0.25".into(), "0".into(), "\u{2212}3".into())
        );
        assert_eq!(
            (seconds(1.23), seconds(100.2), seconds(7400.0)),
            ("1.2 s".into(), "1 min 40 s".into(), "2 h 3 min".into())
        );
        assert_eq!((short(999.0), short(12_340.0), short(4.56e6)), ("999".into(), "12.3 k".into(), "4.6 M".into()));
        assert_eq!((clipped_within("number_of_12", 8), clipped_within("ab", 8)), ("numb…_12".into(), "ab".into()));
        assert_eq!((clipped("поток", 5), clipped("потоки", 5)), ("поток".into(), "пото…".into()));
    }
}
