//! The running gateway: the one room that knows every other. It opens the fronts, has the application assembled from the
//! configuration, swaps both on a reload, and drains.
//!
//! | file | noun |
//! |---|---|
//! | [`Builder`] | a gateway as a program that embeds it puts it together |
//! | `mounts` | what such a program has mounted beside the routes |
//! | `assembly` | a configuration becomes one application; pools that did not change survive |
//! | [`explain`] | what a request would meet, without anything being started |
//! | `live` | what answers right now, as the fronts see it |
//! | `overview` | gathers how all of it is, for the status page |

mod assembly;
mod builder;
mod explanation;
mod live;
mod mounts;
mod overview;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tracing::{info, warn};

use crate::config::{
    AccessFormat, AccessLog as AccessPlace, Config, ListenAddress, Listener, Log, Route, RouteBack,
};
use crate::exchange::RecordSink;
use crate::front::http::{HttpFront, HttpSettings, OpenConnections};
use crate::front::service::GatewayService;
use crate::io::{self, Drain, Endpoint, TempFolder};
use crate::observe::{AccessLog, AccessSettings, Destination, Format};
use crate::process::Spawner;

use assembly::{Assembly, Pools};
use live::{Live, Unrecorded};
use mounts::Mounts;
use overview::{Base, Door};

pub use builder::{AppSettings, Builder, Error};
pub use explanation::{Explanation, explain};

/// After the cut, so long may the last tasks and processes take to end; they have been told to, so it is only a guard
/// against a kernel that keeps one of them.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);

/// So long may the access log take to write what waits when all else has ended; a disk does that at once, and a pipe that
/// nobody reads never.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// A running gateway: it listens where it was told to, starts and supervises the workers of its pools, and answers.
///
/// `gatebridge serve` is one and nothing else. A program that embeds one builds it by [`Gateway::builder`]: no signal handler
/// and no log is installed for it, and any number of them live side by side. Its events go to `tracing`, for whoever listens.
///
/// [`stop`](Self::stop) ends it in peace and waits. Dropped instead, it ends at once: connections are cut, workers get TERM
/// and then KILL, and nobody waits for that.
///
/// Processes are reaped one by one, by their own descriptors: children of the program around are never touched. (The other
/// way round, a program that reaps any child, by `waitpid(-1)` or by ignoring SIGCHLD, takes exit statuses away from here.)
pub struct Gateway {
    config: Config,
    mounts: Mounts,
    spawner: Spawner,
    /// Where spooled bodies go. It counts what it holds, so it outlives a reload.
    space: TempFolder,
    pools: Pools,
    fronts: Vec<Front>,
    /// Fronts that a reload has replaced and that still serve what they had begun.
    retired: Vec<Drain>,
    access: Option<Arc<AccessLog>>,
    /// What answers those who come by [`Gateway::service`].
    direct: Arc<Live>,
    direct_drain: Drain,
    /// What is told of it, over all reloads.
    base: Arc<Base>,
}

/// Whether a gateway's pools can serve.
#[doc(hidden)]
pub struct Readiness(Pools);

impl Readiness {
    /// Waits until they can: as many workers are ready as there are to be without a request.
    ///
    /// # Errors
    ///
    /// The first pool whose workers are not ready within its `start_timeout`, or for which there is no hope before that, and
    /// why. May be asked again.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.0.ready(&Pools::default()).await
    }
}

/// A listener, and the front that serves it.
struct Front {
    listener: Listener,
    socket: Arc<io::Listener>,
    live: Arc<Live>,
    drain: Drain,
    connections: OpenConnections,
}

