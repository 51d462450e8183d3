//! A comparison as JSON: the findings as they are, and what follows from them. It knows the schema of
//! `docs/compare.md`, not where the text goes.

use serde::Serialize;

use super::escape;
use crate::compare::findings::Findings;
use crate::compare::verdict::Verdicts;
use crate::compare::words;

#[derive(Serialize)]
struct Document<'f> {
    #[serde(flatten)]
    findings: &'f Findings,
    headline: String,
    sentences: Sentences,
    #[serde(flatten)]
    verdicts: &'f Verdicts,
}

#[derive(Serialize)]
struct Sentences {
    conclusions: Vec<String>,
    warnings: Vec<String>,
}

/// The whole comparison as one JSON object, indented, with a line feed at its end.
///
/// # Errors
/// Never with numbers that are finite, which [`Spread`](crate::compare::Spread) sees to.
pub fn json(findings: &Findings) -> Result<String, serde_json::Error> {
    let verdicts = Verdicts::of(findings);
    let document = Document {
        findings,
        headline: words::headline(findings, &verdicts),
        sentences: Sentences {
            conclusions: words::conclusions(findings, &verdicts),
            warnings: words::warnings(&verdicts),
        },
        verdicts: &verdicts,
    };
    let mut text = escape::json(&serde_json::to_string_pretty(&document)?);
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str};

    use super::*;
    use crate::compare::findings::Mode;
    use crate::compare::testing::{contestant, findings, pair};

    #[test]
    fn the_document_is_what_it_always_was() {
        let text = json(&findings(pair())).unwrap();
        let document: Value = from_str(&text).unwrap();
        let names = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        // A name that changes takes a new schema version, and docs/compare.md.
        let known = [
            "began_at",
            "contestants",
            "gatebridge",
            "headline",
            "machine",
            "payoffs",
            "schema",
            "sentences",
            "settings",
            "standings",
            "took_s",
            "warnings",
        ];
        let mut found = names(&document);
        found.sort();
        assert_eq!(found, known);
        assert_eq!(document["schema"], 1);
        let worker = &document["contestants"][1];
        assert_eq!(worker["mode"], "fastcgi");
        assert_eq!(worker["latency"]["p50_us"], 100.0);
        assert_eq!(
            worker["latency"]["p50_by_round_us"]["rounds"],
            from_str::<Value>("[98.0,100.0,104.0]").unwrap()
        );
        assert_eq!(worker["throughput"][2]["clients"], 16);
        assert_eq!(worker["cpu_gateway"]["user_us"]["median"], 4.0);
        assert_eq!(worker["memory"]["program_bytes"], 3 << 20);
        assert_eq!(document["payoffs"][0]["break_even"]["outcome"], "at_once");
        assert_eq!(document["payoffs"][0]["difference"]["ratio"], 20.0);
    }

    /// All names of a document, at any depth.
    fn names_within(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                names.push(name.clone());
                names_within(value, names);
            }),
            Value::Array(values) => values.iter().for_each(|value| names_within(value, names)),
            _ => {}
        }
    }

    #[test]
    fn every_name_is_documented() {
        let mut found = findings(pair());
        found.contestants[0].errors = vec![crate::compare::findings::Failures {
            kind: crate::compare::findings::FailureKind::Status,
            count: 1,
            example: "500".into(),
        }];
        let document: Value = from_str(&json(&found).unwrap()).unwrap();
        let mut names = Vec::new();
        // What a warning has beside its kind is said in its sentence.
        let parts = document.as_object().unwrap().iter().filter(|(name, _)| *name != "warnings");
        for (name, part) in parts {
            names.push(name.clone());
            names_within(part, &mut names);
        }
        assert!(names.len() > 80, "{names:?}");
        let known = include_str!("../../../docs/compare.md");
        for name in names {
            let is_known = [format!("`{name}`"), format!("`{name}[]`"), format!("\"{name}\"")];
            assert!(is_known.iter().any(|name| known.contains(name)), "docs/compare.md: no {name}");
        }
    }

    #[test]
    fn findings_can_be_read_back() {
        let mut findings = findings(pair());
        findings.contestants[0].name = "\x1b[2J\u{9b}\u{202e}\"</script>".into();
        let text = json(&findings).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(from_str::<Findings>(&text).unwrap(), findings);
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut short = contestant("short", Mode::Cgi, "hello", 100.0);
        short.latency = crate::compare::findings::Latency::of(100, true, vec![1.0], |_| 1.0);
        let document: Value = from_str(&json(&findings(vec![short])).unwrap()).unwrap();
        assert_eq!(document["contestants"][0]["latency"]["p99_us"], Value::Null);
        assert_eq!(document["contestants"][0]["latency"]["corrected"], true);
        assert_eq!(document["warnings"][0]["kind"], "too_short");
    }
}
