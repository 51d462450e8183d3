//! CGI: a process per request (RFC 3875). It must not know which policies stand before it, nor how a process is started.
//!
//! ```text
//!   request -> script lookup -> environ -> process slot (or the queue) -> spawn -> relay over three pipes -> response
//! ```
//!
//! The slot is taken before the process is started and given back when the process is gone: a client that asks and
//! leaves again and again cannot start more processes than the route has.

use std::ffi::OsString;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gatebridge_cgi::{Environ, Environment, Listing, ScriptLimits};

use crate::config::{self, CgiBack, Nph, Route};
use crate::exchange::{Answer, Application, Body, Failure, FailureKind, FileRange, Request, Response};
use crate::observe::status::QueueStatus;
use crate::process::{Child, FailureClass, Launch, SpawnFailure, Spawner, Stdin};
use crate::route::{RootError, Script, ScriptRoot};

use super::lookup::not_there;
use super::patience::Patience;
use super::pipes::{self, Keep, Pipes};
use super::queue::queue_wait;
use super::relay::{self, Rules};
use super::slots::{RETRY_AFTER, Slots, What};
use super::stderr::Stderr;

/// The scripts of one route: a folder of executables, or one executable.
#[derive(Debug)]
pub struct Cgi {
    root: ScriptRoot,
    document_root: PathBuf,
    spawner: Spawner,
    slots: Slots,
    /// What every script's environment begins with; a request's variables win.
    environment: Vec<(OsString, OsString)>,
    /// The route's own meta-variables; they win over a request's.
    variables: Vec<(Bytes, Bytes)>,
    listing: Listing,
    pass_authorization: bool,
    nph: Nph,
    limits: ScriptLimits,
    patience: Patience,
    kill_grace: Duration,
    stderr_lines: usize,
}

impl Cgi {
    /// The scripts of `route`, whose back is `back`, started by `spawner`.
    ///
    /// The variables that the configuration passes from the gateway's own environment are read here, once.
    ///
    /// # Errors
    ///
    /// The folder or executable cannot be opened or may not be run.
    pub fn open(route: &Route, back: &CgiBack, spawner: Spawner) -> Result<Self, RootError> {
        let root = ScriptRoot::open(&back.path)?;
        let is_folder = root.path().is_dir();
        let folder = if is_folder { Some(root.path()) } else { root.path().parent() };
        let document_root = folder.unwrap_or(Path::new("/")).to_owned();
        let listing = if route.strip_shellshock { Listing::CGI.with_shell_guard() } else { Listing::CGI };
        let variables = route.env.iter();
        Ok(Self {
            root,
            document_root,
            spawner,
            slots: Slots::new(What::Processes, back.max_processes, back.queue),
            environment: base_environment(&back.environment),
            variables: variables.map(|(name, value)| (name.clone().into(), value.clone().into())).collect(),
            listing,
            pass_authorization: route.authorization,
            nph: back.nph,
            limits: ScriptLimits { max_head_bytes: route.limits.max_output_head, ..ScriptLimits::default() },
            patience: Patience {
                first_byte: route.limits.first_byte_timeout,
                output: route.limits.output_timeout,
            },
            kill_grace: back.kill_grace,
            stderr_lines: back.stderr_lines,
        })
    }

    /// How many processes there are.
    #[must_use]
    pub fn running(&self) -> usize {
        self.slots.taken()
    }

    /// How the queue before them is.
    #[must_use]
    pub fn queue_status(&self) -> QueueStatus {
        self.slots.queue_status()
    }

    /// Finds the script that a request is for, and completes the environ as that script will see it.
    ///
    /// # Errors
    ///
    /// There is no such script, or it may not be run.
    pub fn prepare(&self, environ: &mut Environ) -> Result<Script, Failure> {
        let script = self.root.lookup(&environ.path_info).map_err(|failure| not_there(&failure))?;
        let mut name = environ.script_name.to_vec();
        name.extend_from_slice(&script.script_name);
        // RFC 3875 4.1.13 and 4.1.5: SCRIPT_NAME leads to the script, PATH_INFO is what the client put behind it.
        environ.script_name = name.into();
        environ.path_info = Bytes::copy_from_slice(&script.path_info);
        environ.script_filename = Some(script.path.clone());
        let document_root = environ.document_root.get_or_insert_with(|| self.document_root.clone());
        // RFC 3875 4.1.6: the file that PATH_INFO would name as a path of its own; no PATH_INFO, no such file.
        environ.path_translated = script.path_info.strip_prefix(b"/").map(|below| {
            let below = Path::new(std::ffi::OsStr::from_bytes(below));
            document_root.join(below)
        });
        for (name, value) in &self.variables {
            environ.set_variable(name.clone(), value.clone());
        }
        environ.pass_authorization &= self.pass_authorization;
        environ.complete_script_name();
        Ok(script)
    }

