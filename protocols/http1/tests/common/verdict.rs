//! What a server makes of some bytes, in a form in which two servers can be compared, and the list of differences that
//! have been judged; runs no other server itself.

use std::fmt;

use gatebridge_http1::{Event, Limits, Response, Server};
use http::{HeaderMap, StatusCode};

use crate::common::corpus::Case;

/// What a server makes of a connection's bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The requests that it took as whole.
    pub(crate) taken: Vec<Taken>,
    /// Whether it refused what came behind them.
    pub(crate) refused: bool,
}

/// A request that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = match self.taken.len() {
            0 if self.refused => return f.write_str("refused"),
            0 => return f.write_str("nothing"),
            1 => "taken".to_owned(),
            n => format!("{n} taken"),
        };
        f.write_str(&taken)?;
        if self.refused { f.write_str(", then refused") } else { Ok(()) }
    }
}

/// Ours, and the error if there is one.
pub(crate) fn ours(bytes: &[u8]) -> (Verdict, String) {
    let mut server = Server::new(Limits::default());
    let mut verdict = Verdict::default();
    let mut now: Option<Taken> = None;
    let mut out = Vec::new();
    server.receive(bytes);
    server.receive_end();
    loop {
        match server.next_event() {
            Ok(Event::Request(head)) => {
                now = Some(Taken {
                    method: head.method.to_string(),
                    target: head.target.as_bytes().into(),
                    body: Vec::new(),
                });
            }
            Ok(Event::Body(bytes)) => now.as_mut().unwrap().body.extend_from_slice(&bytes),
            Ok(Event::End { .. }) => verdict.taken.extend(now.take()),
            Ok(Event::Paused) => {
                let none = HeaderMap::new();
                server.send_response(&Response::new(StatusCode::OK, &none), Some(0), &mut out).unwrap();
                let _ = server.send_end(None, &mut out);
            }
            Ok(Event::NeedData | Event::Closed | Event::Switched) => return (verdict, String::new()),
            Err(error) => {
                verdict.refused = true;
                return (verdict, error.to_string());
            }
        }
    }
}

/// A difference that has been looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    /// The case of the corpus.
    pub(crate) name: &'static str,
    /// What we make of it.
    pub(crate) ours: &'static str,
    /// What the other makes of it.
    pub(crate) theirs: &'static str,
    /// Why it stays so.
    pub(crate) why: &'static str,
}

/// Compares all cases. Fails on a difference that is not in `judged`, on one that is judged and gone, and on one that is another
/// than was judged; and says them all.
pub(crate) fn compare(
    cases: &[Case],
    judged: &[Judged],
    mut theirs: impl FnMut(&Case) -> Verdict,
    same: impl Fn(&Verdict, &Verdict) -> bool,
) {
    let mut complaints = Vec::new();
    for case in cases {
        let ((ours, error), theirs) = (ours(&case.bytes), theirs(case));
        let differs = !same(&ours, &theirs);
        let (ours, theirs) = match (ours.to_string(), theirs.to_string()) {
            (ours, theirs) if differs && ours == theirs => (ours, format!("{theirs}, but otherwise")),
            both => both,
        };
        match judged.iter().find(|judged| judged.name == case.name) {
            None if differs => {
                complaints.push(format!(
                    "new: {}: ours: {ours} ({error}); theirs: {theirs}; {}",
                    case.name,
                    case.bytes.escape_ascii()
                ));
            }
            Some(_) if !differs => complaints.push(format!("gone: {}: both: {ours}", case.name)),
            Some(judged) if (judged.ours, judged.theirs) != (&ours[..], &theirs[..]) => {
                complaints.push(format!("other: {}: ours: {ours}; theirs: {theirs}", case.name));
            }
            _ => {}
        }
    }
    for judged in judged {
        if !cases.iter().any(|case| case.name == judged.name) {
            complaints.push(format!("judged, but not in the corpus: {}", judged.name));
        }
    }
    assert!(complaints.is_empty(), "{} differences:\n{}", complaints.len(), complaints.join("\n"));
}
