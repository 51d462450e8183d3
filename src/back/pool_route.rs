//! The back of one route that asks the workers of a pool. It must not know how they are kept alive, nor what they speak
//! beyond the name of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gatebridge_cgi::{Environ, Listing, ScriptLimits};

use super::connect::{Connection, DEPARTURE_PAUSE};
use super::fastcgi::FastCgi;
use super::lookup::not_there;
use super::patience::Patience;
use super::places::Place;
use super::pool::Pool;
use super::queue::queue_wait;
use super::relay::{Rules, answer_lent};
use super::repeat::{MAX_ATTEMPTS, Outcome, Spare, may_repeat};
use super::scgi::Scgi;
use super::turns::Wish;
use super::users::User;
use crate::config::{self, PoolProtocol};
use crate::exchange::{Answer, Application, Failure, FailureKind, Request, Response};
use crate::process::roster::Ended;
use crate::route::{below, check_script, split};

/// The back of one route: asks the workers of a pool.
#[derive(Debug)]
pub struct PoolRoute {
    _user: User,
    pool: Arc<Pool>,
    back_name: Arc<str>,
    back: config::PoolBack,
    listing: Listing,
    variables: Vec<(Bytes, Bytes)>,
    authorization: bool,
    rules: Rules,
}

impl Pool {
    /// What answers the requests of `route`, whose back is `back`, by asking this pool.
    #[must_use]
    pub fn route(self: &Arc<Self>, route: &config::Route, back: &config::PoolBack) -> PoolRoute {
        let listing = match self.speak {
            PoolProtocol::FastCgi => Listing::FASTCGI,
            PoolProtocol::Scgi => Listing::SCGI,
        };
        let limits = &route.limits;
        PoolRoute {
            _user: self.users.enter(),
            pool: Arc::clone(self),
            back_name: format!("pool:{}", self.name()).into(),
            back: back.clone(),
            listing: if route.strip_shellshock { listing.with_shell_guard() } else { listing },
            variables: route
                .env
                .iter()
                .map(|(name, value)| {
                    (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
                })
                .collect(),
            authorization: route.authorization,
            rules: Rules {
                is_nph: false,
                limits: ScriptLimits { max_head_bytes: limits.max_output_head, ..ScriptLimits::default() },
                patience: Patience { first_byte: limits.first_byte_timeout, output: limits.output_timeout },
            },
        }
    }
}

impl Application for PoolRoute {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(self.answer(request))
    }
}

impl PoolRoute {
    /// Completes what the workers are told: the route's variables, and the script with what belongs to it. Also what
    /// `explain` shows.
    ///
    /// # Errors
    ///
    /// When the path names no script that is there.
    pub fn describe(&self, environ: &mut Environ) -> Result<(), Failure> {
        for (name, value) in &self.variables {
            environ.set_variable(name.clone(), value.clone());
        }
        environ.pass_authorization = self.authorization;
        if let Some(suffix) = &self.back.split {
            let path_info = environ.path_info.clone();
            let parts = split(&path_info, suffix, self.back.index.as_deref())
                .map_err(|error| Failure::new(FailureKind::BadRequest, error.to_string()))?
                .ok_or_else(|| no_script(&path_info, suffix, self.back.index.as_deref()))?;
            environ.script_name = [&environ.script_name[..], &parts.script_name()].concat().into();
            environ.path_info = path_info.slice_ref(parts.path_info);
        }
        if let Some(root) = &self.back.root {
            self.locate(environ, root)?;
        }
        environ.complete_script_name();
        Ok(())
    }