    /// The whole environment of the process that answers a request; the later of two with one name counts.
    ///
    /// # Errors
    ///
    /// A variable is longer than the kernel takes, or holds a NUL.
    pub fn environment(&self, environ: &Environ) -> Result<Vec<(OsString, OsString)>, Failure> {
        let mut variables = Environment::default();
        environ.walk_with(self.listing, &mut variables);
        let variables = variables.finish().map_err(|error| {
            let script = environ.script_filename.as_deref().unwrap_or(Path::new("the script")).display();
            Failure::new(FailureKind::NotStarted, format!("cannot start {script}: {error}"))
        })?;
        Ok(self.environment.iter().cloned().chain(variables).collect())
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Failure> {
        let script = self.prepare(&mut request.environ)?;
        let called = script.path.display().to_string();
        request.exchange.note(|record| record.back = Some(format!("cgi:{called}").into()));
        if request.environ.unique_id.is_empty() {
            request.environ.unique_id = request.exchange.id();
        }
        declare_length(&mut request)?;
        let environment = self.environment(&request.environ)?;

        let slot = self.slots.take(&request.exchange).await?;
        let mut launch = Launch::new(&script.path);
        launch.env = environment;
        launch.env.extend(queue_wait(slot.waited).map(|(name, value)| (name.into(), value.into())));
        launch.cwd = script.folder;
        launch.grace = self.kill_grace;
        let (stdin, spooled) = standard_input(&mut request.body);
        launch.stdin = stdin;
        let keep = Keep { _slot: slot, exchange: Arc::clone(&request.exchange), _spooled: spooled };
        let (child, keep) = Starting::start(&self.spawner, launch, self.kill_grace, keep).await?;

        let stderr = Stderr::new(request.exchange.id(), called.clone(), self.stderr_lines);
        let line = Pipes::new(child, called, stderr, self.kill_grace, keep);
        let rules = Rules { is_nph: self.is_nph(&script.path), limits: self.limits, patience: self.patience };
        relay::answer(line, request, rules).await
    }

    /// RFC 3875 5: whether a script writes the whole head is told by its name, as NCSA and Apache have it.
    fn is_nph(&self, script: &Path) -> bool {
        match self.nph {
            Nph::Always => true,
            Nph::Never => false,
            Nph::ByName => script.file_name().is_some_and(|name| name.as_bytes().starts_with(b"nph-")),
        }
    }
}

impl Application for Cgi {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(self.answer(request))
    }
}

type Started = Pin<Box<dyn Future<Output = Result<Child, SpawnFailure>> + Send>>;

/// A process on its way into being. Dropped before it is there, it is seen out by a task of its own, and keeps its place
/// until it is gone.
struct Starting {
    started: Option<Started>,
    keep: Option<Keep>,
    grace: Duration,
}

impl Starting {
    async fn start(
        spawner: &Spawner,
        launch: Launch,
        grace: Duration,
        keep: Keep,
    ) -> Result<(Child, Keep), Failure> {
        let spawner = spawner.clone();
        let started: Started = Box::pin(async move { spawner.spawn(launch).await });
        let mut starting = Self { started: Some(started), keep: Some(keep), grace };
        let child = poll_fn(|cx| starting.poll_started(cx)).await.map_err(not_started)?;
        let keep = starting.keep.take().ok_or_else(|| Failure::internal("a process was started twice"))?;
        Ok((child, keep))
    }

    fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<Result<Child, SpawnFailure>> {
        let Some(started) = &mut self.started else { return Poll::Pending };
        let child = ready!(started.as_mut().poll(cx));
        self.started = None;
        Poll::Ready(child)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let (Some(started), Some(keep)) = (self.started.take(), self.keep.take()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let grace = self.grace;
        runtime.spawn(async move {
            if let Ok(child) = started.await {
                pipes::end(child, grace, keep);
            }
        });
    }
}

/// What the scripts of a route find in their environment whatever is asked. Nothing else of the gateway's own is in it.
fn base_environment(settings: &config::Environment) -> Vec<(OsString, OsString)> {
    let path = (OsString::from("PATH"), OsString::from(&settings.path));
    let passed = settings.pass.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let set = settings.set.iter().map(|(name, value)| (name.into(), value.into()));
    std::iter::once(path).chain(passed).chain(set).collect()
}

/// RFC 3875 4.1.2: CONTENT_LENGTH is how long the body is, and is there if and only if there is a body.
fn declare_length(request: &mut Request) -> Result<(), Failure> {
    let Some(length) = request.body.length() else {
        return Err(Failure::internal(
            "a body of unknown length came to a CGI script: it is to be spooled before",
        ));
    };
    if length > 0 {
        request.environ.content_length = Some(length);
    }
    Ok(())
}

/// How the body becomes standard input. A spooled file does directly, so that the script may seek in it; it is kept open
/// for as long as the process lives, because the disk space is in use as long.
fn standard_input(body: &mut Body) -> (Stdin, Option<Arc<File>>) {
    if body.is_empty() {
        return (Stdin::Null, None);
    }
    if let Body::File(range) = body
        && let Some(reopened) = reopen(range)
    {
        let file = Arc::clone(&range.file);
        *body = Body::Empty;
        return (Stdin::File(reopened), Some(file));
    }
    (Stdin::Pipe, None)
}

/// Opens a whole file once more: to read only, and with a position of its own. `None` when it is not the whole file, or
/// there is no /proc; then it goes through a pipe.
fn reopen(range: &FileRange) -> Option<OwnedFd> {
    let is_whole = range.offset == 0 && range.file.metadata().ok()?.len() == range.length;
    let path = format!("/proc/self/fd/{}", range.file.as_raw_fd());
    is_whole.then(|| File::open(path).ok()).flatten().map(OwnedFd::from)
}

fn not_started(failure: SpawnFailure) -> Failure {
    let kind = match failure.class() {
        FailureClass::Broken => FailureKind::NotStarted,
        FailureClass::Busy => FailureKind::Overloaded { retry_after: RETRY_AFTER },
    };
    Failure::new(kind, failure.to_string())
}
