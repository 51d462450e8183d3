//! The response body on its way from the application into the output, framed by the codec. It knows neither the socket nor
//! what made the body.

use std::task::{Context, Poll};

use bytes::Bytes;
use gatebridge_http1::{SendError, Server};

use super::output::Output;
use crate::exchange::{Body, Failure, FailureKind, FileRange};

/// A response body on its way into the output.
pub(super) struct Downlink {
    body: Body,
    /// A piece that came while another was still waiting to be written.
    next: Option<Bytes>,
    ended: bool,
}

impl Downlink {
    pub(super) const fn new(body: Body) -> Self {
        Self { body, next: None, ended: false }
    }

    /// Lets the body's maker go on while the output is full; see [`Body::poll_progress`].
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    /// Moves payload into the output until that is full or none is there. The end is looked for while the last piece still
    /// waits, so that both go out in one write.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        codec: &mut Server,
        output: &mut Output,
    ) -> Result<(), Failure> {
        while !self.ended && self.next.is_none() {
            if let Body::File(range) = &self.body
                && output.is_free()
            {
                let range = range.clone();
                self.body = Body::Empty;
                put_file(codec, output, range)?;
            }
            match self.body.poll_chunk(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Err(failure))) => return Err(failure),
                Poll::Ready(Some(Ok(piece))) if output.is_free() => put(codec, output, piece)?,
                Poll::Ready(Some(Ok(piece))) => self.next = Some(piece),
                Poll::Ready(None) => {
                    self.ended = true;
                    let out = if output.is_free() { &mut output.head } else { &mut output.foot };
                    codec.send_end(None, out).map_err(broken_off)?;
                }
            }
        }
        if output.is_free()
            && let Some(piece) = self.next.take()
        {
            put(codec, output, piece)?;
            return self.poll_fill(cx, codec, output);
        }
        Ok(())
    }

    /// Whether all has been put into the output.
    pub(super) const fn is_done(&self) -> bool {
        self.ended && self.next.is_none()
    }

    /// Whether there is something to put into the output as soon as that is free.
    pub(super) const fn may_fill(&self) -> bool {
        self.next.is_some()
    }
}

fn put(codec: &mut Server, output: &mut Output, piece: Bytes) -> Result<(), Failure> {
    let framing = codec.send_body(piece.len()).map_err(broken_off)?;
    output.head.extend_from_slice(framing.prefix());
    let payload = framing.payload();
    // What the program gave beyond its Content-Length, or to HEAD, ends here.
    output.put(piece.slice(..payload.min(piece.len())), framing.suffix());
    Ok(())
}

fn put_file(codec: &mut Server, output: &mut Output, mut range: FileRange) -> Result<(), Failure> {
    let length = usize::try_from(range.length).unwrap_or(usize::MAX);
    let framing = codec.send_body(length).map_err(broken_off)?;
    output.head.extend_from_slice(framing.prefix());
    range.length = framing.payload() as u64;
    output.put_file(range);
    Ok(())
}

