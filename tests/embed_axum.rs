//! A gateway as a service of an axum application: what its own front does, axum's does with it. It must not know how a
//! gateway works.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;
mod inside;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, OriginalUri};
use common::{Answer, Client, Ended, Folder, Record, eventually, fixture, noise, process};
use gatebridge::{Arrival, Gateway, GatewayService};
use inside::{Server, runtime};
use tokio::runtime::Runtime;

/// The backs, and the first part of their paths below the place of the gateway.
const BACKS: [&str; 3] = ["/cgi", "/fastcgi", "/scgi"];

/// An axum application with a gateway inside.
struct Application {
    runtime: Arc<Runtime>,
    gateway: Option<Gateway>,
    address: SocketAddr,
    /// What the CGI script tells.
    record: Record,
    _folder: Folder,
}

impl Application {
    /// With the questions of the fixtures behind each kind of back; `place` puts the service into a router.
    fn new(place: impl FnOnce(GatewayService) -> Router) -> Self {
        let folder = Folder::new();
        let record = Record::new(&folder, "record");
        let mut config = format!(
            "[[route]]\npath = \"/cgi\"\ncgi = {:?}\nenv = {{ RECORD = {:?} }}\n",
            fixture("questions-cgi"),
            record.path()
        );
        for speak in ["fastcgi", "scgi"] {
            let worker = fixture(&format!("{speak}-worker"));
            config += &format!(
                "[[route]]\npath = \"/{speak}\"\npool = {speak:?}\n[pool.{speak}]\nspeak = {speak:?}\ncommand = [{worker:?}]\n"
            );
        }
        let runtime = runtime();
        let gateway = runtime.block_on(Gateway::builder().config_text(config).start()).unwrap();
        let router = place(gateway.service().with_arrival(|extensions| Arrival {
            remote: extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            original_uri: extensions.get::<OriginalUri>().map(|uri| uri.0.clone()),
            ..Arrival::default()
        }));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { runtime, gateway: Some(gateway), address, record, _folder: folder }
    }

    /// The gateway at `/at`.
    fn nested() -> Self {
        Self::new(|service| Router::new().nest_service("/at", service))
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.connect().ask(method, path, &[], body)
    }

    fn has(&self, text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|other| other == *line), "no {line} in\n{text}");
        }
    }
}

