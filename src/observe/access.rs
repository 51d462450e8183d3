//! The access log: finished records, written by a thread of their own so that a slow disk slows nobody. It does not
//! know how a line looks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use tracing::{error, warn};

use super::line;
use crate::exchange::{Record, RecordSink};
use crate::io::in_words;

/// So many records may wait for the writer; beyond, records are lost and counted rather than requests slowed. At
/// 30,000 requests a second this is a third of a second of a stuck disk.
const MAX_WAITING_RECORDS: usize = 10_000;
/// The writer gathers so much text before it writes, if so much waits.
const BATCH_BYTES: usize = 64 * 1024;

/// Where the access log goes and how its lines look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSettings {
    /// Where.
    pub destination: Destination,
    /// How.
    pub format: Format,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, opened for appending.
    File(PathBuf),
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The combined format with the gateway's own facts behind it.
    Combined,
    /// A JSON object a line.
    Json,
}

/// The access log's entrance; once it is closed, or the last handle is dropped, the writer writes what waits and ends.
#[derive(Debug)]
pub struct AccessLog {
    messages: SyncSender<Message>,
    missed: Arc<Missed>,
    /// Hung up by the writer's end.
    ended: Mutex<Option<Receiver<()>>>,
}

/// What the writer could not be told by a message, because too many waited.
#[derive(Debug, Default)]
struct Missed {
    records: AtomicU64,
    reopen: AtomicBool,
    close: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    Reopen,
    Close,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for appending, or the thread cannot be started; the message names the file.
    pub fn start(settings: AccessSettings) -> io::Result<Self> {
        let output = open(&settings.destination)?;
        let missed = Arc::new(Missed::default());
        let (messages, inbox) = sync_channel(MAX_WAITING_RECORDS);
        let (ending, ended) = sync_channel(0);
        let missing = Arc::clone(&missed);
        let mut writer =
            Writer { settings, output, missed: missing, batch: String::new(), is_closing: false };
        std::thread::Builder::new().name("access-log".into()).spawn(move || {
            // The inbox goes first: who has seen the end finds nobody who takes a record.
            let _ending: SyncSender<()> = ending;
            let inbox = inbox;
            writer.run(&inbox);
        })?;
        Ok(Self { messages, missed, ended: Mutex::new(Some(ended)) })
    }

    /// Closes the file and opens it anew by its name, after what waits has been written: for log rotation.
    pub fn reopen(&self) {
        if self.messages.try_send(Message::Reopen).is_err() {
            self.missed.reopen.store(true, Ordering::Release);
        }
    }

    /// Waits until everything is written that came before, and ends the log: what comes later, by handles that others still
    /// have, is lost. Blocks for at most `patience`: whoever reads a pipe may have stopped, and must not keep the gateway
    /// from ending.
    ///
    /// Whether all is written.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.messages.try_send(Message::Close).is_err() {
            self.missed.close.store(true, Ordering::Release);
        }
        ended.is_some_and(|ended| ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected))
    }
}

impl RecordSink for AccessLog {
    fn finish(&self, record: Record) {
        if self.messages.try_send(Message::Record(Box::new(record))).is_err() {
            self.missed.records.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    settings: AccessSettings,
    output: Box<dyn Write + Send>,
    missed: Arc<Missed>,
    batch: String,
    /// What waits is written, and nothing is waited for.
    is_closing: bool,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Message>) {
        while let Some(message) = if self.is_closing { inbox.try_recv().ok() } else { inbox.recv().ok() } {
            self.take(message);
            while self.batch.len() < BATCH_BYTES
                && let Ok(message) = inbox.try_recv()
            {
                self.take(message);
            }
            self.write();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record(record) => match self.settings.format {
                Format::Combined => line::combined(&mut self.batch, &record),
                Format::Json => line::json(&mut self.batch, &record),
            },
            Message::Reopen => {
                self.write();
                self.reopen();
            }
            Message::Close => self.is_closing = true,
        }
    }

    fn reopen(&mut self) {
        match open(&self.settings.destination) {
            Ok(output) => self.output = output,
            Err(error) => error!(%error, "the access log goes on in the old file"),
        }
    }

    fn write(&mut self) {
        if let Err(error) = self.output.write_all(self.batch.as_bytes()).and_then(|()| self.output.flush()) {
            error!(%error, "lines of the access log are lost");
        }
        self.batch.clear();
        let lost = self.missed.records.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "the access log could not keep up; so many records are not in it");
        }
        if self.missed.reopen.swap(false, Ordering::Acquire) {
            self.reopen();
        }
        self.is_closing |= self.missed.close.load(Ordering::Acquire);
    }
}

