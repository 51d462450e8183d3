//! A page with a form and an upload. It teaches request bodies: to read one as it comes, with a limit for everything, and to
//! write what a stranger has sent into a page. It must not know how large an upload is before it has seen its end.
//!
//! An upload is never held whole, neither here nor by whoever carries it: what this program has not read waits in the
//! client. 64 MiB cost as much memory as one. What may go wrong has a status of its own: 413 for too much, 415 for a body of a kind
//! that no form sends, 400 for one that breaks off in its own grammar. All of them are answered without reading the rest.
//!
//! Try it: `cargo run --example form -- --listen 127.0.0.1:8080`, and open <http://127.0.0.1:8080/>.

use std::fmt::{self, Display};
use std::io::{BufRead as _, Read as _, Write as _};
use std::process::ExitCode;
use std::task::Poll;

use futures_util::stream::{self, Stream};
use gatebridge_interface::{Environ, Error, Input, Result, StartResponse, serve};
use multer::bytes::Bytes;
use multer::{Constraints, Field, Multipart, SizeLimit};
use sha2::{Digest as _, Sha256};

/// The whole of an upload, with every file in it.
const UPLOAD_BYTES: u64 = 64 * 1024 * 1024;
/// What is typed into fields: it is kept in memory.
const FIELD_BYTES: u64 = 64 * 1024;

/// One line of the answer: a field's name, and what was in it.
type Found = (String, String);

/// Why a form is not taken.
enum Refusal {
    /// A status, and what the client is told.
    Status(u16, String),
    /// The body could not be read to its end: whoever sent it has gone, or the connection broke.
    Broken(Error),
}

/// GET shows the form, POST shows what was sent.
pub fn form(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let read = match environ.method.as_str() {
        "GET" | "HEAD" => return page(start, 200, FORMS),
        "POST" => read(environ, input),
        _ => {
            let fields = [("Allow", "GET, HEAD, POST"), ("Content-Type", "text/plain; charset=utf-8")];
            return start.answer(405, fields, "GET the form, and POST it.\n");
        }
    };
    match read {
        Ok(found) => {
            let row = |(name, value): &Found| format!("<tr><th>{}<td>{}\n", Html(name), Html(value));
            let rows: String = found.iter().map(row).collect();
            page(start, 200, &format!("<h1>Received</h1>\n<table>\n{rows}</table>\n{BACK}"))
        }
        Err(Refusal::Status(status, text)) => {
            page(start, status, &format!("<h1>Not taken</h1>\n<p>{}</p>\n{BACK}", Html(&text)))
        }
        Err(Refusal::Broken(error)) => Err(error),
    }
}

/// The two ways in which browsers send forms.
fn read(environ: &Environ, input: &mut Input<'_>) -> Result<Vec<Found>, Refusal> {
    let kind = environ.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => read_urlencoded(input),
        "multipart/form-data" => read_multipart(kind, input),
        _ => Err(Refusal::Status(415, format!("A form was expected, and not \"{kind}\"."))),
    }
}

fn read_urlencoded(input: &mut Input<'_>) -> Result<Vec<Found>, Refusal> {
    // The announced length is enough to refuse it; a body whose length nobody knows is cut.
    if input.length().is_some_and(|length| length > FIELD_BYTES) {
        return Err(too_much("A form without a file", FIELD_BYTES));
    }
    let mut body = Vec::new();
    let count = input.take(FIELD_BYTES + 1).read_to_end(&mut body);
    if count.map_err(|error| Refusal::Broken(error.into()))? as u64 > FIELD_BYTES {
        return Err(too_much("A form without a file", FIELD_BYTES));
    }
    Ok(form_urlencoded::parse(&body).into_owned().collect())
}

/// multer parses what comes as a stream of pieces, and is asynchronous. Here a piece is waited for where it is read, so there
/// is nothing else to wait for: `block_on` runs through it on this thread, and there is no runtime.
fn read_multipart(kind: &str, input: &mut Input<'_>) -> Result<Vec<Found>, Refusal> {
    if input.length().is_some_and(|length| length > UPLOAD_BYTES) {
        return Err(too_much("An upload", UPLOAD_BYTES));
    }
    let boundary = multer::parse_boundary(kind).map_err(refusal)?;
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(UPLOAD_BYTES));
    let mut parts = Multipart::with_constraints(pieces(input), boundary, limits);
    pollster::block_on(async {
        let mut found = Vec::new();
        while let Some(part) = parts.next_field().await.map_err(refusal)? {
            let name = part.name().unwrap_or("(no name)").to_owned();
            let value = match part.file_name().map(str::to_owned) {
                Some(file) => digest(&file, part).await?,
                None => typed(part).await?,
            };
            found.push((name, value));
        }
        Ok(found)
    })
}

