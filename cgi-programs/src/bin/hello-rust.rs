//! Hello from a compiled program: a CGI script needs no framework; it must not know which gateway runs it.
//!
//! Built by `cargo build --release --workspace`, and routed in `gatebridge.toml` by
//! `cgi = "target/release/hello-rust"`. It starts in about a millisecond; Python needs twelve.

use std::env;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    // RFC 3875 4.1: what the client sent is in variables. A value need not be UTF-8.
    let variable = |name| env::var_os(name).unwrap_or_default().to_string_lossy().into_owned();
    let answer = format!(
        "Content-Type: text/plain; charset=utf-8\n\n\
         Hello from Rust, {}!\n\
         You asked for {}{} with the method {}.\n",
        variable("REMOTE_ADDR"),
        variable("SCRIPT_NAME"),
        variable("PATH_INFO"),
        variable("REQUEST_METHOD"),
    );
    // One write: a program that prints in pieces sends in pieces.
    io::stdout().write_all(answer.as_bytes())
}
