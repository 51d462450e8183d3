//! What the tests with real scripts share: a folder of them behind a CGI back. A FIFO that a script inherits tells when it and
//! its children are gone.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::timeout;

use super::cgi::Cgi;
use super::rig::request;
use crate::config::{self, RouteBack};
use crate::exchange::{Application, Body, BodyStream, Chunk, Failure, Request, Response, unique_id};
use crate::process::Spawner;

/// The shell's words for the head of a text.
pub(crate) const HEAD: &str = "echo 'Content-Type: text/plain'; echo";
/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A folder of scripts behind a CGI back.
pub(crate) struct Bed {
    pub(crate) folder: PathBuf,
    pub(crate) spawner: Spawner,
    cgi: Arc<Cgi>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Bed {
    /// With one script `x`, and these lines in the route's configuration.
    pub(crate) fn new(script: &str, settings: &str) -> Self {
        let name = format!("gatebridge-cgi-{}", String::from_utf8_lossy(&unique_id()));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("bin")).unwrap();
        write_script(&folder.join("bin/x"), script);
        let fifo = rustix::fs::CWD;
        rustix::fs::mkfifoat(fifo, folder.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let toml = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\npath = \"/cgi/\"\ncgi = \"bin\"\n{settings}\n"
        );
        let (config, _) =
            config::parse(&folder.join("gatebridge.toml"), &toml).unwrap_or_else(|report| panic!("{report}"));
        let route = &config.routes[0];
        let RouteBack::Cgi(back) = &route.back else { panic!("no CGI route") };
        let spawner = Spawner::start(std::num::NonZeroUsize::MIN).unwrap();
        let cgi = Arc::new(Cgi::open(route, back, spawner.clone()).unwrap());
        Self { folder, cgi, spawner }
    }

    pub(crate) fn sh(script: &str) -> Self {
        Self::new(&format!("#!/bin/sh\n{script}\n"), "")
    }

    pub(crate) async fn get(&self) -> Result<Response, Failure> {
        self.call(request(Method::GET, "/x", Body::Empty)).await
    }

    pub(crate) async fn post(&self, body: Body) -> Result<Response, Failure> {
        self.call(request(Method::POST, "/x", body)).await
    }

    pub(crate) async fn call(&self, mut request: Request) -> Result<Response, Failure> {
        request.environ.script_name = Bytes::from_static(b"/cgi");
        timeout(DEADLINE, self.cgi.call(request)).await.expect("an answer in time")
    }

    /// A call in a task of its own; aborting that is what a client does that leaves.
    pub(crate) fn call_aside(&self, request: Request) -> tokio::task::JoinHandle<()> {
        let cgi = Arc::clone(&self.cgi);
        tokio::spawn(async move { drop(cgi.call(request).await) })
    }

    /// What the FIFO tells: the first line, and its end when nobody holds it any more. Scripts open it by `exec 3>../fifo`.
    pub(crate) fn watch(&self) -> Watch {
        let path = self.folder.join("fifo");
        let (line, first) = tokio::sync::oneshot::channel();
        let gone = tokio::task::spawn_blocking(move || {
            let mut fifo = BufReader::new(File::open(path).unwrap());
            let mut text = String::new();
            fifo.read_line(&mut text).unwrap();
            let _ = line.send(text);
            let mut rest = String::new();
            fifo.read_to_string(&mut rest).unwrap();
            rest
        });
        Watch { first, gone }
    }
}

pub(crate) struct Watch {
    first: tokio::sync::oneshot::Receiver<String>,
    gone: tokio::task::JoinHandle<String>,
}

impl Watch {
    pub(crate) async fn started(&mut self) {
        timeout(DEADLINE, &mut self.first).await.expect("the script starts").unwrap();
    }

    /// Waits until nobody holds the FIFO; returns what was written after the first line.
    pub(crate) async fn gone(self) -> String {
        timeout(DEADLINE, self.gone).await.expect("all are gone in time").unwrap()
    }
}

pub(crate) fn write_script(path: &Path, script: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(script.as_bytes()).unwrap();
    file.set_permissions(Permissions::from_mode(0o755)).unwrap();
}

/// A body given by hand whose length is known.
pub(crate) struct Known(pub(crate) Body, pub(crate) u64);

impl BodyStream for Known {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        self.0.poll_chunk(cx)
    }

    fn length(&self) -> Option<u64> {
        Some(self.1)
    }
}