impl Gateway {
    /// Builds a gateway from a configuration, opens its fronts and starts its workers.
    ///
    /// # Errors
    ///
    /// A listener that cannot be opened, a log file that cannot be written, threads that cannot be started. Nothing is
    /// left running then.
    #[doc(hidden)]
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::open(config, Mounts::default()).await
    }

    async fn open(config: Config, mounts: Mounts) -> anyhow::Result<Self> {
        let spawner = Spawner::start(config.server.spawners).context("cannot start the spawner threads")?;
        let access = open_access_log(&config.log)?;
        let sockets = config.listeners.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
        let space = open_space(&config);
        let base = Arc::new(Base::new());
        let assembly = Assembly::build(&config, &mounts, &spawner, &space, &Pools::default(), &base)?;
        let sink = sink(access.as_ref(), &base);
        let direct = Arc::new(Live::direct(&assembly.application, &sink, &base.tally));
        let mut gateway = Self {
            mounts,
            direct,
            direct_drain: Drain::new(),
            spawner,
            space,
            pools: assembly.pools,
            fronts: Vec::new(),
            retired: Vec::new(),
            access,
            config,
            base,
        };
        for (listener, socket) in gateway.config.listeners.iter().zip(sockets) {
            let live = Live::new(listener, &assembly.application, &sink, &gateway.base.tally);
            let live = Arc::new(live);
            let front = open_front(&gateway.config, listener, socket, live);
            gateway.fronts.push(front);
        }
        gateway.tell_doors();
        Ok(gateway)
    }

    /// Lets those who tell how the gateway is know its fronts.
    fn tell_doors(&self) {
        let door = |front: &Front| Door {
            name: front.socket.local_name(),
            max_connections: front.listener.max_connections,
            connections: front.connections.clone(),
        };
        self.base.set_doors(self.fronts.iter().map(door).collect());
    }

    /// Where it listens in truth, for people: `http://127.0.0.1:8080/`, `unix:/run/site.sock`.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.fronts.iter().map(|front| {
            let name = front.socket.local_name();
            if front.socket.is_unix() { name } else { format!("http://{name}") }
        })
    }

    /// Its TCP addresses in truth, in the order in which they were given: port 0 has become the one that the kernel chose.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.fronts.iter().filter_map(|front| front.socket.local_address()).collect()
    }

    /// The gateway as a tower service, for a server that the program runs itself: see [`GatewayService`]. It answers like the
    /// listeners, and ends with the gateway: with 503 when that has been stopped or dropped.
    #[must_use]
    pub fn service(&self) -> GatewayService {
        let software = Bytes::copy_from_slice(self.config.server.name.as_bytes());
        GatewayService::new(Arc::clone(&self.direct) as _, self.direct_drain.entrance(), software)
    }

    /// Takes another configuration: all of it or, on an error, nothing of it.
    ///
    /// Listeners and pools that did not change are left alone. Of a pool that did, new workers are started and must be
    /// ready before the old ones are ended. Requests that have begun are answered by the old configuration.
    ///
    /// May be dropped while it waits: the old configuration goes on then.
    ///
    /// # Errors
    ///
    /// As [`Gateway::start`]; and workers that are not ready in time.
    #[doc(hidden)]
    pub async fn reload(&mut self, config: Config) -> anyhow::Result<()> {
        let access =
            if config.log == self.config.log { self.access.clone() } else { open_access_log(&config.log)? };
        let sockets = self.sockets_for(&config)?;
        let same_space = config.server.temp_dir == self.config.server.temp_dir
            && config.server.max_spool_total == self.config.server.max_spool_total;
        let space = if same_space { self.space.clone() } else { open_space(&config) };
        let assembly =
            Assembly::build(&config, &self.mounts, &self.spawner, &space, &self.pools, &self.base)?;
        // Until then the old workers serve. Dropped before that, what was started for it is ended.
        assembly.pools.ready(&self.pools).await?;
        // From here on nothing can fail, and nothing waits.
        let sink = sink(access.as_ref(), &self.base);
        self.direct.swap_direct(&assembly.application, &sink);
        let mut old_fronts = std::mem::take(&mut self.fronts);
        for (listener, socket) in config.listeners.iter().zip(sockets) {
            let unchanged = config.server.name == self.config.server.name;
            let kept = old_fronts.iter().position(|front| unchanged && front.listener == *listener);
            if let Err(error) = socket.set_mode(listener.unix_mode) {
                warn!(listener = socket.local_name(), %error, "the socket file keeps its old `mode`");
            }
            self.fronts.push(match kept {
                Some(at) => {
                    let front = old_fronts.swap_remove(at);
                    front.live.swap(listener, &assembly.application, &sink);
                    front
                }
                None => {
                    let live = Live::new(listener, &assembly.application, &sink, &self.base.tally);
                    open_front(&config, listener, socket, Arc::new(live))
                }
            });
        }
        self.tell_doors();
        self.retired.retain(|drain| !drain.is_over());
        for front in old_fronts {
            front.drain.begin();
            self.retired.push(front.drain);
        }
        let old_pools = std::mem::replace(&mut self.pools, assembly.pools);
        old_pools.retire_all_but(&self.pools);
        self.access = access;
        self.space = space;
        self.config = config;
        Ok(())
    }

    /// The sockets of a configuration's listeners: those that are open already, and new ones for the rest.
    fn sockets_for(&self, config: &Config) -> anyhow::Result<Vec<Arc<io::Listener>>> {
        let open = |listener: &Listener| {
            let same = self.fronts.iter().find(|front| front.listener.address == listener.address);
            same.map_or_else(|| bind(listener), |front| Ok(Arc::clone(&front.socket)))
        };
        config.listeners.iter().map(open).collect()
    }

    /// The pools of this moment, to be asked whether they can serve, while the gateway is busy otherwise.
    #[doc(hidden)]
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness(self.pools.clone())
    }

    /// Opens the access log anew, for log rotation.
    pub fn reopen_logs(&self) {
        if let Some(access) = &self.access {
            access.reopen();
            info!("the access log has been reopened");
        }
    }

    /// Ends service in peace, and waits until all has ended: running requests may end within the configured `grace` (30 s by
    /// default), then they are cut; workers and scripts get TERM, and KILL if need be. A mounted program cannot be ended from
    /// outside: it is told, and waited for.
    pub async fn stop(self) {
        self.drain(std::future::pending()).await;
    }

    /// Ends service: running requests may end within the configured grace, or until `cut` is ready; then all that is left
    /// is ended at once, processes too.
    pub async fn drain(mut self, cut: impl Future<Output = ()>) {
        let mut drains = std::mem::take(&mut self.retired);
        // Dropping a front closes its listening socket with it.
        drains.extend(self.fronts.drain(..).map(|front| front.drain));
        drains.push(std::mem::take(&mut self.direct_drain));
        for drain in &drains {
            drain.begin();
        }
        let grace = self.config.server.grace;
        let in_peace = tokio::select! {
            () = all_ended(&mut drains) => true,
            () = tokio::time::sleep(grace) => {
                warn!("requests still run after the grace of {grace:?} (see `grace`): they are cut");
                false
            }
            () = cut => {
                warn!("told to hurry: running requests are cut");
                false
            }
        };
        if !in_peace {
            for drain in &drains {
                drain.cut();
            }
        }
        let rest = async {
            all_ended(&mut drains).await;
            self.pools.stop().await;
            self.spawner.idle().await;
            self.mounts.idle().await;
        };
        let longest = CUT_TIMEOUT + self.pools.longest_stop_grace().max(longest_kill_grace(&self.config));
        let has_ended = tokio::time::timeout(longest, rest).await.is_ok();
        if !has_ended {
            warn!("something did not end within {longest:?} and is left behind");
        }
        // The task that saw the last process out may still hold its record.
        let settled = tokio::time::timeout(LOG_TIMEOUT, self.base.tally.settled());
        if has_ended && settled.await.is_err() {
            warn!("the last requests were not noted within {LOG_TIMEOUT:?}");
        }
        // Nothing else is left to do that this could keep from being done.
        if let Some(access) = self.access.take()
            && !access.close(LOG_TIMEOUT)
        {
            warn!("the last lines of the access log could not be written within {LOG_TIMEOUT:?}");
        }
    }
}

