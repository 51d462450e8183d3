//! A gateway as a program that embeds it puts it together. It does not know how a gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatebridge_interface as interface;

use super::Gateway;
use super::mounts::{Mount, Mounted, Mounts};
use crate::back::{App, AppRules, Service};
use crate::config::{
    self, AddressError, Config, ListenAddress, Listener, Queue, Report, RouteLimits, defaults,
};
use crate::exchange::{Application, Body};
use crate::route::decode_path;

/// Any error, as services have them.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway in the making.
///
/// What comes from a configuration and what the program adds stand side by side. Nothing is looked at before
/// [`start`](Self::start), so that every mistake is told there.
#[derive(Default)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    source: Source,
    listen: Vec<String>,
    mounts: Vec<(String, Mounted)>,
}

/// Where the configuration comes from.
#[derive(Default)]
enum Source {
    #[default]
    Nowhere,
    Text(String),
    File(PathBuf),
    Meant(Box<Config>),
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has mistakes: every one of them, with line, column and a hint.
    #[error("the configuration has mistakes:\n{0}")]
    Configuration(Report),
    /// A text that is no address to listen at.
    #[error("cannot listen at {address:?}: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// A place where nothing can be mounted.
    #[error("cannot mount anything at {path:?}: {reason}")]
    Mount {
        /// The place.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A listener that cannot be opened, a folder of scripts that is not there, a thread that the system refuses.
    #[error("the gateway cannot be started: {0:#}")]
    Start(#[source] AnyError),
}

/// How a mounted program is run, and within what limits; the same as a CGI route has by default.
///
/// ```
/// # use std::time::Duration;
/// let settings = gatebridge::AppSettings::default().threads(4).queue(100, Duration::from_secs(2));
/// assert_eq!(settings.threads, 4);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppSettings {
    /// The most requests that the program answers at once, 1 and up; each has a thread, started when it is needed. Default 64.
    pub threads: usize,
    /// The most requests that wait for a thread; one more is answered with 503. Default 256.
    pub queue: usize,
    /// The longest wait for a thread; 503 after it. Default 10 s.
    pub queue_timeout: Duration,
    /// The longest request body in bytes; 413 beyond. Default 1 GiB.
    pub max_body: Option<u64>,
    /// The whole request, from its head to the last byte of the response; 504, or cut short. Default: no limit.
    pub timeout: Option<Duration>,
    /// How long the program may be silent before the head of its response; 504. Default 60 s.
    pub first_byte_timeout: Option<Duration>,
    /// How long it may be silent later; the response is cut short. Default 60 s.
    pub output_timeout: Option<Duration>,
    /// Whether it is told the field `Authorization`: for programs that check passwords or tokens themselves. Default no.
    pub authorization: bool,
}

impl Default for AppSettings {
    fn default() -> Self {
        let limits = RouteLimits::default();
        Self {
            threads: defaults::APP_THREADS,
            queue: defaults::APP_QUEUE,
            queue_timeout: defaults::QUEUE_TIMEOUT,
            max_body: limits.max_body,
            timeout: limits.timeout,
            first_byte_timeout: limits.first_byte_timeout,
            output_timeout: limits.output_timeout,
            authorization: defaults::AUTHORIZATION,
        }
    }
}

impl AppSettings {
    /// The same with so many threads.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// The same with a queue of that length, in which nobody waits longer than this.
    #[must_use]
    pub const fn queue(mut self, length: usize, timeout: Duration) -> Self {
        (self.queue, self.queue_timeout) = (length, timeout);
        self
    }

    const fn rules(&self) -> AppRules {
        AppRules {
            threads: self.threads,
            queue: Queue { length: self.queue, timeout: self.queue_timeout },
            stderr_lines: defaults::STDERR_LINES as usize,
            authorization: self.authorization,
        }
    }

    fn limits(&self) -> RouteLimits {
        RouteLimits {
            max_body: self.max_body,
            timeout: self.timeout,
            first_byte_timeout: self.first_byte_timeout,
            output_timeout: self.output_timeout,
            ..RouteLimits::default()
        }
    }
}

impl Gateway {
    /// Begins a gateway inside this program: with what it mounts, with a configuration, or with both.
    ///
    /// ```
    /// use gatebridge::{Gateway, interface::application};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gatebridge::Error> {
    /// let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
    /// let gateway = Gateway::builder().listen("127.0.0.1:0").mount("/hello", hello).start().await?;
    /// println!("http://{}/hello", gateway.local_addresses()[0]);
    /// gateway.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Takes this configuration, in the words of `gatebridge.toml`; relative paths in it start at the current folder. In
    /// place of any other.
    ///
    /// Two things are different in a program's own gateway: without `[[listen]]` it listens nowhere, and without `log.access`
    /// there is no access log. `server.threads` and the level and format of the log are the program's own business.
    pub fn config_text(self, text: impl Into<String>) -> Self {
        Self { source: Source::Text(text.into()), ..self }
    }

