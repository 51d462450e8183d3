//! The application that the tests of the runners share, as a task: the same questions and the same answers. It must not
//! know the runners.

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;

use gatebridge_interface::tokio::{Application, Input, StartResponse, lint, run_cgi, serve_with};
use gatebridge_interface::{Environ, Lint, Result, Settings};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, copy};

use super::{DEADLINE, TEXT, list, variable};

pub fn questions() -> Lint<impl Application> {
    lint(answer)
}

/// As many requests at once as there would be threads, on one thread.
pub fn settings(settings: &Settings) -> Settings {
    settings.clone().max_requests(settings.threads)
}

/// Runs a future on one thread.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub fn program(way: &str) -> ExitCode {
    match way {
        "cgi" => run_cgi(questions()),
        "bare" => serve_with(answer, &Settings::default()),
        _ => serve_with(questions(), &Settings::default().threads(2)),
    }
}

pub async fn answer(environ: Environ, mut input: Input, mut start: StartResponse) -> Result {
    let path = String::from_utf8_lossy(&environ.path_info).into_owned();
    match path.as_str() {
        "/hello" => start.answer(200, TEXT, "hello\n").await,
        "/environ" => start.answer(200, TEXT, list(&environ)).await,
        "/role" => {
            let mut text = String::new();
            input.read_to_string(&mut text).await?;
            let role = String::from_utf8_lossy(&variable(&environ, "FCGI_ROLE")).into_owned();
            let mut data = String::new();
            if input.next_stream().await? {
                input.read_to_string(&mut data).await?;
            }
            start.answer(200, TEXT, format!("{role} {text} {data} {:?}", input.length())).await
        }
        "/count" => {
            let mut count = 0;
            while let Some(piece) = input.piece().await? {
                count += piece.len();
            }
            start.answer(200, TEXT, format!("{count} of {:?}\n", input.length())).await
        }
        "/upload-file" => {
            let text = match input.file()? {
                Some(mut file) => {
                    let mut text = String::new();
                    std::io::Read::read_to_string(&mut file, &mut text)?;
                    format!("a file: {text}")
                }
                None => "no file".to_owned(),
            };
            start.answer(200, TEXT, text).await
        }
        "/hints" => {
            let sent = start.early_hints([("Link", "</style.css>; rel=preload")]).await?;
            start.answer(200, TEXT, format!("hints: {sent}\n")).await
        }
        "/complain" => {
            writeln!(start.errors(), "the cellar is wet")?;
            start.answer(200, TEXT, "complained\n").await
        }
        "/fail" => Err("no luck today".into()),
        "/panic" => panic!("no luck at all"),
        "/no-type" => start.answer(200, [("X-Note", "none")], "what is this?").await,
        _ => answer_with_a_body(&path, input, start).await,
    }
}

async fn answer_with_a_body(path: &str, mut input: Input, start: StartResponse) -> Result {
    let body = |start: StartResponse| start.start(200, TEXT);
    match path {
        "/echo" => {
            let mut body = start.start(200, [("Content-Type", "application/octet-stream")])?;
            copy(&mut input, &mut body).await?;
            Ok(body.end().await?)
        }
        "/file" => {
            let file = File::open(std::env::current_exe()?)?;
            let length = file.metadata()?.len();
            Ok(body(start)?.send_file(&file, 0..length).await?)
        }
        "/pieces" => Ok(body(start)?.send_all(pieces()).await?),
        "/restart" => {
            let mut body = body(start)?.restart(503, TEXT)?;
            body.write_all(b"sorry\n").await?;
            Ok(body.end().await?)
        }
        "/empty" => Ok(start.start(204, [("X-Note", "nothing")])?.end().await?),
        "/fail-held" => {
            body(start)?.write_all(b"this never leaves").await?;
            Err("no luck after a start".into())
        }
        "/fail-late" => {
            let mut body = body(start)?;
            body.write_all(b"this has left").await?;
            body.flush().await?;
            Err("no luck in the end".into())
        }
        "/first-byte" => {
            // Answers as soon as one byte of the body is here, and then waits for the rest.
            let mut body = body(start)?;
            let first = input.fill_buf().await?.len();
            body.write_all(format!("{}\n", u8::from(first > 0)).as_bytes()).await?;
            body.flush().await?;
            copy(&mut input, &mut tokio::io::sink()).await?;
            Ok(body.end().await?)
        }
        "/until-aborted" => {
            let body = body(start)?;
            tokio::time::timeout(DEADLINE, body.aborted()).await.expect("the abort is never told");
            assert!(body.is_aborted() && input.is_aborted());
            Ok(body.end().await?)
        }
        _ if path.starts_with("/big/") => {
            let mut left: usize = path["/big/".len()..].parse()?;
            let mut body = start.start(200, [("Content-Type", "application/octet-stream")])?;
            while left > 0 {
                let now = left.min(1000);
                body.write_all(&[b'x'; 1000][..now]).await?;
                left -= now;
            }
            Ok(body.end().await?)
        }
        _ => start.answer(404, TEXT, "no such question\n").await,
    }
}

/// Three pieces; between two of them the stream has none.
fn pieces() -> impl futures_core::Stream<Item = String> {
    let (mut left, mut is_ready) = (0..3, false);
    poll_stream(move |context| {
        is_ready = !is_ready;
        if is_ready {
            return std::task::Poll::Ready(left.next().map(|n| format!("{n}\n")));
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
}

/// A stream from a function.
pub fn poll_stream<T>(
    poll: impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>>,
) -> impl futures_core::Stream<Item = T> {
    struct Polled<F>(F);
    impl<F> Unpin for Polled<F> {}
    impl<T, F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>>> futures_core::Stream
        for Polled<F>
    {
        type Item = T;
        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<T>> {
            (self.get_mut().0)(context)
        }
    }
    Polled(poll)
}
