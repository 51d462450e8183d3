//! Other programs that a test needs beside the gateway, in the foreground and killed on drop; must not know the gateway.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Folder, Lines, eventually, fixture, process, program};

/// A running program with a process group of its own. On drop the group is killed.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// What it writes to standard output and standard error.
    pub lines: Lines,
}

impl Peer {
    /// Starts a program. It must stay in the foreground.
    pub fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let lines = Lines::of(&name, child.stdout.take().unwrap());
        lines.add(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// Starts a program and waits until it accepts connections at `address`: `unix:PATH` or `HOST:PORT`.
    pub fn start_at(command: Command, address: &str) -> Self {
        let mut peer = Self::start(command);
        eventually(&format!("a listener at {address}"), || {
            if let Ok(Some(status)) = peer.child.try_wait() {
                panic!("the program ended with {status}:\n{}", peer.lines.wait_for_end().join("\n"));
            }
            accepts(address).then_some(())
        });
        peer
    }

    /// nginx with this text as its `http` block, in the folder, until it accepts at `address`.
    pub fn nginx(folder: &Folder, http: &str, address: &str) -> Self {
        let dir = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {dir}/nginx-{kind};\n"))
            .concat();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid;\n\
             error_log stderr info;\nevents {{ worker_connections 64; }}\n\
             http {{\naccess_log off;\n{temporary}{http}\n}}\n"
        );
        let file = folder.write("nginx.conf", config);
        let mut command = Command::new(program(&["nginx"]));
        command.arg("-p").arg(folder.path()).arg("-c").arg(file).arg("-e").arg("stderr");
        Self::start_at(command, address)
    }

    /// php-fpm with one pool of this many children at `address`, in the folder. `more` is added to the pool.
    pub fn php_fpm(folder: &Folder, children: usize, address: &str, more: &str) -> Self {
        let listen = address.strip_prefix("unix:").unwrap_or(address);
        let config = format!(
            "[global]\ndaemonize = no\nerror_log = /proc/self/fd/2\n[www]\nlisten = {listen}\n\
             listen.mode = 0666\nuser = nobody\ngroup = nogroup\n\
             pm = static\npm.max_children = {children}\ncatch_workers_output = yes\n{more}\n"
        );
        let file = folder.write("php-fpm.conf", config);
        let names = ["php-fpm", "php-fpm8.2", "php-fpm8.4", "php-fpm8.3", "php-fpm8.1", "php-fpm7.4"];
        let mut command = Command::new(program(&names));
        command.arg("--nodaemonize").arg("--fpm-config").arg(file).arg("--prefix").arg(folder.path());
        Self::start_at(command, address)
    }

    /// The FastCGI worker of the fixtures at `address`, with these options.
    pub fn fastcgi_worker(address: &str, options: &[&str]) -> Self {
        let mut command = Command::new(fixture("fastcgi-worker"));
        command.args(["--listen", address]).args(options);
        Self::start_at(command, address)
    }

    /// The SCGI worker of the fixtures at `address`, with these options.
    pub fn scgi_worker(address: &str, options: &[&str]) -> Self {
        let mut command = Command::new(fixture("scgi-worker"));
        command.args(["--listen", address]).args(options);
        Self::start_at(command, address)
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.id(), signal);
    }

    /// Kills it at once, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = kill_process_group(Pid::from_raw(self.id().cast_signed()).unwrap(), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- a peer said:\n{}\n---", self.lines.all().join("\n"));
        }
    }
}

/// Whether somebody listens at `unix:PATH` or `HOST:PORT`.
pub fn accepts(address: &str) -> bool {
    match address.strip_prefix("unix:") {
        Some(path) => UnixStream::connect(Path::new(path)).is_ok(),
        None => TcpStream::connect(address).is_ok(),
    }
}

/// An address on 127.0.0.1 where nobody listens at the moment. Prefer a Unix socket in the test's folder.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Builds a program of `tests/programs` if need be, and gives its path.
pub fn test_program(name: &str) -> String {
    workspace_program("gatebridge-test-programs", name)
}

/// Builds a program of a package of this workspace if need be, and gives its path.
pub fn workspace_program(package: &str, name: &str) -> String {
    let folder = Path::new(super::gateway::PROGRAM).parent().unwrap();
    let release = folder.ends_with("release");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--package", package, "--target-dir"]);
    command.arg(folder.parent().unwrap()).args(release.then_some("--release"));
    let status = command.current_dir(super::repository()).status().unwrap();
    assert!(status.success(), "cargo build of {package}: {status}");
    folder.join(name).display().to_string()
}
