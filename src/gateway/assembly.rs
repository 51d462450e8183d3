//! A configuration becomes one application: every back with its policies around it, behind the route table. It serves
//! nothing itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;

use crate::back::{Cgi, Files, Index, Listed, Pool, StatusPage};
use crate::config::{self, Config, PoolKind, Route, RouteBack, RouteLimits};
use crate::exchange::Application;
use crate::io::TempFolder;
use crate::policy::{MaxBody, Methods, Redirect, Spool, Timeout};
use crate::process::Spawner;
use crate::route::{Entry, FileRoot, RouteTable};

use super::mounts::{Mount, Mounted, Mounts};
use super::overview::{Base, Parts};

/// What a configuration became.
pub(super) struct Assembly {
    /// The whole gateway behind its fronts.
    pub(super) application: Arc<dyn Application>,
    /// The pools that its routes use.
    pub(super) pools: Pools,
}

/// The pools that run, each with the configuration that it was opened with.
#[derive(Clone, Default)]
pub(super) struct Pools(Vec<(Arc<config::Pool>, Arc<Pool>)>);

impl Assembly {
    /// Builds the application, with what is mounted beside the routes, whose spooled bodies go to `space`; pools of `old`
    /// whose configuration is the same are taken over as they are.
    ///
    /// # Errors
    ///
    /// A CGI folder that cannot be opened, a pool whose sockets cannot be made. Pools that were opened for it are ended.
    pub(super) fn build(
        config: &Config,
        mounts: &Mounts,
        spawner: &Spawner,
        space: &TempFolder,
        old: &Pools,
        base: &Arc<Base>,
    ) -> anyhow::Result<Self> {
        if let Some(route) = config.routes.iter().find(|route| mounts.take(route)) {
            anyhow::bail!("the route {} is mounted by the program, too: remove one of the two", route.name());
        }
        let pools = Pools::open(config, spawner, old)?;
        let parts = Arc::new(Parts::default());
        pools.0.iter().for_each(|(pool, running)| parts.add_pool(pool, running));
        let space = space.clone();
        let builder = Builder { config, mounts, spawner, pools: &pools, space, base, parts };
        let mut entries =
            config.routes.iter().map(|route| builder.entry(route)).collect::<anyhow::Result<Vec<_>>>()?;
        entries.extend(mounts.iter().map(|mount| builder.mounted(mount)));
        let application = Arc::new(Redirect::new(RouteTable::new(entries)));
        Ok(Self { application, pools })
    }
}

struct Builder<'c> {
    config: &'c Config,
    mounts: &'c Mounts,
    spawner: &'c Spawner,
    pools: &'c Pools,
    /// Where spooled bodies go; the quota is shared by all routes.
    space: TempFolder,
    base: &'c Arc<Base>,
    /// For whoever tells how the gateway is.
    parts: Arc<Parts>,
}

impl Builder<'_> {
    fn entry(&self, route: &Arc<Route>) -> anyhow::Result<Entry> {
        Ok(Entry {
            host: route.host.clone(),
            prefix: Bytes::copy_from_slice(route.prefix.as_bytes()),
            name: route.name().into(),
            application: self.with_policies(route, self.back(route)?),
        })
    }

    fn back(&self, route: &Arc<Route>) -> anyhow::Result<Arc<dyn Application>> {
        Ok(match &route.back {
            RouteBack::Cgi(back) => {
                let cgi = Cgi::open(route, back, self.spawner.clone())
                    .with_context(|| format!("the route {}", route.name()))?;
                let cgi = Arc::new(cgi);
                self.parts.add_cgi(route, &cgi);
                self.spooled(&route.limits, cgi)
            }
            RouteBack::Pool(back) => {
                let pool = self.pools.get(&back.pool).with_context(|| format!("no pool {:?}", back.pool))?;
                self.spooled(&route.limits, Arc::new(pool.route(route, back)))
            }
            RouteBack::Files(back) => {
                let root = FileRoot::new(&back.root, program_paths(self.config));
                Arc::new(Files::new(root, back.index.clone()))
            }
            RouteBack::Index => Arc::new(Index::new(listed(self.config, self.mounts))),
            RouteBack::Status(back) => {
                Arc::new(StatusPage::new(back.is_public, self.base.gather(&self.parts)))
            }
        })
    }

    /// Programs are told how long a body is, so one of unknown length is gathered before.
    fn spooled(&self, limits: &RouteLimits, back: Arc<dyn Application>) -> Arc<dyn Application> {
        Arc::new(Spool::new(limits, self.space.clone(), back))
    }

    fn mounted(&self, mount: &Mount) -> Entry {
        let application = match &mount.what {
            Mounted::Program { app, limits } => limited(limits, self.spooled(limits, Arc::clone(app) as _)),
            // It has limits of its own, and need not be told how long a body is.
            Mounted::Application(application) => Arc::clone(application),
        };
        let prefix = Bytes::copy_from_slice(mount.prefix.as_bytes());
        Entry { host: None, prefix, name: mount.path().into(), application }
    }

    fn with_policies(&self, route: &Route, back: Arc<dyn Application>) -> Arc<dyn Application> {
        let mut application = limited(&route.limits, back);
        if let Some(methods) = &route.methods {
            // The configuration has checked that each is a token.
            let allowed =
                methods.iter().filter_map(|name| Method::from_bytes(name.as_bytes()).ok()).collect();
            application = Arc::new(Methods::new(allowed, application));
        }
        application
    }
}

