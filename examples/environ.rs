//! Shows what a program is told: every variable, and how much body came. It teaches the environ, and it must not know
//! which protocol brought it.
//!
//! Most variables of RFC 3875 are typed fields of the environ (`method`, `path_info`, `remote_addr` ...), and the header
//! fields are in `headers` under their HTTP names. `walk` lists all of it under the names that CGI has for them. What
//! differs between CGI, FastCGI and SCGI is seen here: nothing but what the gateway adds for one of them.
//!
//! Try it: `cargo run --example environ -- --listen 127.0.0.1:8080`, then `curl -d x 'http://127.0.0.1:8080/a/b?c=d'`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use gatebridge_interface::{Environ, Input, Result, StartResponse, serve};

/// Lists the variables, and counts the body.
pub fn show(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let mut variables = Vec::new();
    environ.walk(&mut |name: &[u8], value: &[u8]| {
        variables.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
    });
    variables.sort_unstable();

    // The body is a stream: it is counted without being kept, however long it is.
    let received = io::copy(input, &mut io::sink())?;

    let mut body = start.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
    for variable in variables {
        writeln!(body, "{variable}")?;
    }
    writeln!(body, "\n{received} bytes of body")?;
    // Without this the compiler complains: an answer that is not ended is no answer.
    Ok(body.end()?)
}

fn main() -> ExitCode {
    serve(show)
}
