//! What a fixture saw, told to the test as it happens, and when it may go on; must not know the fixtures.
//!
//! The fixtures write one line an event into the named pipe that their variable `RECORD` (programs) or their option
//! `--record` (workers) names: `started PID`, `abort 1`, `closed` and the like. Each says in its first lines which.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Folder, Lines};

/// The reading end of the named pipe.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    /// The events so far and to come.
    pub events: Lines,
}

impl Record {
    /// Makes the pipe `name` in the folder, with a reader.
    pub fn new(folder: &Folder, name: &str) -> Self {
        let (path, pipe) = make_pipe(folder, name);
        Self { events: Lines::of(&format!("the record {name}"), pipe), path }
    }

    /// The path to give to the fixture.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next process that a fixture announces after `mark`, and gives its id.
    pub fn started_after(&self, mark: usize) -> u32 {
        let line = self.events.wait_for_after(mark, "started ");
        line.trim_start_matches("started ").trim().parse().unwrap()
    }

    /// Waits for the first process that a fixture announces, and gives its id.
    pub fn started(&self) -> u32 {
        self.started_after(0)
    }
}

/// A named pipe where a program waits for a line, until the test lets it go on.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    pipe: File,
}

impl Gate {
    /// Makes the pipe `name` in the folder.
    pub fn new(folder: &Folder, name: &str) -> Self {
        let (path, pipe) = make_pipe(folder, name);
        Self { path, pipe }
    }

    /// The path to give to the program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets one program go on, one that waits already or one to come.
    pub fn open(&mut self) {
        self.pipe.write_all(b"go\n").unwrap();
    }
}

fn make_pipe(folder: &Folder, name: &str) -> (PathBuf, File) {
    let path = folder.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    // Open for both, so that the pipe neither blocks here nor ends while no fixture runs.
    let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (path, pipe)
}
