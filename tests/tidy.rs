//! The house rules of `CONTRIBUTING.md` that a program can check; it knows how source looks, not what it does.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod tree;

use tree::{File, files, line_of};

/// The floors of `docs/architecture.md`: a room may use those on lower floors, and itself.
const FLOORS: [(&str, u8); 14] = [
    ("main", 8),
    ("cli", 8),
    ("compare", 7),
    ("gateway", 6),
    ("front", 5),
    ("policy", 5),
    ("back", 5),
    ("observe", 4),
    ("process", 4),
    ("route", 4),
    ("exchange", 3),
    ("config", 3),
    ("io", 3),
    ("lib", 9),
];

/// The most lines of code in a file, outside its tests.
const MAX_FILE_LINES: usize = 400;
/// Files that are longer, and why.
const LONG_FILES: [(&str, &str); 0] = [];

/// The most lines of a function.
const MAX_FUNCTION_LINES: usize = 70;
/// Functions that are longer, and why.
const LONG_FUNCTIONS: [(&str, &str, &str); 3] = [
    ("protocols/fastcgi/tests/conversations.rs", "servers_understand_requests", "one table of dialogues"),
    ("protocols/fastcgi/tests/conversations.rs", "clients_understand_answers", "one table of dialogues"),
    ("protocols/interface/tests/rig/mod.rs", "answer", "one table of questions and what is done"),
];

/// Where unsafe code may stand: calls to the system that have no safe wrapper.
const UNSAFE_FILES: [&str; 3] = ["src/process/child.rs", "src/process/reap.rs", "src/process/startup.rs"];

/// Tests that sleep on the real clock, and why there is no event to wait for.
const SLEEPING_TESTS: [(&str, &str); 4] = [
    ("tests/common/mod.rs", "asks again for what another process does and nobody tells"),
    ("tests/front_limits.rs", "plays clients whose slowness is what is tested"),
    ("tests/process_orphans.rs", "gives its one thread to the reaper that is tested"),
    ("src/back/rig.rs", "plays a program that takes its time; its tests stop the clock"),
];

/// Where the time of day is asked for: to be shown, and never to measure.
const WALL_CLOCK_FILES: [&str; 9] = [
    "protocols/interface/src/development.rs",
    "src/back/files.rs",
    "src/compare/run/mod.rs",
    "src/exchange/notes.rs",
    "src/exchange/testing.rs",
    "src/front/http/intake.rs",
    "src/gateway/overview.rs",
    "src/io/date.rs",
    "src/observe/line.rs",
];

/// Fails with all that was found.
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The identifiers that stand behind `crate::`, at once or in braces, with their positions.
fn rooms_used(code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|before: char| before == '$' || before == '_' || before.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        let word = |text: &str| {
            text.trim().split(|c: char| c != '_' && !c.is_alphanumeric()).next().map(str::to_owned)
        };
        used.extend(
            names.into_iter().filter_map(word).filter(|name| !name.is_empty()).map(|name| (at, name)),
        );
    }
    used
}

#[test]
fn rooms_use_lower_floors_only() {
    let mut found = Vec::new();
    let mut seen = 0;
    for file in files(".rs").iter().filter(|file| file.path.starts_with("src/")) {
        let room = file.path["src/".len()..].split(['/', '.']).next().unwrap();
        let Some(own) = floor(room) else {
            found.push(format!(
                "{}: give the room {room:?} a floor, here and in docs/architecture.md",
                file.path
            ));
            continue;
        };
        let code = file.code();
        for (at, used) in rooms_used(&code) {
            let Some(other) = floor(&used) else { continue };
            seen += 1;
            if used != room && other >= own {
                found.push(format!(
                    "{}:{}: `{room}` (floor {own}) uses `{used}` (floor {other}): hand the fact down from gateway/, \
                     or move what both need to a lower floor",
                    file.path,
                    line_of(&code, at)
                ));
            }
        }
    }
    assert!(seen > 100, "only {seen} uses were recognised: the test is blind");
    none(found);
}

