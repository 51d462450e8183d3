//! A gateway of its own for one entrant: the same executable, started on loopback with a configuration made for it, and
//! ended with everything that it started. It must not know what is asked there.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use super::account::Family;
use super::plan::{Entrant, Plan, Way};
use crate::process::socket::SocketFolder;

/// How long the gateway may take until it says that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take to end before it is killed: its own grace and that of its workers, and some more.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Lines that the gateway said, kept for a message.
const KEPT_LINES: usize = 20;

/// A running gateway. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    child: Child,
    address: SocketAddr,
    said: Said,
    listener: Option<JoinHandle<()>>,
    _folder: SocketFolder,
}

/// The last lines of the gateway's standard error.
type Said = Arc<Mutex<Vec<String>>>;

impl Stage {
    /// Starts a gateway for a program. What cannot be known before the first request, such as a worker that fails, is not
    /// noticed here.
    ///
    /// # Errors
    /// With what the gateway said.
    pub(super) fn raise(plan: &Plan, entrant: &Entrant) -> anyhow::Result<Self> {
        let folder = SocketFolder::create(&std::env::temp_dir())?;
        let config = folder.path().join("gatebridge.toml");
        std::fs::write(&config, configuration(plan, entrant, folder.path())?)?;
        let mut command = Command::new(&plan.gatebridge);
        command.arg("compare-gateway").arg(&config).args(["--parent", &std::process::id().to_string()]);
        if entrant.way == Way::InProcess {
            command.args(["--in-process", &plan.workers.to_string()]);
        }
        // Its own group: an interruption from the terminal is for who measures, who then ends it in order.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = Said::default();
        let (ready, listener) = listen_to(&mut child, &said);
        let address = ([127, 0, 0, 1], 0).into();
        let mut stage = Self { child, address, said, listener, _folder: folder };
        match ready.recv_timeout(READY_TIMEOUT) {
            Ok(address) => stage.address = address,
            Err(_) => anyhow::bail!("the gateway for it did not start; it said: {}", stage.end()),
        }
        Ok(stage)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, and those it started.
    pub(super) fn family(&self) -> Family {
        Family::of(self.child.id())
    }

    /// The id of its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it: what it said last. It writes of a failure only after it has answered, so nobody can ask earlier.
    pub(super) fn end(mut self) -> String {
        self.shut_down();
        let _ = self.listener.take().map(JoinHandle::join);
        self.said.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    fn shut_down(&mut self) {
        let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) else { return };
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let started = self.family().descendants();
        let _ = kill_process(pid, Signal::TERM);
        if ends_within(pid, END_TIMEOUT) {
            let _ = self.child.wait();
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Each worker leads a group of its own.
        for pid in started.into_iter().filter_map(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Waits until a child that was not waited for has ended; `false` when the time was over first.
pub(super) fn ends_within(pid: Pid, limit: Duration) -> bool {
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let Ok(limit) = Timespec::try_from(limit) else { return false };
    // A pidfd becomes readable when its process ends.
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// Keeps the last lines that the gateway says, and passes its address on when it is ready.
fn listen_to(child: &mut Child, said: &Said) -> (mpsc::Receiver<SocketAddr>, Option<JoinHandle<()>>) {
    let (tell, ready) = mpsc::sync_channel(1);
    let Some(stderr) = child.stderr.take() else { return (ready, None) };
    let said = Arc::clone(said);
    let listener = std::thread::spawn(move || {
        let mut address = None;
        let mut tell = Some(tell);
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("listening on http://") {
                address = url.trim_end_matches('/').parse().ok();
            } else if let (Some(address), "ready") = (address, line.trim()) {
                let _ = tell.take().map(|tell| tell.send(address));
            } else {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.len() == KEPT_LINES {
                    said.remove(0);
                }
                said.push(line);
            }
        }
    });
    (ready, Some(listener))
}

/// The configuration of a gateway with this program at `/` and nothing else, patient with slow programs: whoever waits
/// too long is the one who measures.
fn configuration(plan: &Plan, entrant: &Entrant, folder: &Path) -> anyhow::Result<String> {
    let mut text = format!(
        "[server]\ngrace = \"2s\"\ntemp_dir = {}\n\n[log]\naccess = \"off\"\nlevel = \"warn\"\n\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\nidle_timeout = \"1h\"\n\n",
        quoted(&folder.display().to_string()),
    );
    let patience = "queue = 1000000\nqueue_timeout = \"1h\"\n";
    let limits = "first_byte_timeout = \"none\"\noutput_timeout = \"none\"\n";
    match &entrant.way {
        Way::Cgi(command) => {
            let script = script(command, folder)?;
            write!(
                text,
                "[[route]]\npath = \"/\"\ncgi = {}\nmax_processes = {}\nenv = {}\n{patience}{limits}",
                quoted(&script.display().to_string()),
                plan.workers,
                table(&plan.environment),
            )?;
        }
        Way::Fastcgi(command) | Way::Scgi(command) => {
            let speak = if matches!(entrant.way, Way::Scgi(_)) { "scgi" } else { "fastcgi" };
            let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
            write!(
                text,
                "[pool.compared]\nspeak = \"{speak}\"\ncommand = [{}]\nworkers = {}\nenv = {}\ncwd = {}\n\
                 start_timeout = \"{}s\"\nstop_grace = \"2s\"\n{patience}\n\
                 [[route]]\npath = \"/\"\npool = \"compared\"\n{limits}",
                command.join(", "),
                plan.workers,
                table(&plan.environment),
                quoted(&std::env::current_dir()?.display().to_string()),
                plan.timeout.as_secs().max(1),
            )?;
        }
        Way::InProcess | Way::Url(_) => {}
    }
    Ok(text)
}

/// The file that is run for each request. A CGI program gets no arguments (RFC 3875 4.4 leaves them to search queries), so
/// one that needs some is started by a shell.
pub(super) fn script(command: &[String], folder: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let [program] = command else {
        let words: Vec<String> =
            command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        let path = folder.join("with-arguments");
        let here = std::env::current_dir()?.display().to_string().replace('\'', "'\\''");
        std::fs::write(&path, format!("#!/bin/sh\ncd '{here}' && exec {}\n", words.join(" ")))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        return Ok(path);
    };
    Ok(program.into())
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A table of TOML on one line.
fn table(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::run::testing::plan;
    use crate::config;

    #[test]
    fn configurations_are_good_ones() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let mut plan = plan();
        plan.environment.push(("WORD".into(), "a \"quoted\" \\ one".into()));
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for way in [
            Way::Cgi(command(&["/bin/true"])),
            Way::Cgi(command(&["/bin/echo", "it's", "a\nb"])),
            Way::Fastcgi(command(&["/bin/true", "\"x\""])),
            Way::Scgi(command(&["/bin/true"])),
        ] {
            let entrant = Entrant { name: "a".into(), program: "a".into(), way };
            let text = configuration(&plan, &entrant, folder.path()).unwrap();
            let file = folder.path().join("gatebridge.toml");
            std::fs::write(&file, &text).unwrap();
            let (_, report) = config::open(Some(&file)).unwrap_or_else(|report| panic!("{text}\n{report}"));
            assert!(report.is_empty(), "{text}\n{report}");
        }
    }

    #[test]
    fn arguments_are_kept_as_they_are() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let words = ["/usr/bin/printf", "%s|", "it's", "a b", "$HOME", "\\n"].map(str::to_owned);
        let script = script(&words, folder.path()).unwrap();
        let output = Command::new(script).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's|a b|$HOME|\\n|");
    }
}
