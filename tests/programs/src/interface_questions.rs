//! `interface-questions`: what the servers of other people are tried with, a program on the interface crate; it must not
//! know which server asks, nor by which protocol.
//!
//! By PATH_INFO:
//!
//! | question | answer |
//! |---|---|
//! | `/hello` | `hello` |
//! | `/environ...` | the variables, one a line, in the order of their names |
//! | `/count` | `BYTES SUM`: how many bytes of body came, and their sum modulo 2^64 |
//! | `/source/N` | N bytes; byte I of the body is I modulo 251 |
//! | `/refuse` | 403 at once, whatever the body |
//! | `/fields` | 202 with two `Set-Cookie` and an empty field |
//! | `/fail` | what an application that fails is answered with |
//! | `/cut` | some bytes of a body whose rest never comes |
//! | `/meet/N` | `met`, when N requests are here at once |
//! | `/gate` | `waiting`, and `through` when somebody opens the gate, a named pipe that the variable GATE names |
//! | `/silent` | `waiting`, and then nothing until the client has left |
//! | `/ticks` | `waiting`, and then a line again and again until the client has left |
//! | `/left` | how many clients of `/silent` and `/ticks` have left |
//! | anything else | 404, and the variables |

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use gatebridge_interface::{Environ, Input, Result, Settings, StartResponse, serve_with};

/// Requests that are worked on at once: more than any test sends.
const THREADS: usize = 32;
const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain; charset=utf-8")];

/// How many requests are at `/meet`, the most that ever were, and how many clients have left.
static CROWD: Mutex<(usize, usize, usize)> = Mutex::new((0, 0, 0));
static CHANGED: Condvar = Condvar::new();

fn main() -> ExitCode {
    serve_with(answer, &Settings::default().threads(THREADS))
}

fn answer(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let path = String::from_utf8_lossy(&environ.path_info).into_owned();
    let (question, rest) =
        path.trim_start_matches('/').split_once('/').unwrap_or((&path[1.min(path.len())..], ""));
    match question {
        "hello" => start.answer(200, TEXT, "hello\n"),
        "environ" => start.answer(200, TEXT, variables(environ)),
        "count" => {
            let (mut count, mut sum) = (0_u64, 0_u64);
            let mut piece = [0; 16 * 1024];
            loop {
                let length = input.read(&mut piece)?;
                if length == 0 {
                    return start.answer(200, TEXT, format!("{count} {sum}\n"));
                }
                count += length as u64;
                sum = piece[..length].iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
            }
        }
        "source" => {
            let count: u64 = rest.parse()?;
            let mut body = start.start(200, [("Content-Type", "application/octet-stream")])?;
            let bytes = (0..251_u8).cycle();
            io::copy(&mut io::Cursor::new(bytes.take(count.try_into()?).collect::<Vec<u8>>()), &mut body)?;
            Ok(body.end()?)
        }
        "refuse" => start.answer(403, TEXT, "not for you\n"),
        "fields" => {
            let fields = [TEXT[0], ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Empty", "")];
            start.answer(202, fields, "two cookies\n")
        }
        "fail" => Err("no luck today".into()),
        "cut" => {
            let mut body = start.start(200, TEXT)?;
            body.write_all(b"this is not all\n")?;
            body.flush()?;
            Err("no luck in the end".into())
        }
        "meet" => {
            meet(rest.parse()?);
            start.answer(200, TEXT, "met\n")
        }
        "gate" => {
            let mut body = start.start(200, TEXT)?;
            body.write_all(b"waiting\n")?;
            body.flush()?;
            File::open(std::env::var_os("GATE").ok_or("GATE is not set")?)?.read_exact(&mut [0; 3])?;
            body.write_all(b"through\n")?;
            Ok(body.end()?)
        }
        "silent" | "ticks" => wait(start, question == "ticks"),
        "left" => start.answer(200, TEXT, CROWD.lock().unwrap_or_else(PoisonError::into_inner).2.to_string()),
        _ => start.answer(404, TEXT, variables(environ)),
    }
}

fn variables(environ: &Environ) -> String {
    let mut lines = Vec::new();
    environ.walk(&mut |name: &[u8], value: &[u8]| {
        lines.push(format!("{}={}\n", name.escape_ascii(), value.escape_ascii()));
    });
    lines.sort_unstable();
    lines.concat()
}

/// Waits until as many requests are here at once.
fn meet(wanted: usize) {
    let mut crowd = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    crowd.0 += 1;
    crowd.1 = crowd.1.max(crowd.0);
    CHANGED.notify_all();
    while crowd.1 < wanted {
        crowd = CHANGED.wait(crowd).unwrap_or_else(PoisonError::into_inner);
    }
    crowd.0 -= 1;
}

/// Waits until the client has left.
fn wait(start: StartResponse<'_>, says_something: bool) -> Result {
    let mut body = start.start(200, TEXT)?;
    let mut said = body.write_all(b"waiting\n").and_then(|()| body.flush());
    while said.is_ok() && !body.is_aborted() {
        std::thread::park_timeout(Duration::from_millis(2));
        if says_something {
            said = body.write_all(b"tick\n").and_then(|()| body.flush());
        }
    }
    CROWD.lock().unwrap_or_else(PoisonError::into_inner).2 += 1;
    Err("nobody waits any more".into())
}
