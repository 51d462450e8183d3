//! `transfer`: takes and gives bodies of any size, as a CGI, FastCGI or SCGI program; it must not share code with the
//! gateway, so that a mistake there cannot hide itself here.
//!
//! `transfer cgi`, `transfer fastcgi [unix:PATH]`, `transfer scgi [unix:PATH]`; without a path a worker listens on
//! descriptor 0. A worker serves one connection after the other. By PATH_INFO:
//!
//! | question | answer |
//! |---|---|
//! | `/source/N` | N bytes; byte I of the body is I modulo 251 |
//! | `/sink` | `BYTES SUM`: how many bytes came, and their sum modulo 2^64 |
//! | `/loop` | the body back, each piece as soon as it has been read |
//! | anything else | `hello` |

mod cgi;
mod fastcgi;
mod scgi;

use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("fastcgi") => fastcgi::serve(&listener(arguments.next())?),
        Some("scgi") => scgi::serve(&listener(arguments.next())?),
        _ => cgi::serve(),
    }
}

fn listener(address: Option<String>) -> io::Result<UnixListener> {
    match address {
        Some(address) => UnixListener::bind(address.trim_start_matches("unix:")),
        None => Ok(UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?)),
    }
}

/// Answers one request: `path` is PATH_INFO, `input` ends with the body.
fn answer(path: &str, input: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    if let Some(size) = path.strip_prefix("/source/") {
        let size: u64 = size.parse().map_err(io::Error::other)?;
        output.write_all(
            format!("Content-Type: application/octet-stream\nContent-Length: {size}\n\n").as_bytes(),
        )?;
        return source(size, output);
    }
    if path == "/sink" {
        let (mut size, mut sum) = (0u64, 0u64);
        loop {
            let count = input.read(&mut piece)?;
            if count == 0 {
                return output.write_all(format!("Content-Type: text/plain\n\n{size} {sum}\n").as_bytes());
            }
            size += count as u64;
            sum = piece[..count].iter().fold(sum, |sum, &byte| sum.wrapping_add(u64::from(byte)));
        }
    }
    if path == "/loop" {
        output.write_all(b"Content-Type: application/octet-stream\n\n")?;
        loop {
            let count = input.read(&mut piece)?;
            if count == 0 {
                return Ok(());
            }
            output.write_all(&piece[..count])?;
            output.flush()?;
        }
    }
    output.write_all(b"Content-Type: text/plain\n\nhello\n")
}

fn source(size: u64, output: &mut dyn Write) -> io::Result<()> {
    let pattern: Vec<u8> = (0..=250).cycle().take(251 * 256).collect();
    let mut left = size;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(pattern.len());
        output.write_all(&pattern[..count])?;
        left -= count as u64;
    }
    Ok(())
}
