//! One question asked once, to see the whole answer before it is asked many times. It must not know who answers.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;

use crate::compare::load::Target;
use crate::compare::load::answer::AnswerReader;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstAnswer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks on a connection of its own.
///
/// # Errors
/// When there is no whole answer in time.
pub(super) fn ask(target: &Target, timeout: Duration) -> anyhow::Result<FirstAnswer> {
    let mut stream = TcpStream::connect_timeout(&target.address, timeout)
        .with_context(|| format!("cannot connect to {}", target.address))?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // Who answers before the whole body was sent may refuse the rest; its answer says why.
    let sent = stream.write_all(&target.request);
    let mut reader = AnswerReader::new(target.to_head);
    let mut body = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) => {
                sent.context("the request could not be sent")?;
                return Err(error).with_context(|| format!("no answer within {timeout:?}"));
            }
        };
        let answer = match length {
            0 => Some(reader.receive_end()?),
            length => reader.receive(&buffer[..length], &mut |piece| body.extend_from_slice(piece))?,
        };
        if let Some(answer) = answer {
            return Ok(FirstAnswer { status: answer.status, body });
        }
    }
}

impl FirstAnswer {
    /// How this answer differs from another one, in words that go on after "its answer"; `None` when it does not.
    pub(super) fn differs_from(&self, other: &Self, whose: &str) -> Option<String> {
        if self.status != other.status {
            return Some(format!("has status {}, and that of {whose} {}", self.status, other.status));
        }
        let at = self.body.iter().zip(&other.body).position(|(one, other)| one != other);
        match at {
            Some(at) => Some(format!(
                "is not that of {whose}: they differ from byte {at} on, \"{}\" and \"{}\"",
                excerpt(&self.body, at),
                excerpt(&other.body, at)
            )),
            None if self.body.len() != other.body.len() => Some(format!(
                "is not that of {whose}: it has {} bytes, the other {}",
                self.body.len(),
                other.body.len()
            )),
            None => None,
        }
    }
}

/// Some bytes from there on, without what steers a terminal.
fn excerpt(bytes: &[u8], at: usize) -> String {
    const SHOWN_BYTES: usize = 20;
    bytes[at..bytes.len().min(at + SHOWN_BYTES)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::load::Question;
    use std::net::TcpListener;

    /// What is understood of a server that says this.
    fn said(text: &'static str) -> anyhow::Result<FirstAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0; 4];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let target = Target::new(address, "a", &Question::default());
        let answer = ask(&target, Duration::from_secs(30));
        server.join().unwrap();
        answer
    }

    #[test]
    fn a_whole_answer_is_kept() {
        let answer = said("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!(answer, FirstAnswer { status: 404, body: b"no".to_vec() });
        assert!(said("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nn").is_err());
    }

    #[test]
    fn a_difference_is_told_where_it_is() {
        let answer = |status, body: &str| FirstAnswer { status, body: body.into() };
        let told = |one: &FirstAnswer, other| one.differs_from(&other, "b").unwrap_or_default();
        let one = answer(200, "hello\x1b");
        assert_eq!(told(&one, one.clone()), "");
        assert_eq!(told(&one, answer(404, "hello")), "has status 200, and that of b 404");
        assert_eq!(told(&one, answer(200, "hello")), "is not that of b: it has 6 bytes, the other 5");
        let told = told(&one, answer(200, "help!!"));
        assert_eq!(told, "is not that of b: they differ from byte 3 on, \"lo\\x1b\" and \"p!!\"");
    }
}
