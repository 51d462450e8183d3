//! What a request would meet, found by the same code that would answer it, without anything being started.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use gatebridge_cgi::{Environ, Listing};

use super::assembly::program_paths;
use crate::back::{Cgi, Pool};
use crate::config::{
    self, CgiBack, Config, ConnectAddress, Connected, PoolBack, PoolKind, PoolProtocol, Route, RouteBack,
};
use crate::exchange::{Answer, Application, Failure, FailureKind, Request};
use crate::process::Spawner;
use crate::route::{Entry, FileRoot, Found, RouteTable};

/// What a request would meet.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The route, by its name; `None` if there is none for it.
    pub route: Option<String>,
    /// Facts in the order in which a person asks for them: back, script, SCRIPT_NAME, PATH_INFO, limits.
    pub facts: Vec<(&'static str, String)>,
    /// What the variables are: an environment, params.
    pub variables_are: &'static str,
    /// The variables that the program would see, sorted by name.
    pub variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// Why no program and no file would answer.
    pub failure: Option<Failure>,
}

/// Explains what a request with this environ (its whole path in `path_info`) would meet.
///
/// # Errors
///
/// The gateway could not even be built: a CGI folder that cannot be opened, for example.
pub fn explain(config: &Config, mut environ: Environ) -> anyhow::Result<Explanation> {
    let entries = config.routes.iter().map(entry).collect();
    let table = RouteTable::new(entries);
    let path = String::from_utf8_lossy(&environ.path_info).into_owned();
    let mut explanation = Explanation::default();
    let Some(found) = table.find(&environ.server_name, &environ.path_info) else {
        let detail = format!("no route for {path:?} at this host");
        explanation.failure = Some(Failure::new(FailureKind::NotFound, detail));
        return Ok(explanation);
    };
    let is_it = |route: &&Arc<Route>| *found.name == *route.name();
    let route = config.routes.iter().find(is_it).context("the route table has an unknown route")?;
    environ.script_name = found.prefix.clone();
    environ.path_info = environ.path_info.slice(found.prefix.len()..);
    explanation.route = Some(route.name());
    let failed = explanation.fill(config, route, &mut environ)?;
    let method_is_refused = route
        .methods
        .as_ref()
        .is_some_and(|allowed| !allowed.iter().any(|name| *name == *environ.method.as_str()));
    explanation.failure = if method_is_refused {
        let detail = route.methods.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        Some(Failure::new(FailureKind::MethodNotAllowed, detail))
    } else {
        failed
    };
    Ok(explanation)
}

impl Explanation {
    fn fill(
        &mut self,
        config: &Config,
        route: &Route,
        environ: &mut Environ,
    ) -> anyhow::Result<Option<Failure>> {
        let failed = match &route.back {
            RouteBack::Cgi(back) => self.fill_cgi(route, back, environ)?,
            RouteBack::Pool(back) => self.fill_pool(config, route, back, environ)?,
            RouteBack::Files(back) => {
                self.fact("back", format!("files {}", back.root.display()));
                match FileRoot::new(&back.root, program_paths(config)).lookup(&environ.path_info, &back.index)
                {
                    Ok(Found::File(file)) => {
                        self.fact("file", file.path.display().to_string());
                        None
                    }
                    Ok(Found::FolderWithoutSlash) => {
                        self.fact("answer", "301 to the same with a slash at its end".to_owned());
                        None
                    }
                    Err(failure) => Some(Failure::new(kind_of(failure.status()), failure.to_string())),
                }
            }
            RouteBack::Index => {
                self.fact("back", "the index of what can be called".to_owned());
                None
            }
            RouteBack::Status(back) => {
                let whom = if back.is_public { "everybody" } else { "clients on this machine" };
                self.fact("back", format!("the status page, for {whom}"));
                None
            }
        };
        Ok(failed)
    }

