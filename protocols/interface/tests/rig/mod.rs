//! What the tests of the runners share: the application that they run, always under lint; it must not know the runners.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses its part of the rig")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

pub mod fastcgi;
pub mod peer;
pub mod shape;
#[cfg(feature = "tokio")]
pub mod tasks;

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::time::Instant;

use gatebridge_interface::{Application, Environ, Input, Lint, Result, StartResponse, lint};
pub use peer::{DEADLINE, body, variables};

pub const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

/// The application of all tests: PATH_INFO says what it does.
pub fn questions() -> Lint<impl Application> {
    lint(answer)
}

/// The application of all tests, for those who look at what a runner does by itself.
pub fn answer(environ: &Environ, input: &mut Input<'_>, mut start: StartResponse<'_>) -> Result {
    let path = String::from_utf8_lossy(&environ.path_info).into_owned();
    match path.as_str() {
        "/hello" => start.answer(200, TEXT, "hello\n"),
        "/environ" => start.answer(200, TEXT, list(environ)),
        "/role" => {
            let mut text = String::new();
            input.read_to_string(&mut text)?;
            let role = String::from_utf8_lossy(&variable(environ, "FCGI_ROLE")).into_owned();
            let mut data = String::new();
            if input.next_stream()? {
                input.read_to_string(&mut data)?;
            }
            start.answer(200, TEXT, format!("{role} {text} {data} {:?}", input.length()))
        }
        "/echo" => {
            let mut body = start.start(200, [("Content-Type", "application/octet-stream")])?;
            io::copy(input, &mut body)?;
            Ok(body.end()?)
        }
        "/count" => {
            let count = io::copy(input, &mut io::sink())?;
            start.answer(200, TEXT, format!("{count} of {:?}\n", input.length()))
        }
        "/file" => {
            let file = File::open(std::env::current_exe()?)?;
            let length = file.metadata()?.len();
            Ok(start.start(200, TEXT)?.send_file(&file, 0..length)?)
        }
        "/upload-file" => {
            let text = match input.file()? {
                Some(mut file) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text)?;
                    format!("a file: {text}")
                }
                None => "no file".to_owned(),
            };
            start.answer(200, TEXT, text)
        }
        "/pieces" => Ok(start.start(200, TEXT)?.send_all((0..3).map(|n| format!("{n}\n")))?),
        "/hints" => {
            let sent = start.early_hints([("Link", "</style.css>; rel=preload")])?;
            start.answer(200, TEXT, format!("hints: {sent}\n"))
        }
        "/complain" => {
            writeln!(start.errors(), "the cellar is wet")?;
            start.answer(200, TEXT, "complained\n")
        }
        "/restart" => {
            let body = start.start(200, TEXT)?;
            let mut body = body.restart(503, TEXT)?;
            body.write_all(b"sorry\n")?;
            Ok(body.end()?)
        }
        "/empty" => Ok(start.start(204, [("X-Note", "nothing")])?.end()?),
        "/fail" => Err("no luck today".into()),
        "/fail-held" => {
            let mut body = start.start(200, TEXT)?;
            body.write_all(b"this never leaves")?;
            Err("no luck after a start".into())
        }
        "/fail-late" => {
            let mut body = start.start(200, TEXT)?;
            body.write_all(b"this has left")?;
            body.flush()?;
            Err("no luck in the end".into())
        }
        "/panic" => panic!("no luck at all"),
        "/no-type" => start.answer(200, [("X-Note", "none")], "what is this?"),
        "/first-byte" => {
            // Answers as soon as one byte of the body is here, and then waits for the rest.
            let mut body = start.start(200, TEXT)?;
            let first = input.fill_buf()?.len();
            writeln!(body, "{}", u8::from(first > 0))?;
            body.flush()?;
            io::copy(input, &mut io::sink())?;
            Ok(body.end()?)
        }
        "/until-aborted" => {
            let body = start.start(200, TEXT)?;
            let waiting = Instant::now();
            while !(body.is_aborted() && input.is_aborted()) {
                assert!(waiting.elapsed() < DEADLINE, "the abort flag is never set");
                std::thread::yield_now();
            }
            Ok(body.end()?)
        }
        _ if path.starts_with("/big/") => {
            let count: usize = path["/big/".len()..].parse()?;
            let mut body = start.start(200, [("Content-Type", "application/octet-stream")])?;
            let line = [b'x'; 1000];
            let mut left = count;
            while left > 0 {
                let now = left.min(line.len());
                body.write_all(&line[..now])?;
                left -= now;
            }
            Ok(body.end()?)
        }
        _ => start.answer(404, TEXT, "no such question\n"),
    }
}

/// A variable that is no field.
pub fn variable(environ: &Environ, name: &str) -> Vec<u8> {
    let found = environ.front_variables.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.to_vec()).unwrap_or_default()
}

pub fn list(environ: &Environ) -> String {
    let mut text = String::new();
    environ.walk(&mut |name: &[u8], value: &[u8]| {
        text += &format!("{}={}\n", name.escape_ascii(), value.escape_ascii());
    });
    text
}
