//! How a failure must be told, to the client and in the log; must not know which failure it is.

use super::{Answer, Gateway};

/// Fails unless a failure is told as it should be: the page says the status and an id and nothing of the inside, and
/// under that id the log says all of `parts`.
#[track_caller]
pub fn assert_told(gateway: &Gateway, answer: Answer, status: u16, parts: &[&str]) -> Answer {
    let answer = answer.expect(status);
    let page = answer.text();
    let id = page.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next());
    let id = id.unwrap_or_else(|| panic!("no id on the page:\n{page}"));
    if !parts.is_empty() {
        let line = gateway.stderr.wait_for(&format!("id=\"{id}\""));
        for part in parts {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
    assert!(!page.contains("fixtures") && !page.contains("/tmp"), "the page tells too much:\n{page}");
    answer
}

/// As [`assert_told`], for a path that is asked for by GET.
#[track_caller]
pub fn assert_get(gateway: &Gateway, path: &str, status: u16, parts: &[&str]) -> Answer {
    assert_told(gateway, gateway.get(path), status, parts)
}

/// As [`assert_told`], for a 503 that says when to come again.
#[track_caller]
pub fn assert_busy(gateway: &Gateway, answer: Answer, parts: &[&str]) {
    let answer = assert_told(gateway, answer, 503, parts);
    let seconds: u32 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}
