//! What passes between the gateway and the service manager that starts it; the tests play the manager. It must not know
//! how the gateway keeps its side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self, UnixDatagram};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use common::{Client, DEADLINE, Folder, Gate, Gateway, fixture, gateway, process};

const SITE: &str = "[log]\naccess = \"off\"\n[[route]]\npath = \"/\"\nfiles = \"public\"\n";

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("public/index.html", "welcome\n");
    folder
}

/// The manager's end of NOTIFY_SOCKET.
struct Manager {
    socket: UnixDatagram,
    address: String,
}

impl Manager {
    fn at_path(folder: &Folder) -> Self {
        let path = folder.join("notify");
        Self::of(UnixDatagram::bind(&path).unwrap(), path.display().to_string())
    }

    fn at_abstract_name(folder: &Folder) -> Self {
        // The folder's name is nobody else's.
        let name = folder.join("notify").display().to_string();
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        Self::of(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    }

    fn of(socket: UnixDatagram, address: String) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, address }
    }

    /// The next message.
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no message: {error}"));
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The next message with this line.
    fn wait_for(&self, line: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|other| other == line) {
                return message;
            }
        }
    }

    /// Whether no message waits.
    fn heard_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv(&mut [0; 1]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }

    fn start(&self, folder: &Folder, config: &str) -> Gateway {
        Gateway::start_with(folder, config, |command| {
            command.env("NOTIFY_SOCKET", &self.address);
        })
    }
}

#[test]
fn a_manager_is_told_of_readiness_reload_and_end() {
    for of in [Manager::at_path, Manager::at_abstract_name] {
        let folder = site();
        let manager = of(&folder);
        let mut gateway = manager.start(&folder, SITE);
        let ready = manager.next();
        let status = format!("STATUS=listening on {}", gateway.url(""));
        assert_eq!(ready.lines().collect::<Vec<_>>(), ["READY=1", &status]);

        let config = std::fs::read_to_string(gateway.config()).unwrap();
        let before = monotonic_us();
        gateway.reload(&config);
        let reloading = manager.next();
        assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
        let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
        let at: i64 = at.parse().unwrap();
        assert!((before..=monotonic_us()).contains(&at), "{before} {at}");
        assert!(manager.next().starts_with("READY=1\nSTATUS=listening on "));

        gateway.reload("nonsense");
        manager.wait_for("RELOADING=1");
        let refused = manager.wait_for("READY=1");
        assert!(refused.contains("STATUS=reload refused"), "{refused}");

        gateway.signal(Signal::TERM);
        manager.wait_for("STOPPING=1");
        assert!(gateway.wait().success());
    }
}

fn monotonic_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[test]
fn it_is_ready_for_the_manager_when_its_workers_are() {
    let folder = Folder::new();
    let manager = Manager::at_path(&folder);
    let mut gate = Gate::new(&folder, "gate");
    let worker = folder.script(
        "worker",
        format!("#!/bin/sh\nread go <{}\nexec {}\n", gate.path().display(), fixture("fastcgi-worker")),
    );
    let config = format!(
        "[pool.app]\nspeak = \"fastcgi\"\ncommand = [{worker:?}]\nworkers = 1\nstart_timeout = \"1h\"\nqueue_timeout = \"1h\"\n\
         [[route]]\npath = \"/\"\npool = \"app\"\n"
    );
    // It has said on standard error where it listens: clients may come.
    let _gateway = manager.start(&folder, &config);
    assert!(manager.heard_nothing());
    gate.open();
    assert!(manager.next().starts_with("READY=1\n"));
}

#[test]
fn workers_that_are_never_ready_are_told_with_the_reason() {
    let folder = Folder::new();
    let manager = Manager::at_path(&folder);
    let config = format!(
        "[pool.app]\nspeak = \"fastcgi\"\ncommand = [\"{}\", \"--mode\", \"deaf\"]\nworkers = 1\nstart_timeout = \"200ms\"\n\
         stop_grace = \"1s\"\n[[route]]\npath = \"/\"\npool = \"app\"\n",
        fixture("fastcgi-worker")
    );
    let mut gateway = manager.start(&folder, &config);
    let told = manager.next();
    assert!(told.starts_with("STATUS=not ready: ") && told.contains("app"), "{told}");
    gateway.signal(Signal::TERM);
    // It has not become ready by being told to end.
    loop {
        let message = manager.next();
        if message == "STOPPING=1\nSTATUS=draining" {
            break;
        }
        assert!(message.starts_with("STATUS=not ready: "), "{message}");
    }
    assert!(gateway.wait().success());
}

/// Runs `gatebridge serve` by a shell that sets variables with its own number in them, which is then the gateway's.
fn with_own_pid(command: &mut Command, folder: &Folder, assignments: &str) {
    let file = folder.join("gatebridge.toml");
    *command = Command::new("/bin/sh");
    let line = format!("{assignments} exec \"$0\" serve \"$1\"");
    command.args(["-c", &line, gateway::PROGRAM]).arg(file).current_dir(folder.path());
}

#[test]
fn the_watchdog_hears_that_it_lives() {
    let folder = site();
    let manager = Manager::at_path(&folder);
    let address = manager.address.clone();
    let _gateway = Gateway::start_with(&folder, SITE, |command| {
        let assignments = format!("NOTIFY_SOCKET={address} WATCHDOG_USEC=20000 WATCHDOG_PID=$$");
        with_own_pid(command, &folder, &assignments);
    });
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
}

