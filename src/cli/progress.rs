//! How far a comparison has come, on standard error: one line that is written over on a terminal, else a line for each
//! step. It does not know what is measured.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::compare::report::escape::visible;
use crate::compare::run::Progress;

/// What has been shown.
#[derive(Debug)]
pub(super) struct Shown {
    is_terminal: bool,
    began: Instant,
}

impl Shown {
    /// Nothing yet. On a terminal, the line is written over.
    pub(super) fn new(is_terminal: bool) -> Self {
        Self { is_terminal, began: Instant::now() }
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            say("\r\x1b[K");
        }
    }
}

impl Progress for Shown {
    fn step(&mut self, done: u32, all: u32, what: &str) {
        let line = line(done, all, what, self.began.elapsed());
        say(&if self.is_terminal { format!("\r\x1b[K{line}") } else { format!("{line}\n") });
    }
}

/// What there is to say of a step.
fn line(done: u32, all: u32, what: &str, elapsed: Duration) -> String {
    let width = all.to_string().len();
    let left = match done {
        // A guess from the first steps would be a bad one: starting takes another time than measuring.
        done if done * 4 < all => String::new(),
        done => {
            format!(", about {:.0} s left", elapsed.as_secs_f64() / f64::from(done) * f64::from(all - done))
        }
    };
    format!("[{:width$}/{all}] {}{left}", done + 1, visible(what))
}

/// Standard error may be closed; that is no reason not to measure.
fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_guessed_when_a_quarter_is_done() {
        let second = Duration::from_secs(1);
        assert_eq!(line(0, 12, "starting a", second), "[ 1/12] starting a");
        assert_eq!(line(2, 12, "a\x1b", second), "[ 3/12] a\\u{1b}");
        assert_eq!(line(3, 12, "b", 6 * second), "[ 4/12] b, about 18 s left");
    }
}
