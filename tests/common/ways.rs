//! One program run in every way that there is: as a CGI script, a FastCGI worker and an SCGI worker of a gateway, and as a
//! server for development; must not know what the program answers.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Answer, Client, Folder, Gateway, Peer};

/// A way to run a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A process per request.
    Cgi,
    /// A FastCGI worker that the gateway starts.
    FastCgi,
    /// An SCGI worker that the gateway starts.
    Scgi,
    /// By itself, with `--listen`.
    Development,
}

/// All of them.
pub const EVERY_WAY: [Way; 4] = [Way::Cgi, Way::FastCgi, Way::Scgi, Way::Development];

/// Those with a gateway before the program.
pub const BEHIND_A_GATEWAY: [Way; 3] = [Way::Cgi, Way::FastCgi, Way::Scgi];

impl Way {
    /// Its name: that of its pool, and the first label of its host.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgi => "cgi",
            Self::FastCgi => "fastcgi",
            Self::Scgi => "scgi",
            Self::Development => "development",
        }
    }

    /// The path of the program: what is behind it is PATH_INFO.
    pub const fn mount(self) -> &'static str {
        match self {
            Self::Development => "",
            _ => "/app",
        }
    }
}

/// Workers of each pool, each of which the gateway asks one thing at a time: as many as a test asks at once.
const WORKERS: usize = 4;

/// An example that cargo has built beside this test.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.is_file(), "{} is missing; `cargo build --examples` builds it", path.display());
    path
}

/// An example in every way at once. Behind the gateway, each way is at `/app` of a host of its own, so that nothing else
/// tells them apart.
#[derive(Debug)]
pub struct Ways {
    /// The gateway; declared first, so that it ends before the folder goes.
    pub gateway: Gateway,
    alone: Peer,
    address: SocketAddr,
    /// Where everything lies.
    pub folder: Folder,
}

impl Ways {
    /// This example.
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| Vec::new())
    }

    /// This example with variables: `env` of the routes, and the environment of the server for development. They may name files
    /// in the folder.
    pub fn with(name: &str, variables: impl FnOnce(&Folder) -> Vec<(&'static str, String)>) -> Self {
        let folder = Folder::new();
        let (program, variables) = (example(name), variables(&folder));
        let env: Vec<_> = variables.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        let env = env.join(", ");
        let mut config = String::new();
        for way in BEHIND_A_GATEWAY {
            let (way_name, mount) = (way.name(), way.mount());
            let back = if way == Way::Cgi {
                format!("cgi = {program:?}")
            } else {
                config += &format!(
                    "[pool.{way_name}]\nspeak = {way_name:?}\ncommand = [{program:?}]\nworkers = {WORKERS}\n"
                );
                format!("pool = {way_name:?}")
            };
            config += &format!(
                "[[route]]\nhost = \"{way_name}.test\"\npath = {mount:?}\nauthorization = true\nenv = {{ {env} }}\n{back}\n"
            );
        }
        let gateway = Gateway::start(&folder, &config);
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).envs(variables);
        let alone = Peer::start(command);
        let line = alone.lines.wait_for("listening on http://");
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once('/')).unwrap().0;
        Self { gateway, alone, address: address.parse().unwrap(), folder }
    }

    /// Opens a connection to where a program is asked in this way.
    pub fn connect(&self, way: Way) -> Client {
        match way {
            Way::Development => Client::connect(self.address),
            _ => self.gateway.connect(),
        }
    }

    /// One request for a path of the program, on a connection of its own.
    pub fn ask(&self, way: Way, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let (host, target) = (format!("{}.test", way.name()), format!("{}{path}", way.mount()));
        let fields: Vec<_> = [("Host", host.as_str())].iter().chain(fields).copied().collect();
        self.connect(way).ask(method, &target, &fields, body)
    }

    /// The ids of the processes that run the program in this way at the moment.
    pub fn processes(&self, way: Way) -> Vec<u32> {
        if way == Way::Development {
            return vec![self.alone.id()];
        }
        super::process::children(self.gateway.id()).into_iter().map(|process| process.id).collect()
    }
}

/// An example as a worker that no gateway has started: its listening socket is its standard input. It is killed on drop.
#[derive(Debug)]
pub struct Standing {
    child: Child,
    socket: PathBuf,
}

impl Standing {
    /// Starts it with a socket of this name in the folder, and with these variables.
    pub fn new(name: &str, folder: &Folder, socket: &str, variables: &[(&str, &str)]) -> Self {
        let socket = folder.join(socket);
        let listener = UnixListener::bind(&socket).unwrap();
        // Servers that are started by root become somebody else.
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
        let mut command = Command::new(example(name));
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).envs(variables.iter().copied());
        Self { child: command.spawn().unwrap(), socket }
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
