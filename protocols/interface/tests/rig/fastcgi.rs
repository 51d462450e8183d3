//! A FastCGI worker in this process, for tests; it must not know what it answers.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use gatebridge_interface::{Settings, Stop};

pub use super::peer::Peer;
use super::shape;

/// A worker in a thread of its own.
pub struct Worker {
    pub path: PathBuf,
    pub stop: Arc<Stop>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Worker {
    pub fn new(settings: Settings) -> Self {
        let (path, listener) = listener();
        let stop = Arc::new(Stop::new().unwrap());
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || shape::serve_fastcgi(listener, &settings, &told));
        Self { path, stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> Peer {
        Peer::new(UnixStream::connect(&self.path).unwrap())
    }

    /// Tells it to stop, and waits until it has.
    pub fn end(&mut self) {
        self.stop.stop();
        self.wait();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A unix socket with a short path.
pub fn listener() -> (PathBuf, UnixListener) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gi-{}-{number}.sock", std::process::id()));
    // An earlier process with this number may have left its socket.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
}
