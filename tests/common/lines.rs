//! The lines that a process writes, kept and waited for; must not know what they mean.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::DEADLINE;

/// How many pieces are taken at once from one stream, so that one that never stops does not keep everybody waiting.
const MAX_PIECES: usize = 64;

/// Every line of a stream so far. Clones share one store.
///
/// Whoever looks gets all that was written before: the pipes themselves are asked, and not a thread that may be late.
#[derive(Debug, Clone)]
pub struct Lines {
    store: Arc<(Mutex<Store>, Condvar)>,
    name: Arc<str>,
}

#[derive(Debug, Default)]
struct Store {
    lines: Vec<String>,
    streams: Vec<Stream>,
}

/// A pipe that is read without waiting; the part of a line whose end has not come yet.
#[derive(Debug)]
struct Stream {
    pipe: File,
    part: Vec<u8>,
    is_open: bool,
}

impl Stream {
    fn take(&mut self, lines: &mut Vec<String>) {
        let mut piece = [0; 8 * 1024];
        for _ in 0..MAX_PIECES {
            match self.pipe.read(&mut piece) {
                Ok(0) => self.is_open = false,
                Ok(count) => self.part.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.is_open = false,
            }
            while let Some(end) = self.part.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.part.drain(..=end).collect();
                lines.push(text(&line));
            }
            if !self.is_open {
                let rest = std::mem::take(&mut self.part);
                lines.extend((!rest.is_empty()).then(|| text(&rest)));
                return;
            }
        }
    }
}

impl Store {
    fn take(&mut self) {
        for stream in self.streams.iter_mut().filter(|stream| stream.is_open) {
            stream.take(&mut self.lines);
        }
    }

    fn is_open(&self) -> bool {
        self.streams.iter().any(|stream| stream.is_open)
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

impl Lines {
    /// Reads `stream`, a pipe, until it ends. `name` says in messages whose lines these are.
    pub fn of(name: &str, stream: impl Into<OwnedFd>) -> Self {
        let lines = Self::empty(name);
        lines.add(stream);
        lines
    }

    /// A store without a stream yet.
    pub fn empty(name: &str) -> Self {
        Self { store: Arc::default(), name: name.into() }
    }

    /// Adds what `stream`, a pipe, says, until it ends. The lines have ended when all their streams have.
    pub fn add(&self, stream: impl Into<OwnedFd>) {
        let pipe = stream.into();
        fcntl_setfl(&pipe, fcntl_getfl(&pipe).unwrap() | OFlags::NONBLOCK).unwrap();
        let watched = pipe.try_clone().unwrap();
        let store = Arc::clone(&self.store);
        let index = {
            let mut store = store.0.lock().unwrap();
            store.streams.push(Stream { pipe: pipe.into(), part: Vec::new(), is_open: true });
            store.streams.len() - 1
        };
        // It wakes those who wait.
        thread::spawn(move || {
            loop {
                let _ = poll(&mut [PollFd::new(&watched, PollFlags::IN)], None);
                let mut taken = store.0.lock().unwrap();
                taken.take();
                store.1.notify_all();
                if !taken.streams[index].is_open {
                    return;
                }
            }
        });
    }

    fn look(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.0.lock().unwrap();
        store.take();
        store
    }

    /// The lines so far.
    pub fn all(&self) -> Vec<String> {
        self.look().lines.clone()
    }

    /// How many lines there are so far: a mark for [`Lines::wait_for_after`].
    pub fn mark(&self) -> usize {
        self.look().lines.len()
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
        let mut store = self.look();
        loop {
            if let Some(line) = store.lines.iter().skip(mark).find(is_it) {
                return Some(line.clone());
            }
            let left = limit.checked_sub(start.elapsed()).filter(|_| store.is_open())?;
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
        let mut store = self.look();
        while store.is_open() {
            let Some(left) = DEADLINE.checked_sub(start.elapsed()) else {
                panic!("{} does not end. It said:\n{}", self.name, store.lines.join("\n"));
            };
            store = self.store.1.wait_timeout(store, left).unwrap().0;
        }
        store.lines.clone()
    }
}
