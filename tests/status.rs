//! The status page of a real gateway with real workers: what it tells, in which forms, and to whom it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::collections::BTreeSet;

use common::{Client, Folder, Gate, Gateway, Record, fixture};
use serde_json::Value;

const STATUS: &str = "[[route]]\npath = \"/status\"\npage = \"status\"\n";

fn status(gateway: &Gateway) -> Value {
    let answer = gateway.get("/status?format=json").expect(200);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.text()).unwrap()
}

/// Asks until it is so: records end after their clients have been answered, and nobody tells.
fn until(gateway: &Gateway, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    common::eventually(what, || Some(status(gateway)).filter(&is_so))
}

fn begin(gateway: &Gateway, path: &str) -> Client {
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

/// A pool with one worker that takes one request at a time, and room for one request to wait.
fn pool(folder: &Folder, record: &Record) -> String {
    format!(
        "[pool.app]\nspeak = \"fastcgi\"\ncommand = [{:?}, \"--record\", {:?}]\nworkers = 1\nqueue = 1\n\
         queue_timeout = \"1h\"\nstart_timeout = \"1h\"\npredict_wait = false\nmax_requests = 1000\n\
         [[route]]\npath = \"/app\"\npool = \"app\"\nfirst_byte_timeout = \"none\"\n\
         [[route]]\npath = \"/cgi\"\ncgi = {:?}\nmax_processes = 7\nfirst_byte_timeout = \"none\"\noutput_timeout = \"none\"\n\
         env = {{ GATE = {:?} }}\n{STATUS}",
        fixture("fastcgi-worker"),
        record.path(),
        fixture("cgi"),
        folder.join("gate"),
    )
}

#[test]
fn states_counts_and_limits_are_told() {
    let folder = Folder::new();
    let (record, mut gate) = (Record::new(&folder, "record"), Gate::new(&folder, "gate"));
    let gateway = Gateway::start(&folder, &pool(&folder, &record));
    let pid = record.started();
    gateway.get("/app/hello").expect(200);
    gateway.get("/nothing").expect(404);
    let mut gated = begin(&gateway, "/cgi/gated");
    assert_eq!(gated.receive_head("GET").status, 200);
    let mark = record.events.mark();
    let silent = begin(&gateway, "/app/silent");
    record.events.wait_for_after(mark, "request GET");
    let _waits = begin(&gateway, "/app/hello");
    until(&gateway, "one to wait", |status| status["pools"][0]["queue"]["waiting"] == 1);
    gateway.get("/app/hello").expect(503);

    let now = status(&gateway);
    let (pool, worker) = (&now["pools"][0], &now["pools"][0]["workers"][0]);
    assert_eq!(
        (&pool["name"], &pool["speaks"], &pool["started"]),
        (&"app".into(), &"FastCGI".into(), &1.into())
    );
    assert_eq!((&worker["name"], &worker["pid"]), (&"app-1".into(), &pid.into()));
    assert_eq!(
        (&worker["state"], &worker["in_flight"], &worker["served"]),
        (&"busy".into(), &1.into(), &1.into())
    );
    assert!(worker["memory_bytes"].as_u64().unwrap() > 1 << 20, "{worker}");
    assert!(worker["cpu_s"].is_f64() && worker["state_s"].is_f64(), "{worker}");
    let limits = &pool["limits"];
    assert_eq!(
        (&limits["queue"], &limits["workers.max"], &limits["max_requests"]),
        (&1.into(), &1.into(), &1000.into())
    );
    assert_eq!((&limits["queue_timeout"], &limits["max_memory"]), (&3600.0.into(), &Value::Null));
    assert_eq!(pool["queue"]["refused"], 1);
    let turns: u64 =
        pool["queue"]["waits"]["counts"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(turns, 2, "one was answered, one is with the worker");
    let cgi = &now["cgi"][0];
    assert_eq!(
        (&cgi["route"], &cgi["running"], &cgi["limits"]["max_processes"]),
        (&"/cgi".into(), &1.into(), &7.into())
    );
    assert_eq!(now["gateway"]["pid"], gateway.id());
    assert!(now["listeners"][0]["connections"].as_u64().unwrap() >= 3, "{}", now["listeners"]);

    let counted = until(&gateway, "both failures to be counted", |status| {
        // One was refused, and one asked for what is not there.
        let failures = &status["requests"]["failures"];
        failures["load"] == 1 && failures["client"] == 1
    });
    assert_eq!(counted["requests"]["failures"]["program"], 0);
    assert!(counted["requests"]["running"].as_u64().unwrap() >= 4, "{}", counted["requests"]);
    drop(silent);
    gate.open();
    until(&gateway, "the client that left", |status| status["requests"]["clients_gone"] == 1);
    until(&gateway, "the script's end", |status| status["cgi"][0]["running"] == 0);
    // What was counted goes on after a reload, and the page is one of the new configuration.
    let mark = gateway.stderr.mark();
    gateway.reload(&format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{STATUS}"));
    gateway.stderr.wait_for_after(mark, "reload");
    let after = status(&gateway);
    assert_eq!((&after["pools"], &after["cgi"]), (&Value::Array(Vec::new()), &Value::Array(Vec::new())));
    assert_eq!(after["requests"]["failures"]["load"], 1);
}

#[test]
fn a_crash_loop_is_told_with_the_last_words_and_nothing_of_them_is_markup() {
    let script = "printf '<script>\\033[31m&\"no such model\"\\n' >&2; exit 3";
    let folder = Folder::new();
    folder.write("public/index.html", "welcome\n");
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[pool.sad]\nspeak = \"fastcgi\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\nworkers = 1\n\
             restart_backoff_min = \"1ms\"\nrestart_backoff_max = \"20ms\"\n\
             [[route]]\npath = \"/sad\"\npool = \"sad\"\n\
             [[route]]\npath = '/a\"<b>\\'\ncgi = {:?}\n{STATUS}",
            fixture("cgi")
        ),
    );
    let looped = until(&gateway, "a crash loop", |status| {
        status["pools"][0]["endings"]["failed"].as_u64().unwrap() >= 3
            && status["pools"][0]["outage"].is_string()
    });
    let pool = &looped["pools"][0];
    let last = &pool["last_endings"][0];
    assert_eq!(last["worker"], "sad-1");
    assert!(last["failures"].as_u64().unwrap() >= 3, "{last}");
    let how = last["how"].as_str().unwrap();
    for told in ["3", "<script>\\u{1b}[31m&\"no such model\""] {
        assert!(how.contains(told), "{told:?} in {how:?}");
    }
    assert!(pool["outage"].as_str().unwrap().contains("no such model"), "{pool}");

    let page = gateway.get("/status").expect(200);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    let page = page.text();
    assert!(page.contains("&lt;script&gt;\\u{1b}[31m&amp;&quot;no such model&quot;"), "{page}");
    assert!(page.contains("<h2>/a&quot;&lt;b&gt;\\"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<b>\\"), "{page}");

    let metrics = gateway.get("/status?format=openmetrics").expect(200);
    assert_eq!(
        metrics.field("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let samples = openmetrics(&metrics.text());
    assert!(samples.contains("gatebridge_cgi_running{route=\"/a\\\"<b>\\\\\"}"), "{samples:?}");
    assert!(
        samples.contains("gatebridge_pool_worker_endings_total{pool=\"sad\",reason=\"failed\"}"),
        "{samples:?}"
    );
}

/// Reads OpenMetrics text by the rules of its specification, strictly, and gives what it has samples of.
///
/// # Panics
/// When a rule is broken.
fn openmetrics(text: &str) -> BTreeSet<String> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, of) = declared.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            (family, kind) = (name.to_owned(), of.to_owned());
            continue;
        }
        if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').unwrap();
            assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
            continue;
        }
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.starts_with(&format!("{family} ")), "{line}");
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(value == "+Inf" || value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
        let name = sample.split('{').next().unwrap();
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => panic!("no type {other}"),
        };
        assert!(
            suffixes.iter().any(|suffix| name == format!("{family}{suffix}")),
            "{line} in {family}, a {kind}"
        );
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        assert_labels(&sample[name.len()..]);
        assert!(samples.insert(sample.to_owned()), "{sample} is there twice");
    }
    samples
}