fn limited(limits: &RouteLimits, back: Arc<dyn Application>) -> Arc<dyn Application> {
    let mut application = back;
    if let Some(limit) = limits.max_body {
        application = Arc::new(MaxBody::new(limit, application));
    }
    if let Some(limit) = limits.timeout {
        application = Arc::new(Timeout::new(limit, application));
    }
    application
}

impl Pools {
    fn open(config: &Config, spawner: &Spawner, old: &Self) -> anyhow::Result<Self> {
        let mut pools = Self::default();
        for pool in &config.pools {
            let kept = old.0.iter().find(|(known, _)| known == pool);
            let running = match kept {
                Some((_, running)) => Arc::clone(running),
                None => Pool::open(pool, spawner, &config.server.temp_dir)
                    .with_context(|| format!("cannot open the pool {}", pool.name))?,
            };
            pools.0.push((Arc::clone(pool), running));
        }
        Ok(pools)
    }

    /// Waits until the pools that are not among `old` can serve.
    ///
    /// # Errors
    ///
    /// The first that cannot, and why.
    pub(super) async fn ready(&self, old: &Self) -> anyhow::Result<()> {
        // All of them start at the same time; the longest wait is the only one.
        for (_, pool) in &self.0 {
            if !old.0.iter().any(|(_, known)| Arc::ptr_eq(known, pool)) {
                pool.ready().await.map_err(anyhow::Error::msg)?;
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Arc<Pool>> {
        self.0.iter().find(|(pool, _)| pool.name == name).map(|(_, running)| running)
    }

    /// Lets the pools that `next` has not taken over end what they have, in tasks of their own.
    pub(super) fn retire_all_but(self, next: &Self) {
        for (_, pool) in self.0 {
            if !next.0.iter().any(|(_, kept)| Arc::ptr_eq(kept, &pool)) {
                tokio::spawn(async move { pool.retire().await });
            }
        }
    }

    /// Ends all workers and waits until they are gone.
    pub(super) async fn stop(&self) {
        let stops: Vec<_> = self.0.iter().map(|(_, pool)| Arc::clone(pool)).map(stop).collect();
        for stop in stops {
            // A panic in there has been told, and must not keep the others from ending.
            let _ = stop.await;
        }
    }

    /// The longest that a worker may take from TERM to KILL.
    pub(super) fn longest_stop_grace(&self) -> Duration {
        let grace = |pool: &config::Pool| match &pool.kind {
            PoolKind::Started(started) => started.stop_grace,
            PoolKind::Connected(_) => Duration::ZERO,
        };
        self.0.iter().map(|(pool, _)| grace(pool)).max().unwrap_or_default()
    }
}

fn stop(pool: Arc<Pool>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { pool.stop().await })
}

/// The folders and files that CGI routes execute: their text is never served (lesson 29).
pub(super) fn program_paths(config: &Config) -> Vec<std::path::PathBuf> {
    let path = |route: &Arc<Route>| match &route.back {
        RouteBack::Cgi(back) => Some(back.path.clone()),
        _ => None,
    };
    config.routes.iter().filter_map(path).collect()
}

/// What the index page tells of.
fn listed(config: &Config, mounts: &Mounts) -> Vec<Listed> {
    let listed = |route: &Arc<Route>| {
        let (what, folder) = match &route.back {
            RouteBack::Cgi(back) if back.kind == config::CgiKind::Folder => {
                (format!("programs in {}", file_name(&back.path)), Some(back.path.clone()))
            }
            RouteBack::Cgi(back) => (format!("the program {}", file_name(&back.path)), None),
            RouteBack::Pool(back) => (format!("the workers of the pool {}", back.pool), None),
            RouteBack::Files(_) => ("files".to_owned(), None),
            RouteBack::Index | RouteBack::Status(_) => return None,
        };
        let slash = if folder.is_some() || route.prefix.is_empty() { "/" } else { "" };
        Some(Listed { path: format!("{}{slash}", route.prefix), what, folder })
    };
    let mounted = |mount: &Mount| {
        let (path, what) = (mount.path(), "mounted by the program that this gateway is part of".to_owned());
        Listed { path, what, folder: None }
    };
    let routes = config.routes.iter().filter(|route| route.host.is_none()).filter_map(listed);
    routes.chain(mounts.iter().map(mounted)).collect()
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
