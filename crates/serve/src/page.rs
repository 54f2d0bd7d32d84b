//! The page at `/`: models, the last minute, and a ranking whose exponents can be moved.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use hyper::header::{ACCEPT, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};

/// What a page is, in its head.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: [&str; 3] = [include_str!("page/page.js"), include_str!("page/draw.js"), include_str!("page/start.js")];

/// The page, and what it may load: nothing but its own style and script, and answers of this server.
struct Page {
    text: String,
    policy: HeaderValue,
}

fn page() -> &'static Page {
    static PAGE: OnceLock<Page> = OnceLock::new();
    PAGE.get_or_init(|| {
        // One for the life of the process: nothing of any request stands in the page.
        let nonce = format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        let text = FRAME
            .replace("{{nonce}}", &nonce)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .replace("{{style}}", STYLE)
            .replace("{{script}}", &SCRIPT.concat());
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Page { text, policy }
    })
}

/// The text of the page.
pub(crate) fn text() -> String {
    page().text.clone()
}

/// Whether who asks reads pages, as browsers do.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/html"))
}

/// Adds what a browser must know of the page.
pub(crate) fn guard(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, page().policy.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let text = text();
        assert!(!text.contains("{{"), "a part of the frame is not filled in");
        for foreign in ["http://", "https://", "//cdn", "@import", "url(", "innerHTML", "style=\""] {
            assert!(!text.contains(foreign), "{foreign}");
        }
        let mut headers = HeaderMap::new();
        guard(&mut headers);
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(nonce.len() == 32 && policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(text.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    }

    #[test]
    fn its_colours_are_those_of_the_reports() {
        let report = include_str!("../../report/src/style.css");
        let colours = report.split("* { box-sizing").next().unwrap();
        assert!(colours.len() > 500 && STYLE.starts_with(colours));
    }

    #[test]
    fn browsers_want_it_and_programs_do_not() {
        let of = |value: &'static str| is_wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]));
        assert!(of("text/html,application/xhtml+xml,*/*;q=0.8") && of("application/json, text/html;q=0.5"));
        assert!(!of("*/*") && !of("application/json") && !is_wanted(&HeaderMap::new()));
    }
}