/// What is typed is kept, up to its limit.
async fn typed(mut part: Field<'_>) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(refusal)? {
        text.extend_from_slice(&piece);
        if text.len() as u64 > FIELD_BYTES {
            return Err(too_much("A field that is no file", FIELD_BYTES));
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What is uploaded is looked at as it passes. To keep it, write the pieces into a file here, and give the file its final
/// name when the last one has come.
async fn digest(file: &str, mut part: Field<'_>) -> Result<String, Refusal> {
    let (mut hasher, mut count) = (Sha256::new(), 0);
    while let Some(piece) = part.chunk().await.map_err(refusal)? {
        hasher.update(&piece);
        count += piece.len();
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{file}: {count} bytes, SHA-256 {digest}"))
}

/// The body in pieces as they come, none larger than the buffer of whoever reads it. multer gathers what a stream has ready
/// before it looks at it, and this one has the whole upload ready if it is asked long enough: so it says "not yet" after
/// each piece, and is asked again at once.
fn pieces(input: &mut Input<'_>) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let mut has_given = false;
    stream::poll_fn(move |context| {
        has_given = !has_given;
        if !has_given {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(match input.fill_buf() {
            Ok([]) => None,
            Ok(bytes) => {
                let piece = Bytes::copy_from_slice(bytes);
                input.consume(piece.len());
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        })
    })
}

fn too_much(what: &str, limit: u64) -> Refusal {
    Refusal::Status(413, format!("{what} may have {limit} bytes, and this has more."))
}

fn refusal(error: multer::Error) -> Refusal {
    match error {
        multer::Error::StreamSizeExceeded { limit } => too_much("An upload", limit),
        multer::Error::StreamReadFailed(error) => Refusal::Broken(error),
        other => Refusal::Status(400, format!("This is no form: {other}.")),
    }
}

/// A text that may stand anywhere in HTML, in an attribute too.
struct Html<'a>(&'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            _ => write!(f, "{letter}"),
        })
    }
}

fn page(start: StartResponse<'_>, status: u16, content: &str) -> Result {
    let fields = [
        ("Content-Type", "text/html; charset=utf-8"),
        // The second line of defence, should anything ever be written without `Html`.
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
    ];
    let mut body = start.start(status, fields)?;
    writeln!(body, "{HEAD}{content}</main>")?;
    Ok(body.end()?)
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A form</title>
<style>
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif; accent-color: #b5432a }
body { margin: 0; background: light-dark(#f5f2ec, #1c1b1a) }
main { max-width: 34rem; margin: 3rem auto; padding: 0 1.25rem }
h1 { font-size: 1.5rem; margin: 2rem 0 .75rem }
form, table { box-sizing: border-box; width: 100%; padding: 1.25rem; border-radius: .6rem;
  background: light-dark(#fff, #2a2827); box-shadow: 0 1px 4px #0003 }
label { display: block; margin-bottom: 1rem; font-weight: 600 }
input, textarea { display: block; box-sizing: border-box; width: 100%; margin-top: .3rem; padding: .5rem; font: inherit;
  border: 1px solid light-dark(#c9c2b6, #57534f); border-radius: .35rem; background: transparent; color: inherit }
button { padding: .55rem 1.4rem; border: 0; border-radius: .35rem; background: #b5432a; color: #fff; font: inherit;
  font-weight: 600; cursor: pointer }
th { width: 30%; padding-right: 1rem; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere; white-space: pre-wrap }
small, p { color: light-dark(#5b554c, #b5aea4) }
a { color: inherit }
</style>
<main>
"#;

const FORMS: &str = r#"<h1>Say something</h1>
<form method="post">
<label>Your name <input name="name" maxlength="100" autocomplete="name"></label>
<label>A message <textarea name="message" rows="3"></textarea></label>
<button>Send</button>
</form>
<h1>Send a file</h1>
<form method="post" enctype="multipart/form-data">
<label>A remark <input name="remark"></label>
<label>Files, 64 MiB in all <input type="file" name="file" multiple required></label>
<button>Upload</button>
</form>
<p>Files are counted and hashed as they come, and kept nowhere.</p>
"#;

const BACK: &str = "<p><a href=\"\">Back to the form</a></p>\n";

fn main() -> ExitCode {
    serve(form)
}
