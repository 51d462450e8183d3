//! The configuration: as written (TOML, with positions) and as meant; it knows nothing of sockets, processes or
//! requests, and imports nothing of the gateway.
//!
//! | module | what |
//! |---|---|
//! | `meant`, `meant_back` | the result: plain values, nothing left to look up |
//! | `keys`, `defaults` | the table of every key with its type and default; the reasons of the defaults |
//! | `load` | a file or a folder to a [`Config`], and what its tables say of each other |
//! | `listen`, `pool`, `route` | one kind of table each |
//! | `section`, `amounts`, `notes` | typed readers of a table that collect mistakes |
//! | `units`, `address`, `disk`, `variables`, `nearest` | the small languages in the values |
//! | `diagnostic` | how mistakes are shown |
//!
//! ```
//! use std::path::Path;
//!
//! let text = "[[route]]\npath = \"/\"\npool = \"app\"\n[pool.app]\nspeak = \"scgi\"\nconect = [\"app:4000\"]\n";
//! let report = gatebridge::config::parse(Path::new("gatebridge.toml"), text).unwrap_err();
//! assert!(report.to_string().contains("gatebridge.toml:6:1"));
//! assert!(report.to_string().contains("did you mean `connect`?"));
//! ```

mod address;
mod amounts;
pub mod defaults;
mod diagnostic;
mod disk;
mod keys;
mod listen;
mod load;
mod meant;
mod meant_back;
mod nearest;
mod notes;
mod pool;
mod route;
mod scale;
mod section;
mod units;
mod variables;

pub use address::AddressError;
pub use diagnostic::{Diagnostic, Kind, Report, Severity};
pub use keys::{Key, Kind as KeyKind, Only, Preset, Table};
pub use load::{FILE_NAME, load, load_embedded, open, parse, parse_embedded};
pub use meant::{
    AccessFormat, AccessLog, Config, FrontProtocol, HttpLimits, ListenAddress, Listener, Log, LogFormat,
    LogLevel, Route, Server,
};
pub use meant_back::{
    BodyMode, CgiBack, CgiKind, ConnectAddress, Connected, Environment, FilesBack, Nph, Pool, PoolBack,
    PoolKind, PoolProtocol, Queue, Recycle, RouteBack, RouteLimits, Scale, Started, StatusBack,
};

/// Reads a duration as the configuration writes it: "500ms", "30s".
///
/// # Errors
/// What is wrong with it, and what to write.
pub(crate) fn read_duration(text: &str) -> Result<std::time::Duration, String> {
    units::duration(text).map_err(|error| format!("{}: {}", error.problem, error.hint))
}
