//! A gateway inside a program. It teaches that one program runs in two ways side by side, as a CGI script and as a part of
//! the process that serves, and it must not know what else the machine runs.
//!
//! ```sh
//! cargo run --example embed -- 127.0.0.1:8080
//! curl http://127.0.0.1:8080/cgi      # a process for this request: the example itself, started again
//! curl http://127.0.0.1:8080/app      # no process: a thread of the server; the same lines, but for the process id
//! curl http://127.0.0.1:8080/         # the files beside this one
//! ```
//!
//! `gatebridge_interface::serve` finds out that it was started as a script; so does this `main`, to know which of the two it
//! is. What the gateway does beside the mounted program is written as in `gatebridge.toml`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it says where it listens to whoever started it"
)]

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use gatebridge::Gateway;
use gatebridge::interface::{Environ, Input, Result, Settings, StartResponse, serve_with};
use tokio::signal::unix::{SignalKind, signal};

/// The program: tells which process it is in and what it was asked.
fn program(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let received = io::copy(input, &mut io::sink())?;
    let mut body = start.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
    writeln!(body, "process {}", std::process::id())?;
    writeln!(
        body,
        "{} {} {}",
        environ.method,
        environ.script_name.escape_ascii(),
        environ.path_info.escape_ascii()
    )?;
    writeln!(body, "{received} bytes of body")?;
    Ok(body.end()?)
}

fn main() -> ExitCode {
    // RFC 3875 4.1.4: whoever is started as a script finds this variable.
    if std::env::var_os("GATEWAY_INTERFACE").is_some() {
        return serve_with(program, &Settings::default());
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run() -> std::result::Result<(), Box<dyn Error>> {
    // The program decides when it is over; from here on, an interrupt is a wish.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let here = std::env::current_exe()?;
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let routes = format!(
        "[[route]]\npath = \"/cgi\"\ncgi = {here:?}\n\n[[route]]\npath = \"/\"\nfiles = {files:?}\nindex = \"hello.rs\"\n"
    );

    let gateway =
        Gateway::builder().config_text(routes).mount("/app", program).listen(address).start().await?;
    for address in gateway.local_addresses() {
        println!("http://{address}/");
    }

    interrupts.recv().await;
    // Whatever is being answered now is answered to its end.
    gateway.stop().await;
    Ok(())
}
