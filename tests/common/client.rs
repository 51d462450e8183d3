//! An HTTP/1.1 client for tests: exact bytes out, a strict reader in; it must not share code with the gateway's codec.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::RecvFlags;
use socket2::SockRef;

use super::DEADLINE;

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// What follows the status code on the first line.
    pub reason: String,
    /// The fields in their order, names as they came.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields_of(name).first().copied()
    }

    /// The values of every field of this name, in any case.
    pub fn fields_of(&self, name: &str) -> Vec<&str> {
        let same = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        same.map(|field| field.1.as_str()).collect()
    }
}

/// How a response's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As its framing announced: the length reached, the last chunk seen, no body due.
    Complete,
    /// By the orderly close of the connection, where no framing was announced.
    Close,
    /// Before its announced end, or by a reset: whoever takes this for a whole body is wrong.
    Cut,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The 1xx heads that came before.
    pub interim: Vec<Head>,
    /// The final head.
    pub head: Head,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// How the body ended.
    pub ended: Ended,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer, if it is complete and has this status.
    ///
    /// # Panics
    /// Otherwise, showing the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.head.status, status, "{:?}\n{}", self.head, self.text());
        assert_ne!(self.ended, Ended::Cut, "cut short: {:?}\n{}", self.head, self.text());
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    /// Bytes received and not yet taken.
    buffer: Vec<u8>,
    framing: Framing,
}

impl Client {
    /// Connects over TCP.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream: Stream::Tcp(stream), buffer: Vec::new(), framing: Framing::Length(0) }
    }

    /// Connects over a Unix socket.
    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream: Stream::Unix(stream), buffer: Vec::new(), framing: Framing::Length(0) }
    }

    /// Sets how long [`Client::receive`] and its kin wait, instead of [`DEADLINE`].
    pub fn patience(&self, limit: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)).unwrap(),
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)).unwrap(),
        }
    }

    /// Sends exactly these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends these bytes, where the other side may have closed already.
    ///
    /// # Errors
    /// When the connection is closed or reset, or takes nothing more.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// A second handle for sending, to send from another thread while this one receives.
    pub fn sender(&self) -> Box<dyn Write + Send> {
        match &self.stream {
            Stream::Tcp(stream) => Box::new(stream.try_clone().unwrap()),
            Stream::Unix(stream) => Box::new(stream.try_clone().unwrap()),
        }
    }

    /// Sends one well-formed request and receives its response; see [`super::Gateway::ask`].
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let has = |name: &str| fields.iter().any(|field| field.0.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !has("host") {
            head += "Host: test.example\r\n";
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        if !has("content-length") && !has("transfer-encoding") && (!body.is_empty() || method == "POST") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.send(head + "\r\n");
        let mut sender = self.sender();
        let copy = body.to_vec();
        // From another thread: an answer may come before the body is taken, or instead of it.
        let sending = std::thread::spawn(move || sender.write_all(&copy));
        let answer = self.receive_to(method);
        drop(sending);
        answer
    }

    /// Receives the whole response to a request of any method but HEAD.
    pub fn receive(&mut self) -> Answer {
        self.receive_to("GET")
    }

    /// Receives the whole response to a request of this method.
    pub fn receive_to(&mut self, method: &str) -> Answer {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.receive_head(method);
            if head.status >= 200 || head.status == 101 {
                break head;
            }
            interim.push(head);
        };
        let mut body = Vec::new();
        let ended = loop {
            match self.receive_piece() {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(ended) => break ended,
            }
        };
        Answer { interim, head, body, ended }
    }

    /// Receives one head, interim or final, to a request of this method.
    ///
    /// # Panics
    /// When the connection ends first, or the head breaks the grammar.
    pub fn receive_head(&mut self, method: &str) -> Head {
        self.try_receive_head(method).unwrap_or_else(|error| {
            panic!("no head but {error}; bytes so far: {:?}", String::from_utf8_lossy(&self.buffer))
        })
    }

    /// Receives one head, where the connection may end first.
    ///
    /// # Errors
    /// When the connection ends, or is reset, before the head is complete.
    pub fn try_receive_head(&mut self, method: &str) -> io::Result<Head> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let head = parse_head(&lines);
        self.framing = framing(&head, method);
        Ok(head)
    }

    /// Receives the next bytes of the body, as they come.
    ///
    /// # Errors
    /// How the body ended, when it has.
    pub fn receive_piece(&mut self) -> Result<Vec<u8>, Ended> {
        match self.framing {
            Framing::Length(0) => Err(Ended::Complete),
            Framing::Length(left) => {
                let piece = self.some(left).map_err(|_| Ended::Cut)?;
                self.framing = Framing::Length(left - piece.len() as u64);
                Ok(piece)
            }
            Framing::Close => self.some(u64::MAX).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Ended::Close,
                _ => Ended::Cut,
            }),
            Framing::Chunked => self.chunk().unwrap_or(Err(Ended::Cut)),
        }
    }

    fn chunk(&mut self) -> io::Result<Result<Vec<u8>, Ended>> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default();
        assert!(size.bytes().all(|digit| digit.is_ascii_hexdigit()), "chunk size {line:?}");
        let size = u64::from_str_radix(size, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
        if size == 0 {
            while !self.line()?.is_empty() {} // trailers
            self.framing = Framing::Length(0);
            return Ok(Err(Ended::Complete));
        }
        let mut chunk = Vec::new();
        while (chunk.len() as u64) < size {
            chunk.extend(self.some(size - chunk.len() as u64)?);
        }
        assert_eq!(self.line()?, "", "a chunk of {size} bytes does not end where it says");
        Ok(Ok(chunk))
    }

    /// Ends our direction; the other side sees the end of the stream and may still answer.
    pub fn half_close(&self) {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
        }
    }

    /// Ends the connection by RST, as a client that crashed or ran out of patience.
    pub fn reset(self) {
        if let Stream::Tcp(stream) = &self.stream {
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Waits until the other side closes, and gives the bytes that came before.
    ///
    /// # Errors
    /// When the connection is reset instead, or stays open too long.
    pub fn receive_until_close(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether anything has come that is not received yet. It does not wait.
    pub fn has_heard(&self) -> bool {
        let is_waiting = match &self.stream {
            Stream::Tcp(stream) => rustix::net::recv(stream, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT),
            Stream::Unix(stream) => {
                rustix::net::recv(stream, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT)
            }
        };
        !self.buffer.is_empty() || is_waiting.is_ok()
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("bare LF after {line:?}"));
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            self.fill()?;
        }
    }

    fn some(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        let count = usize::try_from(limit).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(self.buffer.drain(..count).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 64 * 1024];
        let result = loop {
            let result = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut piece),
                Stream::Unix(stream) => stream.read(&mut piece),
            };
            // A read with a time limit is not resumed by itself when a child of this process ends meanwhile.
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
                break result;
            }
        };
        match result {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("nothing came in time; bytes so far: {:?}", String::from_utf8_lossy(&self.buffer))
            }
            Err(error) => Err(error),
        }
    }
}

