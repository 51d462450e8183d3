//! The smallest program: one line for everybody. It teaches the shape of a program, and it must not know how it is run.
//!
//! A program is a function of a request's variables, its body, and the one chance to answer. `serve` finds out how the
//! program was started, so the same file is a CGI script, a FastCGI worker, an SCGI worker and a server for development:
//!
//! ```sh
//! cargo run --example hello -- --listen 127.0.0.1:8080               # by itself, while it is written
//!
//! cargo build --release --bins --example hello
//! mkdir -p cgi-bin && cp target/release/examples/hello cgi-bin/      # one process for each request
//! target/release/gatebridge serve                                    # http://127.0.0.1:8080/cgi-bin/hello
//! ```
//!
//! ```toml
//! [pool.hello]                                # a process that stays: the same program, not a byte changed
//! speak   = "fastcgi"                         # or "scgi"
//! command = ["target/release/examples/hello"]
//!
//! [[route]]
//! path = "/hello"
//! pool = "hello"
//! ```

use std::process::ExitCode;

use gatebridge_interface::{Environ, Input, Result, StartResponse, serve};

/// Says the same to everybody.
pub fn hello(_environ: &Environ, _input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    start.answer(200, [("Content-Type", "text/plain; charset=utf-8")], "Hello from Rust\n")
}

fn main() -> ExitCode {
    serve(hello)
}
