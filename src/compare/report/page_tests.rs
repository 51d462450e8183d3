//! The page of invented comparisons: that it is well formed, that it loads nothing, that names stay text.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::page::page;
use crate::compare::findings::{Contestant, Findings, Mode};
use crate::compare::testing::{contestant, findings, pair};

/// A name that tries everything.
const HOSTILE: &str =
    "\x1b[2J</title></style></svg><script>alert(1)</script>\"' onload=x& \u{202e} \"#010100\" ]]>";

/// Reads a page as a parser of HTML does, and its drawings as one of XML; prints what is wrong.
const READER: &str = r##"
import re, sys
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "link", "br", "img", "hr", "input"}
text = sys.stdin.buffer.read().decode("utf-8")

class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []
    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        if len(names) != len(set(names)):
            print(f"{tag} has an attribute twice")
        if tag in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}:
            print(f"there is a {tag}")
        for name, value in attributes:
            if name.startswith("on") or name in {"src", "href", "xlink:href", "srcset", "action"}:
                print(f"{tag} has {name}")
            if name == "id":
                self.ids.append(value)
            if name in {"aria-labelledby", "aria-describedby"}:
                self.wanted = getattr(self, "wanted", []) + value.split()
        if tag not in VOID:
            self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            print(f"</{tag}> ends nothing")

reader = Reader()
reader.feed(text)
reader.close()
if reader.open:
    print(f"not closed: {reader.open}")
if len(reader.ids) != len(set(reader.ids)):
    print(f"an id twice: {reader.ids}")
missing = set(getattr(reader, "wanted", [])) - set(reader.ids)
if missing:
    print(f"labelled by what is not there: {missing}")
for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
    try:
        ElementTree.fromstring(drawing)
    except ElementTree.ParseError as error:
        print(f"{error}: {drawing[:300]}")
if re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text):
    print("something would be loaded")
left = re.search(r'="#01[0-9A-F]{4}"', text)
if left:
    print(f"a stand-in was left: {left[0]}")
"##;

/// What the reader finds wrong with the page of some findings.
fn faults(findings: &Findings) -> String {
    let page = page(findings).unwrap();
    if let Some(folder) = std::env::var_os("COMPARE_PAGES") {
        let name = format!("{}.html", std::thread::current().name().unwrap().replace("::", "-"));
        std::fs::write(std::path::Path::new(&folder).join(name), &page).unwrap();
    }
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "a control character is left");
    let mut reader = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_page_is_well_formed_and_loads_nothing() {
    let mut four = pair();
    four.push(contestant("hello SCGI", Mode::Scgi, "hello", 104.0));
    four.push(contestant("hello in-process", Mode::InProcess, "hello", 41.0));
    four[1].start_up = contestant("", Mode::Cgi, "", 1.0).start_up.map(|mut start_up| {
        for spread in [&mut start_up.program_us, &mut start_up.total_us] {
            spread.median *= 4.0;
        }
        start_up
    });
    assert_eq!(faults(&findings(four)), "");
}

#[test]
fn hostile_names_stay_text() {
    let mut hostile = findings(vec![
        contestant(HOSTILE, Mode::Cgi, HOSTILE, 2_000.0),
        contestant(&format!("{HOSTILE} too"), Mode::Fastcgi, HOSTILE, 100.0),
    ]);
    hostile.settings.target = HOSTILE.to_owned();
    hostile.settings.method = HOSTILE.to_owned();
    hostile.machine.cpu_model = HOSTILE.to_owned();
    hostile.machine.kernel = HOSTILE.to_owned();
    hostile.contestants[0].command = HOSTILE.to_owned();
    hostile.contestants[0].version = Some(HOSTILE.to_owned());
    hostile.contestants[0].remarks = vec![HOSTILE.to_owned()];
    hostile.gatebridge.version = HOSTILE.to_owned();
    hostile.began_at = HOSTILE.to_owned();
    assert_eq!(faults(&hostile), "");
}

#[test]
fn a_page_is_made_of_what_there_is() {
    let mut broken = Contestant::new("broken", Mode::Scgi, "hello", "hello");
    broken.failure = Some("it ended with status 1".into());
    for contestants in [
        vec![],
        vec![broken.clone()],
        vec![contestant("nginx", Mode::Url, "nginx", 1e-3)],
        vec![broken, contestant("one", Mode::InProcess, "one", 0.4)],
    ] {
        assert_eq!(faults(&findings(contestants)), "");
    }
}

#[test]
fn eight_contestants_have_room() {
    let long =
        "a program with a name that nobody would give to anything and that still must not break the page";
    let contestants = (0..8).map(|index| {
        let mode = Mode::ALL[index % 5];
        contestant(&format!("{long} {index}"), mode, "many", 40.0 * 3_f64.powi(i32::try_from(index).unwrap()))
    });
    assert_eq!(faults(&findings(contestants.collect())), "");
}
