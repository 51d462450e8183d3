//! `[[listen]]`, `[server]` and `[log]`, from as written to as meant; it opens no socket and no log.

use std::num::NonZeroUsize;

use toml::de::DeTable;

use super::address::{AddressError, TrustedPeer, check_unix_length, default_listen, trusted_proxy};
use super::diagnostic::{Diagnostic, Kind as Mistake};
use super::disk::{Base, is_writable};
use super::keys::{Only, Table};
use super::meant::{
    AccessFormat, AccessLog, FrontProtocol, HttpLimits, ListenAddress, Listener, Log, LogFormat, LogLevel,
    Server,
};
use super::notes::{Bytes, Notes, Written};
use super::section::Section;

const ADDRESS_HINT: &str = "add one, for example address = \"127.0.0.1:8080\"";

/// Reads one `[[listen]]`.
pub(super) fn listener(section: &Section<'_, '_>, base: &Base<'_>) -> Option<Listener> {
    let address =
        section.required_text("address", ADDRESS_HINT).and_then(|written| address(section, base, &written));
    match &address {
        Some(ListenAddress::Unix(_)) => section.allow("a unix socket", &[Only::Any, Only::Unix]),
        Some(_) => section.allow("not one", &[Only::Any]),
        None => {}
    }
    // Every value is read before anything is given up, so that no mistake stays untold.
    let speak = speak(section);
    let (trusted_proxies, trust_unix_peers) = trusted_proxies(section, address.as_ref());
    let defaults = with_limits(section, default_listen());
    Some(Listener { address: address?, speak: speak?, trusted_proxies, trust_unix_peers, ..defaults })
}

/// A listener at this address with the limits of the table, that trusts nobody.
fn with_limits(section: &Section<'_, '_>, address: ListenAddress) -> Listener {
    Listener {
        address,
        speak: FrontProtocol::Http,
        unix_mode: mode(section),
        http: http_limits(section),
        max_connections: section.count("max_connections"),
        max_connections_per_ip: section.count_or_none("max_connections_per_ip"),
        trusted_proxies: Vec::new(),
        trust_unix_peers: false,
    }
}

fn address(section: &Section<'_, '_>, base: &Base<'_>, written: &Written) -> Option<ListenAddress> {
    let note =
        |wrong: AddressError| section.notes.error(Mistake::Value, &written.span, wrong.problem, wrong.hint);
    match written.text.parse() {
        Ok(ListenAddress::Unix(path)) => {
            let path = base.resolve(&path.to_string_lossy());
            match check_unix_length(&path) {
                Ok(()) => base.parent_exists("address", &path, written),
                Err(wrong) => note(wrong),
            }
            Some(ListenAddress::Unix(path))
        }
        Ok(address) => Some(address),
        Err(wrong) => {
            note(wrong);
            None
        }
    }
}

fn speak(section: &Section<'_, '_>) -> Option<FrontProtocol> {
    let words = [("http", Some(FrontProtocol::Http)), ("fastcgi", None), ("scgi", None)];
    let speak = section.word("speak", &words)?;
    if speak.is_none() {
        let span = section.value_span("speak");
        let message = "this version of gatebridge listens for HTTP only";
        let hint = "write speak = \"http\", and let the server in front pass requests on by HTTP";
        section.notes.error(Mistake::Unavailable, &span, message, hint);
    }
    speak
}

fn mode(section: &Section<'_, '_>) -> u32 {
    let preset = super::defaults::UNIX_MODE;
    let Some(written) = section.text("mode") else { return preset };
    match u32::from_str_radix(&written.text, 8) {
        Ok(mode) if mode <= 0o777 => mode,
        _ => {
            let message = format!("\"{}\" are no permissions of a file", written.text);
            section.notes.error(
                Mistake::Value,
                &written.span,
                message,
                "write them in octal: \"0660\", \"0600\"",
            );
            preset
        }
    }
}

fn trusted_proxies(section: &Section<'_, '_>, address: Option<&ListenAddress>) -> (Vec<ipnet::IpNet>, bool) {
    let mut nets = Vec::new();
    let mut unix = false;
    for written in section.list("trusted_proxies") {
        match trusted_proxy(&written.text) {
            Ok(TrustedPeer::Net(net)) => nets.push(net),
            Ok(TrustedPeer::Unix) if matches!(address, Some(ListenAddress::Tcp(_))) => {
                let message = "peers of a TCP listener have IP addresses, and \"unix\" trusts none of them";
                let hint = "write their addresses, for example \"127.0.0.1\"";
                section.notes.error(Mistake::Conflict, &written.span, message, hint);
            }
            Ok(TrustedPeer::Unix) => unix = true,
            Err(wrong) => section.notes.error(Mistake::Value, &written.span, wrong.problem, wrong.hint),
        }
    }
    (nets, unix)
}

fn http_limits(section: &Section<'_, '_>) -> HttpLimits {
    let max_head = section.memory("max_head");
    let max_target = section.memory("max_target");
    if max_target > max_head
        && let Some(span) = section.key_span("max_target")
    {
        let message =
            format!("`max_target` is larger than `max_head` ({max_head} bytes), which it is a part of");
        section.notes.error(Mistake::Conflict, &span, message, "raise `max_head` or lower `max_target`");
    }
    HttpLimits {
        head_timeout: section.duration("head_timeout"),
        idle_timeout: section.duration("idle_timeout"),
        min_body_rate: section.size_or_none("min_body_rate"),
        body_grace: section.duration("body_grace"),
        write_timeout: section.duration("write_timeout"),
        max_head,
        max_headers: section.count("max_headers"),
        max_target: max_target.min(max_head),
        linger_timeout: section.duration("linger_timeout"),
        linger_bytes: section.size("linger_bytes"),
        half_close: section.flag("half_close"),
    }
}

