//! What waits to be written to one connection: encoded bytes around payload that is never copied, and files that
//! never enter user space. It does not know what the bytes mean.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustix::io::Errno;

use crate::exchange::FileRange;
use crate::io::Stream;

/// What waits to be written, in this order: head, payload, tail, foot, file.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Encoded bytes before the payload: response heads, a chunk's size line.
    pub(super) head: Vec<u8>,
    head_written: usize,
    /// A piece of payload, as its maker gave it.
    payload: Bytes,
    /// What framing puts behind the payload.
    tail: &'static [u8],
    /// Encoded bytes behind all payload: the last chunk.
    pub(super) foot: Vec<u8>,
    foot_written: usize,
    /// Payload that goes from the file to the socket inside the kernel.
    file: Option<FileRange>,
    /// Payload bytes that the socket has taken, files included.
    payload_written: u64,
}

/// Why something could not be written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The client takes nothing any more: it has left.
    Client,
    /// The file that was to be sent cannot be read.
    File(io::Error),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        // sendfile(2): EIO is the only error that tells of the file and not of the socket.
        match error.raw_os_error() {
            Some(code) if code == Errno::IO.raw_os_error() => Self::File(error),
            _ => Self::Client,
        }
    }
}

/// The most that one sendfile may move, so that one fast reader does not hold the thread.
const SENDFILE_BYTES: u64 = 1 << 20;

