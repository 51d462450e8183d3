//! Where the gateway listens: TCP, IPv6, unix sockets and inherited descriptors, and what it says when it cannot. Must not
//! know what is served there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use socket2::{Domain, SockAddr, Socket, Type};

use common::{Client, DEADLINE, Folder, Gateway, gateway, process};

const SITE: &str = "[log]\naccess = \"off\"\n[[route]]\npath = \"/\"\nfiles = \"public\"\n";

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("public/index.html", "welcome\n");
    folder
}

fn listen(address: &str, more: &str) -> String {
    format!("{SITE}[[listen]]\naddress = \"{address}\"\n{more}\n")
}

/// What a gateway says that does not start with this configuration.
fn refusal(folder: &Folder, config: &str) -> String {
    let file = folder.write("refused.toml", config);
    let mut command = Command::new(gateway::PROGRAM);
    command.arg("serve").arg(file).current_dir(folder.path()).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(process::ends_within(child.id(), DEADLINE), "it serves instead of refusing");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn welcome(mut client: Client) {
    assert_eq!(client.ask("GET", "/", &[], b"").expect(200).text(), "welcome\n");
}

#[test]
fn several_listeners_serve_at_once_ipv6_among_them() {
    let folder = site();
    let path = folder.join("site.sock");
    let more = format!(
        "[[listen]]\naddress = \"[::1]:0\"\n[[listen]]\naddress = \"unix:{}\"\nmode = \"0600\"\n",
        path.display()
    );
    let gateway = Gateway::start(&folder, &listen("127.0.0.1:0", &more));
    let [v4, v6] = gateway.addresses() else { panic!("{:?}", gateway.addresses()) };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    welcome(Client::connect(*v4));
    welcome(Client::connect(*v6));
    welcome(Client::connect_unix(&path));
}

#[test]
fn a_unix_socket_has_the_mode_that_was_asked_for_and_is_removed_at_the_end() {
    for (more, mode) in [("mode = \"0622\"", 0o622), ("", 0o660)] {
        let folder = site();
        let path = folder.join("site.sock");
        let mut gateway = Gateway::start(&folder, &listen(&format!("unix:{}", path.display()), more));
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        gateway.signal(Signal::TERM);
        assert!(gateway.wait().success());
        assert!(!path.exists());
    }
}

#[test]
fn a_stale_unix_socket_is_taken_over() {
    let folder = site();
    let path = folder.join("site.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file outlives its listener");
    let _gateway = Gateway::start(&folder, &listen(&format!("unix:{}", path.display()), ""));
    welcome(Client::connect_unix(&path));
}

#[test]
fn a_unix_socket_that_somebody_serves_is_left_alone() {
    let folder = site();
    let path = folder.join("site.sock");
    let config = listen(&format!("unix:{}", path.display()), "");
    let owner = UnixListener::bind(&path).unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let text = refusal(&folder, &config);
    assert!(text.contains("site.sock") && text.contains("something else listens there"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    // A backlog that is full keeps nobody waiting.
    rustix::net::listen(&owner, 0).unwrap();
    let waiting = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
    // It may be full already, of the first try.
    let _ = waiting.connect(&SockAddr::unix(&path).unwrap());
    let text = refusal(&folder, &config);
    assert!(text.contains("something else listens there"), "{text}");
    drop(owner);
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let folder = site();
    let path = folder.write("site.sock", "precious");
    let text = refusal(&folder, &listen(&format!("unix:{}", path.display()), ""));
    assert!(text.contains("no socket"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_socket_file_that_somebody_else_put_in_our_place_is_not_removed() {
    let folder = site();
    let path = folder.join("site.sock");
    let mut gateway = Gateway::start(&folder, &listen(&format!("unix:{}", path.display()), ""));
    fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    assert!(path.exists());
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = owner.local_addr().unwrap().to_string();
    let text = refusal(&site(), &listen(&address, ""));
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    assert!(text.contains("stop it, or choose another address"), "{text}");
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let text = refusal(&site(), &listen("192.0.2.1:8080", ""));
    assert!(text.contains("192.0.2.1:8080") && text.contains("no such address"), "{text}");
    let text = refusal(&site(), &listen("unix:/no/such/folder/site.sock", ""));
    assert!(text.contains("/no/such/folder/site.sock"), "{text}");
}

/// Runs the program with a listening socket as descriptor 3, as systemd does.
const HAND_DOWN: &str = r#"
import os, socket, sys
kind, program, *arguments = sys.argv[1:]
if kind == "tcp":
    listener = socket.create_server(("127.0.0.1", 0))
elif kind == "unix":
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("inherited.sock")
    listener.listen()
else:
    listener = socket.socket()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.execv(program, [program, *arguments])
"#;

fn hand_down(kind: &str, program: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new(common::program(&["python3"]));
    command.args(["-c", HAND_DOWN, kind, program, "serve"]).args(arguments);
    command
}

#[test]
fn a_listening_socket_is_inherited_by_its_number() {
    for kind in ["tcp", "unix"] {
        let folder = site();
        let file = folder.join("gatebridge.toml");
        let gateway = Gateway::start_with(&folder, &listen("fd:3", ""), |command| {
            *command = hand_down(kind, gateway::PROGRAM, &[&file]);
            command.current_dir(folder.path());
        });
        match kind {
            "tcp" => welcome(gateway.connect()),
            _ => welcome(Client::connect_unix(&folder.join("inherited.sock"))),
        }
    }
}

#[test]
fn a_descriptor_that_is_no_listening_socket_is_refused() {
    let folder = site();
    let text = refusal(&folder, &listen("fd:9", ""));
    assert!(text.contains("fd:9"), "{text}");
    let file = folder.write("gatebridge.toml", listen("fd:3", ""));
    let mut command = hand_down("deaf", gateway::PROGRAM, &[&file]);
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("no listening socket"), "{text}");
}
