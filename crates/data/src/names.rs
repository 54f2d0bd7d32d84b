//! Unknown names: which known name was meant, and how messages say so.

/// The name among `known` that is nearest to `name`, if it is near enough to be a slip.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let folded = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        // The first of equally near names: `max_by` alone would take the last.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, candidate)| candidate.to_owned())
}

/// What a message says behind an unknown name: ``"; did you mean `click`? (known: click, share)"`` where a known name is near, else all
/// known names; nothing where none is known.
#[must_use]
pub fn suggest(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let list = known.join(", ");
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`? (known: {list})"),
        None => format!("; known: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_no_strangers() {
        let known = ["wage_per_hour", "age", "education"];
        assert_eq!(nearest("educaton", known).as_deref(), Some("education"));
        assert_eq!(nearest("Age", known).as_deref(), Some("age"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn known_names_are_listed_with_the_one_that_was_meant() {
        assert_eq!(suggest("clik", &["click", "share"]), "; did you mean `click`? (known: click, share)");
        assert_eq!(suggest("zzz", &["click", "share"]), "; known: click, share");
        assert_eq!(suggest("clik", &[]), "");
    }
}
