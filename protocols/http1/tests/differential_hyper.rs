//! The corpus through hyper's server and through ours: each difference has been judged, and a new one fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

#[path = "common/differential.rs"]
mod common;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use common::corpus::{self, Case};
use common::verdict::{Taken, Verdict, compare};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Room for the largest message of the corpus, so that nobody waits for a reader.
const PIPE_BYTES: usize = 256 * 1024;

/// What hyper's server makes of a case: it gets all bytes, then the end.
fn hyper(case: &Case) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut near, far) = tokio::io::duplex(PIPE_BYTES);
        near.write_all(&case.bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn(|request: Request<Incoming>| {
            let taken = Arc::clone(&taken);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes().to_vec();
                let target = head.uri.to_string().into_bytes();
                taken.lock().unwrap().push(Taken { method: head.method.to_string(), target, body });
                Ok::<_, hyper::Error>(Response::new(
                    Empty::<Bytes>::new().map_err(|e: Infallible| match e {}),
                ))
            }
        });
        let outcome = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades()
            .await;
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        let taken = taken.lock().unwrap().clone();
        // Some things it refuses by its status alone.
        let refused = outcome.is_err() || answer.windows(12).any(|w| w.starts_with(b"HTTP/1.1 4"));
        Verdict { taken, refused }
    })
}

#[test]
fn hyper_and_ours_differ_only_where_judged() {
    // hyper puts the target together anew from its parts, so it is not compared.
    let same = |ours: &Verdict, theirs: &Verdict| {
        let parts = |verdict: &Verdict| -> Vec<(String, Vec<u8>)> {
            verdict.taken.iter().map(|taken| (taken.method.clone(), taken.body.clone())).collect()
        };
        ours.refused == theirs.refused && parts(ours) == parts(theirs)
    };
    compare(&corpus::requests(), common::judged::HYPER, hyper, same);
}
