//! Rules of RFC 3875 that only a running script can see kept; it must not know how the gateway keeps them.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Answer, Folder, Gateway};

/// Shows arguments, folder and environment.
const SHOW: &str =
    "#!/bin/sh\necho Content-Type: text/plain\necho\necho \"arguments=$#\"\necho \"folder=$(pwd)\"\nenv\n";

fn serve(folder: &Folder, more: &str) -> Gateway {
    Gateway::start(folder, &format!("[[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n{more}"))
}

fn has(answer: &Answer, line: &str) -> bool {
    answer.text().lines().any(|shown| shown == line)
}

fn names(answer: &Answer, variable: &str) -> bool {
    answer.text().lines().any(|shown| shown.split('=').next() == Some(variable))
}

#[test]
fn lesson_07_a_query_never_becomes_arguments() {
    let folder = Folder::new();
    folder.script("cgi-bin/show", SHOW);
    let gateway = serve(&folder, "");
    for query in ["-s", "a+b", "-d+allow_url_include%3D1", "%AD-s"] {
        let answer = gateway.get(&format!("/cgi-bin/show?{query}")).expect(200);
        assert!(has(&answer, "arguments=0"), "{query}: {}", answer.text());
        assert!(has(&answer, &format!("QUERY_STRING={query}")), "{}", answer.text());
    }
}

#[test]
fn lesson_28_a_script_that_cannot_be_started_is_never_shown_instead() {
    let folder = Folder::new();
    folder.script("cgi-bin/no-first-line", "print('secret of the source')\n");
    folder.script("cgi-bin/no-interpreter", "#!/nowhere/python\nprint('secret of the source')\n");
    folder.write("cgi-bin/not-executable", "#!/bin/sh\necho secret of the source\n");
    // The same folder once more, as files.
    let gateway = serve(&folder, "\n[[route]]\npath = \"/\"\nfiles = \"cgi-bin\"\n");
    for (path, status) in [
        ("/cgi-bin/no-first-line", 500),
        ("/cgi-bin/no-interpreter", 500),
        ("/cgi-bin/not-executable", 403),
        ("/no-first-line", 403),
        ("/not-executable", 403),
    ] {
        let answer = gateway.get(path);
        assert!(!answer.text().contains("secret"), "{path} shows its source");
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[test]
fn rfc_3875_4_1_6_path_translated_is_there_only_with_path_info() {
    let folder = Folder::new();
    folder.script("cgi-bin/show", SHOW);
    let gateway = serve(&folder, "");
    let with = gateway.get("/cgi-bin/show/a%20b").expect(200);
    let file = folder.join("cgi-bin/a b");
    assert!(has(&with, &format!("PATH_TRANSLATED={}", file.display())), "{}", with.text());
    let without = gateway.get("/cgi-bin/show").expect(200);
    assert!(has(&without, "PATH_INFO=") && !names(&without, "PATH_TRANSLATED"), "{}", without.text());
}

#[test]
fn rfc_3875_7_2_a_script_runs_in_its_folder() {
    let folder = Folder::new();
    folder.script("cgi-bin/deep/show", SHOW);
    let answer = serve(&folder, "").get("/cgi-bin/deep/show").expect(200);
    assert!(has(&answer, &format!("folder={}", folder.join("cgi-bin/deep").display())), "{}", answer.text());
}

#[test]
fn rfc_3875_9_2_authorization_reaches_a_script_only_where_the_route_says_so() {
    let folder = Folder::new();
    folder.script("cgi-bin/show", SHOW);
    let more = "\n[[route]]\npath = \"/trusted\"\ncgi = \"cgi-bin/show\"\nauthorization = true\n";
    let gateway = serve(&folder, more);
    let fields = [("Authorization", "Basic YTpi"), ("Proxy-Authorization", "Basic Yzpk")];
    let plain = gateway.ask("GET", "/cgi-bin/show", &fields, b"").expect(200);
    assert!(!plain.text().contains("Basic"), "{}", plain.text());
    let trusted = gateway.ask("GET", "/trusted", &fields, b"").expect(200);
    assert!(has(&trusted, "HTTP_AUTHORIZATION=Basic YTpi"), "{}", trusted.text());
    assert!(!trusted.text().contains("Yzpk"), "the proxy's password is nobody's here: {}", trusted.text());
}

#[test]
fn rfc_3875_4_1_2_content_length_is_there_if_and_only_if_there_is_a_body() {
    let folder = Folder::new();
    folder.script("cgi-bin/show", SHOW);
    let gateway = serve(&folder, "");
    let fields = [("Content-Type", "text/x-mine")];
    let with = gateway.ask("POST", "/cgi-bin/show", &fields, b"hello").expect(200);
    assert!(has(&with, "CONTENT_LENGTH=5") && has(&with, "CONTENT_TYPE=text/x-mine"), "{}", with.text());
    assert!(!names(&with, "HTTP_CONTENT_LENGTH") && !names(&with, "HTTP_CONTENT_TYPE"), "{}", with.text());
    let without = gateway.get("/cgi-bin/show").expect(200);
    assert!(!names(&without, "CONTENT_LENGTH") && !names(&without, "CONTENT_TYPE"), "{}", without.text());
}
