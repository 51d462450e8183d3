//! A gateway inside the test's own process, and the examples that are servers themselves; must not know how a gateway works,
//! only how a program puts one together.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use gatebridge::{Builder, Gateway};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::common::{Answer, Client, Lines, example, process};

/// A gateway that the test itself has built, on a runtime of its own.
pub struct Inside {
    /// Where it runs.
    pub runtime: Arc<Runtime>,
    /// The gateway, until it is stopped.
    pub gateway: Option<Gateway>,
    addresses: Vec<SocketAddr>,
}

/// A runtime for gateways.
pub fn runtime() -> Arc<Runtime> {
    Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

impl Inside {
    /// Starts it, listening at 127.0.0.1 too.
    pub fn new(builder: Builder) -> Self {
        let runtime = runtime();
        let gateway = runtime.block_on(builder.listen("127.0.0.1:0").start()).unwrap();
        let addresses = gateway.local_addresses();
        Self { runtime, gateway: Some(gateway), addresses }
    }

    /// The address of its first listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Opens a connection to its first listener.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// GETs a path on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.connect().ask("GET", path, &[], b"")
    }

    /// Stops it in peace.
    pub fn stop(&mut self) {
        self.runtime.block_on(self.gateway.take().unwrap().stop());
    }
}

/// An example that is a server: it prints its address first and ends on SIGINT.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _said: Lines,
}

impl Server {
    /// Starts the example on a free port, with more arguments behind the address.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(example(name));
        command.arg("127.0.0.1:0").args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = Lines::of(name, child.stdout.take().unwrap());
        let line = said.wait_for("http://");
        let address = line.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        Self { child, address, _said: said }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// GETs a path on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        Client::connect(self.address).ask("GET", path, &[], b"")
    }

    /// Interrupts it, and waits for its end; whether that was a success.
    pub fn interrupt(mut self) -> bool {
        process::signal(self.id(), Signal::INT);
        process::wait_for_end(self.id());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
