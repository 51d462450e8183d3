//! The command line as its user meets it: help, exit codes, what goes to stdout and what to stderr. It serves nothing but
//! to see that it starts and says where.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::process::Output;

use common::{Folder, Gateway, fixture, gateway};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A site with a script, a page, a pool that nobody could start, and a route that takes GET only.
fn site() -> Folder {
    let folder = Folder::new();
    folder.script("cgi-bin/hello", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n");
    folder.write("cgi-bin/readme", "no program");
    folder.write("public/page.html", "<p>page");
    let worker = fixture("fastcgi-worker");
    let config = format!(
        "[pool.app]\nspeak = \"fastcgi\"\ncommand = [{worker:?}]\nworkers = 1\n\
         [[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\nmethods = [\"GET\"]\nenv = {{ COLOUR = \"blue\" }}\n\
         [[route]]\npath = \"/app\"\npool = \"app\"\n\
         [[route]]\npath = \"/\"\nfiles = \"public\"\n"
    );
    folder.write("gatebridge.toml", config);
    folder
}

fn explain(folder: &Folder, arguments: &[&str]) -> (i32, String) {
    let output = gateway::run(folder.path(), &[&["explain"], arguments].concat());
    (code(&output), text(&output.stdout))
}

#[test]
fn help_tells_commands_exit_codes_and_signals() {
    let folder = Folder::new();
    let help = gateway::run(folder.path(), &["--help"]);
    assert_eq!(code(&help), 0);
    for word in ["serve", "check", "explain", "systemd", "Exit codes"] {
        assert!(text(&help.stdout).contains(word), "{word} is missing");
    }
    let serve = text(&gateway::run(folder.path(), &["serve", "--help"]).stdout);
    for word in ["TERM", "HUP", "USR1", "--listen"] {
        assert!(serve.contains(word), "{word} is missing");
    }
}

#[test]
fn wrong_usage_is_told_on_stderr_with_exit_code_2() {
    let folder = Folder::new();
    for arguments in
        [&["serv"][..], &["serve", "--lisen", "x"], &["serve", "--listen", "nonsense"], &["explain"]]
    {
        let output = gateway::run(folder.path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn serve_without_anything_to_serve_says_what_to_do() {
    let folder = Folder::new();
    let output = gateway::run(folder.path(), &["serve"]);
    assert_eq!(code(&output), 1);
    let complaint = text(&output.stderr);
    assert!(complaint.contains("cgi-bin"), "{complaint}");
}

#[test]
fn serve_refuses_a_bad_configuration_whole_with_line_and_column() {
    let folder = Folder::new();
    folder.write("gatebridge.toml", "[[route]]\npath = \"/\"\nfiels = \".\"\n");
    let output = gateway::run(folder.path(), &["serve"]);
    assert_eq!(code(&output), 1);
    let complaint = text(&output.stderr);
    assert!(complaint.contains("gatebridge.toml:3:1") && complaint.contains("`files`"), "{complaint}");
}

#[test]
fn serve_takes_a_folder_and_the_place_to_listen() {
    let folder = Folder::new();
    folder.script("cgi-bin/hello", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n");
    let gateway = Gateway::serve(folder.path(), &["--listen", "127.0.0.1:0"]);
    assert_eq!(gateway.get("/cgi-bin/hello").expect(200).text(), "hello");
    assert!(
        gateway.get("/").expect(200).text().contains("/cgi-bin/hello"),
        "the index tells what can be called"
    );
}

#[test]
fn the_index_links_every_route_by_an_address_that_can_be_followed() {
    let folder = site();
    folder.write(
        "index.toml",
        "[[route]]\npath = \"/list\"\npage = \"index\"\n[[route]]\npath = \"/\"\nfiles = \"public\"\n",
    );
    let gateway = Gateway::serve(folder.path(), &["index.toml", "--listen", "127.0.0.1:0"]);
    let page = gateway.get("/list").expect(200).text();
    assert!(page.contains("<a href=\"/\">/</a>") && !page.contains("href=\"\""), "{page}");
}

#[test]
fn explain_shows_route_script_path_info_and_environ() {
    let (code, shown) =
        explain(&site(), &["http://site.example:8080/cgi-bin/hello/a%20b?x=y", "-H", "X-Colour: red"]);
    assert_eq!(code, 0, "{shown}");
    for line in [
        "route        /cgi-bin/",
        "SCRIPT_NAME  /cgi-bin/hello",
        "PATH_INFO    /a b",
        "  COLOUR=blue",
        "  HTTP_X_COLOUR=red",
        "  QUERY_STRING=x=y",
        "  SERVER_NAME=site.example",
        "  SERVER_PORT=8080",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is missing in:\n{shown}");
    }
}

#[test]
fn explain_tells_what_the_script_is_told() {
    let folder = site();
    folder.script("cgi-bin/hello", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n");
    let gateway = Gateway::serve(folder.path(), &["gatebridge.toml", "--listen", "127.0.0.1:0"]);
    let told = gateway.get("/cgi-bin/hello/x?y").expect(200).text();
    let (_, shown) = explain(&folder, &[&gateway.url("/cgi-bin/hello/x?y")]);
    let names = |text: &str| -> std::collections::BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.trim_start().split_once('='));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    // What only a connection has, and what the shell adds.
    let beside = ["REMOTE_PORT", "SERVER_ADDR", "UNIQUE_ID", "PWD", "SHLVL", "_", "OLDPWD"];
    let told: Vec<_> = names(&told).into_iter().filter(|name| !beside.contains(&name.as_str())).collect();
    let missing: Vec<_> = told.iter().filter(|name| !names(&shown).contains(*name)).collect();
    assert!(told.len() > 10 && missing.is_empty(), "{missing:?} missing in:\n{shown}");
}

#[test]
fn explain_takes_every_url_that_a_client_may_send() {
    let folder = site();
    for (url, line) in [
        ("/cgi-bin/hello?next=http://other.example/x", "  QUERY_STRING=next=http://other.example/x"),
        ("http://[::1]/cgi-bin/hello", "  SERVER_NAME=[::1]"),
        ("HTTPS://site.example/cgi-bin/hello", "  SERVER_PORT=443"),
        ("http://site.example?x/cgi-bin/hello", "route        /"),
    ] {
        let (_, shown) = explain(&folder, &[url]);
        assert!(shown.lines().any(|shown| shown == line), "{url}: {line:?} is missing in:\n{shown}");
    }
    for url in ["ftp://site.example/", "http://us er/", "http://site.example:99999/"] {
        assert_eq!(explain(&folder, &[url]).0, 2, "{url}");
    }
}

#[test]
fn explain_says_why_nothing_would_answer_and_starts_nothing() {
    let folder = site();
    for (url, said) in [
        ("/cgi-bin/none", "404: no script"),
        ("/cgi-bin/readme", "403:"),
        ("/page.htm", "404:"),
        ("/.git/config", "403:"),
    ] {
        let (code, shown) = explain(&folder, &[url]);
        assert_eq!(code, 1, "{url}: {shown}");
        assert!(shown.contains(said), "{url}: {shown}");
    }
    let (code, shown) = explain(&folder, &["-X", "POST", "/cgi-bin/hello"]);
    assert!(code == 1 && shown.contains("405: the route takes only GET"), "{shown}");
    let (code, shown) = explain(&folder, &["/app/x"]);
    assert!(
        code == 0 && shown.contains("pool app") && shown.contains("params of the FastCGI request"),
        "{shown}"
    );
}
