//! Workers that gatebridge starts: their whole life, with real processes that behave and that do not.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use gatebridge::back::{Pool, PoolRoute};
use gatebridge::config::{self, RouteBack};
use gatebridge::exchange::{
    Application, Body, Ending, Exchange, Failure, FailureKind, Record as Finished, RecordSink, Request,
    Response,
};
use gatebridge::process::Spawner;
use gatebridge::process::census::Census;
use gatebridge_cgi::Environ;
use http::{Method, Version};
use tokio::task::JoinHandle;

use common::{Folder, Record, SOON, backs, fixture, process};

/// A pool of started workers, and the back that asks it.
struct Rig {
    pool: Arc<Pool>,
    route: Arc<PoolRoute>,
    spawner: Spawner,
    record: Record,
    folder: Folder,
}

impl Rig {
    /// `worker` is the fixture with its arguments; `pool` are more lines of `[pool.p]`, `route` of the route.
    fn new(speak: &str, worker: &[&str], pool: &str, route: &str) -> Self {
        let folder = Folder::new();
        let record = Record::new(&folder, "record");
        let fixture = fixture(&format!("{speak}-worker"));
        let record_path = record.path().display().to_string();
        let pool = backs::patient(pool, true);
        let mut command = vec![fixture.as_str(), "--record", &record_path];
        command.extend_from_slice(worker);
        let text = format!(
            "[pool.p]\nspeak = \"{speak}\"\ncommand = {command:?}\n{pool}\n[[route]]\npath = \"/\"\npool = \"p\"\n{route}\n"
        );
        Self::of(text, folder, record)
    }

    fn of(text: String, folder: Folder, record: Record) -> Self {
        let (config, _) = config::parse(&folder.join("gatebridge.toml"), &text)
            .map_err(|report| report.to_string())
            .unwrap();
        let spawner = Spawner::start(NonZeroUsize::MIN).unwrap();
        let pool = Pool::open(&config.pools[0], &spawner, folder.path()).unwrap();
        let RouteBack::Pool(back) = &config.routes[0].back else { unreachable!("a route to a pool") };
        let route = Arc::new(pool.route(&config.routes[0], back));
        Self { pool, route, spawner, record, folder }
    }

    /// Asks by GET, beside the test.
    fn ask(&self, path: &str) -> JoinHandle<Result<Response, Failure>> {
        let (route, request) = (Arc::clone(&self.route), request(path));
        tokio::spawn(async move { route.call(request).await })
    }

    /// Asks by GET and reads the answer to its end, both beside the test: an answer that nobody reads keeps its worker,
    /// so of several requests none may wait unread for its turn in the test.
    fn ask_and_read(&self, path: &str) -> JoinHandle<Result<String, Failure>> {
        let (route, request) = (Arc::clone(&self.route), request(path));
        tokio::spawn(async move { read(route.call(request).await?).await })
    }

    async fn get(&self, path: &str) -> Result<String, Failure> {
        self.ask_and_read(path).await.unwrap()
    }

    fn census(&self) -> Census {
        self.pool.census().unwrap()
    }

    /// Waits, beside the runtime, for a line of the record.
    async fn wait_for(&self, mark: usize, pattern: &'static str) -> String {
        let lines = self.record.events.clone();
        tokio::task::spawn_blocking(move || lines.wait_for_after(mark, pattern)).await.unwrap()
    }

    async fn started_after(&self, mark: usize) -> u32 {
        self.wait_for(mark, "started ").await.trim_start_matches("started ").trim().parse().unwrap()
    }

    /// How often a line with this pattern came.
    fn count(&self, pattern: &str) -> usize {
        self.record.events.matching(pattern).len()
    }