fn broken_off(error: SendError) -> Failure {
    Failure::new(FailureKind::BrokenOff, format!("the response cannot be completed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{BodyStream, Chunk};
    use crate::io::Stream;
    use gatebridge_http1::{Event, Limits, Response};
    use http::{HeaderMap, StatusCode};
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    /// Pieces that are there at once; `None` among them is a moment in which none is.
    struct Pieces(VecDeque<Option<Chunk>>, Option<u64>);

    impl BodyStream for Pieces {
        fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
            match self.0.pop_front() {
                Some(Some(piece)) => Poll::Ready(Some(piece)),
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(None),
            }
        }

        fn length(&self) -> Option<u64> {
            self.1
        }
    }

    fn pieces(texts: &[&'static str], length: Option<u64>) -> Body {
        let piece = |text: &&'static str| (!text.is_empty()).then(|| Ok(Bytes::from_static(text.as_bytes())));
        Body::Stream(Box::new(Pieces(texts.iter().map(piece).collect(), length)))
    }

    /// What a client gets that asks by this method, after the head; and how often the socket was written to.
    async fn sent(method: &str, body: Body) -> (Result<String, FailureKind>, usize) {
        let mut codec = Server::new(Limits::default());
        codec.receive(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        while !matches!(codec.next_event().unwrap(), Event::Paused) {}
        let (here, mut there) = UnixStream::pair().unwrap();
        let (mut stream, mut output) = (Stream::from(here), Output::default());
        let headers = HeaderMap::new();
        codec
            .send_response(&Response::new(StatusCode::OK, &headers), body.length(), &mut output.head)
            .unwrap();
        let (mut down, mut writes) = (Downlink::new(body), 0);
        let outcome = poll_fn(|cx| {
            loop {
                if let Err(failure) = down.poll_fill(cx, &mut codec, &mut output) {
                    return Poll::Ready(Err(failure.kind));
                }
                let mut progressed = false;
                assert!(output.poll_flush(cx, &mut stream, &mut progressed).is_ready());
                writes += usize::from(progressed);
                match (down.is_done(), down.may_fill()) {
                    (true, _) => return Poll::Ready(Ok(())),
                    (false, true) => {}
                    (false, false) => return Poll::Pending,
                }
            }
        })
        .await;
        drop(stream);
        let mut text = String::new();
        there.read_to_string(&mut text).await.unwrap();
        let after_head = text.split_once("\r\n\r\n").map(|(_, after)| after.to_owned()).unwrap_or_default();
        (outcome.map(|()| after_head), writes)
    }

    #[tokio::test]
    async fn a_short_body_goes_out_with_its_head_and_its_end_in_one_write() {
        assert_eq!(sent("GET", Body::from("whole")).await, (Ok("whole".to_owned()), 1));
        assert_eq!(sent("GET", pieces(&["one"], None)).await, (Ok("3\r\none\r\n0\r\n\r\n".to_owned()), 1));
        assert_eq!(sent("GET", Body::Empty).await, (Ok(String::new()), 1));
    }

    #[tokio::test]
    async fn a_piece_is_not_held_back_for_the_next() {
        let (text, writes) = sent("GET", pieces(&["one", "", "two", ""], None)).await;
        assert_eq!((text.unwrap().as_str(), writes), ("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", 3));
    }

    #[tokio::test]
    async fn lesson_48_a_body_to_head_is_taken_and_thrown_away() {
        assert_eq!(sent("HEAD", pieces(&["one", "", "two"], None)).await.0, Ok(String::new()));
        assert_eq!(sent("HEAD", Body::from("whole")).await.0, Ok(String::new()));
    }

    #[tokio::test]
    async fn lesson_11_a_body_of_another_length_than_announced_is_cut() {
        assert_eq!(sent("GET", pieces(&["one", "two"], Some(4))).await.0, Ok("onet".to_owned()));
        assert_eq!(sent("GET", pieces(&["one"], Some(4))).await.0, Err(FailureKind::BrokenOff));
    }

    #[tokio::test]
    async fn a_failure_of_the_body_is_not_its_end() {
        let body = VecDeque::from([Some(Err(Failure::internal("broken")))]);
        assert_eq!(
            sent("GET", Body::Stream(Box::new(Pieces(body, None)))).await.0,
            Err(FailureKind::Internal)
        );
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_sent_and_is_over_at_once() {
        let path = std::env::temp_dir().join(format!("gatebridge-downlink-{}", std::process::id()));
        std::fs::write(&path, "0123456789").unwrap();
        let file = std::sync::Arc::new(std::fs::File::open(&path).unwrap());
        let body = Body::File(FileRange { file: std::sync::Arc::clone(&file), offset: 2, length: 5 });
        assert_eq!(sent("GET", body).await.0, Ok("23456".to_owned()));
        let body = Body::File(FileRange { file, offset: 2, length: 5 });
        assert_eq!(sent("HEAD", body).await.0, Ok(String::new()));
        std::fs::remove_file(&path).unwrap();
    }
}