#[test]
fn somebody_elses_watchdog_is_not_fed() {
    let folder = site();
    let manager = Manager::at_path(&folder);
    let address = manager.address.clone();
    let mut gateway = Gateway::start_with(&folder, SITE, |command| {
        command.envs([("NOTIFY_SOCKET", address.as_str()), ("WATCHDOG_USEC", "2000"), ("WATCHDOG_PID", "1")]);
    });
    assert!(manager.next().starts_with("READY=1\n"));
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    assert!(manager.next().starts_with("STOPPING=1\n"));
    assert!(manager.heard_nothing());
}

#[test]
fn a_manager_that_cannot_be_told_keeps_nobody_from_serving() {
    let folder = site();
    for address in ["/nowhere/notify", "@gatebridge-nobody-listens", "relative"] {
        let gateway = Gateway::start_with(&folder, SITE, |command| {
            command.env("NOTIFY_SOCKET", address);
        });
        gateway.wait_for_line("the service manager cannot be told");
        assert_eq!(gateway.get("/").expect(200).text(), "welcome\n");
    }
}

/// Runs the program with listening sockets as descriptors 3 and up, as a service manager does, but LISTEN_PID: the first
/// argument is `own`, or a number.
const PASS: &str = r#"
import fcntl, os, socket, sys
pid, names, program, *arguments = sys.argv[1:]
listeners = []
for name in names.split(":"):
    if name == "path":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("passed.sock")
        listener.listen()
    elif name == "deaf":
        listener = socket.socket()
    else:
        listener = socket.create_server(("127.0.0.1", 0))
    listeners.append(listener)
# Out of the way first: one of them may have the number that another is to get.
copies = [fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 100) for listener in listeners]
for number, copy in enumerate(copies, 3):
    os.dup2(copy, number)
os.environ["LISTEN_FDS"] = str(len(listeners))
os.environ["LISTEN_FDNAMES"] = names
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
os.execv(program, [program, *arguments])
"#;

fn pass(folder: &Folder, pid: &str, names: &str) -> Command {
    let mut command = Command::new(common::program(&["python3"]));
    command.args(["-c", PASS, pid, names, gateway::PROGRAM, "serve"]);
    command.arg(folder.join("gatebridge.toml")).current_dir(folder.path());
    command
}

fn listen(names: &[&str]) -> String {
    let tables = names.iter().map(|name| format!("[[listen]]\naddress = \"fd:{name}\"\n"));
    SITE.to_owned() + &tables.collect::<String>()
}

fn welcome(mut client: Client) {
    assert_eq!(client.ask("GET", "/", &[], b"").expect(200).text(), "welcome\n");
}

#[test]
fn sockets_are_taken_by_the_names_that_they_were_passed_under() {
    let folder = site();
    let gateway = Gateway::start_with(&folder, &listen(&["web", "path"]), |command| {
        *command = pass(&folder, "own", "web:other:path:web");
    });
    let [one, other] = gateway.addresses() else { panic!("two of the name: {:?}", gateway.addresses()) };
    assert_ne!(one, other);
    welcome(Client::connect(*one));
    welcome(Client::connect(*other));
    welcome(Client::connect_unix(&folder.join("passed.sock")));
    // The names mean the same sockets at a reload.
    let mark = gateway.stderr.mark();
    gateway.signal(Signal::HUP);
    gateway.stderr.wait_for_after(mark, "reloaded");
    gateway.stderr.wait_for_after(mark, &format!("listening on {}", gateway.url("")));
    welcome(Client::connect(*one));
}

/// What a gateway says that does not start.
fn refusal(folder: &Folder, config: &str, command: &mut Command) -> String {
    folder.write("gatebridge.toml", config);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(process::ends_within(child.id(), DEADLINE), "it serves instead of refusing");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sockets_that_cannot_be_taken_are_told_with_the_reason() {
    let folder = site();
    let said = |name: &str, pid: &str, names: &str| {
        refusal(&folder, &listen(&[name]), &mut pass(&folder, pid, names))
    };
    let text = said("wbe", "own", "web:other");
    assert!(text.contains("\"wbe\"") && text.contains("\"web\", \"other\""), "{text}");
    let text = said("web", "1", "web");
    assert!(text.contains("the process 1 (LISTEN_PID)"), "{text}");
    let text = said("deaf", "own", "deaf");
    assert!(text.contains("fd:3") && text.contains("no listening socket"), "{text}");
    let mut alone = Command::new(gateway::PROGRAM);
    alone.arg("serve").arg(folder.join("gatebridge.toml"));
    let text = refusal(&folder, &listen(&["web"]), &mut alone);
    assert!(text.contains("no socket was passed") && text.contains("\"web\""), "{text}");
}

#[test]
fn programs_get_neither_the_managers_variables_nor_its_sockets() {
    let folder = site();
    let manager = Manager::at_path(&folder);
    let names = [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "WANTED",
    ];
    folder.script(
        "cgi-bin/look",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\nls -l /proc/$$/fd\n",
    );
    // Even where the configuration lets them through.
    let config = format!(
        "[log]\naccess = \"off\"\n[[listen]]\naddress = \"fd:web\"\n\
         [[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\npass_env = {names:?}\n"
    );
    let gateway = Gateway::start_with(&folder, &config, |command| {
        *command = pass(&folder, "own", "web");
        command.envs([
            ("NOTIFY_SOCKET", manager.address.as_str()),
            ("WATCHDOG_USEC", "3600000000"),
            ("WANTED", "1"),
        ]);
    });
    let text = gateway.get("/cgi-bin/look").expect(200).text();
    assert!(text.contains("WANTED=1"), "{text}");
    for name in &names[..names.len() - 1] {
        assert!(!text.contains(name), "{name} in\n{text}");
    }
    assert!(text.contains("pipe:[") && !text.contains("socket:["), "{text}");
}
