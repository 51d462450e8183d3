//! `[[route]]`, from as written to as meant; it matches no request and opens no script.

use super::address::is_host_name;
use super::defaults;
use super::diagnostic::Kind as Mistake;
use super::disk::{Base, is_executable};
use super::keys::Only;
use super::meant::Route;
use super::meant_back::{
    BodyMode, CgiBack, CgiKind, ConnectAddress, Environment, FilesBack, Nph, Pool, PoolBack, PoolKind,
    RouteBack, RouteLimits, StatusBack,
};
use super::nearest::nearest;
use super::notes::Written;
use super::pool::queue;
use super::section::Section;
use super::variables::{For, allowed, passed};

/// The pools that a route may name.
pub(super) struct Pools<'p> {
    /// Those that could be read.
    pub(super) read: &'p [Pool],
    /// The names of all, so that a mistake in a pool is not told again by each of its routes.
    pub(super) names: &'p [String],
}

/// Reads one `[[route]]`; `None` when it cannot be told what it is.
pub(super) fn route(section: &Section<'_, '_>, base: &Base<'_>, pools: &Pools<'_>) -> Option<Route> {
    let path = section.required_text("path", "add one: path = \"/\" is every request");
    let prefix = path.as_ref().and_then(|written| prefix(section, written));
    let host = section.text("host").and_then(|written| host(section, &written));
    let back = back(section, base, pools);
    // Every value is read before anything is given up, so that no mistake stays untold.
    let methods = methods(section);
    let limits = limits(section);
    let env = allowed(section.table("env"), For::Route, section.notes);
    let authorization = section.flag("authorization");
    let strip_shellshock = section.flag("strip_shellshock");
    let (path, prefix, back) = (path?.text, prefix?, back?);
    Some(Route { host, path, prefix, back, methods, limits, env, authorization, strip_shellshock })
}

/// Checks the path of a route and takes off the slash at its end.
fn prefix(section: &Section<'_, '_>, written: &Written) -> Option<String> {
    let path = written.text.as_str();
    let below = path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let problem = match below {
        None => Some(("does not start with a slash", format!("did you mean \"/{path}\"?"))),
        Some(_) if path.contains(['?', '#']) => {
            Some(("has a query or a fragment", "a route sees the path of a request only".to_owned()))
        }
        Some(_) if path.contains('%') => {
            Some(("has a percent sign", "write the path decoded: \"/a b/\", not \"/a%20b/\"".to_owned()))
        }
        Some(_) if path.contains('*') => {
            Some(("has a star", "a path is a prefix already: \"/app/\" is everything below it".to_owned()))
        }
        Some("") => None,
        Some(below) if below.split('/').any(|part| matches!(part, "" | "." | "..")) => {
            Some(("has an empty component, \".\" or \"..\", which no request has", "remove it".to_owned()))
        }
        Some(_) => None,
    };
    if let Some((what, hint)) = problem {
        section.notes.error(Mistake::Value, &written.span, format!("the path \"{path}\" {what}"), hint);
        return None;
    }
    Some(path.trim_end_matches('/').to_owned())
}

fn host(section: &Section<'_, '_>, written: &Written) -> Option<String> {
    let host = written.text.to_ascii_lowercase();
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if literal.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()) || is_host_name(&host) {
        return Some(host);
    }
    let message = format!("\"{}\" is not the name of a host", written.text);
    let without_port =
        host.rsplit_once(':').filter(|(name, port)| is_host_name(name) && port.parse::<u16>().is_ok());
    let hint = if let Some((name, _)) = without_port {
        format!("did you mean \"{name}\"? Ports are not compared")
    } else if host.contains('*') {
        "this version of gatebridge compares whole names; write a route for each, or one without `host`"
            .to_owned()
    } else if host.contains("://") {
        "write the name only, without \"http://\"".to_owned()
    } else {
        "write a name as in a URL: \"blog.example.org\"".to_owned()
    };
    section.notes.error(Mistake::Value, &written.span, message, hint);
    None
}

