//! Requests over FastCGI connections, one after the other, kept as long as the other side wants; must not know what
//! is answered.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

/// Accepts and serves until accepting fails. A connection that fails is over, the next one is served.
///
/// # Errors
/// When accepting fails.
pub(crate) fn serve(listener: &UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let mut input = BufReader::with_capacity(128 * 1024, &stream);
        while serve_one(&mut input, &stream).is_ok_and(|keep| keep) {}
    }
}

/// Serves one request, and says whether the connection is kept.
fn serve_one(input: &mut BufReader<&UnixStream>, stream: &UnixStream) -> io::Result<bool> {
    let (mut id, mut keep, mut params) = (0, false, Vec::new());
    loop {
        let record = Record::read(input)?;
        match record.kind {
            BEGIN_REQUEST => {
                (id, keep) = (record.id, record.content.get(2).is_some_and(|flags| flags & 1 == 1))
            }
            PARAMS if record.id == id && record.content.is_empty() => break,
            PARAMS if record.id == id => params.extend(record.content),
            _ => {} // what remains of an earlier request
        }
    }
    let mut body = Body { input, id, content: Vec::new(), taken: 0, ended: false };
    let mut output = BufWriter::with_capacity(65_528, Output { stream, id });
    crate::answer(&value(&params, "PATH_INFO"), &mut body, &mut output)?;
    output.flush()?;
    let output = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    write(output.stream, STDOUT, id, b"")?;
    write(output.stream, END_REQUEST, id, &[0; 8])?;
    Ok(keep)
}

struct Record {
    kind: u8,
    id: u16,
    content: Vec<u8>,
}

impl Record {
    fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 8];
        input.read_exact(&mut head)?;
        let [version, kind, id_high, id_low, size_high, size_low, padding, _] = head;
        if version != 1 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut content = vec![0; usize::from(u16::from_be_bytes([size_high, size_low]))];
        input.read_exact(&mut content)?;
        input.read_exact(&mut vec![0; usize::from(padding)])?;
        Ok(Self { kind, id: u16::from_be_bytes([id_high, id_low]), content })
    }
}

fn write(mut stream: &UnixStream, kind: u8, id: u16, content: &[u8]) -> io::Result<()> {
    let [id_high, id_low] = id.to_be_bytes();
    let size = u16::try_from(content.len()).map_err(io::Error::other)?;
    let [size_high, size_low] = size.to_be_bytes();
    stream.write_all(&[1, kind, id_high, id_low, size_high, size_low, 0, 0])?;
    stream.write_all(content)
}

/// The STDIN stream.
struct Body<'a, 'b> {
    input: &'a mut BufReader<&'b UnixStream>,
    id: u16,
    content: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.content.len() && !self.ended {
            let record = Record::read(self.input)?;
            if record.kind == STDIN && record.id == self.id {
                self.ended = record.content.is_empty();
                (self.content, self.taken) = (record.content, 0);
            } else if record.id == self.id {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        let count = (&self.content[self.taken..]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

/// The STDOUT stream.
struct Output<'a> {
    stream: &'a UnixStream,
    id: u16,
}

impl Write for Output<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(65_528);
        if count > 0 {
            write(self.stream, STDOUT, self.id, &data[..count])?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The value of a name-value pair (FastCGI 1.0, 3.4); empty if there is none.
fn value(params: &[u8], name: &str) -> String {
    fn size(params: &mut &[u8]) -> Option<usize> {
        let (&first, rest) = params.split_first()?;
        *params = rest;
        if first < 0x80 {
            return Some(usize::from(first));
        }
        let (more, rest) = rest.split_at_checked(3)?;
        *params = rest;
        Some(more.iter().fold(usize::from(first & 0x7f), |size, &byte| size << 8 | usize::from(byte)))
    }
    fn pair<'a>(params: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (name_size, value_size) = (size(params)?, size(params)?);
        let (name, rest) = params.split_at_checked(name_size)?;
        let (value, rest) = rest.split_at_checked(value_size)?;
        *params = rest;
        Some((name, value))
    }
    let mut rest = params;
    while let Some((found, value)) = pair(&mut rest) {
        if found == name.as_bytes() {
            return String::from_utf8_lossy(value).into_owned();
        }
    }
    String::new()
}
