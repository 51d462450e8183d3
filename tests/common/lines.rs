//! The lines that a process writes, kept and waited for; must not know what they mean.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::DEADLINE;

/// Every line of a stream so far. Clones share one store.
#[derive(Debug, Clone)]
pub struct Lines {
    store: Arc<(Mutex<Store>, Condvar)>,
    name: Arc<str>,
}

#[derive(Debug, Default)]
struct Store {
    lines: Vec<String>,
    open: usize,
}

impl Lines {
    /// Reads `stream` on a thread of its own until it ends. `name` says in messages whose lines these are.
    pub fn of(name: &str, stream: impl Read + Send + 'static) -> Self {
        let lines = Self::empty(name);
        lines.add(stream);
        lines
    }

    /// A store without a stream yet.
    pub fn empty(name: &str) -> Self {
        Self { store: Arc::default(), name: name.into() }
    }

    /// Adds what `stream` says, until it ends. The lines have ended when all their streams have.
    pub fn add(&self, stream: impl Read + Send + 'static) {
        let store = Arc::clone(&self.store);
        store.0.lock().unwrap().open += 1;
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                store.0.lock().unwrap().lines.push(text);
                store.1.notify_all();
                line.clear();
            }
            store.0.lock().unwrap().open -= 1;
            store.1.notify_all();
        });
    }

    /// The lines so far.
    pub fn all(&self) -> Vec<String> {
        self.store.0.lock().unwrap().lines.clone()
    }

    /// How many lines there are so far: a mark for [`Lines::wait_for_after`].
    pub fn mark(&self) -> usize {
        self.store.0.lock().unwrap().lines.len()
    }

    /// The first line that contains `pattern`, among those so far and those to come.
    ///
    /// # Panics
    /// When the stream ends, or [`DEADLINE`] is over, without it; the message has all lines.
    pub fn wait_for(&self, pattern: &str) -> String {
        self.wait_for_after(0, pattern)
    }

    /// The first line after a [`Lines::mark`] that contains `pattern`.
    ///
    /// # Panics
    /// As [`Lines::wait_for`].
    pub fn wait_for_after(&self, mark: usize, pattern: &str) -> String {
        self.wait_within(mark, pattern, DEADLINE).unwrap_or_else(|| {
            panic!("{} never said {pattern:?}. It said:\n{}", self.name, self.all().join("\n"))
        })
    }

    /// As [`Lines::wait_for_after`], but `None` when `limit` is over or the stream has ended: to show that a thing
    /// happens in time.
    pub fn wait_within(&self, mark: usize, pattern: &str, limit: Duration) -> Option<String> {
        self.wait_within_for_any(mark, &[pattern], limit)
    }

    /// As [`Lines::wait_within`], for the first line that contains any of these.
    pub fn wait_within_for_any(&self, mark: usize, patterns: &[&str], limit: Duration) -> Option<String> {
        let start = Instant::now();
        let is_it = |line: &&String| patterns.iter().any(|pattern| line.contains(pattern));
        let mut store = self.store.0.lock().unwrap();
        loop {
            if let Some(line) = store.lines.iter().skip(mark).find(is_it) {
                return Some(line.clone());
            }
            let left = limit.checked_sub(start.elapsed()).filter(|_| store.open > 0)?;
            store = self.store.1.wait_timeout(store, left).unwrap().0;
        }
    }

    /// Every line that contains `pattern`, so far.
    pub fn matching(&self, pattern: &str) -> Vec<String> {
        self.all().into_iter().filter(|line| line.contains(pattern)).collect()
    }

    /// Waits until the stream has ended, and gives all its lines.
    ///
    /// # Panics
    /// After [`DEADLINE`].
    pub fn wait_for_end(&self) -> Vec<String> {
        let start = Instant::now();
        let mut store = self.store.0.lock().unwrap();
        while store.open > 0 {
            let Some(left) = DEADLINE.checked_sub(start.elapsed()) else {
                panic!("{} does not end. It said:\n{}", self.name, store.lines.join("\n"));
            };
            store = self.store.1.wait_timeout(store, left).unwrap().0;
        }
        store.lines.clone()
    }
}
