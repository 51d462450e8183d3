//! Independent peers: the client of one crate before our [`Server`], and our [`Client`] before the server of another.
//! Neither shares a line with ours.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use fastcgi_client::{Params, Request};
use gatebridge_fastcgi::{
    Capabilities, Client, ClientEvent, ClientLimits, MAX_CONNS, MAX_REQS, MPXS_CONNS, ProtocolStatus,
    RecordFraming, RequestId, Role, Server, ServerEvent, ServerLimits,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, empty, split};
use tokio_fastcgi::{RequestResult, Requests};

/// Small, so that records arrive in pieces.
const PIPE_BYTES: usize = 1000;

/// Appends a framed record; a socket would get its parts in a vectored write.
fn put(out: &mut Vec<u8>, framing: RecordFraming, payload: &[u8]) {
    out.extend_from_slice(&framing.header);
    out.extend_from_slice(payload);
    out.extend_from_slice(framing.padding());
}

// ---- their client, our server

/// An application on our [`Server`]: answers each request with those of its variables that the
/// tests set, and its body.
async fn application(mut stream: DuplexStream) -> Vec<String> {
    let mut server = Server::default();
    let mut heard = Vec::new();
    let (mut listed, mut body) = (String::new(), Vec::new());
    loop {
        while let Some(event) = server.next_event().expect("their client keeps to the protocol") {
            match event {
                ServerEvent::BeginRequest { id, role, keep_conn } => {
                    heard.push(format!("{id} {role} {keep_conn}"));
                }
                ServerEvent::Params(_, params) => {
                    let mut pairs: Vec<_> = params
                        .iter()
                        .filter(|(name, _)| [&b"LONG"[..], b"REQUEST_METHOD"].contains(name))
                        .map(|(name, value)| format!("{}={} bytes\n", name.escape_ascii(), value.len()))
                        .collect();
                    pairs.sort();
                    listed = pairs.concat();
                }
                ServerEvent::Stdin(_, bytes) => body.extend_from_slice(&bytes),
                ServerEvent::StdinEnd(id) => {
                    let mut out = Vec::new();
                    body.splice(..0, listed.bytes());
                    for chunk in body.chunks(60_001) {
                        put(&mut out, server.send_stdout(id, chunk.len()).expect("stdout"), chunk);
                    }
                    put(&mut out, server.send_stderr(id, 8).expect("stderr"), b"complain");
                    server.end_request(id, 0, ProtocolStatus::RequestComplete, &mut out).expect("end");
                    stream.write_all(&out).await.expect("write");
                    body.clear();
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        if server.should_close() {
            return heard;
        }
        if stream.read_buf(server.receive_buffer()).await.expect("read") == 0 {
            server.receive_end();
        }
    }
}

#[tokio::test]
async fn their_client_is_understood_by_our_server() {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let application = tokio::spawn(application(ours));
    let mut client = fastcgi_client::Client::new_keep_alive_tokio(theirs);
    let long = "v".repeat(70_000);

    // Without a body it ends STDIN twice: the second record arrives after our END_REQUEST.
    let response = client.execute(Request::new_tokio(Params::default(), empty())).await.expect("answer");
    assert_eq!(response.stderr.as_deref(), Some(&b"complain"[..]));

    let params = Params::default().request_method("POST").custom("LONG", long.as_str());
    let body = vec![b'x'; 200_000];
    let response = client.execute(Request::new_tokio(params, &body[..])).await.expect("answer");
    let listed = format!("LONG={} bytes\nREQUEST_METHOD=4 bytes\n", long.len());
    let stdout = response.stdout.expect("stdout");
    assert!(stdout.starts_with(listed.as_bytes()), "{:?}", stdout[..50].escape_ascii().to_string());
    assert!(stdout[listed.len()..] == body[..], "the body came back changed");

    drop(client);
    assert_eq!(application.await.expect("the application"), ["1 RESPONDER true", "1 RESPONDER true"]);
}

#[tokio::test]
async fn their_client_closes_when_it_does_not_keep_the_connection() {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let application = tokio::spawn(application(ours));
    let client = fastcgi_client::Client::new_tokio(theirs);
    let params = Params::default().request_method("GET");
    let response = client.execute_once(Request::new_tokio(params, empty())).await.expect("answer");
    assert_eq!(response.stdout.as_deref(), Some(&b"REQUEST_METHOD=3 bytes\n"[..]));
    assert_eq!(application.await.expect("the application"), ["1 RESPONDER false"]);
}

// ---- our client, their server

type TheirRequest = std::sync::Arc<tokio_fastcgi::Request<WriteHalf<DuplexStream>>>;

/// Their application: answers with the role, one variable and what came on STDIN and DATA.
async fn answer(request: TheirRequest) -> RequestResult {
    let (mut body, mut data) = (Vec::new(), Vec::new());
    request.get_stdin().read_to_end(&mut body).expect("stdin");
    request.get_data().read_to_end(&mut data).expect("data");
    let name = request.get_str_param("NAME").unwrap_or("nobody").to_owned();
    let head = format!("{:?} {name} {} {}\n", request.role, body.len(), data.len());
    let mut stdout = request.get_stdout();
    stdout.write(head.as_bytes()).await.expect("stdout");
    stdout.write(&body).await.expect("stdout");
    request.get_stderr().write(b"complain").await.expect("stderr");
    RequestResult::Complete(7)
}

/// Serves one connection as their documentation shows.
async fn their_server(read: ReadHalf<DuplexStream>, write: WriteHalf<DuplexStream>) {
    let mut requests = Requests::new(read, write, 5, 6);
    while let Some(request) = requests.next().await.expect("our client keeps to the protocol") {
        request.process(answer).await.expect("answer");
    }
}

/// Our [`Client`] on one end of a pipe whose other end is their server.
struct Asker {
    client: Client,
    stream: DuplexStream,
}

impl Asker {
    fn new() -> Self {
        let (ours, theirs) = duplex(1 << 20);
        let (read, write) = split(theirs);
        tokio::spawn(their_server(read, write));
        Self {
            client: Client::new(ClientLimits { max_requests: 2, ..ClientLimits::default() }),
            stream: ours,
        }
    }

    /// Appends a whole request.
    fn say(&mut self, role: Role, name: &str, body: &[u8], out: &mut Vec<u8>) -> RequestId {
        let client = &mut self.client;
        let id = client.begin(role, true, out).expect("begin");
        let mut params = client.params(id, out).expect("params");
        params.pair(b"NAME", name.as_bytes());
        params.finish().expect("pairs");
        if role != Role::Authorizer {
            let mut rest = body;
            while !rest.is_empty() {
                let framing = client.send_stdin(id, rest.len()).expect("stdin");
                let (now, later) = rest.split_at(framing.content_length);
                put(out, framing, now);
                rest = later;
            }
            client.end_stdin(id, out).expect("stdin");
        }
        if role == Role::Filter {
            put(out, client.send_data(id, 4).expect("data"), b"file");
            client.end_data(id, out).expect("data");
        }
        id
    }

    async fn event(&mut self) -> ClientEvent {
        loop {
            if let Some(event) = self.client.next_event().expect("their server keeps to the protocol") {
                return event;
            }
            let received = self.stream.read_buf(self.client.receive_buffer()).await.expect("read");
            assert!(received > 0, "their server closed the connection");
        }
    }

    /// All of STDOUT and STDERR until END_REQUEST.
    async fn answer(&mut self, asked: RequestId) -> (Bytes, Bytes, u32, ProtocolStatus) {
        let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
        loop {
            match self.event().await {
                ClientEvent::Stdout(id, bytes) if id == asked => stdout.extend_from_slice(&bytes),
                ClientEvent::Stderr(id, bytes) if id == asked => stderr.extend_from_slice(&bytes),
                ClientEvent::StdoutEnd(id) | ClientEvent::StderrEnd(id) if id == asked => {}
                ClientEvent::EndRequest { id, app_status, protocol_status } if id == asked => {
                    return (stdout.freeze(), stderr.freeze(), app_status, protocol_status);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn our_client_is_understood_by_their_server_in_every_role() {
    let mut asker = Asker::new();
    let body = vec![b'x'; 150_000];
    for (role, name, sent, head) in [
        (Role::Responder, "nobody in particular", &b""[..], "Responder nobody in particular 0 0\n"),
        (Role::Authorizer, "someone", b"", "Authorizer someone 0 0\n"),
        (Role::Filter, "someone", b"in", "Filter someone 2 4\n"),
        (Role::Responder, "someone", &body, "Responder someone 150000 0\n"),
    ] {
        let mut out = Vec::new();
        let id = asker.say(role, name, sent, &mut out);
        asker.stream.write_all(&out).await.expect("write");
        let (stdout, stderr, app_status, protocol_status) = asker.answer(id).await;
        assert!(
            stdout[..] == [head.as_bytes(), sent].concat(),
            "{role}: {:?}",
            stdout.slice(..30.min(stdout.len()))
        );
        assert_eq!(stderr, "complain");
        assert_eq!((app_status, protocol_status), (7, ProtocolStatus::RequestComplete));
        assert!(asker.client.is_reusable(), "{:?}", asker.client.unclean());
    }
}

#[tokio::test]
async fn their_server_answers_get_values() {
    let mut asker = Asker::new();
    let mut out = Vec::new();
    asker.client.send_get_values(&[MAX_CONNS, MAX_REQS, MPXS_CONNS], &mut out).expect("values");
    asker.stream.write_all(&out).await.expect("write");
    let ClientEvent::Values(values) = asker.event().await else { panic!("no values") };
    let capabilities = Capabilities { max_conns: Some(5), max_reqs: Some(6), mpxs_conns: Some(true) };
    assert_eq!(values.capabilities(), capabilities);
}

#[tokio::test]
async fn their_server_says_that_it_does_not_know_a_management_type() {
    let mut asker = Asker::new();
    asker.stream.write_all(&[1, 200, 0, 0, 0, 0, 0, 0]).await.expect("write");
    assert_eq!(asker.event().await, ClientEvent::UnknownType(200));
}

#[tokio::test]
async fn their_server_ends_an_aborted_request() {
    let mut asker = Asker::new();
    let mut out = Vec::new();
    let id = asker.client.begin(Role::Responder, true, &mut out).expect("begin");
    asker.client.params(id, &mut out).expect("params").finish().expect("pairs");
    asker.client.abort(id, &mut out).expect("abort");
    asker.stream.write_all(&out).await.expect("write");
    let (stdout, stderr, ..) = asker.answer(id).await;
    assert!(stdout.is_empty() && stderr.is_empty());
    assert!(asker.client.is_reusable());
}

#[tokio::test]
async fn two_requests_share_a_connection_to_our_server() {
    let limits = ServerLimits { max_requests: 2, ..ServerLimits::default() };
    let (ours, mut theirs) = duplex(1 << 16);
    let mut asker = Asker {
        client: Client::new(ClientLimits { max_requests: 2, ..ClientLimits::default() }),
        stream: ours,
    };
    let mut out = Vec::new();
    let ids =
        [asker.say(Role::Responder, "a", b"1", &mut out), asker.say(Role::Responder, "b", b"22", &mut out)];
    asker.stream.write_all(&out).await.expect("write");

    let mut server = Server::new(limits, Capabilities::default());
    let (mut answers, mut ended) = (Vec::new(), 0);
    while ended < ids.len() {
        while let Some(event) = server.next_event().expect("no failure") {
            ended += usize::from(matches!(event, ServerEvent::StdinEnd(_)));
        }
        if ended < ids.len() {
            theirs.read_buf(server.receive_buffer()).await.expect("read");
        }
    }
    for id in ids.into_iter().rev() {
        server
            .end_request(id, u32::from(id.get()), ProtocolStatus::RequestComplete, &mut answers)
            .expect("end");
    }
    theirs.write_all(&answers).await.expect("write");
    for id in ids.into_iter().rev() {
        let (.., app_status, _) = asker.answer(id).await;
        assert_eq!(app_status, u32::from(id.get()));
    }
    assert!(asker.client.is_reusable());
}