impl Output {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.head_written == self.head.len() && self.foot_written == self.foot.len() && self.is_free()
    }

    /// Whether there is room for a piece of payload; encoded bytes may wait before it.
    pub(super) fn is_free(&self) -> bool {
        self.payload.is_empty() && self.tail.is_empty() && self.file.is_none()
    }

    /// Puts a piece of payload and what framing puts behind it; only while it is free.
    pub(super) fn put(&mut self, payload: Bytes, tail: &'static [u8]) {
        debug_assert!(self.is_free(), "a piece of payload while another waits");
        self.payload = payload;
        self.tail = tail;
    }

    /// Puts a file range, unframed; only while it is free.
    pub(super) fn put_file(&mut self, range: FileRange) {
        debug_assert!(self.is_free(), "a file while other payload waits");
        self.file = (range.length > 0).then_some(range);
    }

    /// Payload bytes that the socket has taken.
    pub(super) const fn payload_written(&self) -> u64 {
        self.payload_written
    }

    /// Writes until nothing waits (`Ready(Ok)`) or the socket takes no more. `progressed` is set if it took anything.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        progressed: &mut bool,
    ) -> Poll<Result<(), Unwritten>> {
        loop {
            let slices = [
                IoSlice::new(&self.head[self.head_written..]),
                IoSlice::new(&self.payload),
                IoSlice::new(self.tail),
                IoSlice::new(&self.foot[self.foot_written..]),
            ];
            // Empty slices at either end are left out: one buffer is cheaper to write than a vector.
            let first = slices.iter().position(|slice| !slice.is_empty());
            let Some(first) = first else { break };
            let last = slices.iter().rposition(|slice| !slice.is_empty()).unwrap_or(first);
            let written = ready!(stream.poll_write(cx, &slices[first..=last]))?;
            if written == 0 {
                return Poll::Ready(Err(Unwritten::Client));
            }
            *progressed = true;
            self.advance(written);
        }
        self.head.clear();
        self.foot.clear();
        (self.head_written, self.foot_written) = (0, 0);
        self.poll_file(cx, stream, progressed)
    }

    fn poll_file(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        progressed: &mut bool,
    ) -> Poll<Result<(), Unwritten>> {
        while let Some(range) = &mut self.file {
            let sent = ready!(stream.poll_write_with(cx, |socket| send_file(socket, range)))?;
            if sent == 0 {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter meanwhile");
                return Poll::Ready(Err(Unwritten::File(error)));
            }
            *progressed = true;
            self.payload_written += sent;
            range.offset += sent;
            range.length -= sent;
            if range.length == 0 {
                self.file = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let mut left = written;
        let step = left.min(self.head.len() - self.head_written);
        self.head_written += step;
        left -= step;
        let step = left.min(self.payload.len());
        self.payload.advance(step);
        self.payload_written += step as u64;
        left -= step;
        let step = left.min(self.tail.len());
        self.tail = &self.tail[step..];
        left -= step;
        self.foot_written += left;
        if self.payload.is_empty() {
            // An empty slice would keep the whole buffer that it was cut from alive.
            self.payload = Bytes::new();
        }
    }
}

fn send_file(socket: std::os::fd::BorrowedFd<'_>, range: &FileRange) -> io::Result<u64> {
    let mut offset = range.offset;
    let count = usize::try_from(range.length.min(SENDFILE_BYTES)).unwrap_or(usize::MAX);
    let sent = rustix::fs::sendfile(socket, &*range.file, Some(&mut offset), count)?;
    Ok(sent as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;
    use std::future::poll_fn;
    use std::sync::Arc;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    fn file(content: &[u8]) -> Arc<File> {
        let name = format!("gatebridge-output-{}", String::from_utf8_lossy(&crate::exchange::unique_id()));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Arc::new(file)
    }

    async fn flush(output: &mut Output, stream: &mut Stream) -> Result<(), Unwritten> {
        let mut progressed = false;
        poll_fn(|cx| output.poll_flush(cx, stream, &mut progressed)).await
    }

    /// Writes through a socket that takes little at once, to a reader that takes less.
    async fn through_a_narrow_socket(mut output: Output) -> (Vec<u8>, u64) {
        let (here, mut there) = UnixStream::pair().unwrap();
        // The kernel makes the least of it that it can.
        rustix::net::sockopt::set_socket_send_buffer_size(&here, 1).unwrap();
        let mut stream = Stream::from(here);
        let reading = tokio::spawn(async move {
            let (mut all, mut piece) = (Vec::new(), [0; 777]);
            while let Ok(count @ 1..) = there.read(&mut piece).await {
                all.extend_from_slice(&piece[..count]);
            }
            all
        });
        flush(&mut output, &mut stream).await.unwrap();
        assert!(output.is_empty() && output.is_free());
        drop(stream);
        (reading.await.unwrap(), output.payload_written())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn all_parts_come_in_their_order_however_little_the_socket_takes(
            head in 0_usize..20_000, payload in 0_usize..60_000, tail in any::<bool>(), foot in 0_usize..20_000,
        ) {
            let tail: &[u8] = if tail && payload > 0 { b"\r\n" } else { b"" };
            let mut output = Output { head: vec![b'h'; head], foot: vec![b'f'; foot], ..Output::default() };
            output.put(Bytes::from(vec![b'p'; payload]), if tail.is_empty() { b"" } else { b"\r\n" });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (came, counted) = runtime.block_on(through_a_narrow_socket(output));
            let expected = [&vec![b'h'; head][..], &vec![b'p'; payload], tail, &vec![b'f'; foot]].concat();
            prop_assert_eq!(came, expected);
            prop_assert_eq!(counted, payload as u64);
        }
    }

    #[tokio::test]
    async fn a_file_follows_its_head() {
        let content: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let mut output = Output { head: b"head".to_vec(), ..Output::default() };
        output.put_file(FileRange { file: file(&content), offset: 1_000, length: 150_000 });
        let (came, counted) = through_a_narrow_socket(output).await;
        assert_eq!(came, [b"head", &content[1_000..151_000]].concat());
        assert_eq!(counted, 150_000);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_no_fault_of_the_client() {
        let (here, _there) = UnixStream::pair().unwrap();
        let mut output = Output::default();
        output.put_file(FileRange { file: file(b"short"), offset: 0, length: 6 });
        let outcome = flush(&mut output, &mut Stream::from(here)).await;
        assert!(matches!(outcome, Err(Unwritten::File(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_client_that_left_is_told_apart() {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        let mut output = Output { head: b"head".to_vec(), ..Output::default() };
        let outcome = flush(&mut output, &mut Stream::from(here)).await;
        assert!(matches!(outcome, Err(Unwritten::Client)), "{outcome:?}");
    }
}
