//! The program under test as a user starts it: a configuration file in, `ready` out; must not know its insides.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::{Answer, Client, DEADLINE, Folder, Lines, process};

/// The path of the program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_gatebridge");

/// Runs one command of the program to its end, in the folder, and gives its output.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// A running `gatebridge serve`. On drop it is told to end, then killed, with everything that it started.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    tcp: Vec<SocketAddr>,
    unix: Vec<PathBuf>,
    config: PathBuf,
    /// What it writes to standard error: the announcements and the error log.
    pub stderr: Lines,
    /// What it writes to standard output.
    pub stdout: Lines,
    _folder: Option<Folder>,
}

impl Gateway {
    /// Starts it with this configuration in a folder of its own.
    pub fn new(config: &str) -> Self {
        let folder = Folder::new();
        let mut gateway = Self::start(&folder, config);
        gateway._folder = Some(folder);
        gateway
    }

    /// Starts it with this configuration, written to `gatebridge.toml` in the folder, which is also its current
    /// folder. Without a `[[listen]]` it gets one at 127.0.0.1 with a free port.
    pub fn start(folder: &Folder, config: &str) -> Self {
        Self::start_with(folder, config, |_| {})
    }

    /// As [`Gateway::start`], with a chance to change the command: variables, more arguments, resource limits.
    pub fn start_with(folder: &Folder, config: &str, change: impl FnOnce(&mut Command)) -> Self {
        let listen =
            if config.contains("[[listen]]") { "" } else { "\n[[listen]]\naddress = \"127.0.0.1:0\"\n" };
        let file = folder.write("gatebridge.toml", format!("{config}{listen}"));
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg(&file).current_dir(folder.path());
        change(&mut command);
        Self::launch(command, file)
    }

    /// Starts `gatebridge serve` with these arguments in the folder, and no configuration written for it.
    pub fn serve(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("serve").args(arguments).current_dir(folder);
        Self::launch(command, folder.join("gatebridge.toml"))
    }

    fn launch(mut command: Command, config: PathBuf) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = Lines::of("gatebridge", child.stderr.take().unwrap());
        let stdout = Lines::of("gatebridge's output", child.stdout.take().unwrap());
        let mut gateway =
            Self { child, tcp: Vec::new(), unix: Vec::new(), config, stderr, stdout, _folder: None };
        gateway.wait_until_ready();
        gateway
    }

    fn wait_until_ready(&mut self) {
        let start = std::time::Instant::now();
        super::eventually("gatebridge to say ready", || {
            let lines = self.stderr.all();
            if let Ok(Some(status)) = self.child.try_wait() {
                self.stderr.wait_for_end();
                panic!("gatebridge ended with {status}:\n{}", self.stderr.all().join("\n"));
            }
            assert!(start.elapsed() < DEADLINE, "gatebridge is never ready:\n{}", lines.join("\n"));
            lines.iter().any(|line| line.trim() == "ready").then_some(())
        });
        for line in self.stderr.all() {
            let Some((_, address)) = line.split_once("listening on ") else { continue };
            if let Some(path) = address.strip_prefix("unix:") {
                self.unix.push(path.into());
            } else if let Some((_, address)) = address.split_once("://") {
                self.tcp.extend(address.trim_end_matches('/').parse::<SocketAddr>());
            }
        }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The address of its first TCP listener.
    pub fn address(&self) -> SocketAddr {
        *self.tcp.first().unwrap_or_else(|| panic!("no TCP listener:\n{}", self.stderr.all().join("\n")))
    }

    /// The addresses of its TCP listeners, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.tcp
    }

    /// The paths of its Unix listeners, in the order of the configuration.
    pub fn unix_paths(&self) -> &[PathBuf] {
        &self.unix
    }

    /// The URL of a path on the first TCP listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Opens a connection to the first TCP listener.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// GETs a path on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// One request on a connection of its own: `Host`, the fields given, and a `Content-Length` if there is a body
    /// and no `Transfer-Encoding` among the fields.
    pub fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut client = self.connect();
        client.ask(method, path, fields, body)
    }

    /// Waits for a line of standard error that contains `pattern`.
    pub fn wait_for_line(&self, pattern: &str) -> String {
        self.stderr.wait_for(pattern)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.id(), signal);
    }

    /// Writes another configuration over the first and sends HUP.
    pub fn reload(&self, config: &str) {
        std::fs::write(&self.config, config).unwrap();
        self.signal(Signal::HUP);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        assert!(
            process::ends_within(self.id(), DEADLINE),
            "gatebridge does not end:\n{}",
            self.stderr.all().join("\n")
        );
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let descendants = process::descendants(self.id());
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            if !process::ends_within(self.id(), Duration::from_secs(2)) {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
        for left in descendants {
            // The group tells whether the id still means the same process.
            if process::look(left.id).is_some_and(|now| now.group == left.group && now.state != 'Z') {
                process::signal(left.id, Signal::KILL);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- gatebridge said:\n{}\n---", self.stderr.all().join("\n"));
        }
    }
}
