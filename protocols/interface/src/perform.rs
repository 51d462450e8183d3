//! One call of an application and what comes of it, the same under every runner; it must not know the runner.

use std::any::Any;
use std::io::Write as _;
use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gatebridge_cgi::Environ;

use crate::answer::{Answered, StartResponse};
use crate::application::{Application, Error};
use crate::input::Input;
use crate::lint::watch;
use crate::outlet::Outlet;
use crate::script::{Carrier, Progress, ScriptOutlet, ScriptWriter};

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
    conclude(called.unwrap_or_else(|payload| Err(panic_text(&*payload).into())), || name(environ), outlet)
}

/// What is said of a request whose application has failed.
pub(crate) fn name(environ: &Environ) -> String {
    let (script, path) = (environ.script_name.escape_ascii(), environ.path_info.escape_ascii());
    format!("{} {script}{path}", environ.method)
}

/// Makes the best of what a call has come to.
pub(crate) fn conclude<C: DerefMut<Target: Carrier> + Send>(
    called: Result<Answered, Error>,
    name: impl FnOnce() -> String,
    outlet: &mut ScriptWriter<C>,
) -> Outcome {
    let fault: Error = match called {
        Ok(_) if outlet.progress() == Progress::Ended => return Outcome::Answered,
        Ok(_) => "it returned the end of another request's answer".into(),
        Err(error) => error,
    };
    if outlet.is_aborted() {
        return Outcome::Aborted;
    }
    let text = format!("{}: the application failed: {fault}\n", name());
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
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    match text.or_else(|| payload.downcast_ref::<&str>().copied()) {
        Some(text) => format!("it panicked: {}", text.escape_debug()),
        None => "it panicked".to_owned(),
    }
}

fn apologize(outlet: &mut impl Outlet) -> Result<Answered, Error> {
    let mut body = StartResponse::new(outlet).start(500, [("Content-Type", "text/plain; charset=utf-8")])?;
    body.write_all(APOLOGY.as_bytes())?;
    Ok(body.end()?)
}
