//! What the tests of pools share: a pool from a few lines of configuration, and workers that a test plays itself, event by
//! event, on real sockets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use gatebridge_fastcgi::{Params, ProtocolStatus, RequestId, Server, ServerEvent};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::pool::Pool;
use super::pool_route::PoolRoute;
use super::rig::request;
use crate::config::{self, RouteBack};
use crate::exchange::{Application, Body, Failure, Request, Response};
use crate::process::Spawner;

/// A head that every test may answer with.
pub(crate) const HEAD: &[u8] = b"Content-Type: text/plain\r\n\r\n";

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("gatebridge-pool-{}", String::from_utf8_lossy(&crate::exchange::unique_id()));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A worker that listens at `name` in the folder, and its address in the configuration.
    pub(crate) fn listen(&self, name: &str) -> (UnixListener, String) {
        let path = self.0.join(name);
        (UnixListener::bind(&path).unwrap(), format!("unix:{}", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The back of the only route of a configuration; `pool` are the lines of `[pool.p]`, `route` those of the route.
pub(crate) fn back(folder: &Folder, pool: &str, route: &str) -> (Arc<Pool>, Arc<PoolRoute>) {
    let text = format!("[pool.p]\n{pool}\n[[route]]\npath = \"/\"\npool = \"p\"\n{route}\n");
    let (config, _) = config::parse(&folder.path().join("gatebridge.toml"), &text)
        .map_err(|report| report.to_string())
        .unwrap();
    let spawner = Spawner::start(std::num::NonZeroUsize::MIN).unwrap();
    let pool = Pool::open(&config.pools[0], &spawner, folder.path()).unwrap();
    let RouteBack::Pool(back) = &config.routes[0].back else { panic!("a route to a pool") };
    let route = Arc::new(pool.route(&config.routes[0], back));
    (pool, route)
}

/// A second route to the pool of [`back`].
pub(crate) fn another(folder: &Folder, pool: &Arc<Pool>, route: &str) -> Arc<PoolRoute> {
    let text = format!(
        "[pool.p]\nspeak = \"scgi\"\nconnect = [\"unix:/\"]\n[[route]]\npath = \"/\"\npool = \"p\"\n{route}\n"
    );
    let (config, _) = config::parse(&folder.path().join("gatebridge.toml"), &text)
        .map_err(|report| report.to_string())
        .unwrap();
    let RouteBack::Pool(back) = &config.routes[0].back else { panic!("a route to a pool") };
    Arc::new(pool.route(&config.routes[0], back))
}

/// A back that connects to these addresses.
pub(crate) fn connected(folder: &Folder, speak: &str, addresses: &[&str], more: &str) -> Arc<PoolRoute> {
    back(folder, &format!("speak = \"{speak}\"\nconnect = {addresses:?}\n{more}"), "").1
}

/// Asks, beside the test.
pub(crate) fn ask(route: &Arc<PoolRoute>, request: Request) -> JoinHandle<Result<Response, Failure>> {
    let route = Arc::clone(route);
    tokio::spawn(async move { route.call(request).await })
}

/// Asks by GET.
pub(crate) fn get(route: &Arc<PoolRoute>, path: &str) -> JoinHandle<Result<Response, Failure>> {
    ask(route, request(Method::GET, path, Body::Empty))
}

/// A FastCGI worker's side of one connection.
pub(crate) struct Peer {
    pub(crate) stream: UnixStream,
    server: Server,
    id: RequestId,
}

impl Peer {
    pub(crate) async fn accept(listener: &UnixListener) -> Self {
        Self { stream: listener.accept().await.unwrap().0, server: Server::default(), id: RequestId::FIRST }
    }

    /// What the gateway says next; `None` when it has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.server.next_event().unwrap() {
                return Some(event);
            }
            let buffer = self.server.receive_buffer();
            buffer.reserve(64 * 1024);
            if !matches!(self.stream.read_buf(buffer).await, Ok(1..)) {
                return None;
            }
        }
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Params {
        let begun = self.next().await.expect("a request, and not the end of the connection");
        let ServerEvent::BeginRequest { id, .. } = begun else { panic!("{begun:?}") };
        self.id = id;
        self.params().await
    }

    async fn params(&mut self) -> Params {
        let params = self.next().await;
        let Some(ServerEvent::Params(_, params)) = params else { panic!("{params:?}") };
        params
    }

    /// The request's whole body.
    pub(crate) async fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            match self.next().await {
                Some(ServerEvent::Stdin(_, piece)) => body.extend_from_slice(&piece),
                Some(ServerEvent::StdinEnd(_)) => return body,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Writes script output.
    pub(crate) async fn say(&mut self, mut output: &[u8]) {
        while !output.is_empty() {
            let framing = self.server.send_stdout(self.id, output.len()).unwrap();
            let (content, rest) = output.split_at(framing.content_length);
            self.raw(&[&framing.header, content, framing.padding()].concat()).await;
            output = rest;
        }
    }

    /// Writes STDERR.
    pub(crate) async fn complain(&mut self, text: &[u8]) {
        let framing = self.server.send_stderr(self.id, text.len()).unwrap();
        self.raw(&[&framing.header, text, framing.padding()].concat()).await;
    }

    /// Ends the request.
    pub(crate) async fn end(&mut self, app_status: u32, protocol_status: ProtocolStatus) {
        let mut end = BytesMut::new();
        self.server.end_request(self.id, app_status, protocol_status, &mut end).unwrap();
        self.raw(&end).await;
    }

    /// Ends the request for the codec alone: its END_REQUEST was written by hand.
    pub(crate) fn forget(&mut self) {
        let status = ProtocolStatus::RequestComplete;
        self.server.end_request(self.id, 0, status, &mut BytesMut::new()).unwrap();
    }

    /// Writes bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Serves one request without a fault: hears all of it, and answers with `payload`.
    pub(crate) async fn serve(&mut self, payload: &str) -> Params {
        let params = self.request().await;
        self.body().await;
        self.say(&[HEAD, payload.as_bytes()].concat()).await;
        self.end(0, ProtocolStatus::RequestComplete).await;
        params
    }
}
