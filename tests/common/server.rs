//! Servers of other people before one program on the interface crate: as FastCGI and SCGI workers on unix sockets, and as
//! a CGI program. It must not know what the program is asked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::Signal;

use super::peer::test_program;
use super::{Answer, Client, DEADLINE, Folder, Gate, Lines, Peer, process, program, repository};

/// A worker that was started as every process manager starts one: its listening socket is its standard input.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// What it complains about.
    pub stderr: Lines,
}

impl Worker {
    /// Starts a program that listens at a socket of this name in the folder.
    pub fn new(program: &Path, folder: &Folder, socket: &str, variables: &[(&str, &Path)]) -> Self {
        let listener = UnixListener::bind(folder.join(socket)).unwrap();
        // The server may give up root.
        folder.mode(socket, 0o666);
        let mut command = Command::new(program);
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; is it built?", program.display());
        });
        let stderr = Lines::of(socket, child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The connections that it has at the moment, each by its number in the kernel; the listening socket is one of them.
    pub fn sockets(&self) -> Vec<String> {
        let mut sockets = process::descriptor_targets(self.id());
        sockets.retain(|target| target.starts_with("socket:"));
        sockets.sort();
        sockets.dedup();
        sockets
    }

    /// Tells it to stop.
    pub fn terminate(&self) {
        process::signal(self.id(), Signal::TERM);
    }

    /// Waits until it has stopped as it was told, without a complaint.
    pub fn wait(&mut self) {
        assert!(process::ends_within(self.id(), DEADLINE), "the worker does not end");
        assert!(self.child.wait().unwrap().success());
        self.stderr.wait_for_end();
        assert_eq!(self.stderr.all(), Vec::<String>::new(), "the worker complains");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a server accepts connections.
#[derive(Debug)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What a server needs to know to be configured.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where everything lies: `fastcgi.sock`, `scgi.sock`, and the CGI program at `site/cgi/app`.
    pub folder: &'a Folder,
    /// An address where nobody listens.
    pub address: SocketAddr,
}

impl Place<'_> {
    /// The configuration that `docs/interop.md` shows under this heading, with the paths and the address of the test in
    /// place of those of the reader.
    pub fn shown(&self, heading: &str) -> String {
        let document = fs::read_to_string(repository().join("docs/interop.md")).unwrap();
        let section = document.split(&format!("\n## {heading}\n")).nth(1).unwrap();
        let block = section.split("```").nth(1).unwrap();
        let text = block.split_once('\n').unwrap().1;
        assert!(text.contains("/run/app/fastcgi.sock"), "{text}");
        let dir = self.folder.path().display().to_string();
        text.replace("/run/app", &dir).replace("/srv/app", &format!("{dir}/site"))
    }
}

/// A running server with its workers.
#[derive(Debug)]
pub struct Server {
    /// The worker that speaks FastCGI.
    pub fastcgi: Worker,
    /// The worker that speaks SCGI.
    pub scgi: Worker,
    /// Where `/gate` of the workers waits.
    pub gate: Gate,
    /// The server itself.
    pub peer: Peer,
    address: Address,
    _folder: Folder,
}

impl Server {
    /// lighttpd, with what `docs/interop.md` shows.
    pub fn lighttpd() -> Self {
        Self::start(|place| {
            let dir = place.folder.path().display();
            let socket = place.folder.join("front.sock");
            let config = format!(
                "server.document-root = \"{dir}/site\"\nserver.bind = \"{}\"\nserver.errorlog = \"/dev/stderr\"\n\
                 server.upload-dirs = (\"{dir}\")\n{}",
                socket.display(),
                place.shown("lighttpd")
            );
            let mut command = Command::new(program(&["lighttpd"]));
            command.arg("-D").arg("-f").arg(place.folder.write("lighttpd.conf", config));
            (command, Address::Unix(socket))
        })
    }

    /// Apache with the event MPM, with what `docs/interop.md` shows.
    pub fn apache() -> Self {
        const MODULES: &str = "/usr/lib/apache2/modules";
        Self::start(|place| {
            let dir = place.folder.path().display();
            let modules = ["mpm_event", "authz_core", "alias", "cgid", "proxy", "proxy_fcgi", "proxy_scgi"]
                .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
                .concat();
            let config = format!(
                "{modules}ServerRoot \"{dir}\"\nServerName test.example\nListen {}\nPidFile \"{dir}/apache.pid\"\n\
                 User nobody\nGroup nogroup\nErrorLog /dev/stderr\nLogLevel warn\nScriptSock \"{dir}/cgid.sock\"\n\
                 DocumentRoot \"{dir}/site\"\nStartServers 1\nThreadsPerChild 64\n\
                 MaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 64\n{}",
                place.address,
                place.shown("Apache")
            );
            let mut command = Command::new(program(&["apache2", "httpd"]));
            command.args(["-D", "FOREGROUND", "-f"]).arg(place.folder.write("apache.conf", config));
            (command, Address::Tcp(place.address))
        })
    }

    /// HAProxy, with what `docs/interop.md` shows. It speaks no SCGI and starts no CGI programs.
    pub fn haproxy() -> Self {
        Self::start(|place| {
            let socket = place.folder.join("front.sock");
            let config = format!(
                "global\n    nbthread 1\n    log stderr format raw daemon notice\n\
                 defaults\n    mode http\n    timeout client 30s\n    timeout server 30s\n    timeout connect 5s\n\
                 frontend front\n    bind unix@{}\n    default_backend app\n{}",
                socket.display(),
                place.shown("HAProxy")
            );
            let mut command = Command::new(program(&["haproxy"]));
            command.arg("-db").arg("-f").arg(place.folder.write("haproxy.cfg", config));
            (command, Address::Unix(socket))
        })
    }

    fn start(configure: impl FnOnce(&Place<'_>) -> (Command, Address)) -> Self {
        let folder = Folder::new();
        let program = PathBuf::from(test_program("interface-questions"));
        // A copy, because a server that gave up root may not reach where it was built.
        fs::create_dir_all(folder.join("site/cgi")).unwrap();
        fs::copy(&program, folder.join("site/cgi/app")).unwrap();
        fs::set_permissions(folder.join("site/cgi/app"), fs::Permissions::from_mode(0o755)).unwrap();
        let gate = Gate::new(&folder, "gate");
        let variables = [("GATE", gate.path())];
        let fastcgi = Worker::new(&program, &folder, "fastcgi.sock", &variables);
        let scgi = Worker::new(&program, &folder, "scgi.sock", &variables);
        let (command, address) = configure(&Place { folder: &folder, address: own_address() });
        let waited_for = match &address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        };
        let peer = Peer::start_at(command, &waited_for);
        Self { fastcgi, scgi, gate, peer, address, _folder: folder }
    }

    /// Opens a connection.
    pub fn connect(&self) -> Client {
        match &self.address {
            Address::Tcp(address) => Client::connect(*address),
            Address::Unix(path) => Client::connect_unix(path),
        }
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.connect().ask(method, target, fields, body)
    }
}

/// An address of this test alone: of the sixteen million loopback addresses one that nobody else picks, so that its free
/// port stays free until the server listens.
fn own_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(2);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, high, low, COUNT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap()
}
