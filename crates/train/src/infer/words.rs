//! What the name of a column says. Values that contradict the name count more.

/// The words of a name in lower case: `videoWatch_seconds` is `video`, `watch`, `seconds`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut before_is_lower) = (String::new(), false);
    for char in name.chars() {
        if !char.is_alphanumeric() || char.is_uppercase() && before_is_lower {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if char.is_alphanumeric() {
            word.extend(char.to_lowercase());
        }
        before_is_lower = char.is_lowercase() || char.is_numeric();
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// What people do, and what else 0 or 1 is asked for.
const EVENTS: &[&str] = &[
    "bookmark",
    "bought",
    "bounce",
    "buy",
    "cart",
    "churn",
    "churned",
    "click",
    "clicked",
    "clicks",
    "comment",
    "commented",
    "complete",
    "completed",
    "conversion",
    "convert",
    "converted",
    "ctr",
    "cvr",
    "default",
    "defaulted",
    "dislike",
    "disliked",
    "download",
    "downloaded",
    "favorite",
    "favourite",
    "finish",
    "finished",
    "follow",
    "followed",
    "forward",
    "fraud",
    "install",
    "installed",
    "label",
    "like",
    "liked",
    "open",
    "opened",
    "order",
    "ordered",
    "outcome",
    "paid",
    "purchase",
    "purchased",
    "reply",
    "response",
    "retained",
    "save",
    "saved",
    "share",
    "shared",
    "signup",
    "skip",
    "skipped",
    "spam",
    "subscribe",
    "subscribed",
    "survived",
    "target",
    "view",
    "viewed",
    "y",
];

/// What may stand beside such a word and leave the name that of an event.
const BESIDE: &[&str] = &["did", "effective", "has", "is", "label", "long", "target", "valid", "was"];

/// Amounts that are asked for.
const AMOUNTS: &[&str] = &["completion", "label", "rating", "target", "y"];

/// What is known only after the row was shown.
const AFTER: &[&str] = &[
    "after",
    "dwell",
    "dwelled",
    "elapsed",
    "payout",
    "played",
    "pred",
    "predicted",
    "prediction",
    "probability",
    "refund",
    "revenue",
    "reward",
    "spend",
    "spent",
    "true",
    "watch",
    "watched",
];

const IDS: &[&str] = &["guid", "id", "ids", "idx", "index", "key", "pk", "rowid", "uid", "uuid"];

const CODES: &[&str] = &[
    "brand", "category", "cat", "channel", "city", "class", "code", "country", "device", "language", "region", "shop",
    "state", "type", "zip",
];

const VISITS: &[&str] = &["impression", "query", "request", "search", "session", "trace"];

const PEOPLE: &[&str] = &["account", "customer", "device", "member", "uid", "user", "visitor"];

const TIMES: &[&str] = &["at", "date", "datetime", "day", "ds", "dt", "time", "timestamp", "ts"];

fn any(name: &str, of: &[&str]) -> bool {
    words(name).iter().any(|word| of.contains(&word.as_str()))
}

/// Whether it is the name of an event: of such words alone.
pub(super) fn is_event(name: &str) -> bool {
    let words = words(name);
    let is = |of: &[&str], word: &String| {
        of.contains(&word.as_str()) || of.contains(&word.trim_end_matches(char::is_numeric))
    };
    words.iter().any(|word| is(EVENTS, word)) && words.iter().all(|word| is(EVENTS, word) || is(BESIDE, word))
}

/// Whether it is the name of an amount that is asked for, such as `rating`, `y1`.
pub(super) fn is_amount(name: &str) -> bool {
    let words = words(name);
    let is = |word: &String| AMOUNTS.contains(&word.trim_end_matches(char::is_numeric));
    !words.is_empty() && words.iter().all(is)
}

/// Whether the name speaks of what is known only afterwards.
pub(super) fn is_after(name: &str) -> bool {
    any(name, AFTER)
}

/// Whether it is the name of an id.
pub(super) fn is_id(name: &str) -> bool {
    any(name, IDS)
}

/// Whether numbers of this name are mostly names of things.
pub(super) fn is_code(name: &str) -> bool {
    any(name, CODES)
}

/// Whether it is the id of a visit: what groups rows, and never comes again.
pub(super) fn is_visit(name: &str) -> bool {
    any(name, VISITS) && (is_id(name) || words(name).len() == 1)
}

/// Whether it is the id of a person.
pub(super) fn is_person(name: &str) -> bool {
    any(name, PEOPLE) && (is_id(name) || words(name).len() == 1)
}

/// Whether it is the name of a point in time.
pub(super) fn is_time(name: &str) -> bool {
    any(name, TIMES)
}

/// Whether it is what rows count.
pub(super) fn is_weight(name: &str) -> bool {
    let words = words(name);
    let last = words.last().map(String::as_str);
    last == Some("weight") && (words.len() == 1 || any(name, &["instance", "row", "sample", "sampling"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(words("videoWatch_seconds"), ["video", "watch", "seconds"]);
        assert_eq!(words("userID"), ["user", "id"]);
        assert_eq!(words(" a.b-ÄÖ 7d"), ["a", "b", "äö", "7d"]);
        assert!(words("--").is_empty());
    }

    #[test]
    fn names_say_what_a_column_may_be() {
        for name in ["click", "is_click", "valid_view", "label_share", "y", "y2", "hasBought", "target"] {
            assert!(is_event(name), "{name}");
        }
        for name in ["click_count", "video_id", "like_ratio_7d", "hour", "", "true_click"] {
            assert!(!is_event(name), "{name}");
        }
        assert!(is_amount("y1") && is_amount("completion") && !is_amount("completion_rate") && !is_amount("x1"));
        assert!(is_after("watch_seconds") && is_after("true_click") && !is_after("video_seconds"));
        assert!(is_visit("request_id") && is_visit("session") && !is_visit("search_count"));
        assert!(is_person("user_id") && is_person("userId") && !is_person("user_age"));
        assert!(is_weight("instance_weight") && is_weight("weight") && !is_weight("body_weight"));
    }
}