fn parse_head(lines: &[String]) -> Head {
    let first = lines.first().unwrap_or_else(|| panic!("an empty line instead of a head"));
    let mut parts = first.splitn(3, ' ');
    let version = parts.next().unwrap_or_default().to_owned();
    assert!(version == "HTTP/1.1" || version == "HTTP/1.0", "first line {first:?}");
    let status = parts.next().and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("first line {first:?}"));
    let reason = parts.next().unwrap_or_else(|| panic!("no blank after the status: {first:?}")).to_owned();
    let fields = lines[1..].iter().map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
        assert!(!name.is_empty() && !name.contains([' ', '\t']), "the name of {line:?}");
        (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
    });
    Head { version, status, reason, fields: fields.collect() }
}

/// RFC 9112 6.3, as a client sees it.
fn framing(head: &Head, method: &str) -> Framing {
    if head.status < 200 || matches!(head.status, 204 | 304) || method == "HEAD" {
        return Framing::Length(0);
    }
    let (encodings, lengths) = (head.fields_of("transfer-encoding"), head.fields_of("content-length"));
    assert!(encodings.len() + lengths.len() <= 1, "two framings: {head:?}");
    match (encodings.first(), lengths.first()) {
        (Some(encoding), _) => {
            assert_eq!(*encoding, "chunked", "{head:?}");
            Framing::Chunked
        }
        (None, Some(length)) => Framing::Length(length.parse().unwrap_or_else(|_| panic!("{head:?}"))),
        (None, None) => Framing::Close,
    }
}
