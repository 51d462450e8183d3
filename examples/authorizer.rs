//! Says who may pass. It teaches the Authorizer role of FastCGI: a program that is asked before another one, or before a
//! file, whether the request is allowed. It must not know what it guards.
//!
//! In this role (FastCGI 1.0 6.3) a program gets the request's variables without its body, and answers
//!
//! - 200 to let it pass. Fields that begin with `Variable-` become variables of the request, such as `REMOTE_USER` here. The
//!   rest of the answer goes nowhere.
//! - anything else to refuse it. That answer goes to the client, so a 401 asks for credentials.
//!
//! The role is in the variable `FCGI_ROLE`, but a program that does nothing else need not look. lighttpd speaks it:
//!
//! ```text
//! fastcgi.server = ("/" => (("socket" => "/run/authorizer.sock", "mode" => "authorizer", "check-local" => "disable")))
//! ```
//!
//! nginx has not the role, but something like it, for which this program serves as it is: `auth_request`, which asks a
//! Responder and goes on with a status of 2xx. See `docs/interface.md`. The program has to see the field `Authorization`;
//! gatebridge passes it where a route says `authorization = true`.
//!
//! Try it: `cargo run --example authorizer -- --listen 127.0.0.1:8080`, then
//! `curl -i -H 'Authorization: Bearer swordfish' http://127.0.0.1:8080/`.

use std::process::ExitCode;

use gatebridge_interface::http::header::AUTHORIZATION;
use gatebridge_interface::{Environ, Input, Result, StartResponse, serve};
use sha2::{Digest as _, Sha256};

/// Who has which token, by its SHA-256, and may do what. In earnest this is a file or a table that few may read, and tokens
/// have 128 bits of chance: what people can remember needs a slow hash such as Argon2.
const USERS: [(&str, &str, bool); 2] = [
    // swordfish
    ("alice", "b9f195c5cc7ef6afadbfbc42892ad47d3b24c6bc94bb510c4564a90a14e8b799", true),
    // open-sesame
    ("bob", "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7", false),
];

const TYPE: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

/// Lets alice do everything, and bob read.
pub fn authorize(environ: &Environ, _: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let Some((name, may_write)) = bearer(environ).and_then(user) else {
        let fields = [("WWW-Authenticate", "Bearer realm=\"the workshop\""), TYPE];
        return start.answer(401, fields, "Say who you are: Authorization: Bearer TOKEN\n");
    };
    if !may_write && !environ.method.is_safe() {
        return start.answer(403, [TYPE], format!("{name} may look, and change nothing.\n"));
    }
    let fields = [("Variable-REMOTE_USER", name), ("Variable-AUTH_TYPE", "Bearer"), TYPE];
    start.answer(200, fields, format!("{name} may pass.\n"))
}

/// The token that the request shows (RFC 6750 2.1).
fn bearer(environ: &Environ) -> Option<&str> {
    let (scheme, token) = environ.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose token it is. Hashes are compared, so the time that it takes tells nothing about the tokens.
fn user(token: &str) -> Option<(&'static str, bool)> {
    let digest = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let found = USERS.iter().find(|(_, known, _)| *known == digest);
    found.map(|(name, _, may_write)| (*name, *may_write))
}

fn main() -> ExitCode {
    serve(authorize)
}
