//! A status full of hostile names, written in every form.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AddressStatus, Amount, CgiStatus, LastEnding, Limits, PoolStatus, Status, WorkerStatus};
use crate::observe::histogram::Histogram;

const HOSTILE: &str = "<script>alert('1')</script> & \"quoted\" back\\slash\nnext\u{1b}[31m \u{202e}txt";

fn hostile() -> Status {
    let histogram = Histogram::default();
    histogram.note(Duration::from_millis(3));
    histogram.note(Duration::from_secs(100));
    let name = || HOSTILE.to_owned();
    let mut status = Status::default();
    status.requests.took = histogram.spread();
    status.requests.by_status = BTreeMap::from([("2xx", 1_234_567)]);
    let worker =
        WorkerStatus { name: name(), state: "idle", memory_bytes: Some(5 << 20), ..Default::default() };
    let mut pool =
        PoolStatus { name: name(), program: Some(name()), outage: Some(name()), ..Default::default() };
    pool.workers = vec![worker];
    pool.addresses = vec![AddressStatus { name: name(), ..Default::default() }];
    pool.last_endings = vec![LastEnding { worker: name(), how: name(), failures: 2, rests_s: Some(0.25) }];
    pool.limits =
        Limits::from([("max_requests", Amount::Unlimited), ("queue_timeout", Amount::Seconds(0.5))]);
    status.pools = vec![pool];
    status.cgi = vec![CgiStatus { route: name(), path: name(), ..Default::default() }];
    status
}

#[test]
fn on_the_page_nothing_that_came_from_outside_is_markup() {
    let html = hostile().html();
    assert!(!html.contains("<script") && !html.contains("alert('1')"), "{html}");
    assert!(
        html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;quoted&quot;"),
        "{html}"
    );
    assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'), "controls are shown, not obeyed");
    assert!(html.contains("\\u{1b}[31m"), "{html}");
    assert!(!html.contains("src=") && !html.contains("url("), "it loads nothing");
}

#[test]
fn the_page_tells_numbers_as_people_do() {
    let html = hostile().html();
    for told in [
        "1\u{2009}234\u{2009}567",
        "5.0 MiB",
        "<dt>max_requests<dd>none",
        "<dt>queue_timeout<dd>500 ms",
        "started in 250 ms",
    ] {
        assert!(html.contains(told), "{told:?} in {html}");
    }
}

#[test]
fn json_says_the_same_to_whoever_reads_it() {
    let read: serde_json::Value = serde_json::from_str(&hostile().json()).unwrap();
    assert_eq!(read["pools"][0]["last_endings"][0]["how"], HOSTILE);
    assert_eq!(read["pools"][0]["limits"]["max_requests"], serde_json::Value::Null);
    assert_eq!(read["pools"][0]["limits"]["queue_timeout"], 0.5);
}

#[test]
fn labels_of_metrics_are_escaped_and_stay_on_their_line() {
    let text = hostile().openmetrics();
    let escaped = HOSTILE.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    assert!(text.contains(&format!("gatebridge_cgi_running{{route=\"{escaped}\"}} 0\n")), "{text}");
    for line in text.lines() {
        assert!(line.starts_with("# ") || line.starts_with("gatebridge_"), "{line:?}");
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn buckets_of_metrics_are_cumulative() {
    let text = hostile().openmetrics();
    let name = "gatebridge_request_duration_seconds";
    for line in [
        format!("{name}_bucket{{le=\"0.001\"}} 0"),
        format!("{name}_bucket{{le=\"0.005\"}} 1"),
        format!("{name}_bucket{{le=\"60.0\"}} 1"),
        format!("{name}_bucket{{le=\"+Inf\"}} 2"),
        format!("{name}_count 2"),
        format!("{name}_sum 100.003"),
    ] {
        assert!(text.lines().any(|other| other == line), "{line:?} in {text}");
    }
}