fn open(destination: &Destination) -> io::Result<Box<dyn Write + Send>> {
    match destination {
        Destination::Stdout => Ok(Box::new(io::stdout())),
        Destination::File(path) => {
            let file = open_file(path).map_err(|error| {
                let hint = match error.raw_os_error() {
                    Some(code) if code == Errno::NXIO.raw_os_error() => {
                        "; it is a named pipe that nobody reads: start its reader first"
                    }
                    _ => "",
                };
                let text =
                    format!("cannot open the access log {}: {}{hint}", path.display(), in_words(&error));
                io::Error::new(error.kind(), text)
            })?;
            Ok(Box::new(file))
        }
    }
}

/// Opens a file for appending. To open a named pipe would wait for its reader, so that is done without waiting and fails if
/// there is none; to write to it may wait again, for only the writer does.
fn open_file(path: &Path) -> io::Result<File> {
    let dont_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).custom_flags(dont_wait).open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn start(path: &Path) -> io::Result<AccessLog> {
        let destination = Destination::File(path.to_owned());
        AccessLog::start(AccessSettings { destination, format: Format::Combined })
    }

    #[test]
    fn records_are_in_the_file_when_the_log_is_dropped_and_a_reopen_starts_a_new_one() {
        let folder = std::env::temp_dir().join(format!("gatebridge-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("access.log");
        let log = Arc::new(start(&path).unwrap());
        log.finish(testing::record("/before"));
        // Records before the reopen are written to the old file, which keeps its new name.
        let moved = folder.join("access.log.1");
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        log.finish(testing::record("/after"));
        assert!(log.close(PATIENCE));
        assert!(std::fs::read_to_string(&moved).unwrap().contains("/before"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("/after") && !text.contains("/before"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_handle_that_somebody_keeps_does_not_keep_the_log_open() {
        let name = format!("gatebridge-access-{}", String::from_utf8_lossy(&crate::exchange::unique_id()));
        let path = std::env::temp_dir().join(name);
        let log = Arc::new(start(&path).unwrap());
        let kept = Arc::clone(&log);
        for number in 0..1000 {
            log.finish(testing::record(&format!("/{number}")));
        }
        assert!(log.close(PATIENCE), "the writer waits for a handle");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1000);
        kept.finish(testing::record("/late"));
        assert_eq!(kept.missed.records.load(Ordering::Relaxed), 1);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = start(Path::new("/nowhere/at/all.log")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.log"), "{error}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_refused_and_one_that_is_read_no_more_keeps_nobody() {
        let name = format!("gatebridge-access-{}", String::from_utf8_lossy(&crate::exchange::unique_id()));
        let path = std::env::temp_dir().join(name);
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
        let error = start(&path).unwrap_err();
        assert!(error.to_string().contains("nobody reads"), "{error}");

        let _reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let log = Arc::new(start(&path).unwrap());
        // Far more than a pipe and the inbox hold.
        for _ in 0..2 * MAX_WAITING_RECORDS {
            log.finish(testing::record("/"));
        }
        assert!(log.missed.records.load(Ordering::Relaxed) > 0, "records are lost and counted");
        log.reopen();
        assert!(
            !log.close(Duration::from_millis(1)),
            "the writer waits for the pipe, and nobody for the writer"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
