//! Takes the whole request body before the back is asked, so that its length is known and no program waits for a slow
//! client. It does not know how long a body may be, nor what the back does with it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::config::{BodyMode, RouteLimits};
use crate::exchange::{Answer, Application, Body, BodyStream, Failure, FailureKind, FileRange, Request};
use crate::io::{TempError, TempFile, TempFolder};

/// What a client is told to wait when there is no room for its body: about the time that a large upload takes to be dealt
/// with and deleted.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Pieces are gathered up to this size before they are written, so that a body in tiny chunks does not cost a system call
/// each.
///
/// The write itself is made on the runtime's thread: 64 KiB into the page cache take some ten microseconds, less than it
/// takes to hand them to another thread and to be told of the end. Only when the machine has so much to write that the
/// kernel brakes everybody (`dirty_ratio`) does it wait, and then the upload is what has to become slower.
const WRITE_BYTES: usize = 64 * 1024;

/// Takes the whole body first where the route says so, or where the length is unknown; every other body passes as it comes.
///
/// The environ's `content_length` is then the body's true length. What is short stays in memory, what is long goes to a
/// temporary file, which a CGI script gets as its standard input.
pub struct Spool<A> {
    is_always: bool,
    memory_bytes: usize,
    folder: TempFolder,
    inner: A,
}

impl<A> Spool<A> {
    /// Spools the bodies for `inner` as the route's `limits` say, into files of `folder`.
    pub const fn new(limits: &RouteLimits, folder: TempFolder, inner: A) -> Self {
        let is_always = matches!(limits.body, BodyMode::Spool);
        Self { is_always, memory_bytes: limits.spool_memory, folder, inner }
    }
}

impl<A: Application> Application for Spool<A> {
    fn call(&self, mut request: Request) -> Answer<'_> {
        match std::mem::take(&mut request.body) {
            Body::Stream(stream) if self.is_always || stream.length().is_none() => Box::pin(async move {
                let (body, length) = self.spool(stream).await?;
                request.body = body;
                // RFC 3875 4.1.2: CONTENT_LENGTH is the length after all transfer codings were taken off.
                request.environ.content_length = Some(length);
                self.inner.call(request).await
            }),
            body => {
                request.body = body;
                self.inner.call(request)
            }
        }
    }
}

impl<A> Spool<A> {
    async fn spool(&self, stream: Box<dyn BodyStream>) -> Result<(Body, u64), Failure> {
        let announced = stream.length();
        let mut stream = Body::Stream(stream);
        let mut store = Store::Memory(BytesMut::new());
        if announced.is_some_and(|length| length > self.memory_bytes as u64) {
            store = store.spill(&self.folder)?;
        }
        while let Some(piece) = stream.chunk().await {
            let piece = piece?;
            if let Store::Memory(held) = &store
                && held.len() + piece.len() > self.memory_bytes
            {
                store = store.spill(&self.folder)?;
            }
            store.put(&piece)?;
        }
        store.close()
    }
}

/// Where a body is gathered.
enum Store {
    Memory(BytesMut),
    /// Bytes that are still to be written are in the buffer.
    File(TempFile, BytesMut),
}

impl Store {
    fn put(&mut self, piece: &Bytes) -> Result<(), Failure> {
        match self {
            Self::Memory(held) => held.extend_from_slice(piece),
            Self::File(file, unwritten) => {
                if !unwritten.is_empty() || piece.len() < WRITE_BYTES {
                    unwritten.extend_from_slice(piece);
                } else {
                    file.append(piece).map_err(no_room)?;
                }
                if unwritten.len() >= WRITE_BYTES {
                    file.append(unwritten).map_err(no_room)?;
                    unwritten.clear();
                }
            }
        }
        Ok(())
    }

    /// From memory to a file.
    fn spill(self, folder: &TempFolder) -> Result<Self, Failure> {
        let Self::Memory(held) = self else { return Ok(self) };
        let mut file = folder.create().map_err(no_room)?;
        file.append(&held).map_err(no_room)?;
        Ok(Self::File(file, BytesMut::new()))
    }

    fn close(self) -> Result<(Body, u64), Failure> {
        Ok(match self {
            Self::Memory(held) => {
                let length = held.len() as u64;
                (Body::from(held.freeze()), length)
            }
            Self::File(mut file, unwritten) => {
                file.append(&unwritten).map_err(no_room)?;
                let length = file.length();
                (Body::File(FileRange { file: file.into_file(), offset: 0, length }), length)
            }
        })
    }
}

