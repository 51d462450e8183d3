//! The two programs whose start is compared, and the request that they answer; it must not know what is compared.

#![allow(unreachable_pub, reason = "shared by a test and a benchmark")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that prints its answer and does nothing else.
pub const BARE: &str = "start-up-bare";
/// The example hello, which calls `serve`.
pub const SERVE: &str = "start-up-serve";

/// The variables of a request by curl, as a gateway sets them.
const VARIABLES: [(&str, &str); 18] = [
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("HTTP_ACCEPT", "*/*"),
    ("HTTP_HOST", "test.example"),
    ("HTTP_USER_AGENT", "curl/8.5.0"),
    ("PATH", "/usr/bin:/bin"),
    ("PATH_INFO", ""),
    ("QUERY_STRING", ""),
    ("REMOTE_ADDR", "192.0.2.7"),
    ("REMOTE_PORT", "49152"),
    ("REQUEST_METHOD", "GET"),
    ("REQUEST_SCHEME", "http"),
    ("REQUEST_URI", "/hello"),
    ("SCRIPT_FILENAME", "/srv/cgi-bin/hello"),
    ("SCRIPT_NAME", "/hello"),
    ("SERVER_NAME", "test.example"),
    ("SERVER_PORT", "80"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SERVER_SOFTWARE", "gatebridge/0.1.0"),
];

/// Builds both as this workspace releases programs, and puts them without their symbols into a folder.
pub fn build(folder: &Path) -> [PathBuf; 2] {
    // TARGET/debug/deps/start_up-0123
    let this = std::env::current_exe().unwrap();
    let target = this.ancestors().nth(3).unwrap();
    let package = ["--package", "gatebridge-test-programs", "--bin", BARE, "--bin", SERVE];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--release", "--target-dir"]).arg(target).args(package);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    [BARE, SERVE].map(|name| {
        let stripped = folder.join(name);
        let status =
            Command::new("strip").arg("-o").arg(&stripped).arg(target.join("release").join(name)).status();
        assert!(status.unwrap().success(), "strip of {name}");
        stripped
    })
}

/// A start of a program as a gateway starts it, its output to nowhere. `starter` runs it, if one is given.
pub fn start(program: &Path, starter: Option<&str>) -> Command {
    let mut command = Command::new(starter.map_or(program, Path::new));
    command.env_clear().envs(VARIABLES).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
