//! A page that shows what is said as it is said. It teaches answers that do not end by themselves: server-sent events, sent at
//! once, resumed after a break, and stopped when nobody listens. It must not know how many listen.
//!
//! What is said are the lines of a file, `EVENTS`: whoever POSTs adds one, and so may any other program. An event's id is the
//! number of bytes up to its end, so a browser that reconnects with `Last-Event-ID` gets exactly what it missed. The file is
//! all that listeners share: this works with a process for each of them as well as with threads in one.
//!
//! Who listens holds a process or a thread all the while. As a FastCGI or SCGI worker this program has 32 threads; gatebridge
//! asks a worker that it starts for one answer at a time unless the pool says `concurrency = 32`, and one that somebody else
//! runs (`connect`) for as many as `max_connections` says. A server in between must not collect answers:
//! nginx heeds the field `X-Accel-Buffering`.
//!
//! Try it: `EVENTS=said.txt cargo run --example events -- --listen 127.0.0.1:8080`, open <http://127.0.0.1:8080/> in two
//! windows, and say something; or `echo hello >> said.txt`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use gatebridge_interface::{Body, Environ, Input, Result, Settings, StartResponse, serve_with};

/// How often the file is looked at. Nobody notices a tenth of a second, and it costs next to nothing.
const LOOK_MS: u64 = 100;
/// How long a line is silent before it says that it is still there: whoever is in between may close what seems dead, most
/// after 60 s.
const HEARTBEAT_MS: u64 = 15_000;
/// The longest thing that can be said.
const LINE_BYTES: u64 = 1000;
/// Listeners at once in one worker.
const THREADS: usize = 32;

const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

/// `GET /`: the page. `GET /?events`: the events. `POST /`: a new one.
pub fn events(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let Some(path) = path(environ) else {
        return Err("set EVENTS to the file whose lines are the events".into());
    };
    match (environ.method.as_str(), &environ.query_string[..]) {
        ("GET" | "HEAD", b"") => start.answer(200, [("Content-Type", "text/html; charset=utf-8")], PAGE),
        ("GET", b"events") => follow(&path, last_id(environ), start),
        ("POST", _) => {
            let mut line = String::new();
            let count = input.take(LINE_BYTES + 1).read_to_string(&mut line);
            match count {
                Ok(count) if count as u64 > LINE_BYTES => start.answer(413, [TEXT], "Say it in less.\n"),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    start.answer(400, [TEXT], "Say it in UTF-8.\n")
                }
                Err(error) => Err(error.into()),
                Ok(_) => {
                    // One write to a file that is open for appending: lines of two processes do not mix.
                    let line = line.replace(['\r', '\n'], " ") + "\n";
                    OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())?;
                    Ok(start.start(204, [("Cache-Control", "no-store")])?.end()?)
                }
            }
        }
        _ => start.answer(405, [("Allow", "GET, POST"), TEXT], "GET the page or ?events, and POST a line.\n"),
    }
}

/// From the route's `env`, or else from the environment that this program was started with.
fn path(environ: &Environ) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let given = environ.variable("EVENTS").map(|value| std::ffi::OsStr::from_bytes(value).into());
    given.or_else(|| std::env::var_os("EVENTS").map(PathBuf::from))
}

/// Up to where the client knows the file; 0, its beginning, for a client that comes for the first time.
fn last_id(environ: &Environ) -> u64 {
    let id = environ.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    id.and_then(|id| id.parse().ok()).unwrap_or(0)
}

/// Sends the lines of the file from there on, and those to come.
fn follow(path: &PathBuf, from: u64, start: StartResponse<'_>) -> Result {
    let mut body = start.start(
        200,
        [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")],
    )?;
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    // An id that is behind the end of the file is of another file.
    let mut at = if from <= file.metadata()?.len() { from } else { 0 };
    let mut file = BufReader::new(file);
    file.seek(SeekFrom::Start(at))?;
    // How soon the browser is to come again when the connection breaks, in ms. Flushing sends the head as well.
    body.write_all(b"retry: 1000\n\n")?;
    body.flush()?;

    let mut spoke = Instant::now();
    // A write to somebody who has left fails, but as long as nothing happens there is nothing to write.
    while !body.is_aborted() {
        if send_lines(&mut file, &mut at, &mut body)? {
            spoke = Instant::now();
        } else if spoke.elapsed() >= Duration::from_millis(HEARTBEAT_MS) {
            body.write_all(b": still here\n\n")?;
            body.flush()?;
            spoke = Instant::now();
        } else {
            thread::sleep(Duration::from_millis(LOOK_MS));
        }
    }
    Ok(body.end()?)
}

/// Sends the whole lines that the file has now. Whether there were any.
fn send_lines(file: &mut BufReader<File>, at: &mut u64, body: &mut Body<'_>) -> io::Result<bool> {
    let mut line = Vec::new();
    let began = *at;
    while file.read_until(b'\n', &mut line)? > 0 {
        if line.pop() != Some(b'\n') {
            // Half a line: whoever writes it has not finished. It is read again.
            file.seek(SeekFrom::Start(*at))?;
            break;
        }
        *at += line.len() as u64 + 1;
        let text = String::from_utf8_lossy(&line);
        write!(body, "id: {at}\ndata: {}\n\n", text.trim_end_matches('\r'))?;
        line.clear();
    }
    if *at > began {
        body.flush()?;
    }
    Ok(*at > began)
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>As it is said</title>
<style>
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { margin: 0; background: light-dark(#eef2f1, #161a19) }
main { max-width: 34rem; margin: 3rem auto; padding: 0 1.25rem }
h1 { font-size: 1.5rem; margin: 0 0 1rem }
#state { float: right; font-size: .875rem; line-height: 2.4 }
#state::before { content: "\25CF\A0"; color: #c33 }
#state.open::before { color: #2a8c5a }
form { display: flex; gap: .5rem }
input { flex: 1; padding: .5rem; border: 1px solid light-dark(#bcc7c4, #4a5350); border-radius: .35rem;
  background: light-dark(#fff, #222827); color: inherit; font: inherit }
button { padding: .5rem 1.2rem; border: 0; border-radius: .35rem; background: #1f6f5c; color: #fff; font: inherit;
  font-weight: 600; cursor: pointer }
ol { padding: 0; list-style: none }
li { margin: .5rem 0; padding: .5rem .8rem; border-radius: .5rem; background: light-dark(#fff, #222827);
  box-shadow: 0 1px 3px #0003; overflow-wrap: anywhere }
</style>
<main>
<span id="state">connecting</span>
<h1>As it is said</h1>
<form><input maxlength="300" placeholder="Say something" aria-label="What to say" autofocus required><button>Say</button></form>
<ol aria-live="polite"></ol>
</main>
<script>
const [state, form, input, list] = ['#state', 'form', 'input', 'ol'].map(name => document.querySelector(name));
const source = new EventSource('?events');  // it reconnects by itself, with Last-Event-ID
source.onopen = () => { state.className = 'open'; state.textContent = 'listening'; };
source.onerror = () => { state.className = ''; state.textContent = 'connecting'; };
source.onmessage = event => {
  const item = document.createElement('li');
  item.textContent = event.data;
  list.prepend(item);
};
form.onsubmit = event => {
  event.preventDefault();
  fetch('', { method: 'POST', body: input.value });
  input.value = '';
};
</script>
"#;

fn main() -> ExitCode {
    serve_with(events, &Settings::default().threads(THREADS))
}