/// `{name="value",...}` or nothing, with nothing but `\\`, `\"` and `\n` escaped.
fn assert_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let mut rest = labels.strip_prefix('{').unwrap();
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{labels}");
        let (mut end, mut characters) = (None, value.char_indices());
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = Some(at);
                    break;
                }
                '\\' => assert!(matches!(characters.next(), Some((_, '\\' | '"' | 'n'))), "{labels}"),
                _ => {}
            }
        }
        let after = &value[end.unwrap() + 1..];
        if after == "}" {
            return;
        }
        rest = after.strip_prefix(',').unwrap();
    }
}

#[test]
fn clients_elsewhere_are_told_nothing() {
    let folder = Folder::new();
    let socket = folder.join("socket");
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [[listen]]\naddress = \"unix:{}\"\n{STATUS}[[route]]\npath = \"/open\"\npage = \"status\"\npublic = true\n",
            socket.display()
        ),
    );
    let [plain, trusting] = gateway.addresses() else { panic!("two TCP listeners") };
    let ask = |mut client: Client, path, fields| client.ask("GET", path, fields, b"").status();
    let elsewhere: &[(&str, &str)] = &[("X-Forwarded-For", "192.0.2.7")];
    let here: &[(&str, &str)] = &[("X-Forwarded-For", "127.0.0.1")];
    for address in [*plain, *trusting] {
        assert_eq!(ask(Client::connect(address), "/status", &[]), 200);
        assert_eq!(ask(Client::connect(address), "/status", here), 200);
        assert_eq!(ask(Client::connect(address), "/status", elsewhere), 404);
        assert_eq!(ask(Client::connect(address), "/open", elsewhere), 200);
    }
    assert_eq!(ask(Client::connect_unix(&socket), "/status", &[]), 200);
    assert_eq!(ask(Client::connect_unix(&socket), "/status", elsewhere), 404);
    gateway.wait_for_line("the status page is for clients on this machine only");
}

#[test]
fn nothing_but_the_page_is_there_and_it_is_only_read() {
    let gateway = Gateway::new(STATUS);
    gateway.get("/status/").expect(200);
    gateway.get("/status/x").expect(404);
    gateway.get("/status?format=xml").expect(400);
    gateway.ask("POST", "/status", &[], b"x").expect(405);
    let head = gateway.ask("HEAD", "/status", &[], b"").expect(200);
    assert_eq!(head.text(), "");
    let json = gateway.ask("GET", "/status", &[("Accept", "application/json")], b"").expect(200);
    assert_eq!(json.field("content-type"), Some("application/json"));
}
