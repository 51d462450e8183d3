//! Request bodies on their way to a CGI script without a front between: spooled, seekable, and never all in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gatebridge::back::Cgi;
use gatebridge::config::{self, RouteBack};
use gatebridge::exchange::{
    Application, Body, BodyStream, Chunk, Ending, Exchange, Record, RecordSink, Request, Response, unique_id,
};
use gatebridge::io::TempFolder;
use gatebridge::policy::Spool;
use gatebridge::process::Spawner;
use gatebridge_cgi::Environ;
use http::{Method, Version};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A folder with one script `x`, behind the spool and the CGI back.
struct Bed {
    folder: PathBuf,
    temp: TempFolder,
    application: Spool<Cgi>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Bed {
    fn new(script: &str) -> Self {
        let name = format!("gatebridge-bodies-{}", String::from_utf8_lossy(&unique_id()));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("bin")).unwrap();
        let mut file = File::create(folder.join("bin/x")).unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.set_permissions(Permissions::from_mode(0o755)).unwrap();
        drop(file);
        let toml = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\npath = \"/\"\ncgi = \"bin\"\n";
        let (config, _) = config::parse(&folder.join("gatebridge.toml"), toml).unwrap();
        let route = &config.routes[0];
        let RouteBack::Cgi(back) = &route.back else { panic!("no CGI route") };
        let spawner = Spawner::start(NonZeroUsize::MIN).unwrap();
        let temp = TempFolder::new(&folder, 2 * GIB);
        let cgi = Cgi::open(route, back, spawner).unwrap();
        let application = Spool::new(&route.limits, temp.clone(), cgi);
        Self { folder, temp, application }
    }

    async fn post(&self, body: Body) -> Response {
        let environ = Environ {
            method: Method::POST,
            path_info: Bytes::from_static(b"/x"),
            content_length: body.length(),
            ..Environ::default()
        };
        self.application.call(Request { environ, body, exchange: exchange() }).await.unwrap()
    }
}

struct Nowhere;

impl RecordSink for Nowhere {
    fn finish(&self, _record: Record) {}
}

fn exchange() -> Arc<Exchange> {
    let record = Record {
        id: unique_id(),
        at: SystemTime::UNIX_EPOCH,
        remote_addr: None,
        remote_user: None,
        method: Method::POST,
        target: Bytes::new(),
        version: Version::HTTP_11,
        host: None,
        referer: None,
        user_agent: None,
        route: None,
        back: None,
        queue_wait: None,
        status: None,
        first_byte: None,
        total: Duration::ZERO,
        bytes_received: 0,
        bytes_sent: 0,
        ending: Ending::Complete,
        usage: None,
        failure: None,
    };
    Exchange::new(record, Arc::new(Nowhere))
}

/// A body of so many bytes; the length is told or not.
struct Made {
    left: u64,
    is_length_known: bool,
}

impl BodyStream for Made {
    fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let length = self.left.min(PIECE.len() as u64);
        self.left -= length;
        Poll::Ready((length > 0).then(|| Ok(Bytes::from_static(&PIECE[..usize::try_from(length).unwrap()]))))
    }

    fn length(&self) -> Option<u64> {
        self.is_length_known.then_some(self.left)
    }
}

async fn text(mut response: Response) -> String {
    let mut all = Vec::new();
    while let Some(piece) = response.body.chunk().await {
        all.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(all).unwrap()
}

/// What this process holds in memory, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn lesson_44_an_upload_of_unknown_length_reaches_the_script_with_its_length_and_as_a_file() {
    let bed = Bed::new(
        "#!/usr/bin/perl\nmy ($first, $again) = (0, 0);\n\
         while (my $n = sysread STDIN, my $b, 65536) { $first += $n }\n\
         seek STDIN, 0, 0; while (my $n = sysread STDIN, my $b, 65536) { $again += $n }\n\
         print \"Content-Type: text/plain\\n\\n$ENV{CONTENT_LENGTH} $first $again\";\n",
    );
    let made = Made { left: 5 * MIB, is_length_known: false };
    let response = bed.post(Body::Stream(Box::new(made))).await;
    let length = 5 * MIB;
    assert_eq!(text(response).await, format!("{length} {length} {length}"));
    assert_eq!(bed.temp.used_bytes(), 0, "the file is gone with the process");
}

#[tokio::test]
async fn a_gibibyte_in_and_out_at_once_stays_out_of_memory() {
    let bed = Bed::new("#!/bin/sh\necho 'Content-Type: application/octet-stream'; echo; exec cat\n");
    let mut warm = bed.post(Body::Stream(Box::new(Made { left: MIB, is_length_known: true }))).await;
    while warm.body.chunk().await.is_some() {}
    let before_kib = resident_kib();
    let made = Made { left: GIB, is_length_known: true };
    let mut response = bed.post(Body::Stream(Box::new(made))).await;
    let (mut came, mut most_kib) = (0, 0);
    while let Some(piece) = response.body.chunk().await {
        let asked = came / (16 * MIB);
        came += piece.unwrap().len() as u64;
        if came / (16 * MIB) > asked {
            most_kib = most_kib.max(resident_kib());
        }
    }
    assert_eq!(came, GIB);
    assert!(most_kib < before_kib + 16 * 1024, "{before_kib} KiB before, {most_kib} KiB at most");
}
