//! Finds out how an asynchronous program was started and runs it so, with the runtime that this needs; it must not know how
//! any of the runners works.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use ::tokio::runtime::Builder;
use ::tokio::task::spawn_blocking;

use super::application::Application;
use super::{cgi, fastcgi, scgi};
use crate::serve::{Start, Tongue, listen_for_tongue, mistaken};
use crate::settings::Settings;
use crate::socket::Listener;
use crate::stop::Stop;
use crate::worker::{EXIT_SYSTEM, complain, descriptor_0, ended, is_worker, stop_by_signals, unsocketed};

/// Runs the application in the way in which the program was started, as the synchronous [`serve`](crate::serve) does.
///
/// It starts the runtime that this needs: one of the current thread for a CGI program, and for a worker one of
/// [`Settings::threads`] threads. So `main` is no async function, and nothing is started that one request does not need:
///
/// ```no_run
/// use gatebridge_interface::tokio::{application, serve};
///
/// fn main() -> std::process::ExitCode {
///     serve(application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n")))
/// }
/// ```
///
/// A program that has to wait before it can answer, for a database perhaps, starts its own runtime and calls
/// [`serve_here`].
#[must_use = "it is what `main` returns"]
pub fn serve(application: impl Application) -> ExitCode {
    serve_with(application, &Settings::default())
}

/// [`serve`] with settings for the persistent ways.
#[must_use = "it is what `main` returns"]
pub fn serve_with(application: impl Application, settings: &Settings) -> ExitCode {
    let start = Start::of_process();
    let threads = match start {
        Start::Mistake => return mistaken(),
        // One request is answered by one thread.
        Start::Cgi => 1,
        Start::Worker | Start::Development(_) => settings.threads,
    };
    run(threads, serve_as(start, application, settings))
}

/// [`serve_with`] on the runtime that it is awaited on.
///
/// ```no_run
/// use gatebridge_interface::tokio::{application, serve_here};
/// use std::process::ExitCode;
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> ExitCode {
///     let greeting = fetch_greeting().await;
///     let hello = application(move |_, _, start| {
///         start.answer(200, [("Content-Type", "text/plain")], greeting)
///     });
///     serve_here(hello, &Default::default()).await
/// }
/// # async fn fetch_greeting() -> &'static str { "hello\n" }
/// ```
#[must_use = "it is what `main` returns"]
pub async fn serve_here(application: impl Application, settings: &Settings) -> ExitCode {
    serve_as(Start::of_process(), application, settings).await
}

async fn serve_as(start: Start, application: impl Application, settings: &Settings) -> ExitCode {
    match start {
        Start::Worker => {
            let what = "FastCGI or SCGI";
            until_stopped(what, async |stop| worker(application, descriptor_0()?, settings, stop).await).await
        }
        Start::Cgi => cgi::answer_one(application).await,
        Start::Development(address) => develop(application, &address, settings).await,
        Start::Mistake => mistaken(),
    }
}

/// Runs a server until a signal says stop.
pub(super) async fn until_stopped(
    what: &str,
    run: impl AsyncFnOnce(Arc<Stop>) -> io::Result<()>,
) -> ExitCode {
    let outcome = match stop_by_signals() {
        Ok(stop) => run(Arc::new(stop)).await,
        Err(error) => Err(error),
    };
    ended(what, outcome)
}

/// Runs a worker that knows what its peers speak on the listening socket at descriptor 0 until a signal says stop.
pub(super) fn on_descriptor_0(
    what: &str,
    settings: &Settings,
    serve: impl AsyncFnOnce(OwnedFd, &Stop) -> io::Result<()>,
) -> ExitCode {
    if !is_worker() {
        return unsocketed(what);
    }
    let worker = until_stopped(what, async |stop| serve(descriptor_0()?, &stop).await);
    run(settings.threads, worker)
}

async fn worker(
    application: impl Application,
    socket: OwnedFd,
    settings: &Settings,
    stop: Arc<Stop>,
) -> io::Result<()> {
    let listener = Listener::new(socket, settings.peers.clone())?;
    let told = Arc::clone(&stop);
    let max_connections = settings.max_connections;
    // Until somebody connects, a thread waits for what the first peer speaks.
    let heard = spawn_blocking(move || {
        let mut first = Vec::new();
        let tongue = listen_for_tongue(&listener, &mut first, max_connections, &told)?;
        io::Result::Ok((listener, first, tongue))
    });
    let (listener, first, tongue) = heard.await.map_err(io::Error::other)??;
    match tongue {
        Some(Tongue::FastCgi) => fastcgi::serve_first(application, listener, first, settings, &stop).await,
        Some(Tongue::Scgi) => scgi::serve_first(application, listener, first, settings, &stop).await,
        None => Ok(()),
    }
}

/// Serves HTTP by itself until a signal says stop.
#[cfg(feature = "development")]
async fn develop(application: impl Application, address: &str, settings: &Settings) -> ExitCode {
    let Some(listener) = crate::serve::development_listener(address, &settings.peers) else {
        return crate::EXIT_NO_SOCKET.into();
    };
    until_stopped("HTTP", async |stop| {
        super::development::serve_http(application, listener, settings, &stop).await
    })
    .await
}

#[cfg(not(feature = "development"))]
async fn develop(_: impl Application, _: &str, _: &Settings) -> ExitCode {
    crate::serve::undeveloped()
}

/// Runs a future on a runtime of so many threads; one is the current thread.
pub(super) fn run(threads: usize, future: impl Future<Output = ExitCode>) -> ExitCode {
    let mut builder = if threads <= 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = match builder.worker_threads(threads.max(1)).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("no runtime can be started: {error}"));
            return EXIT_SYSTEM.into();
        }
    };
    let status = runtime.block_on(future);
    // What the application has left behind is not waited for.
    runtime.shutdown_background();
    status
}
