//! The response of a service as an answer; it must not know the service.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use ::tokio::io::AsyncWriteExt as _;
use bytes::Buf as _;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body::{Body as HttpBody, Frame};

use crate::application::{Error, Result};
use crate::head::{Head, is_reserved};
use crate::tokio::StartResponse;

/// Answers with a response.
pub(super) async fn send<B>(response: Response<B>, start: StartResponse) -> Result
where
    B: HttpBody,
    B::Error: Into<Error>,
{
    let (mut head, body) = response.into_parts();
    // RFC 9110 7.6.1: fields of one connection end with it, and this one is the gateway's.
    let of_connection: Vec<_> = head.headers.keys().filter(|name| is_reserved(name)).cloned().collect();
    for name in of_connection {
        head.headers.remove(name);
    }
    let size = body.size_hint();
    if size.upper() != Some(0) {
        // RFC 3875 6.3.1: an answer with a body says what it is. RFC 9110 8.3: without a type it is taken for this one.
        head.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    }
    let mut answer = start.start_with(Head::new(head.status, head.headers)?);
    let mut body = pin!(body);
    if let Some(length) = size.exact().filter(|length| *length > 0) {
        answer.announce(length);
    }
    while let Some(frame) = next(&mut body, &mut answer).await? {
        // Trailers have no place.
        let Ok(mut data) = frame.into_data() else { continue };
        while data.has_remaining() {
            let count = data.chunk().len();
            answer.write_all(data.chunk()).await?;
            data.advance(count);
        }
    }
    Ok(answer.end().await?)
}

/// The next frame. When there is none at the moment, all that came before is sent.
async fn next<B>(
    body: &mut Pin<&mut B>,
    answer: &mut crate::tokio::Body,
) -> Result<Option<Frame<B::Data>>, Error>
where
    B: HttpBody,
    B::Error: Into<Error>,
{
    let mut poll = |context: &mut Context<'_>| {
        body.as_mut().poll_frame(context).map(|frame| frame.transpose().map_err(Into::into))
    };
    let at_once = poll_fn(|context| match poll(context) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(frame) = at_once.await {
        return frame;
    }
    answer.flush().await?;
    poll_fn(poll).await
}