#[test]
fn the_example_answers_by_axum_by_a_process_and_by_a_router_behind_the_gateway() {
    let folder = Folder::new();
    folder.script("name", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s %s\\n' \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$REMOTE_ADDR\"\n");
    let server = Server::start("embed_axum", &[&folder.path().display().to_string()]);
    assert_eq!(server.get("/").expect(200).text(), "this is axum\n");
    assert_eq!(server.get("/cgi-bin/name/a%20b").expect(200).text(), "/cgi-bin/name /a b 127.0.0.1\n");
    assert_eq!(server.get("/cgi-bin/router/you").expect(200).text(), "you are you\n");
    assert_eq!(server.get("/cgi-bin/no-such").status(), 404);
    assert!(server.interrupt());
}

#[test]
fn every_back_is_told_where_the_client_is() {
    let application = Application::nested();
    for back in BACKS {
        let path = format!("/at{back}/environ/a%20b?x=%20&y");
        let fields = [("X-Own", "one"), ("Proxy", "http://evil.test/"), ("Host", "www.example.org:8080")];
        let text = application.connect().ask("POST", &path, &fields, b"12345").expect(200).text();
        application.has(
            &text,
            &[
                &format!("SCRIPT_NAME=/at{back}"),
                "PATH_INFO=/environ/a b",
                &format!("REQUEST_URI={path}"),
                "QUERY_STRING=x=%20&y",
                "REQUEST_METHOD=POST",
                "CONTENT_LENGTH=5",
                "REMOTE_ADDR=127.0.0.1",
                "SERVER_NAME=www.example.org",
                "SERVER_PORT=8080",
                "SERVER_PROTOCOL=HTTP/1.1",
                "GATEWAY_INTERFACE=CGI/1.1",
                "HTTP_X_OWN=one",
            ],
        );
        assert!(!text.contains("HTTP_PROXY"), "lesson 1: {text}");
    }
}

#[test]
fn a_prefix_may_be_told_beforehand_and_without_one_the_whole_path_counts() {
    let told = Application::new(|service| {
        Router::new().nest_service("/at", service.with_arrival(|_| Arrival::default()).nested_at("/at/"))
    });
    let text = told.ask("GET", "/at/cgi/environ?x", b"").expect(200).text();
    told.has(
        &text,
        &["SCRIPT_NAME=/at/cgi", "PATH_INFO=/environ", "REQUEST_URI=/at/cgi/environ?x", "REMOTE_ADDR="],
    );
    let whole = Application::new(|service| Router::new().fallback_service(service));
    let text = whole.ask("GET", "/cgi/environ?x", b"").expect(200).text();
    whole.has(
        &text,
        &["SCRIPT_NAME=/cgi", "PATH_INFO=/environ", "REQUEST_URI=/cgi/environ?x", "REMOTE_ADDR=127.0.0.1"],
    );
}

#[test]
fn bodies_stream_in_both_directions_at_once() {
    let application = Application::nested();
    for back in BACKS {
        let mut client = application.connect();
        client.send(format!("POST /at{back}/talk HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n"));
        assert_eq!(client.receive_head("POST").status, 200, "{back}");
        assert_eq!(client.receive_piece(), Ok(b"first\n".to_vec()), "{back}");
        client.send("0123456789");
        assert_eq!(client.receive_piece(), Ok(b"last 10\n".to_vec()), "{back}");
        assert_eq!(client.receive_piece(), Err(Ended::Complete), "{back}");
        let body = noise(9, 3 << 20);
        let answer = application.ask("POST", &format!("/at{back}/echo"), &body).expect(200);
        assert!(answer.body == body, "{back}");
    }
}

#[test]
fn answers_keep_their_shape() {
    let application = Application::nested();
    for back in BACKS {
        let mut client = application.connect();
        let mut ask = |method: &str, path: &str| client.ask(method, &format!("/at{back}{path}"), &[], b"");
        assert_eq!(ask("GET", "/hello").expect(200).text(), "hello\n");
        let head = ask("HEAD", "/head").expect(200);
        assert_eq!((head.field("content-length"), head.text().as_str()), (Some("9"), ""), "{back}");
        let text = ask("HEAD", "/big/1000000").expect(200).text();
        assert_eq!(text, "", "{back}");
        assert_eq!(ask("GET", "/big/1000000").expect(200).body.len(), 1_000_000);
        ask("GET", "/no-content").expect(204);
        ask("GET", "/status/304/Not%20Modified").expect(304);
        let fields = ask("GET", "/fields").expect(200);
        assert_eq!(fields.head.fields_of("set-cookie"), ["a=1; Path=/", "b=2"], "{back}");
        assert_eq!(ask("GET", "/hop-by-hop").expect(200).field("keep-alive"), None, "{back}");
        // 1xx has no way through a service, and the answer behind it has.
        let hints = ask("GET", "/early-hints").expect(200);
        assert_eq!((hints.interim.len(), hints.text().as_str()), (0, "after the hints\n"), "{back}");
        let page = ask("GET", "/bad/cr").expect(502);
        assert!(page.text().contains("Request <code>"), "{back}");
    }
}

#[test]
fn what_is_no_path_of_the_gateway_is_refused() {
    let application = Application::nested();
    for (path, status) in [
        ("/at/../../x", 400),
        ("/at/cgi/%00", 400),
        ("/at/cgi/a%2Fb", 400),
        ("/at/no-such", 404),
        ("/at", 404),
    ] {
        assert_eq!(application.ask("GET", path, b"").status(), status, "{path}");
    }
}

#[test]
fn lesson_11_an_answer_that_breaks_off_is_cut() {
    let application = Application::nested();
    for back in BACKS {
        let answer = application.ask("GET", &format!("/at{back}/length/less"), b"");
        assert_eq!((answer.status(), answer.ended), (200, Ended::Cut), "{back}: {answer:?}");
        let answer = application.ask("GET", &format!("/at{back}/length/more"), b"");
        assert_eq!((answer.status(), answer.body.len(), answer.ended), (200, 5, Ended::Complete), "{back}");
    }
}

#[test]
fn a_process_ends_when_its_client_leaves() {
    let application = Application::nested();
    let mut client = application.connect();
    client.send("GET /at/cgi/endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.receive_head("GET").status, 200);
    let script = application.record.started();
    assert!(process::runs(script));
    drop(client);
    process::wait_for_end(script);
}

#[test]
fn a_local_redirect_stays_below_the_place_of_the_gateway() {
    let folder = Folder::new();
    folder.script("go", "#!/bin/sh\nprintf 'Location: %s\\n\\n' \"$QUERY_STRING\"\n");
    folder.script(
        "there",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s\\n' \"$SCRIPT_NAME\" \"$REDIRECT_URL\"\n",
    );
    let runtime = runtime();
    let config = format!("[[route]]\npath = \"/\"\ncgi = {:?}\n", folder.path());
    let gateway = runtime.block_on(Gateway::builder().config_text(config).start()).unwrap();
    let router: Router = Router::new().nest_service("/at", gateway.service().nested_at("/at"));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    let get = |path: &str| Client::connect(address).ask("GET", path, &[], b"");
    assert_eq!(get("/at/go?/at/there").expect(200).text(), "/at/there /at/go\n");
    get("/at/go?/there").expect(502);
    runtime.block_on(gateway.stop());
}

#[test]
fn a_stopped_gateway_answers_503_and_its_workers_are_gone() {
    let mut application = Application::nested();
    application.ask("GET", "/at/fastcgi/hello", b"").expect(200);
    let gateway = application.gateway.take().unwrap();
    application.runtime.block_on(gateway.stop());
    let answer = application.ask("GET", "/at/fastcgi/hello", b"").expect(503);
    assert!(answer.field("retry-after").is_some());
    eventually("all workers of this gateway to be gone", || {
        let folder = application._folder.path().display().to_string();
        let children = process::children(std::process::id());
        let mine = children.iter().filter(|child| process::command_line(child.id).contains(&folder));
        (mine.count() == 0).then_some(())
    });
}

#[test]
fn the_status_page_is_not_for_clients_of_whom_nothing_is_known() {
    let runtime = runtime();
    let config = "[[route]]\npath = \"/status\"\npage = \"status\"\n";
    let gateway = runtime.block_on(Gateway::builder().config_text(config).start()).unwrap();
    for (known, status) in [(true, 200), (false, 404)] {
        let service = gateway.service().with_arrival(move |extensions| {
            let remote = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
            Arrival { remote: remote.filter(|_| known), ..Arrival::default() }
        });
        let router: Router = Router::new().fallback_service(service);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        assert_eq!(
            Client::connect(address).ask("GET", "/status", &[], b"").status(),
            status,
            "known: {known}"
        );
    }
    runtime.block_on(gateway.stop());
}