    fn fill_cgi(
        &mut self,
        route: &Route,
        back: &CgiBack,
        environ: &mut Environ,
    ) -> anyhow::Result<Option<Failure>> {
        self.fact("back", format!("cgi {}", back.path.display()));
        // Its threads wait for work that never comes, and end with the process.
        let spawner = Spawner::start(std::num::NonZeroUsize::MIN)?;
        let cgi = Cgi::open(route, back, spawner)?;
        let script = match cgi.prepare(environ) {
            Ok(script) => script,
            Err(failure) => return Ok(Some(failure)),
        };
        self.fact("script", script.path.display().to_string());
        self.split_facts(route, environ);
        self.variables_are = "environment of the process:";
        match cgi.environment(environ) {
            Ok(variables) => {
                let bytes = |text: std::ffi::OsString| std::os::unix::ffi::OsStringExt::into_vec(text);
                self.variables =
                    variables.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
                self.sort_variables();
                Ok(None)
            }
            Err(failure) => Ok(Some(failure)),
        }
    }

    fn fill_pool(
        &mut self,
        config: &Config,
        route: &Route,
        back: &PoolBack,
        environ: &mut Environ,
    ) -> anyhow::Result<Option<Failure>> {
        let pool = config.pool(&back.pool).context("a route of an unknown pool")?;
        self.fact("back", format!("pool {}", pool.name));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _runtime = runtime.enter();
        let spawner = Spawner::start(std::num::NonZeroUsize::MIN)?;
        let open = Pool::open(&unstarted(pool), &spawner, &config.server.temp_dir)?;
        if let Err(failure) = open.route(route, back).describe(environ) {
            return Ok(Some(failure));
        }
        if let Some(file) = &environ.script_filename {
            self.fact("script", file.display().to_string());
        }
        self.split_facts(route, environ);
        let (listing, are) = match pool.speak {
            PoolProtocol::Scgi => (Listing::SCGI, "headers of the SCGI request:"),
            PoolProtocol::FastCgi => (Listing::FASTCGI, "params of the FastCGI request:"),
        };
        self.variables_are = are;
        let listing = if route.strip_shellshock { listing.with_shell_guard() } else { listing };
        let variables = &mut self.variables;
        environ.walk_with(listing, &mut |name: &[u8], value: &[u8]| {
            variables.push((name.to_vec(), value.to_vec()));
        });
        self.sort_variables();
        Ok(None)
    }

    fn split_facts(&mut self, route: &Route, environ: &Environ) {
        self.fact("SCRIPT_NAME", String::from_utf8_lossy(&environ.script_name).into_owned());
        self.fact("PATH_INFO", String::from_utf8_lossy(&environ.path_info).into_owned());
        let limits = &route.limits;
        let text = |limit: Option<std::time::Duration>| {
            limit.map_or("none".to_owned(), |limit| format!("{limit:?}"))
        };
        let body = limits.max_body.map_or("none".to_owned(), |bytes| format!("{bytes} bytes"));
        self.fact(
            "limits",
            format!(
                "max_body {body}, timeout {}, first_byte_timeout {}, output_timeout {}",
                text(limits.timeout),
                text(limits.first_byte_timeout),
                text(limits.output_timeout)
            ),
        );
    }

    fn fact(&mut self, name: &'static str, value: String) {
        self.facts.push((name, value));
    }

    /// Sorted for people, and of two with one name only the later, as the program sees it.
    fn sort_variables(&mut self) {
        self.variables.reverse();
        self.variables.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.variables.dedup_by(|(one, _), (other, _)| one == other);
    }
}

fn kind_of(status: u16) -> FailureKind {
    match status {
        400 => FailureKind::BadRequest,
        403 => FailureKind::Forbidden,
        404 => FailureKind::NotFound,
        _ => FailureKind::Internal,
    }
}

/// The pool as one that somebody else runs on this machine: the same answers, and no worker is started.
fn unstarted(pool: &config::Pool) -> config::Pool {
    let mut pool = pool.clone();
    if let PoolKind::Started(_) = pool.kind {
        let nobody = ConnectAddress::Unix(PathBuf::from("/"));
        pool.kind = PoolKind::Connected(Connected { addresses: vec![nobody], max_connections: 1 });
    }
    pool
}

/// A route as the table wants it; nothing is ever asked of it here.
fn entry(route: &Arc<Route>) -> Entry {
    struct Nobody;
    impl Application for Nobody {
        fn call(&self, _request: Request) -> Answer<'_> {
            Box::pin(async { Err(Failure::internal("nothing answers an explanation")) })
        }
    }
    Entry {
        host: route.host.clone(),
        prefix: bytes::Bytes::copy_from_slice(route.prefix.as_bytes()),
        name: route.name().into(),
        application: Arc::new(Nobody),
    }
}