/// The longest that a CGI process may take from TERM to KILL.
fn longest_kill_grace(config: &Config) -> Duration {
    let grace = |route: &Arc<Route>| match &route.back {
        RouteBack::Cgi(back) => Some(back.kill_grace),
        _ => None,
    };
    config.routes.iter().filter_map(grace).max().unwrap_or_default()
}

async fn all_ended(drains: &mut [Drain]) {
    for drain in drains {
        drain.ended().await;
    }
}

fn open_front(config: &Config, listener: &Listener, socket: Arc<io::Listener>, live: Arc<Live>) -> Front {
    let settings = HttpSettings {
        limits: listener.http.clone(),
        max_connections: listener.max_connections,
        max_connections_per_ip: listener.max_connections_per_ip,
        server_name: config.server.name.clone(),
    };
    let drain = Drain::new();
    let front = HttpFront::new(Arc::clone(&socket), settings, Arc::clone(&live) as _, drain.watch());
    let connections = front.connections();
    tokio::spawn(front.serve());
    Front { listener: listener.clone(), socket, live, drain, connections }
}

fn bind(listener: &Listener) -> anyhow::Result<Arc<io::Listener>> {
    let endpoint = match &listener.address {
        ListenAddress::Tcp(address) => Endpoint::Tcp(*address),
        ListenAddress::Unix(path) => Endpoint::Unix { path: path.clone(), mode: listener.unix_mode },
        ListenAddress::Descriptor(number) => Endpoint::Inherited(*number),
        // What this process was passed is known to its `main` alone.
        ListenAddress::Named(name) => {
            anyhow::bail!("cannot listen on fd:{name}: only `gatebridge serve` takes sockets by their name")
        }
    };
    Ok(Arc::new(io::Listener::bind(&endpoint)?))
}

fn open_space(config: &Config) -> TempFolder {
    TempFolder::new(config.server.temp_dir.clone(), config.server.max_spool_total)
}

fn open_access_log(log: &Log) -> anyhow::Result<Option<Arc<AccessLog>>> {
    let destination = match &log.access {
        AccessPlace::Off => return Ok(None),
        AccessPlace::Stdout => Destination::Stdout,
        AccessPlace::File(path) => Destination::File(path.clone()),
    };
    let format = match log.access_format {
        AccessFormat::Combined => Format::Combined,
        AccessFormat::Json => Format::Json,
    };
    Ok(Some(Arc::new(AccessLog::start(AccessSettings { destination, format })?)))
}

fn sink(access: Option<&Arc<AccessLog>>, base: &Base) -> Arc<dyn RecordSink> {
    base.tally.before(match access {
        Some(log) => Arc::clone(log) as _,
        None => Arc::new(Unrecorded),
    })
}