/// Reads `[server]`.
pub(super) fn server(section: &Section<'_, '_>, base: &Base<'_>) -> Server {
    let cpus = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = match section.key_span("threads") {
        Some(_) => at_least_one(section.count("threads")),
        None => cpus,
    };
    let temp_dir = section.text("temp_dir").and_then(|written| {
        let folder = base.folder("temp_dir", &written)?;
        if folder.is_dir() && !is_writable(&folder) {
            let message = format!("`temp_dir`: no file can be created in {}", folder.display());
            let hint =
                "give the user that runs gatebridge the right to write there, or choose another folder";
            section.notes.error(Mistake::Disk, &written.span, message, hint);
        }
        Some(folder)
    });
    let name = section.text_or_default("name");
    let product = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if name.is_empty() || !name.bytes().all(product) {
        let span = section.value_span("name");
        let message = "`name` becomes SERVER_SOFTWARE and must be visible ASCII";
        section.notes.error(Mistake::Value, &span, message, "write a name and a version: \"gatebridge/1.0\"");
    }
    Server {
        grace: section.duration("grace"),
        threads,
        spawners: at_least_one(section.count("spawners")),
        name,
        temp_dir: temp_dir.unwrap_or_else(|| base.resolve(&std::env::temp_dir().to_string_lossy())),
        max_spool_total: section.size("max_spool_total"),
    }
}

/// Reads `[log]`.
pub(super) fn log(section: &Section<'_, '_>, base: &Base<'_>) -> Log {
    let access = match section.text("access") {
        None => AccessLog::Stdout,
        Some(written) => match written.text.as_str() {
            "off" => AccessLog::Off,
            "-" => AccessLog::Stdout,
            _ => match base.path("access", &written) {
                Some(path) if path.is_dir() => {
                    let message = format!("`access`: {} is a folder", path.display());
                    section.notes.error(
                        Mistake::Disk,
                        &written.span,
                        message,
                        "name a file in it: access.log",
                    );
                    AccessLog::File(path)
                }
                Some(path) => {
                    base.parent_exists("access", &path, &written);
                    AccessLog::File(path)
                }
                None => AccessLog::Off,
            },
        },
    };
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let formats = [("combined", AccessFormat::Combined), ("json", AccessFormat::Json)];
    Log {
        access,
        access_format: section.word("access_format", &formats).unwrap_or(AccessFormat::Combined),
        level: section.word("level", &levels.map(|level| (level.as_str(), level))).unwrap_or(LogLevel::Info),
        format: section
            .word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
            .unwrap_or(LogFormat::Text),
    }
}

/// Notes listeners that cannot both be opened.
pub(super) fn conflicts(listeners: &[(Listener, Bytes)], notes: &Notes<'_>) {
    for (index, (listener, span)) in listeners.iter().enumerate() {
        let taken = listeners[..index].iter().find(|(other, _)| collide(&other.address, &listener.address));
        if let Some((other, at)) = taken {
            let line = notes.line(at);
            let message = if other.address == listener.address {
                format!("{} is there twice; line {line} listens there already", listener.address)
            } else {
                format!("{} and {} (line {line}) cannot both be opened", listener.address, other.address)
            };
            let diagnostic = Diagnostic::error(Mistake::Conflict, span.clone(), message);
            notes.push(diagnostic.hint("remove one of the two, or choose another port"));
        }
    }
}

fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
            let wildcard = one.ip().is_unspecified() || other.ip().is_unspecified();
            let same_family = one.is_ipv4() == other.is_ipv4();
            // Port 0 is another one each time.
            one.port() == other.port()
                && one.port() != 0
                && (one.ip() == other.ip() || wildcard && same_family)
        }
        _ => one == other,
    }
}

fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

/// Calls `read` with an empty table, so that what comes out is the defaults.
fn of_nothing<T>(kind: Table, read: impl FnOnce(&Section<'_, '_>, &Base<'_>) -> T) -> T {
    let notes = Notes::new("", Vec::new());
    let table = DeTable::new();
    let section = Section::open(kind, kind.header().to_owned(), &table, 0..0, &notes);
    read(&section, &Base::new("/".into(), &notes))
}

impl Default for HttpLimits {
    fn default() -> Self {
        of_nothing(Table::Listen, |section, _| http_limits(section))
    }
}

impl Default for Server {
    fn default() -> Self {
        of_nothing(Table::Server, server)
    }
}

impl Default for Log {
    fn default() -> Self {
        of_nothing(Table::Log, log)
    }
}

impl Default for super::RouteLimits {
    fn default() -> Self {
        of_nothing(Table::Route, |section, _| super::route::limits(section))
    }
}

impl Listener {
    /// A listener at this address with every default.
    pub fn at(address: ListenAddress) -> Self {
        of_nothing(Table::Listen, |section, _| with_limits(section, address))
    }
}
