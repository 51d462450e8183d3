//! `[pool.NAME]`, from as written to as meant; it starts no worker and connects to none.

use toml::de::DeValue;

use super::address::{check_unix_length, connect};
use super::defaults;
use super::diagnostic::Kind as Mistake;
use super::disk::{Base, find_in_path, is_executable};
use super::keys::Only;
use super::meant_back::{
    ConnectAddress, Connected, Environment, Pool, PoolKind, PoolProtocol, Queue, Recycle, Started,
};
use super::notes::Written;
use super::scale::scale;
use super::section::Section;
use super::variables::{For, allowed, passed};

/// Reads one `[pool.NAME]`; `None` when it cannot be told what it is.
pub(super) fn pool(name: &str, section: &Section<'_, '_>, base: &Base<'_>) -> Option<Pool> {
    check_name(name, section);
    let speak = speak(section);
    let kind = match (section.key_span("command"), section.key_span("connect")) {
        (Some(_), None) => {
            section.allow("a pool with `command`", &[Only::Any, Only::Command]);
            started(section, base).map(|started| PoolKind::Started(Box::new(started)))
        }
        (None, Some(_)) => {
            section.allow("a pool with `connect`", &[Only::Any, Only::Connect]);
            connected(section, base).map(PoolKind::Connected)
        }
        (Some(_), Some(connect)) => {
            let message = format!("{} has both `command` and `connect`", section.name());
            let hint = "`command` is for workers that gatebridge starts, `connect` for those that somebody else runs";
            section.notes.error(Mistake::Conflict, &connect, message, hint);
            None
        }
        (None, None) => {
            let hint =
                "add command = [\"program\"] for workers that gatebridge starts, or connect = [\"address\"]";
            section.missing_one_of(&["command", "connect"], hint);
            None
        }
    };
    // Every value is read before anything is given up, so that no mistake stays untold.
    let keep_alive = keep_alive(section, speak.unwrap_or(PoolProtocol::FastCgi));
    let queue = queue(section);
    let predict_wait = section.flag("predict_wait");
    let connect_timeout = section.duration("connect_timeout");
    let idle_timeout = section.duration("idle_timeout");
    let name = name.to_owned();
    Some(Pool {
        name,
        speak: speak?,
        kind: kind?,
        queue,
        predict_wait,
        connect_timeout,
        keep_alive,
        idle_timeout,
    })
}

/// Reads `queue` and `queue_timeout`, of a pool or a route.
pub(super) fn queue(section: &Section<'_, '_>) -> Queue {
    Queue { length: section.count("queue"), timeout: section.duration("queue_timeout") }
}

fn check_name(name: &str, section: &Section<'_, '_>) {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(good) {
        let message = format!("\"{}\" is not a name for a pool", name.escape_debug());
        section.notes.error(
            Mistake::Value,
            &section.span,
            message,
            "use letters, digits, hyphens and underscores",
        );
    }
}

fn speak(section: &Section<'_, '_>) -> Option<PoolProtocol> {
    section.required_text("speak", "add speak = \"fastcgi\" or speak = \"scgi\"")?;
    section.word("speak", &[("fastcgi", PoolProtocol::FastCgi), ("scgi", PoolProtocol::Scgi)])
}

fn keep_alive(section: &Section<'_, '_>, speak: PoolProtocol) -> bool {
    let written = section.flag_if_written("keep_alive");
    if speak == PoolProtocol::Scgi && written == Some(true) {
        let span = section.value_span("keep_alive");
        let message = "an SCGI connection ends with its request and cannot be kept";
        section.notes.error(Mistake::Conflict, &span, message, "remove `keep_alive`, or speak FastCGI");
    }
    written.unwrap_or(speak == PoolProtocol::FastCgi)
}

fn started(section: &Section<'_, '_>, base: &Base<'_>) -> Option<Started> {
    let mut command = section.list("command").into_iter();
    let program = command.next();
    if program.is_none()
        && matches!(section.value("command").map(|value| value.get_ref()), Some(DeValue::Array(_)))
    {
        let message = "`command` is empty";
        let hint = "write the program and its arguments: command = [\"php-cgi\", \"-q\"]";
        section.notes.error(Mistake::Value, &section.value_span("command"), message, hint);
    }
    let restart_backoff_min = section.duration("restart_backoff_min");
    let restart_backoff_max = section.duration("restart_backoff_max");
    if restart_backoff_min > restart_backoff_max {
        let key = if section.key_span("restart_backoff_min").is_some() { "min" } else { "max" };
        let span = section.value_span(&format!("restart_backoff_{key}"));
        let message = "`restart_backoff_min` is longer than `restart_backoff_max`";
        section.notes.error(
            Mistake::Conflict,
            &span,
            message,
            "the pause grows from the first to the second",
        );
    }
    let cwd = section.text("cwd").and_then(|written| base.folder("cwd", &written));
    let workers = scale(section);
    let recycle = recycle(section);
    let started = Started {
        program: program
            .as_ref()
            .and_then(|written| find_program(section, base, written))
            .unwrap_or_default(),
        arg0: program.as_ref().map(|written| written.text.clone()).unwrap_or_default(),
        args: command.map(|written| written.text).collect(),
        workers,
        concurrency: section.count("concurrency"),
        recycle,
        environment: environment(section),
        cwd: cwd.unwrap_or_else(|| base.folder.clone()),
        restart_backoff_min,
        restart_backoff_max,
        start_timeout: section.duration("start_timeout"),
        stop_grace: section.duration("stop_grace"),
    };
    program.map(|_| started)
}