fn no_room(error: TempError) -> Failure {
    let detail = format!("spooling a request body: {error}");
    if error.is_full() {
        Failure::overloaded(RETRY_AFTER, format!("{detail}; see `temp_dir` and `max_spool_total`"))
    } else if error.is_shortage() {
        Failure::overloaded(RETRY_AFTER, detail)
    } else {
        Failure::new(FailureKind::Internal, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::testing::{Recorded, request};
    use crate::exchange::{Chunk, Response};

    /// Answers with the body and what the environ says of its length, and in which form it came.
    struct Mirror;

    impl Application for Mirror {
        fn call(&self, mut request: Request) -> Answer<'_> {
            Box::pin(async move {
                let form = match &request.body {
                    Body::File(_) => "file",
                    Body::Stream(_) => "stream",
                    Body::Bytes(_) | Body::Empty => "memory",
                };
                let mut all = Vec::new();
                while let Some(piece) = request.body.chunk().await {
                    all.extend_from_slice(&piece?);
                }
                let mut response = Response::new(StatusCode::OK, Body::from(Bytes::from(all)));
                let said = format!("{form} {:?}", request.environ.content_length);
                response.reason = Some(said.into());
                Ok(response)
            })
        }
    }

    struct Pieces(VecDeque<Chunk>, Option<u64>);

    impl BodyStream for Pieces {
        fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
            Poll::Ready(self.0.pop_front())
        }

        fn length(&self) -> Option<u64> {
            self.1
        }
    }

    fn spool(body: BodyMode, spool_memory: usize, quota_bytes: u64) -> Spool<Mirror> {
        let limits = RouteLimits { body, spool_memory, ..RouteLimits::default() };
        Spool::new(&limits, TempFolder::new(std::env::temp_dir(), quota_bytes), Mirror)
    }

    async fn ask(
        spool: &Spool<Mirror>,
        pieces: Vec<Chunk>,
        length: Option<u64>,
    ) -> Result<(String, Bytes), Failure> {
        let mut request = request("/", &Recorded::new());
        request.environ.content_length = length;
        request.body = Body::Stream(Box::new(Pieces(pieces.into(), length)));
        let mut response = spool.call(request).await?;
        let body = response.body.chunk().await.transpose()?.unwrap_or_default();
        Ok((String::from_utf8_lossy(&response.reason.unwrap()).into_owned(), body))
    }

    fn pieces(texts: &[&'static str]) -> Vec<Chunk> {
        texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect()
    }

    #[tokio::test]
    async fn lesson_44_a_body_of_unknown_length_gets_its_true_length() {
        let stream = spool(BodyMode::Stream, 8, 100);
        let (form, body) = ask(&stream, pieces(&["one", "two"]), None).await.unwrap();
        assert_eq!((&form[..], &body[..]), ("memory Some(6)", &b"onetwo"[..]));
        let (form, body) = ask(&stream, pieces(&["one", "two", "three"]), None).await.unwrap();
        assert_eq!((&form[..], &body[..]), ("file Some(11)", &b"onetwothree"[..]));
        let (form, _) = ask(&stream, pieces(&[]), None).await.unwrap();
        assert_eq!(form, "memory Some(0)");
        assert_eq!(stream.folder.used_bytes(), 0);
    }

    #[tokio::test]
    async fn a_body_of_known_length_passes_as_it_comes_unless_the_route_says_spool() {
        let (form, _) = ask(&spool(BodyMode::Stream, 8, 100), pieces(&["one"]), Some(3)).await.unwrap();
        assert_eq!(form, "stream Some(3)");
        let always = spool(BodyMode::Spool, 8, 100);
        let (form, _) = ask(&always, pieces(&["one"]), Some(3)).await.unwrap();
        assert_eq!(form, "memory Some(3)");
        let (form, body) = ask(&always, pieces(&["one", "two", "three"]), Some(11)).await.unwrap();
        assert_eq!((&form[..], &body[..]), ("file Some(11)", &b"onetwothree"[..]));
    }

    #[tokio::test]
    async fn lesson_40_when_the_quota_is_used_up_the_client_may_come_again() {
        let small = spool(BodyMode::Spool, 4, 10);
        let failure = ask(&small, pieces(&["123456", "7890", "x"]), None).await.unwrap_err();
        assert!(matches!(failure.kind, FailureKind::Overloaded { .. }), "{failure}");
        assert!(failure.detail.contains("max_spool_total"), "{failure}");
        assert_eq!(small.folder.used_bytes(), 0, "a body that was given up takes nothing");
        assert!(ask(&small, pieces(&["123456", "7890"]), None).await.is_ok());
    }

    #[tokio::test]
    async fn a_folder_that_fails_is_the_gateways_fault() {
        let limits = RouteLimits { spool_memory: 0, ..RouteLimits::default() };
        let broken = Spool::new(&limits, TempFolder::new("/no/such/folder", 100), Mirror);
        assert_eq!(ask(&broken, pieces(&["1"]), None).await.unwrap_err().kind, FailureKind::Internal);
    }

    #[tokio::test]
    async fn what_the_body_fails_with_is_the_answer_and_the_back_is_not_asked() {
        for memory in [0, 100] {
            let mut body = pieces(&["one"]);
            body.push(Err(Failure::new(FailureKind::BodyTooLarge, "over")));
            let failure = ask(&spool(BodyMode::Stream, memory, 100), body, None).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::BodyTooLarge);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_pieces_come_out_as_they_went_in(
            sizes in proptest::collection::vec(1_usize..100_000, 0..8),
            memory in 0_usize..200_000,
        ) {
            let mut all = Vec::new();
            let mut body = Vec::new();
            for (number, size) in sizes.iter().enumerate() {
                let piece = vec![u8::try_from(number).unwrap(); *size];
                all.extend_from_slice(&piece);
                body.push(Ok(Bytes::from(piece)));
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let spool = Arc::new(spool(BodyMode::Stream, memory, 1 << 20));
            let (form, came) = runtime.block_on(ask(&spool, body, None)).unwrap();
            prop_assert_eq!(&came[..], &all[..]);
            let place = if all.len() > memory { "file" } else { "memory" };
            prop_assert_eq!(form, format!("{place} Some({})", all.len()));
        }
    }
}