    /// Takes the configuration of this file; relative paths in it start at its folder. In place of any other.
    pub fn config_file(self, file: impl Into<PathBuf>) -> Self {
        Self { source: Source::File(file.into()), ..self }
    }

    /// Takes a configuration that was read before, as it is.
    #[doc(hidden)]
    pub fn config(self, config: Config) -> Self {
        Self { source: Source::Meant(Box::new(config)), ..self }
    }

    /// Listens for HTTP here too: `127.0.0.1:8080`, `[::1]:0` (the kernel chooses the port), `unix:/run/site.sock`. May be
    /// said more than once.
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.listen.push(address.to_string());
        self
    }

    /// Has a program of the interface crate answer at this path and below: a function, a closure
    /// ([`application`](interface::application)) or a type.
    ///
    /// It is the same program that [`serve`](interface::serve) makes a CGI script or a worker of, and it sees the same
    /// request, but without a process and without a protocol. Each request has a thread, never one of the runtime's.
    pub fn mount(self, path: impl Into<String>, program: impl interface::Application + 'static) -> Self {
        self.mount_with(path, program, &AppSettings::default())
    }

    /// The same with settings of its own.
    pub fn mount_with(
        mut self,
        path: impl Into<String>,
        program: impl interface::Application + 'static,
        settings: &AppSettings,
    ) -> Self {
        let (path, limits) = (path.into(), settings.limits());
        let app = App::new(format!("app:{path}"), Arc::new(program), settings.rules(), &limits);
        self.mounts.push((path, Mounted::Program { app: Arc::new(app), limits: Arc::new(limits) }));
        self
    }

    /// Has a tower service answer at this path and below: an axum router, for example. It sees the path below, and in the
    /// request's extensions the [`Environ`](interface::Environ). No limit of a route applies to it.
    pub fn mount_service<S, B>(self, path: impl Into<String>, service: S) -> Self
    where
        S: tower_service::Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: Into<AnyError>,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<AnyError>,
    {
        let path = path.into();
        let name = format!("service:{path}");
        self.mount_application(path, Service::new(name, service))
    }

    /// Has an application of the gateway's own kind answer at this path and below: what its backs and policies are. No limit
    /// of a route applies to it.
    pub fn mount_application(mut self, path: impl Into<String>, application: impl Application) -> Self {
        self.mounts.push((path.into(), Mounted::Application(Arc::new(application))));
        self
    }

    /// Starts the gateway within the present tokio runtime: opens its listeners, starts its workers.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Nothing is left running then.
    pub async fn start(self) -> Result<Gateway, Error> {
        let mut config = self.source.read()?;
        for address in self.listen {
            match address.parse::<ListenAddress>() {
                Ok(parsed) => config.listeners.push(Listener::at(parsed)),
                Err(reason) => return Err(Error::Address { address, reason }),
            }
        }
        let mut mounts: Vec<Mount> = Vec::new();
        for (path, what) in self.mounts {
            let prefix = prefix(&path)?;
            if mounts.iter().any(|other| other.prefix == prefix) {
                return Err(Error::Mount { path, reason: "something is mounted there already".to_owned() });
            }
            mounts.push(Mount { prefix, what });
        }
        let mounts = Mounts::new(mounts);
        Gateway::open(config, mounts).await.map_err(|error| Error::Start(error.into()))
    }
}

/// The path as the route table knows it: without the slash at its end.
fn prefix(path: &str) -> Result<String, Error> {
    let wrong = |reason: String| Error::Mount { path: path.to_owned(), reason };
    let plain = decode_path(path.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    if plain.as_bytes() != path.as_bytes() {
        return Err(wrong("write it plain: decoded, without `.`, `..` and double slashes".to_owned()));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

impl Source {
    fn read(self) -> Result<Config, Error> {
        let here = Path::new(config::FILE_NAME);
        let read = match self {
            Self::Meant(config) => return Ok(*config),
            Self::Nowhere => config::parse_embedded(here, ""),
            Self::Text(text) => config::parse_embedded(here, &text),
            Self::File(file) => config::load_embedded(&file),
        };
        let (config, warnings) = read.map_err(Error::Configuration)?;
        if !warnings.is_empty() {
            tracing::warn!("{warnings}");
        }
        Ok(config)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths: Vec<_> = self.mounts.iter().map(|(path, _)| path).collect();
        f.debug_struct("Builder")
            .field("listen", &self.listen)
            .field("mounts", &paths)
            .finish_non_exhaustive()
    }
}
