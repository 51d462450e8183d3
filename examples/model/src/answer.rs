//! What is told of a picture, as JSON and as a page; it must not know how it was found out.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::classifier::Class;

/// All that is told of one picture. Only `process` differs when the same picture comes again.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    /// The most probable classes first.
    pub(crate) classes: Vec<Class>,
    /// The picture as it came.
    pub(crate) picture: Size,
    /// Who answered, and what it cost.
    pub(crate) process: Process,
}

/// The size of a picture in pixels.
#[derive(Debug, Serialize)]
pub(crate) struct Size {
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
}

/// The process that answered. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) id: u32,
    /// Whether it was started for this request alone.
    pub(crate) cgi: bool,
    /// Which picture this was for it, from 1.
    pub(crate) request: u64,
    /// Whether the network stood ready when the request came.
    pub(crate) ready: bool,
    /// To load the network: now, or before this request came.
    #[serde(rename = "load_ms", serialize_with = "milliseconds")]
    pub(crate) load: Duration,
    /// To unpack the picture and to bring it to the network's size.
    #[serde(rename = "decode_ms", serialize_with = "milliseconds")]
    pub(crate) decode: Duration,
    /// To run the network.
    #[serde(rename = "run_ms", serialize_with = "milliseconds")]
    pub(crate) run: Duration,
    /// Both of the last: what every picture costs.
    #[serde(rename = "classify_ms", serialize_with = "milliseconds")]
    pub(crate) classify: Duration,
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e5).round() / 1e2)
}

/// The page, with a place for a result and one for the way in which the program runs.
const PAGE: &str = include_str!("page.html");

/// The page before a picture was sent.
pub(crate) fn page(is_cgi: bool) -> String {
    filled(is_cgi, "")
}

/// The page with what was found.
pub(crate) fn page_with(answer: &Answer) -> String {
    let mut result = String::from("<h2>It looks like</h2>\n<ol class=\"classes\">\n");
    for class in &answer.classes {
        let (name, also) = (escaped(&class.name), escaped(&class.also));
        let percent = class.probability * 100.0;
        let _ = writeln!(
            result,
            "<li><span class=\"name\">{name} <small>{also}</small></span> <span class=\"percent\">{percent:.1} %</span> \
             <span class=\"gauge\" aria-hidden=\"true\"><i style=\"width:{percent:.1}%\"></i></span></li>"
        );
    }
    result += "</ol>\n";
    result += &costs(&answer.process);
    filled(answer.process.cgi, &result)
}

/// What the answer cost, as a sentence and as a bar whose parts are as wide as the times are long.
fn costs(process: &Process) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (load, decode, run) = (ms(process.load), ms(process.decode), ms(process.run));
    let (load_part, sentence) = if process.ready {
        let sentence = format!(
            "The network stood ready: process {} loaded it in {load:.1} ms before this request came, its number {}.",
            process.id, process.request
        );
        (0.0, sentence)
    } else {
        let sentence = format!(
            "The network was loaded for this request, number {} of process {}.",
            process.request, process.id
        );
        (load, sentence)
    };
    let parts = [
        ("load", "load the network", load_part),
        ("decode", "read the picture", decode),
        ("run", "classify it", run),
    ];
    let total = load_part + decode + run;
    let (mut bar, mut legend) = (String::new(), String::new());
    for (class, what, time) in parts.into_iter().filter(|(_, _, time)| *time > 0.0) {
        let _ = write!(bar, "<i class=\"{class}\" style=\"flex-grow:{time:.2}\"></i>");
        let _ = write!(legend, "<li class=\"{class}\">{what} <b>{time:.1} ms</b></li>");
    }
    format!(
        "<h2>It took {total:.1} ms</h2>\n<div class=\"bar\" aria-hidden=\"true\">{bar}</div>\n\
         <ul class=\"legend\">{legend}</ul>\n<p>{sentence}</p>\n"
    )
}

/// The page that says why there is no answer.
pub(crate) fn page_without(is_cgi: bool, reason: &str) -> String {
    filled(is_cgi, &format!("<p class=\"refusal\" role=\"alert\">{}.</p>\n", escaped(reason)))
}

fn filled(is_cgi: bool, result: &str) -> String {
    let way = if is_cgi {
        "This page comes from a <b>CGI script</b>: a new process for each request. Each picture waits until the network is loaded."
    } else {
        "This page comes from a <b>worker</b>: a process that stays. It loaded the network once, before the first request."
    };
    PAGE.replace("<!-- way -->", way).replace("<!-- result -->", result)
}

/// The reason for a refusal as JSON.
pub(crate) fn refusal(reason: &str) -> String {
    serde_json::json!({ "error": reason }).to_string() + "\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
