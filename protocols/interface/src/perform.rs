//! One call of an application and what comes of it, the same under every runner; it must not know the runner.

use std::any::Any;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gatebridge_cgi::Environ;

use crate::answer::{Answered, StartResponse};
use crate::application::{Application, Error};
use crate::input::Input;
use crate::lint::watch;
use crate::outlet::Outlet as _;
use crate::script::{Progress, ScriptOutlet};

/// What the client is told when an application fails: nothing that an application says in an error is for clients.
const APOLOGY: &str = "The program that was to answer has failed. Its error log says why.\n";

/// How a request ended, for whoever has called an application: see [`perform`](crate::perform).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a whole answer, if only an apology.
    Answered,
    /// With part of an answer: the client must see that it is cut.
    Broken,
    /// Nobody waited any more.
    Aborted,
}

/// Calls the application; an error or a panic becomes a 500 if nothing has left, and is told on the error stream.
pub(crate) fn perform(
    application: &dyn Application,
    environ: &Environ,
    input: &mut Input<'_>,
    outlet: &mut ScriptOutlet<'_>,
) -> Outcome {
    let called = catch_unwind(AssertUnwindSafe(|| {
        let start = StartResponse::new(outlet);
        // As with `debug_assert`: who writes a program sees its mistakes, and who runs it does not pay for the search.
        if cfg!(debug_assertions) {
            watch(application, environ, input, start)
        } else {
            application.call(environ, input, start)
        }
    }));
    let fault: Error = match called {
        Ok(Ok(_)) if outlet.progress() == Progress::Ended => return Outcome::Answered,
        Ok(Ok(_)) => "it returned the end of another request's answer".into(),
        Ok(Err(error)) => error,
        Err(payload) => panic_text(&*payload).into(),
    };
    if outlet.is_aborted() {
        return Outcome::Aborted;
    }
    let (script, path) = (environ.script_name.escape_ascii(), environ.path_info.escape_ascii());
    let text = format!("{} {script}{path}: the application failed: {fault}\n", environ.method);
    // Without an error stream there is nobody to tell.
    let _ = outlet.errors(text.as_bytes());
    match outlet.progress() {
        // An error after the end has spoilt nothing.
        Progress::Ended => Outcome::Answered,
        Progress::Committed => Outcome::Broken,
        Progress::Held => {
            outlet.reset();
            apologize(outlet).map_or(Outcome::Broken, |Answered { .. }| Outcome::Answered)
        }
    }
}

/// What a panic says: nearly always a text.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    match text.or_else(|| payload.downcast_ref::<&str>().copied()) {
        Some(text) => format!("it panicked: {}", text.escape_debug()),
        None => "it panicked".to_owned(),
    }
}

fn apologize(outlet: &mut ScriptOutlet<'_>) -> Result<Answered, Error> {
    let mut body = StartResponse::new(outlet).start(500, [("Content-Type", "text/plain; charset=utf-8")])?;
    body.write_all(APOLOGY.as_bytes())?;
    Ok(body.end()?)
}
