//! The configuration: as written (TOML, with positions) and as meant; it knows nothing of sockets, processes or
//! requests, and imports nothing of the gateway.

mod diagnostic;
mod meant;
mod meant_back;

pub use diagnostic::{Diagnostic, Report, Severity};
pub use meant::{
    AccessFormat, AccessLog, Config, FrontProtocol, HttpLimits, ListenAddress, Listener, Log, LogFormat,
    LogLevel, Route, Server,
};
pub use meant_back::{
    BodyMode, CgiBack, CgiKind, ConnectAddress, Connected, Environment, FilesBack, Nph, Pool, PoolBack,
    PoolKind, PoolProtocol, Queue, RouteBack, RouteLimits, Started,
};
