//! The servers of docs/interface.md, configured with its very words, before a program on the interface crate. It must not know
//! what the words mean, only where the sockets and the program of this test are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use common::{Client, Folder, Peer, Standing, example, noise, peer, process, program, repository};

/// The configuration that the document has for a server, for this folder.
fn words(server: &str, folder: &Folder) -> String {
    let document = std::fs::read_to_string(repository().join("docs/interface.md")).unwrap();
    let section = document.split("## Behind other servers").nth(1).unwrap();
    let block = section.split(&format!("```{server}\n")).nth(1).and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("docs/interface.md has nothing for {server}"));
    let program = example("environ").display().to_string();
    block.replace("/run/", &format!("{}/", folder.path().display())).replace("/usr/local/lib/hello", &program)
}

/// A worker where the document says that one is.
fn worker(folder: &Folder) -> Standing {
    Standing::new("environ", folder, "hello.sock", &[])
}

/// What the program is told is what was asked.
fn check(mut connect: impl FnMut() -> Client) {
    for (target, path_info) in [("/hello", ""), ("/hello/", "/"), ("/hello/a/b?c=d", "/a/b")] {
        for body in [Vec::new(), b"few".to_vec(), noise(9, 1024 * 1024)] {
            let told = connect().ask("POST", target, &[("X-Own", "one")], &body).expect(200).text();
            let path_info = format!("PATH_INFO={path_info}");
            for line in ["SCRIPT_NAME=/hello", &path_info, "HTTP_X_OWN=one", "REQUEST_METHOD=POST"] {
                assert!(told.lines().any(|other| other == line), "{target}: no {line} in\n{told}");
            }
            assert!(told.ends_with(&format!("\n{} bytes of body\n", body.len())), "{target}: {told}");
        }
    }
}

fn check_unix(front: &Path) {
    check(|| Client::connect_unix(front));
}

#[test]
fn nginx_as_the_tutorial_has_it() {
    let folder = Folder::new();
    let _worker = worker(&folder);
    let front = folder.join("front.sock");
    folder.write("fastcgi_params", std::fs::read("/etc/nginx/fastcgi_params").unwrap());
    let address = format!("unix:{}", front.display());
    let words = words("nginx", &folder);
    let http = format!("server {{ listen {address}; client_max_body_size 0;\n{words}}}");
    let _nginx = Peer::nginx(&folder, &http, &address);
    check_unix(&front);
}

#[test]
fn nginx_by_scgi_as_the_tutorial_has_it() {
    let folder = Folder::new();
    let _worker = worker(&folder);
    let front = folder.join("front.sock");
    folder.write("scgi_params", std::fs::read("/etc/nginx/scgi_params").unwrap());
    let address = format!("unix:{}", front.display());
    let lines: Vec<_> = words("nginx", &folder)
        .lines()
        .filter(|line| !line.contains("request_buffering"))
        .map(
            |line| {
                if line.contains("split_path_info") { line.into() } else { line.replace("fastcgi", "scgi") }
            },
        )
        .map(|line| line.replace("$scgi_path_info", "$fastcgi_path_info"))
        .map(|line| if line == "}" { "scgi_param SCRIPT_NAME $fastcgi_script_name;\n}".into() } else { line })
        .collect();
    let words = lines.join("\n");
    let http = format!("server {{ listen {address}; client_max_body_size 0;\n{words}}}");
    let _nginx = Peer::nginx(&folder, &http, &address);
    check_unix(&front);
}

#[test]
fn lighttpd_as_the_tutorial_has_it() {
    let folder = Folder::new();
    let front = folder.join("front.sock");
    let config = format!(
        "server.document-root = \"{}\"\nserver.bind = \"{}\"\nserver.errorlog = \"/dev/stderr\"\n{}",
        folder.path().display(),
        front.display(),
        words("lighttpd", &folder)
    );
    let config = folder.write("lighttpd.conf", config);
    let mut command = Command::new(program(&["lighttpd"]));
    command.arg("-D").arg("-f").arg(config);
    // It starts the worker itself.
    let _lighttpd = Peer::start_at(command, &format!("unix:{}", front.display()));
    check_unix(&front);
}

#[test]
fn apache_as_the_tutorial_has_it() {
    let folder = Folder::new();
    let _worker = worker(&folder);
    let (_apache, address) = apache(&folder, &words("apache", &folder));
    check(|| Client::connect(address));
}

/// Apache in the foreground with this configuration. It listens at ports only, so another may have to be tried when somebody
/// takes the first.
fn apache(folder: &Folder, words: &str) -> (Peer, SocketAddr) {
    let modules = ["mpm_event", "authz_core", "proxy", "proxy_fcgi"];
    let load: String = modules
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let dir = folder.path().display();
    for _ in 0..10 {
        let address = peer::free_address();
        let config = format!(
            "{load}ServerRoot \"{dir}\"\nDefaultRuntimeDir \"{dir}\"\nPidFile \"{dir}/apache.pid\"\nListen {address}\n\
             ServerName localhost\nUser nobody\nGroup nogroup\nErrorLog /dev/stderr\n{words}"
        );
        let mut command = Command::new(program(&["apache2"]));
        command.arg("-X").arg("-f").arg(folder.write("apache.conf", config));
        let apache = Peer::start(command);
        let is_up = common::eventually("Apache to listen, or to end", || {
            if peer::accepts(&address) {
                Some(process::runs(apache.id()))
            } else {
                (!process::runs(apache.id())).then_some(false)
            }
        });
        if is_up {
            return (apache, address.parse().unwrap());
        }
        let said = apache.lines.wait_for_end().join("\n");
        assert!(said.contains("could not bind"), "Apache ended:\n{said}");
    }
    panic!("no port is free for Apache")
}

#[test]
fn haproxy_as_the_tutorial_has_it() {
    let folder = Folder::new();
    let _worker = worker(&folder);
    let front = folder.join("front.sock");
    let config = format!(
        "defaults\n  mode http\n  timeout connect 30s\n  timeout client 30s\n  timeout server 30s\n{}\n\
         frontend front\n  bind unix@{}\n  default_backend hello\n",
        words("haproxy", &folder),
        front.display()
    );
    let mut command = Command::new(program(&["haproxy"]));
    command.arg("-db").arg("-f").arg(folder.write("haproxy.cfg", config));
    let _haproxy = Peer::start_at(command, &format!("unix:{}", front.display()));
    check_unix(&front);
}
