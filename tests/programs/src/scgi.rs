//! Requests over SCGI connections, one after the other; must not know what is answered.

use std::io::{self, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};

/// Accepts and serves until accepting fails. A connection that fails is over, the next one is served.
///
/// # Errors
/// When accepting fails.
pub(crate) fn serve(listener: &UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let _ = serve_one(&stream);
    }
}

fn serve_one(mut stream: &UnixStream) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    let header = netstring(&mut input)?;
    let strings: Vec<&[u8]> = header.split(|&byte| byte == 0).collect();
    let value = |name: &str| {
        let mut pairs = strings.chunks_exact(2).filter(|pair| pair[0] == name.as_bytes());
        pairs.next().map(|pair| String::from_utf8_lossy(pair[1]).into_owned()).unwrap_or_default()
    };
    let length = value("CONTENT_LENGTH").parse().unwrap_or(0);
    crate::answer(&value("PATH_INFO"), &mut input.take(length), &mut stream)
}

fn netstring(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut length, mut byte) = (0, [0]);
    loop {
        input.read_exact(&mut byte)?;
        match byte[0] {
            b':' => break,
            digit @ b'0'..=b'9' => length = length * 10 + usize::from(digit - b'0'),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    let mut content = vec![0; length.min(1 << 20)];
    input.read_exact(&mut content)?;
    input.read_exact(&mut byte)?; // the comma
    Ok(content)
}
