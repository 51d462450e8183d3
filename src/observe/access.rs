//! The access log: finished records, written by a thread of their own so that a slow disk slows nobody. It does not
//! know how a line looks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing::{error, warn};

use super::line;
use crate::exchange::{Record, RecordSink};

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

/// The access log's entrance; dropping the last handle writes what waits and ends the writer.
#[derive(Debug)]
pub struct AccessLog {
    messages: Option<SyncSender<Message>>,
    lost: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    Reopen,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for appending, or the thread cannot be started; the message names the file.
    pub fn start(settings: AccessSettings) -> io::Result<Self> {
        let output = open(&settings.destination)?;
        let lost = Arc::new(AtomicU64::new(0));
        let (messages, inbox) = sync_channel(MAX_WAITING_RECORDS);
        let mut writer = Writer { settings, output, lost: Arc::clone(&lost), batch: String::new() };
        let writer =
            std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&inbox))?;
        Ok(Self { messages: Some(messages), lost, writer: Some(writer) })
    }

    /// Closes the file and opens it anew by its name, after what waits has been written: for log rotation.
    pub fn reopen(&self) {
        if let Some(messages) = &self.messages {
            // An error means that the writer has ended, which it does not before the last handle is dropped.
            let _ = messages.send(Message::Reopen);
        }
    }
}

impl RecordSink for AccessLog {
    fn finish(&self, record: Record) {
        let Some(messages) = &self.messages else { return };
        if let Err(TrySendError::Full(_)) = messages.try_send(Message::Record(Box::new(record))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.messages = None;
        if let Some(writer) = self.writer.take() {
            // Only a panic of the writer is an error here, and it has told of itself.
            let _ = writer.join();
        }
    }
}

struct Writer {
    settings: AccessSettings,
    output: Box<dyn Write + Send>,
    lost: Arc<AtomicU64>,
    batch: String,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Message>) {
        while let Ok(message) = inbox.recv() {
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
                match open(&self.settings.destination) {
                    Ok(output) => self.output = output,
                    Err(error) => error!(%error, "the access log goes on in the old file"),
                }
            }
        }
    }

    fn write(&mut self) {
        if let Err(error) = self.output.write_all(self.batch.as_bytes()).and_then(|()| self.output.flush()) {
            error!(%error, "lines of the access log are lost");
        }
        self.batch.clear();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "the access log could not keep up; so many records are not in it");
        }
    }
}

fn open(destination: &Destination) -> io::Result<Box<dyn Write + Send>> {
    match destination {
        Destination::Stdout => Ok(Box::new(io::stdout())),
        Destination::File(path) => {
            let file: File = OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot open the access log {}: {error}", path.display()),
                )
            })?;
            Ok(Box::new(file))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing;

    #[test]
    fn records_are_in_the_file_when_the_log_is_dropped_and_a_reopen_starts_a_new_one() {
        let folder = std::env::temp_dir().join(format!("gatebridge-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("access.log");
        let log = AccessLog::start(AccessSettings {
            destination: Destination::File(path.clone()),
            format: Format::Combined,
        })
        .unwrap();
        log.finish(testing::record("/before"));
        // Records before the reopen are written to the old file, which keeps its new name.
        let moved = folder.join("access.log.1");
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        log.finish(testing::record("/after"));
        drop(log);
        assert!(std::fs::read_to_string(&moved).unwrap().contains("/before"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("/after") && !text.contains("/before"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let settings = AccessSettings {
            destination: Destination::File("/nowhere/at/all.log".into()),
            format: Format::Json,
        };
        assert!(AccessLog::start(settings).unwrap_err().to_string().contains("/nowhere/at/all.log"));
    }
}