fn methods(section: &Section<'_, '_>) -> Option<Vec<String>> {
    section.key_span("methods")?;
    let written = section.list("methods");
    if written.is_empty() && section.value("methods").is_some_and(|value| value.get_ref().is_array()) {
        let hint = "remove it to let every method through";
        let message = "`methods` is empty: no request would be let through";
        section.notes.error(Mistake::Value, &section.value_span("methods"), message, hint);
    }
    let mut methods: Vec<String> = Vec::with_capacity(written.len());
    for Written { text, span } in written {
        // RFC 9110 9.1: a method is a token, and case-sensitive.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let upper = text.to_ascii_uppercase();
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"];
        if text.is_empty() || !text.bytes().all(token) {
            let message = format!("\"{}\" is not a method", text.escape_debug());
            section.notes.error(Mistake::Value, &span, message, "write a method as it is sent: \"GET\"");
        } else if upper != text && known.contains(&upper.as_str()) {
            let message = format!("\"{text}\" is not a method that anybody sends");
            section.notes.error(
                Mistake::Value,
                &span,
                message,
                format!("methods are case-sensitive: \"{upper}\""),
            );
        } else if methods.contains(&text) {
            section.notes.error(Mistake::Conflict, &span, format!("{text} is there twice"), "remove one");
        } else {
            methods.push(text);
        }
    }
    Some(methods)
}

/// Reads the limits of a route.
pub(super) fn limits(section: &Section<'_, '_>) -> RouteLimits {
    RouteLimits {
        max_body: section.size_or_none("max_body"),
        timeout: section.duration_or_none("timeout"),
        first_byte_timeout: section.duration_or_none("first_byte_timeout"),
        output_timeout: section.duration_or_none("output_timeout"),
        max_output_head: section.memory("max_output_head"),
        body: section
            .word("body", &[("stream", BodyMode::Stream), ("spool", BodyMode::Spool)])
            .unwrap_or(BodyMode::Stream),
        spool_memory: section.memory("spool_memory"),
    }
}

/// The pages that gatebridge makes.
#[derive(Clone, Copy)]
enum Page {
    Index,
    Status,
}

/// The keys of which a route has exactly one.
pub(super) const ANSWERS: [&str; 4] = ["cgi", "pool", "files", "page"];

fn back(section: &Section<'_, '_>, base: &Base<'_>, pools: &Pools<'_>) -> Option<RouteBack> {
    let mut written = ANSWERS.into_iter().filter(|key| section.key_span(key).is_some());
    let (Some(key), more) = (written.next(), written.next()) else {
        let hint = "add cgi = \"FOLDER\", pool = \"NAME\", files = \"FOLDER\" or page = \"index\"";
        section.missing_one_of(&ANSWERS, hint);
        return None;
    };
    if let Some(more) = more {
        let span = section.key_span(more).unwrap_or_default();
        let message = format!("a route has one answer, and this has both `{key}` and `{more}`");
        section.notes.error(Mistake::Conflict, &span, message, "write a route for each");
        return None;
    }
    let is = format!("a route with `{key}`");
    if key == "page" {
        return page(section, &is);
    }
    let target = section.text(key)?;
    match key {
        "cgi" => {
            section.allow(&is, &[Only::Any, Only::Program, Only::Cgi]);
            cgi(section, base, &target).map(RouteBack::Cgi)
        }
        "pool" => {
            section.allow(&is, &[Only::Any, Only::Program, Only::PoolOrFiles, Only::ToPool]);
            pool(section, base, pools, &target).map(RouteBack::Pool)
        }
        _ => {
            section.allow(&is, &[Only::Any, Only::PoolOrFiles]);
            let root = base.folder("files", &target)?;
            let index = index(section).unwrap_or_else(|| defaults::FILES_INDEX.to_owned());
            Some(RouteBack::Files(FilesBack { root, index }))
        }
    }
}

fn page(section: &Section<'_, '_>, is: &str) -> Option<RouteBack> {
    match section.word("page", &[("index", Page::Index), ("status", Page::Status)]) {
        None => {
            section.allow(is, &[Only::Any, Only::StatusPage]);
            None
        }
        Some(Page::Index) => {
            section.allow(is, &[Only::Any]);
            Some(RouteBack::Index)
        }
        Some(Page::Status) => {
            section.allow(is, &[Only::Any, Only::StatusPage]);
            Some(RouteBack::Status(StatusBack { is_public: section.flag("public") }))
        }
    }
}

