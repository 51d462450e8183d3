//! The program that `gatebridge compare` compares when nobody names one: a few lines on the interface crate, in this very
//! executable under another name. It does not know that it is compared.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use gatebridge_interface::{Environ, Input, Result, StartResponse, serve};

use crate::process::socket::SocketFolder;

/// Under this name the executable is the program. A CGI program gets no arguments that could say so.
const NAME: &str = "gatebridge-demo";

/// The program: the same words for everybody.
pub(super) fn answer(_: &Environ, _: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    start.answer(200, [("Content-Type", "text/plain; charset=utf-8")], "Hello from gatebridge\n")
}

/// Runs the program, if the executable was started under its name.
#[must_use]
pub fn demo() -> Option<ExitCode> {
    let name = PathBuf::from(std::env::args_os().next()?);
    (name.file_name()? == NAME).then(|| serve(answer))
}

/// The executable under the program's name, in a folder that goes away with this.
#[derive(Debug)]
pub(super) struct Installed(SocketFolder);

impl Installed {
    /// Copies the executable: a link would tell the program another name.
    pub(super) fn new() -> anyhow::Result<Self> {
        let installed = Self(SocketFolder::create(&std::env::temp_dir())?);
        let own = std::env::current_exe().context("cannot find gatebridge's own executable")?;
        std::fs::copy(own, installed.path()).context("cannot copy gatebridge's own executable")?;
        Ok(installed)
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join(NAME)
    }
}