#[test]
fn protocols_do_not_know_one_another_nor_the_runtime() {
    let mut found = Vec::new();
    const IO: [&str; 6] = ["tokio::", "TcpStream", "UnixStream", "Instant", "SystemTime", "std::process"];
    let protocols = ["cgi", "fastcgi", "http1", "scgi"];
    for file in files(".rs").iter().filter(|file| file.path.starts_with("protocols/")) {
        let own = file.path.split('/').nth(1).unwrap();
        // One floor above the codecs stands the crate for those who write programs.
        if own == "interface" {
            continue;
        }
        let code = file.code();
        for other in protocols.iter().filter(|other| **other != own) {
            if code.contains(&format!("gatebridge_{other}")) {
                found
                    .push(format!("{}: knows gatebridge_{other}: what both need belongs in src/", file.path));
            }
        }
        if !file.is_test() && IO.iter().any(|io| code.contains(io)) {
            found.push(format!("{}: a codec has no socket and no clock: take bytes as arguments", file.path));
        }
    }
    none(found);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let opens = |file: &File| file.text.starts_with("//! ");
    let found = files(".rs").into_iter().filter(|file| !opens(file)).map(|file| {
        format!(
            "{}: open it with `//!`: one sentence that says what it is and what it must not know",
            file.path
        )
    });
    none(found.collect());
}

/// Lines that hold code.
fn lines_of_code(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    for file in files(".rs") {
        let lines = lines_of_code(&file.production_code());
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > MAX_FILE_LINES && !excused {
            found.push(format!(
                "{}: {lines} lines of code, {MAX_FILE_LINES} at most: find the second noun in it and give that a file",
                file.path
            ));
        }
        if lines <= MAX_FILE_LINES && excused {
            found.push(format!("{}: it is short now: take it out of LONG_FILES", file.path));
        }
    }
    none(found);
}

/// The functions of some code: name, position, lines.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_word = !code[..at].ends_with(|before: char| before == '_' || before.is_alphanumeric());
        let name: String = code[at + 3..].chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        let (mut braces, mut brackets) = (0, 0);
        for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
            match byte {
                b'{' => braces += 1,
                b'}' => braces -= 1,
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets -= 1,
                _ => {}
            }
            let no_body = *byte == b';' && braces == 0 && brackets == 0;
            if no_body || (*byte == b'}' && braces == 0) {
                let lines = code[at..at + offset].matches('\n').count() + 1;
                functions.push((name, at, lines));
                break;
            }
        }
    }
    functions
}

#[test]
fn functions_are_short() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for file in files(".rs") {
        let code = file.code();
        for (name, at, lines) in functions(&code) {
            seen += 1;
            let excused = LONG_FUNCTIONS.iter().any(|(path, long, _)| *path == file.path && *long == name);
            if lines > MAX_FUNCTION_LINES && !excused {
                found.push(format!(
                    "{}:{}: `{name}` has {lines} lines, {MAX_FUNCTION_LINES} at most: give its steps names",
                    file.path,
                    line_of(&code, at)
                ));
            }
        }
    }
    assert!(seen > 1000, "only {seen} functions were recognised: the test is blind");
    none(found);
}

/// The places of a word in some code.
fn places<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let inside = word.starts_with(is_word) && code[..at].ends_with(is_word);
        let goes_on = word.ends_with(is_word) && code[at + word.len()..].starts_with(is_word);
        !inside && !goes_on
    })
}

#[test]
fn production_code_does_not_panic_on_purpose() {
    let mut found = Vec::new();
    for file in files(".rs") {
        let code = file.production_code();
        for word in [".unwrap()", ".expect(", "panic!", "todo!", "unimplemented!"] {
            for at in places(&code, word) {
                found.push(format!(
                    "{}:{}: `{word}` outside tests: return an error, or make the case impossible",
                    file.path,
                    line_of(&code, at)
                ));
            }
        }
    }
    none(found);
}

#[test]
fn unsafe_code_stays_where_it_is_proved() {
    let mut found = Vec::new();
    for file in files(".rs").iter().filter(|file| !file.is_test()) {
        let code = file.code();
        let allowed = UNSAFE_FILES.contains(&file.path.as_str());
        for at in places(&code, "unsafe") {
            let line = line_of(&code, at);
            if !allowed {
                found.push(format!("{}:{line}: unsafe: use rustix, or a function of src/process", file.path));
            }
        }
    }
    for crate_root in ["cgi", "fastcgi", "http1", "scgi"].map(|name| format!("protocols/{name}/src/lib.rs")) {
        let text = std::fs::read_to_string(tree::root().join(&crate_root)).unwrap();
        if !text.contains("#![forbid(unsafe_code)]") {
            found.push(format!("{crate_root}: add #![forbid(unsafe_code)]"));
        }
    }
    none(found);
}

#[test]
fn lesson_41_limits_are_measured_with_the_monotonic_clock() {
    let shows_time = |file: &File| WALL_CLOCK_FILES.contains(&file.path.as_str());
    let found = files(".rs").into_iter().filter(|file| !file.is_test() && !shows_time(file));
    let found = found
        .filter(|file| file.code().contains("SystemTime"))
        .map(|file| format!("{}: the time of day may be set back: measure with Instant", file.path));
    none(found.collect());
}