fn cgi(section: &Section<'_, '_>, base: &Base<'_>, target: &Written) -> Option<CgiBack> {
    let path = base.path("cgi", target);
    let metadata = path.as_ref().and_then(|path| base.look("cgi", path, target));
    let kind = match &metadata {
        Some(metadata) if metadata.is_file() => CgiKind::Executable,
        _ => CgiKind::Folder,
    };
    if let (Some(path), CgiKind::Executable) = (&path, kind)
        && !is_executable(path)
    {
        let message = format!("`cgi`: {} is not executable", path.display());
        let hint = format!("run: chmod +x {}", path.display());
        section.notes.error(Mistake::Disk, &target.span, message, hint);
    }
    let back = CgiBack {
        path: path.clone().unwrap_or_default(),
        kind,
        environment: Environment {
            path: section.text_or_default("cgi_path"),
            pass: passed(section.list("pass_env"), section.notes),
            set: Vec::new(),
        },
        max_processes: section.count("max_processes"),
        queue: queue(section),
        kill_grace: section.duration("kill_grace"),
        nph: nph(section),
        stderr_lines: section.count("stderr_lines"),
    };
    path.map(|_| back)
}

fn nph(section: &Section<'_, '_>) -> Nph {
    let Some(value) = section.value("nph") else { return Nph::ByName };
    match (value.get_ref().as_bool(), value.get_ref().as_str()) {
        (Some(true), _) => Nph::Always,
        (Some(false), _) => Nph::Never,
        (None, Some("by-name")) => Nph::ByName,
        _ => {
            let message = "`nph` is neither true, false nor \"by-name\"";
            let hint = "\"by-name\" is for scripts whose file name starts with nph-";
            section.notes.error(Mistake::Value, &value.span(), message, hint);
            Nph::ByName
        }
    }
}

fn pool(section: &Section<'_, '_>, base: &Base<'_>, pools: &Pools<'_>, target: &Written) -> Option<PoolBack> {
    let known = pools.names.contains(&target.text);
    if !known {
        let message = format!("there is no pool \"{}\"", target.text);
        let hint = match nearest(&target.text, pools.names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("add a table [pool.{}]", target.text),
        };
        section.notes.dangling(&target.span, message, hint);
    }
    let pool = pools.read.iter().find(|pool| pool.name == target.text);
    let root = section.text("root").and_then(|written| {
        // The folder of a worker on another machine, or in another container, is not here.
        if pool.is_some_and(is_local) { base.folder("root", &written) } else { base.path("root", &written) }
    });
    let index = index(section);
    if let (Some(_), None, None) = (&index, &root, section.key_span("root")) {
        let span = section.value_span("index");
        let message = "`index` of a route to a pool needs `root`, the folder that it is in";
        section.notes.error(Mistake::Missing, &span, message, "add root = \"FOLDER\"");
    }
    let split = section.text("split").and_then(|written| split(section, &written));
    let php = index.as_ref().is_some_and(|index| index.ends_with(defaults::SPLIT_PHP));
    let split = split.or_else(|| php.then(|| defaults::SPLIT_PHP.to_owned()));
    let priority = u8::try_from(section.count("priority")).unwrap_or_default();
    known.then(|| PoolBack { pool: target.text.clone(), root, index, split, priority })
}

fn is_local(pool: &Pool) -> bool {
    match &pool.kind {
        PoolKind::Started(_) => true,
        PoolKind::Connected(connected) => connected.addresses.iter().all(|address| match address {
            ConnectAddress::Unix(_) => true,
            ConnectAddress::Tcp(_) | ConnectAddress::Name { .. } => false,
        }),
    }
}

fn index(section: &Section<'_, '_>) -> Option<String> {
    let written = section.text("index")?;
    if written.text.is_empty() || written.text.contains('/') || matches!(written.text.as_str(), "." | "..") {
        let message = format!("\"{}\" is not the name of a file", written.text);
        section.notes.error(
            Mistake::Value,
            &written.span,
            message,
            "write a name without slashes: \"index.php\"",
        );
        return None;
    }
    Some(written.text)
}

fn split(section: &Section<'_, '_>, written: &Written) -> Option<String> {
    // Lesson of case folding beyond ASCII: what is compared as bytes is written in ASCII.
    let good = written.text.len() > 1
        && written.text.starts_with('.')
        && written.text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if !good {
        let message = format!("\"{}\" is not the end of a script's name", written.text);
        section.notes.error(
            Mistake::Value,
            &written.span,
            message,
            "write it with its dot, in ASCII: \".php\"",
        );
    }
    good.then(|| written.text.clone())
}
