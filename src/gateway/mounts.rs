//! What a program that embeds the gateway has mounted beside the routes of the configuration. It does not know what stands
//! around it.

use std::sync::Arc;

use crate::back::App;
use crate::config::{Route, RouteLimits};
use crate::exchange::Application;

/// All that is mounted; it outlives every reload.
#[derive(Clone, Default)]
pub(super) struct Mounts(Vec<Mount>);

/// One mounted thing.
#[derive(Clone)]
pub(super) struct Mount {
    /// The path, decoded and without a slash at its end.
    pub(super) prefix: String,
    pub(super) what: Mounted,
}

/// What is mounted.
#[derive(Clone)]
pub(super) enum Mounted {
    /// A program of the interface crate, on threads.
    Program { app: Arc<App>, limits: Arc<RouteLimits> },
    /// An application of the gateway's own kind, or a service that was made one.
    Application(Arc<dyn Application>),
}

impl Mount {
    /// Its path as people write it.
    pub(super) fn path(&self) -> String {
        if self.prefix.is_empty() { "/".to_owned() } else { self.prefix.clone() }
    }
}

impl Mounts {
    pub(super) const fn new(mounts: Vec<Mount>) -> Self {
        Self(mounts)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// Whether something is mounted where this route is.
    pub(super) fn take(&self, route: &Route) -> bool {
        route.host.is_none() && self.0.iter().any(|mount| mount.prefix == route.prefix)
    }

    /// Waits until every program has returned from every call.
    pub(super) async fn idle(&self) {
        for mount in &self.0 {
            if let Mounted::Program { app, .. } = &mount.what {
                app.idle().await;
            }
        }
    }
}