#[test]
fn tests_wait_for_events_and_do_not_sleep() {
    let mut found = Vec::new();
    for file in files(".rs") {
        // Where the clock is stopped, a sleep is a statement about time and takes none.
        let clock_is_stopped = file.text.contains("start_paused = true");
        let excused = SLEEPING_TESTS.iter().any(|(path, _)| *path == file.path);
        let code = file.test_code();
        for at in places(&code, "sleep(") {
            let virtual_time = clock_is_stopped && code[..at].ends_with("time::");
            if !excused && !virtual_time {
                let before = file.production_code().matches('\n').count();
                found.push(format!(
                    "{}:{}: a test sleeps: wait for the event itself, or stop the clock (start_paused = true)",
                    file.path,
                    before + line_of(&code, at)
                ));
            }
        }
    }
    none(found);
}

/// What only passes a call on, in the crate where applications are called.
const PASSES_CALLS_ON: [&str; 2] =
    ["protocols/interface/src/application.rs", "protocols/interface/src/tokio/application.rs"];

#[test]
fn applications_are_called_where_lint_stands_by() {
    let (mut found, mut seen) = (Vec::new(), 0);
    let rooms = ["src/", "protocols/interface/src/"];
    for file in files(".rs").iter().filter(|file| rooms.iter().any(|room| file.path.starts_with(room))) {
        let code = file.production_code();
        let calls: Vec<_> =
            [".call(environ", ".call(&environ"].into_iter().flat_map(|call| places(&code, call)).collect();
        let is_watched = ["watch(", "lint("].into_iter().any(|word| places(&code, word).next().is_some());
        seen += calls.len();
        if !calls.is_empty() && !is_watched && !PASSES_CALLS_ON.contains(&file.path.as_str()) {
            found.push(format!(
                "{}:{}: an application is called and nobody watches it: wrap it in `lint` if cfg!(debug_assertions), \
                 so that every test looks for breaches of the contract",
                file.path,
                line_of(&code, calls[0])
            ));
        }
    }
    assert!(seen >= 5, "only {seen} calls were recognised: the test is blind");
    none(found);
}

#[test]
fn exemptions_name_files_that_exist_and_give_a_reason() {
    let reasons = LONG_FILES.iter().chain(&SLEEPING_TESTS).map(|(path, reason)| (*path, *reason));
    let reasons = reasons.chain(LONG_FUNCTIONS.iter().map(|(path, _, reason)| (*path, *reason)));
    let reasons = reasons.chain(UNSAFE_FILES.iter().map(|path| (*path, "no safe wrapper")));
    for (path, reason) in reasons.chain(WALL_CLOCK_FILES.iter().map(|path| (*path, "shows the time"))) {
        assert!(
            tree::root().join(path).is_file(),
            "{path} is exempt and does not exist: remove the exemption"
        );
        assert!(reason.len() > 10, "{path}: say why");
    }
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    let mut found = Vec::new();
    // In pieces, so that this file does not find itself.
    let places =
        [["/ho", "me/"], ["/Us", "ers/"], ["/ro", "ot/"], ["/wo", "rk/"], ["/tmp/", "wt"], ["../sha", "red"]];
    for ending in [".rs", ".md", ".toml", ".sh", "/run", ".html"] {
        for file in files(ending).iter().filter(|file| file.path != "tests/tidy.rs") {
            for place in places.iter().map(|parts| parts.concat()) {
                for (at, _) in file.text.match_indices(&place) {
                    let line = line_of(&file.text, at);
                    found.push(format!(
                        "{}:{line}: {place} is nowhere but there: name a place that any machine has",
                        file.path
                    ));
                }
            }
        }
    }
    none(found);
}

#[test]
fn the_reader_of_source_knows_strings_and_comments() {
    let text = "fn a() { let x = \"}\"; /* } /* } */ */ 'l: loop { b('}', '\\'', b'{', r#\"}\"#); } } // }\n";
    let file = File { path: "src/x.rs".into(), text: text.into() };
    let code = file.code();
    assert_eq!(code.len(), text.len());
    assert_eq!((code.matches('{').count(), code.matches('}').count()), (2, 2), "{code}");
    assert_eq!(functions(&code), [("a".to_owned(), 0, 1)]);
    assert_eq!(
        rooms_used("use crate::{io, route::{A}}; crate::back::x()"),
        [(4, "io".into()), (4, "route".into()), (29, "back".into())]
    );
}