fn recycle(section: &Section<'_, '_>) -> Recycle {
    let (memory, memory_hard) = (section.size_or_none("max_memory"), section.size_or_none("max_memory_hard"));
    if let (Some(soft), Some(hard)) = (memory, memory_hard)
        && soft > hard
    {
        let message = "`max_memory_hard` is less than `max_memory`";
        let hint = "the first ends a worker at once, the second lets it end its requests";
        section.notes.error(Mistake::Conflict, &section.value_span("max_memory_hard"), message, hint);
    }
    Recycle {
        requests: section.count_or_none("max_requests").map(|count| count as u64),
        lifetime: section.duration_or_none("max_lifetime"),
        memory,
        memory_hard,
        jitter_percent: u8::try_from(section.count("recycle_jitter")).unwrap_or_default(),
    }
}

fn environment(section: &Section<'_, '_>) -> Environment {
    let mut set = allowed(section.table("env"), For::Process, section.notes);
    let path = set.iter().position(|(name, _)| name == "PATH").map(|index| set.remove(index).1);
    Environment {
        path: path.unwrap_or_else(|| defaults::PROGRAM_PATH.to_owned()),
        pass: passed(section.list("pass_env"), section.notes),
        set,
    }
}

/// The absolute path of the program that a command names, with a note when it cannot be run.
fn find_program(section: &Section<'_, '_>, base: &Base<'_>, written: &Written) -> Option<std::path::PathBuf> {
    let note = |message: String, hint: &str| section.notes.error(Mistake::Disk, &written.span, message, hint);
    if !written.text.contains('/') && !written.text.is_empty() {
        let path = std::env::var_os("PATH").unwrap_or_else(|| defaults::PROGRAM_PATH.into());
        let found = find_in_path(&written.text, &path);
        if found.is_none() {
            let message = format!("`command`: there is no program {} in the folders of PATH", written.text);
            let hint = if base.resolve(&written.text).is_file() {
                format!("did you mean \"./{}\"? A name without a slash is looked up in PATH", written.text)
            } else {
                "install it, or write its path".to_owned()
            };
            note(message, &hint);
        }
        return found;
    }
    let path = base.path("command", written)?;
    let metadata = base.look("command", &path, written)?;
    if metadata.is_dir() {
        note(format!("`command`: {} is a folder", path.display()), "name the program in it");
    } else if !is_executable(&path) {
        let message = format!("`command`: {} is not executable", path.display());
        note(message, &format!("run: chmod +x {}", path.display()));
    }
    Some(path)
}

fn connected(section: &Section<'_, '_>, base: &Base<'_>) -> Option<Connected> {
    let written = section.list("connect");
    if written.is_empty() && section.value("connect").is_some_and(|value| value.get_ref().is_array()) {
        let hint = "write at least one: connect = [\"unix:/run/php/php-fpm.sock\"]";
        section.notes.error(Mistake::Value, &section.value_span("connect"), "`connect` is empty", hint);
    }
    let mut addresses = Vec::with_capacity(written.len());
    for written in written {
        match connect(&written.text).map(|address| absolute(address, base)) {
            Ok(address) if addresses.contains(&address) => {
                let message = format!("{address} is there twice");
                section.notes.error(
                    Mistake::Conflict,
                    &written.span,
                    message,
                    "remove one; `max_connections` is per address",
                );
            }
            Ok(address) => {
                if let ConnectAddress::Unix(path) = &address
                    && let Err(wrong) = check_unix_length(path)
                {
                    section.notes.error(Mistake::Value, &written.span, wrong.problem, wrong.hint);
                }
                addresses.push(address);
            }
            Err(wrong) => section.notes.error(Mistake::Value, &written.span, wrong.problem, wrong.hint),
        }
    }
    Some(Connected { addresses, max_connections: section.count("max_connections") })
}

fn absolute(address: ConnectAddress, base: &Base<'_>) -> ConnectAddress {
    match address {
        ConnectAddress::Unix(path) => ConnectAddress::Unix(base.resolve(&path.to_string_lossy())),
        other => other,
    }
}