    /// Ends the pool, and looks that nothing is left of it.
    async fn end(self) {
        self.pool.stop().await;
        self.spawner.idle().await;
        assert!(self.census().workers.is_empty());
        let left: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name != "record")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

async fn read(mut response: Response) -> Result<String, Failure> {
    let mut text = Vec::new();
    while let Some(chunk) = response.body.chunk().await {
        text.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8(text).unwrap())
}

struct Nowhere;

impl RecordSink for Nowhere {
    fn finish(&self, _record: Finished) {}
}

fn request(path: &str) -> Request {
    let environ = Environ { path_info: Bytes::copy_from_slice(path.as_bytes()), ..Environ::default() };
    let record = Finished {
        id: gatebridge::exchange::unique_id(),
        at: SystemTime::now(),
        remote_addr: None,
        remote_user: None,
        method: Method::GET,
        target: environ.path_info.clone(),
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
    Request { environ, body: Body::Empty, exchange: Exchange::new(record, Arc::new(Nowhere)) }
}

/// Long enough that a test which had to wait for it would fail.
const NEVER: &str = "restart_backoff_min = \"1h\"\nrestart_backoff_max = \"1h\"";

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_started_serve_and_are_ended() {
    let rig = Rig::new("fastcgi", &["--single"], "workers = 2\nenv = { COLOUR = \"blue\" }", "");
    assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    let pids = [rig.started_after(0).await];
    assert!(process::runs(pids[0]));
    let again = rig.get("/hello").await.unwrap();
    assert_eq!(again, "hello\n");
    rig.end().await;
    assert!(!process::runs(pids[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_workers_that_are_being_started() {
    let rig = Rig::new("scgi", &["--single"], "workers = 1", "");
    // Nobody can be ready yet: the process was not even started.
    let asking: Vec<_> = (0..4).map(|_| rig.ask_and_read("/hello")).collect();
    for asking in asking {
        assert_eq!(asking.await.unwrap().unwrap(), "hello\n");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_has_descriptor_0_and_nothing_else_and_only_its_own_environment() {
    let rig = Rig::new("fastcgi", &["--single"], "env = { COLOUR = \"blue\" }", "");
    let pid = rig.started_after(0).await;
    assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let names: Vec<_> = environment
        .split(|&byte| byte == 0)
        .filter(|entry| !entry.is_empty())
        .map(|entry| String::from_utf8_lossy(entry.split(|&byte| byte == b'=').next().unwrap()).into_owned())
        .collect();
    assert!(names.len() == 2 && names.iter().all(|name| name == "PATH" || name == "COLOUR"), "{names:?}");
    let zero = std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap();
    assert!(zero.to_str().unwrap().starts_with("socket:"), "FCGI_LISTENSOCK_FILENO: {zero:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wish_24_a_worker_that_takes_one_connection_never_has_a_second() {
    let rig = Rig::new("fastcgi", &[], "workers = 2\nconcurrency = 1", "");
    let asking: Vec<_> = (0..40).map(|_| rig.ask_and_read("/hello")).collect();
    for asking in asking {
        assert_eq!(asking.await.unwrap().unwrap(), "hello\n");
    }
    assert_eq!(rig.count("connect 2"), 0);
    assert!(rig.count("connect 1") <= 2, "each was asked over the connection that it took first");
    assert_eq!(rig.count("unsound"), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_51_workers_that_count_their_requests_are_replaced_at_once() {
    let rig = Rig::new("fastcgi", &["--mode", "exits-after", "--count", "2", "--single"], NEVER, "");
    for _ in 0..7 {
        assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    }
    assert!(rig.count("started") >= 4);
    assert_eq!(rig.census().seats[0].failures, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_killed_is_replaced_and_the_next_request_waits_for_that() {
    let rig = Rig::new("fastcgi", &["--single"], "", "");
    assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    let first = rig.started_after(0).await;
    process::signal(first, rustix::process::Signal::KILL);
    tokio::task::spawn_blocking(move || process::wait_for_end(first)).await.unwrap();
    assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    assert_eq!(rig.count("started"), 2);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_of_a_request_is_not_fed_with_it_again() {
    let rig = Rig::new("fastcgi", &["--mode", "dies-before", "--single"], "", "");
    let failure = rig.get("/hello").await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Unreachable | FailureKind::BadOutput), "{failure}");
    assert!(failure.detail.contains("worker p-1"), "{failure}");
    assert!(failure.detail.contains("it has ended: signal 9 (KILL)"), "{failure}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wish_10_a_pool_whose_workers_cannot_start_says_why_at_once() {
    let backoff =
        "workers = 1\nrestart_backoff_min = \"1ms\"\nrestart_backoff_max = \"1h\"\nqueue_timeout = \"1h\"";
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let text = format!(
        "[pool.p]\nspeak = \"fastcgi\"\ncommand = [\"/bin/sh\", \"-c\", \"echo no such model >&2; exit 3\"]\n{backoff}\n\
         [[route]]\npath = \"/\"\npool = \"p\"\n"
    );
    let rig = Rig::of(text, folder, record);
    // Held at first, since one failure is an accident, and refused as soon as there is no hope.
    let failure = rig.get("/hello").await.unwrap_err();
    let FailureKind::Overloaded { retry_after } = failure.kind else { panic!("{failure}") };
    assert!(retry_after >= Duration::from_secs(1));
    assert!(failure.detail.contains("exit status 3"), "{failure}");
    assert!(failure.detail.contains("\"no such model\""), "{failure}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wish_10_a_pool_without_hope_serves_again_when_its_program_is_repaired() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let (model, worker) = (folder.join("record.model"), fixture("fastcgi-worker"));
    let script = format!("test -e {} || exit 3; exec {worker}", model.display());
    let text = format!(
        "[pool.p]\nspeak = \"fastcgi\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\nrestart_backoff_min = \"1ms\"\n\
         restart_backoff_max = \"20ms\"\n[[route]]\npath = \"/\"\npool = \"p\"\n"
    );
    let rig = Rig::of(text, folder, record);
    assert!(matches!(rig.get("/hello").await.unwrap_err().kind, FailureKind::Overloaded { .. }));
    std::fs::write(&model, "").unwrap();
    common::eventually("a worker is ready", || (rig.census().serving() == 1).then_some(()));
    assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    std::fs::remove_file(&model).unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_executed_says_so() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let program = folder.script("bin/worker", "#!/nowhere/interpreter\n");
    let text = format!(
        "[pool.p]\nspeak = \"fastcgi\"\ncommand = [{program:?}]\nrestart_backoff_min = \"1ms\"\n\
         restart_backoff_max = \"1h\"\n[[route]]\npath = \"/\"\npool = \"p\"\n"
    );
    let rig = Rig::of(text, folder, record);
    let failure = rig.get("/").await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Overloaded { .. }));
    assert!(failure.detail.contains("/nowhere/interpreter"), "{failure}");
    rig.pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_no_connection_has_failed() {
    let rig = Rig::new(
        "fastcgi",
        &["--mode", "deaf"],
        "start_timeout = \"300ms\"\nrestart_backoff_min = \"1ms\"\nstop_grace = \"1s\"\nqueue_timeout = \"1h\"",
        "",
    );
    let failure = rig.get("/hello").await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Overloaded { .. }), "{failure}");
    assert!(failure.detail.contains("took no connection within 0.3 s"), "{failure}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_17_a_worker_that_was_silent_for_too_long_is_replaced() {
    let rig = Rig::new(
        "fastcgi",
        &["--mode", "silent", "--single"],
        &format!("{NEVER}\nstop_grace = \"1s\""),
        "first_byte_timeout = \"300ms\"",
    );
    let first = rig.started_after(0).await;
    let failure = rig.get("/hello").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    let mark = rig.record.events.mark();
    assert_ne!(rig.started_after(if rig.count("started") > 1 { 0 } else { mark }).await, 0);
    tokio::task::spawn_blocking(move || process::wait_for_end(first)).await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_49_a_worker_hears_at_once_that_its_client_left() {
    for (speak, word) in [("fastcgi", "abort 1"), ("scgi", "closed")] {
        let rig = Rig::new(speak, &["--mode", "silent"], "", "");
        let asking = rig.ask("/hello");
        rig.wait_for(0, "request GET /hello").await;
        let left = Instant::now();
        asking.abort();
        rig.wait_for(0, word).await;
        assert!(left.elapsed() < SOON, "{speak}");
        assert_eq!(rig.count("unsound"), 0);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_retires_lets_its_workers_end_what_they_have() {
    let rig = Rig::new("fastcgi", &["--single"], "", "");
    let mut response = rig.ask("/big/4000000").await.unwrap().unwrap();
    let waits = rig.ask_and_read("/hello");
    common::eventually("the second request waits", || (rig.pool.waiting() == 1).then_some(()));
    let Rig { pool, route, spawner, .. } = rig;
    drop(route);
    let retiring = tokio::spawn(async move { pool.retire().await });
    let mut length = 0;
    while let Some(chunk) = response.body.chunk().await {
        length += chunk.unwrap().len();
    }
    assert!(length >= 4_000_000, "{length}");
    assert_eq!(waits.await.unwrap().unwrap(), "hello\n");
    retiring.await.unwrap();
    spawner.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_by_a_route_of_the_old_configuration_is_answered() {
    let rig = Rig::new("fastcgi", &["--single"], "", "");
    let pool = Arc::clone(&rig.pool);
    let retiring = tokio::spawn(async move { pool.retire().await });
    // It has begun to retire, as far as it can while there is a route that may ask.
    tokio::task::yield_now().await;
    for _ in 0..20 {
        assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    }
    assert!(!retiring.is_finished());
    let Rig { route, spawner, .. } = rig;
    drop(route);
    retiring.await.unwrap();
    spawner.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_pool_ends_its_workers() {
    let rig = Rig::new("fastcgi", &["--single"], "workers = 2", "");
    assert_eq!(rig.get("/hello").await.unwrap(), "hello\n");
    let Rig { pool, route, spawner, .. } = rig;
    drop((pool, route));
    spawner.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn php_cgi_serves_from_descriptor_0_and_ends_after_its_requests() {
    let Some(php) = ["/usr/bin/php-cgi"].into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("php-cgi is not installed: nothing tested");
        return;
    };
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    folder.write("root/index.php", "<?php echo 'request of ', getmypid(), ' ', $_SERVER['SCRIPT_NAME'];");
    let root = folder.join("root");
    let text = format!(
        "[pool.p]\nspeak = \"fastcgi\"\ncommand = [{php:?}]\nenv = {{ PHP_FCGI_MAX_REQUESTS = \"2\" }}\n{NEVER}\n\
         [[route]]\npath = \"/\"\npool = \"p\"\nroot = {root:?}\nindex = \"index.php\"\n"
    );
    let rig = Rig::of(text, folder, record);
    let mut processes = std::collections::BTreeSet::new();
    for _ in 0..9 {
        let page = rig.get("/").await.unwrap();
        assert!(page.ends_with(" /index.php"), "{page}");
        processes.insert(page);
    }
    assert!((4..=5).contains(&processes.len()), "{processes:?}");
    rig.pool.stop().await;
    rig.spawner.idle().await;
}