    fn locate(&self, environ: &mut Environ, root: &Path) -> Result<(), Failure> {
        // Only where the workers see the files that we see, and only for scripts: without `split` the name is not one
        // of a file.
        if self.pool.is_local && self.back.split.is_some() {
            check_script(root, &environ.script_name).map_err(|failure| not_there(&failure))?;
        }
        environ.script_filename = Some(below(root, &environ.script_name));
        if !environ.path_info.is_empty() {
            // RFC 3875 4.1.6: PATH_INFO as if it were a path of its own below the root.
            environ.path_translated = Some(below(root, &environ.path_info));
        }
        environ.document_root = Some(PathBuf::from(root));
        Ok(())
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Failure> {
        self.describe(&mut request.environ)?;
        if request.environ.content_length.is_none() && !request.body.is_empty() {
            // Lesson 44: unknown never means empty.
            return Err(Failure::internal(
                "a body of unknown length reached a pool: it must be spooled before",
            ));
        }
        let mut tried = Vec::new();
        let wish = Wish { priority: self.back.priority, time_left: request.exchange.time_left() };
        let mut last: Option<Failure> = None;
        for attempt in 1.. {
            let connected = self.pool.dispatch.connect(&mut tried, &wish).await;
            match &connected {
                Ok((_, waited)) if attempt == 1 => self.pool.waits.note(*waited),
                Ok(_) => {}
                Err(failure) => self.pool.waits.note_failure(failure),
            }
            let (connection, waited) = match connected {
                Ok(connected) => connected,
                // Why a worker did not take it says more than that there is no other.
                Err(failure) if failure.kind == FailureKind::Unreachable => {
                    return Err(last.unwrap_or(failure));
                }
                Err(failure) => return Err(failure),
            };
            request.exchange.note(|record| {
                record.back = Some(Arc::clone(&self.back_name));
                *record.queue_wait.get_or_insert_default() += waited;
            });
            if let Some((name, value)) = queue_wait(waited) {
                request.environ.set_variable(name, value);
            }
            let (is_reused, trace) = (connection.is_reused, Arc::clone(&connection.trace));
            let place = Arc::clone(connection.place());
            let spare = Spare::of(&mut request.body);
            let failure = match self.ask(connection, &mut request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let outcome = trace.outcome();
            let (departure, failure) = with_departure(outcome, &place, failure).await;
            let is_innocent = is_reused || departure.is_some_and(|departure| departure.is_clean);
            if attempt == MAX_ATTEMPTS || !may_repeat(outcome, is_innocent, &request.environ.method) {
                return Err(failure);
            }
            let Some(body) = spare.body() else { return Err(failure) };
            tracing::debug!(id = %request.exchange.id().escape_ascii(), "{failure}; the request is sent again");
            match outcome {
                Outcome::Refused => tried.push(place.key),
                // What one kept connection met, the others there have met too.
                _ => self.pool.dispatch.distrust(&place),
            }
            request.body = body;
            last = Some(failure);
        }
        Err(Failure::internal("a request was sent too often"))
    }

    async fn ask(&self, connection: Connection, request: &mut Request) -> Result<Response, Failure> {
        let environ = &request.environ;
        match self.pool.speak {
            PoolProtocol::FastCgi => {
                let length = environ.content_length.unwrap_or(0);
                let keep = self.pool.dispatch.keeps_connections();
                let id = request.exchange.id();
                let line = FastCgi::begin(connection, environ, self.listing, length, keep, id)?;
                answer_lent(line, request, self.rules).await
            }
            PoolProtocol::Scgi => {
                let line = Scgi::begin(connection, environ, self.listing)?;
                answer_lent(line, request, self.rules).await
            }
        }
    }
}

/// How a worker of ours ended with whose end the connection broke; it is added to what the failure tells.
async fn with_departure(outcome: Outcome, place: &Place, failure: Failure) -> (Option<Ended>, Failure) {
    let broke = matches!(outcome, Outcome::Silent | Outcome::Broken);
    let Some(worker) = place.worker.as_ref().filter(|_| broke) else { return (None, failure) };
    let Ok(ended) = tokio::time::timeout(DEPARTURE_PAUSE, worker.ended()).await else {
        return (None, failure);
    };
    let detail = format!("{}; it has ended: {}", failure.detail, ended.how);
    (Some(ended), Failure::new(failure.kind, detail))
}

fn no_script(path: &[u8], suffix: &str, index: Option<&str>) -> Failure {
    let path = path.escape_ascii();
    let detail = match index {
        Some(_) => {
            format!("{path} names no script: no component ends in {suffix}, and it does not end in a slash")
        }
        None => format!("{path} names no script: no component ends in {suffix}"),
    };
    Failure::new(FailureKind::NotFound, detail)
}
