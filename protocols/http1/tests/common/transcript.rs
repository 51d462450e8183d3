//! Writes down as text what a codec says about bytes that come in pieces; knows nothing of what is right.

use gatebridge_http1::{Client, ClientEvent, Event, Framing, Limits, PeerError, Request, Response, Server};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// What is said, one line an event; neighbouring pieces of body are one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) lines: Vec<String>,
    body: Vec<u8>,
}

impl Transcript {
    fn say(&mut self, line: String) {
        self.flush();
        self.lines.push(line);
    }

    fn body(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "a body event is never empty");
        self.body.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        if !self.body.is_empty() {
            self.lines.push(format!("body {}", self.body.escape_ascii()));
            self.body.clear();
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        let trailers = trailers.map(|trailers| fields(&trailers)).unwrap_or_default();
        self.say(format!("end{trailers}"));
    }

    /// The bytes behind a switch come as they come.
    fn switched(&mut self, leftover: &[u8]) {
        if self.lines.last().is_none_or(|line| line != "switched") {
            self.say("switched".into());
        }
        self.body.extend_from_slice(leftover);
    }

    fn error(&mut self, error: &PeerError) {
        self.say(format!("refused {} {error:?}", error.status().as_u16()));
    }
}

fn fields(headers: &HeaderMap) -> String {
    headers.iter().map(|(name, value)| format!(" [{name}: {}]", value.as_bytes().escape_ascii())).collect()
}

/// The pieces of `bytes` between the places of `cuts`.
pub(crate) fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| *cut.min(&bytes.len())).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Feeds a server; each complete request is answered with an empty 200 before the next is read. Then the connection ends.
pub(crate) fn of_server(limits: Limits, bytes: &[u8], cuts: &[usize]) -> Transcript {
    let mut server = Server::new(limits);
    let mut transcript = Transcript::default();
    for piece in pieces(bytes, cuts) {
        server.receive(piece);
        if !drain_server(&mut server, &mut transcript) {
            return transcript;
        }
        let held = limits.max_head_bytes.max(limits.max_chunk_line_bytes).max(limits.max_trailer_bytes);
        assert!(server.buffered() <= held, "{} bytes wait in the buffer", server.buffered());
    }
    server.receive_end();
    let goes_on = drain_server(&mut server, &mut transcript);
    let switched = transcript.lines.iter().any(|line| line == "switched");
    assert!(!goes_on || switched, "nothing is awaited after the end");
    transcript.flush();
    transcript
}

/// `false` when nothing more can come.
fn drain_server(server: &mut Server, transcript: &mut Transcript) -> bool {
    let mut out = Vec::new();
    loop {
        match server.next_event() {
            Ok(Event::NeedData) => return true,
            Ok(Event::Request(head)) => {
                let host = head.host.as_ref().map(|host| format!(" host={}", host.as_str()));
                let body = match head.body {
                    Framing::None => String::new(),
                    body => format!(" {body:?}"),
                };
                transcript.say(format!(
                    "{} {} {:?}{}{body}{}{}{}",
                    head.method,
                    head.target.as_str(),
                    head.version,
                    host.unwrap_or_default(),
                    if head.expect_continue { " expect" } else { "" },
                    if head.upgrade { " upgrade" } else { "" },
                    if head.keep_alive { "" } else { " close" },
                ));
            }
            Ok(Event::Body(bytes)) => transcript.body(&bytes),
            Ok(Event::End { trailers }) => transcript.end(trailers),
            Ok(Event::Paused) => {
                let headers = HeaderMap::new();
                server.send_response(&Response::new(StatusCode::OK, &headers), Some(0), &mut out).unwrap();
                // A 2xx to CONNECT has no end: the tunnel begins.
                let _ = server.send_end(None, &mut out);
            }
            Ok(Event::Closed) => {
                transcript.say("closed".into());
                assert!(server.must_close() && server.close_reason().is_some());
                return false;
            }
            Ok(Event::Switched) => {
                transcript.switched(&server.take_leftover());
                return true;
            }
            Err(error) => {
                transcript.error(&error);
                assert_eq!(server.next_event().unwrap_err(), error, "an error is final");
                let headers = HeaderMap::new();
                if !server.response_started() {
                    server
                        .send_response(&Response::new(error.status(), &headers), Some(0), &mut out)
                        .unwrap();
                    server.send_end(None, &mut out).unwrap();
                    assert!(out.ends_with(b"Connection: close\r\nContent-Length: 0\r\n\r\n"));
                }
                assert!(server.must_close() && server.close_reason().is_some());
                return false;
            }
        }
    }
}

/// Feeds a client that has sent a request of this method, and ends the connection if `ends`.
pub(crate) fn of_client(
    limits: Limits,
    method: &Method,
    bytes: &[u8],
    ends: bool,
    cuts: &[usize],
) -> Transcript {
    let mut client = Client::new(limits);
    let mut transcript = Transcript::default();
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("a"));
    let mut out = Vec::new();
    client.send_request(&Request::new(method, b"/", &headers), Framing::None, &mut out).unwrap();
    client.send_end(None, &mut out).unwrap();
    for piece in pieces(bytes, cuts) {
        client.receive(piece);
        if !drain_client(&mut client, &mut transcript) {
            return transcript;
        }
    }
    if ends {
        client.receive_end();
        drain_client(&mut client, &mut transcript);
    }
    transcript.flush();
    transcript
}

fn drain_client(client: &mut Client, transcript: &mut Transcript) -> bool {
    loop {
        match client.next_event() {
            Ok(ClientEvent::NeedData) => return true,
            // Behind the response; what else comes then is an error, and an end is none.
            Ok(ClientEvent::Paused) => return true,
            Ok(ClientEvent::Informational(head)) => {
                transcript.say(format!("{}{}", head.status.as_u16(), fields(&head.headers)));
            }
            Ok(ClientEvent::Response(head)) => {
                let close = if head.keep_alive { "" } else { " close" };
                let reason = head.reason.escape_ascii();
                let status = head.status.as_u16();
                transcript.say(format!("{:?} {status} {reason} {:?}{close}", head.version, head.body));
            }
            Ok(ClientEvent::Body(bytes)) => transcript.body(&bytes),
            Ok(ClientEvent::End { trailers }) => transcript.end(trailers),
            Ok(ClientEvent::Closed) => {
                transcript.say("closed".into());
                assert!(client.must_close() && client.close_reason().is_some());
                return false;
            }
            Ok(ClientEvent::Switched) => {
                transcript.switched(&client.take_leftover());
                return true;
            }
            Err(error) => {
                transcript.error(&error);
                assert_eq!(client.next_event().unwrap_err(), error, "an error is final");
                assert!(client.must_close());
                return false;
            }
        }
    }
}
