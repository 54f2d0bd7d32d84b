//! Ranges of column names: `x[0..512]` stands for `x0`, `x1`, ... `x511`.

/// Most columns that one range may stand for; a typing slip should not ask for millions.
pub const MAX_RANGE: u64 = 65_536;

/// Expands a range; a name without one stands for itself.
///
/// The range is `[from..to]` with whole numbers, `to` exclusive, anywhere in the name. Brackets that hold something
/// else belong to the name.
///
/// # Errors
/// If the range is empty, or longer than [`MAX_RANGE`].
pub(crate) fn expand(name: &str) -> Result<Vec<String>, String> {
    let Some((before, from, to, after)) = split(name) else {
        return Ok(vec![name.to_owned()]);
    };
    if from >= to {
        return Err(format!("the range of \"{name}\" is empty: its end is exclusive and must be above its start"));
    }
    if to - from > MAX_RANGE {
        return Err(format!(
            "the range of \"{name}\" stands for {} columns; at most {MAX_RANGE} are allowed",
            to - from
        ));
    }
    Ok((from..to).map(|i| format!("{before}{i}{after}")).collect())
}

/// Whether a name stands for a range.
pub(super) fn is_range(name: &str) -> bool {
    split(name).is_some()
}

fn split(name: &str) -> Option<(&str, u64, u64, &str)> {
    let (before, rest) = name.split_once('[')?;
    let (range, after) = rest.split_once(']')?;
    let (from, to) = range.split_once("..")?;
    Some((before, whole(from)?, whole(to)?, after))
}

fn whole(text: &str) -> Option<u64> {
    // `parse` alone would accept a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_exclusive_at_its_end() {
        assert_eq!(expand("x[0..3]").as_deref(), Ok(&["x0".to_owned(), "x1".to_owned(), "x2".to_owned()][..]));
        assert_eq!(expand("m[8..10]_avg").as_deref(), Ok(&["m8_avg".to_owned(), "m9_avg".to_owned()][..]));
    }

    #[test]
    fn other_names_stand_for_themselves() {
        for name in ["age", "x[0]", "x[a..b]", "x[0..", "x]0..2[", "x[-1..2]", "x[+1..2]", "x[..]", ""] {
            assert_eq!(expand(name).as_deref(), Ok(&[name.to_owned()][..]), "{name}");
        }
    }

    #[test]
    fn empty_and_endless_ranges_are_refused() {
        assert!(expand("x[3..3]").is_err_and(|e| e.contains("empty")));
        assert!(expand("x[4..3]").is_err_and(|e| e.contains("empty")));
        assert!(expand("x[0..99999999]").is_err_and(|e| e.contains("at most 65536")));
    }
}
