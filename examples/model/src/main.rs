//! A real model served: which of ImageNet's 1,000 classes is in a picture? It teaches what a process for each request
//! costs when there is something to load, and it must not know which protocol brings its requests.
//!
//! A CGI script loads the network for each picture. A FastCGI or SCGI worker loads it once, before it takes its first
//! request, and every picture costs only what classifying it costs. The program is the same: `main` has the only two
//! lines that make a difference, and a script that loads on demand would do without them.
//!
//! `examples/model/prepare` makes the network, `examples/model/gatebridge.toml` runs the program in all ways.

mod answer;
mod classifier;
mod picture;
mod upload;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use answer::{Answer, Process, Size};
use classifier::Classifier;
use gatebridge_interface::{Application, Environ, Input, Result, StartResponse, serve};
use picture::Picture;

const HTML: &str = "text/html; charset=utf-8";
/// The page is all there is: it may run its own script and show the picture that was chosen, and load nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob: data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'";

/// Why a request is refused: its own fault, or ours.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Upload(#[from] upload::Error),
    #[error(transparent)]
    Picture(#[from] picture::Error),
    #[error(transparent)]
    Classifier(#[from] classifier::Error),
}

impl Refusal {
    const fn status(&self) -> u16 {
        match self {
            Self::Upload(upload::Error::Type { .. }) => 415,
            Self::Upload(upload::Error::TooLong { .. }) | Self::Picture(picture::Error::TooLarge { .. }) => {
                413
            }
            Self::Upload(_) | Self::Picture(_) => 400,
            Self::Classifier(_) => 500,
        }
    }
}

/// The application: a network that is loaded at most once, and a count of the pictures.
struct Pictures {
    is_cgi: bool,
    classifier: OnceLock<Classifier>,
    requests: AtomicU64,
}

impl Pictures {
    /// The network, and whether it was there before.
    fn classifier(&self) -> Result<(&Classifier, bool), classifier::Error> {
        if let Some(classifier) = self.classifier.get() {
            return Ok((classifier, true));
        }
        let loaded = Classifier::load()?;
        Ok((self.classifier.get_or_init(|| loaded), false))
    }

    fn classify(&self, environ: &Environ, input: &mut Input<'_>) -> Result<Answer, Refusal> {
        // A bad picture is refused before the network is loaded for it.
        let bytes = upload::picture(environ, input)?;
        let start = Instant::now();
        let picture = Picture::decode(&bytes)?;
        let (width, height) = picture.dimensions();
        let planes = picture.normalised();
        let decode = start.elapsed();
        let (classifier, ready) = self.classifier()?;
        let start = Instant::now();
        let classes = classifier.classify(planes)?;
        let run = start.elapsed();
        let process = Process {
            id: std::process::id(),
            cgi: self.is_cgi,
            request: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            ready,
            load: classifier.load_time,
            decode,
            run,
            classify: decode + run,
        };
        Ok(Answer { classes, picture: Size { width, height }, process })
    }

    /// Says what is wrong: to the client what it can mend, to the operator the rest.
    fn refuse(&self, refusal: &Refusal, kind: &'static str, mut start: StartResponse<'_>) -> Result {
        let (status, mut reason) = (refusal.status(), refusal.to_string());
        if status == 500 {
            writeln!(start.errors(), "{reason}")?;
            "the network cannot be used; the server's log says why".clone_into(&mut reason);
        }
        let text =
            if kind == HTML { answer::page_without(self.is_cgi, &reason) } else { answer::refusal(&reason) };
        let accept = (status == 415).then_some(("Accept", upload::ACCEPTED));
        start.answer(status, headers(kind).into_iter().chain(accept).collect::<Vec<_>>(), text)
    }
}

fn headers(kind: &'static str) -> [(&'static str, &'static str); 3] {
    [("Content-Type", kind), ("Vary", "Accept"), ("X-Content-Type-Options", "nosniff")]
}

impl Application for Pictures {
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        let headers =
            |kind| [("Content-Type", kind), ("Vary", "Accept"), ("X-Content-Type-Options", "nosniff")];
        if environ.method == "GET" || environ.method == "HEAD" {
            let page = [("Content-Type", HTML), ("Content-Security-Policy", POLICY)];
            return start.answer(200, page, answer::page(self.is_cgi));
        }
        if environ.method != "POST" {
            let refused = [("Allow", "GET, HEAD, POST"), ("Content-Type", "application/json")];
            return start.answer(405, refused, answer::refusal("POST a picture, or GET the page"));
        }
        let kind = if wants_page(environ) { HTML } else { "application/json" };
        match self.classify(environ, input) {
            Ok(answer) if kind == HTML => start.answer(200, headers(kind), answer::page_with(&answer)),
            Ok(answer) => start.answer(200, headers(kind), serde_json::to_string(&answer)? + "\n"),
            Err(refusal) => self.refuse(&refusal, kind, start),
        }
    }
}

/// Whether the client would rather have a page than JSON: browsers name HTML, and programs name nothing or JSON.
fn wants_page(environ: &Environ) -> bool {
    let accept = environ.headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accept.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
    kinds
        .find(|kind| ["text/html", "application/json"].contains(&kind.trim()))
        .is_some_and(|kind| kind.trim() == "text/html")
}

fn main() -> ExitCode {
    let is_cgi = std::env::var_os("GATEWAY_INTERFACE").is_some();
    let pictures = Pictures { is_cgi, classifier: OnceLock::new(), requests: AtomicU64::new(0) };
    // A worker loads before it takes its first request, so that none waits for it; and one that cannot load ends, and
    // says why. A script may have been started for the page alone.
    if !is_cgi && let Err(error) = pictures.classifier() {
        #[expect(clippy::print_stderr, reason = "the gateway writes it into its log")]
        {
            eprintln!("{error}");
        }
        return ExitCode::FAILURE;
    }
    serve(pictures)
}
