//! The backs: applications that have the answer made by a program. A back knows neither who asks nor which policies stand
//! around it.
//!
//! | file | noun |
//! |---|---|
//! | [`Cgi`] | a process per request |
//! | [`App`] | a program of the interface crate inside this process |
//! | [`Service`] | a tower service inside this process |
//! | [`Pool`] | a pool of workers, ours or somebody else's |
//! | [`PoolRoute`] | the back of one route that asks them |
//! | `users` | who still asks a pool |
//! | [`Files`] | a folder of files |
//! | [`Index`] | the page that tells what can be called |
//! | [`StatusPage`] | the page that tells how the gateway is |
//! | `waits` | how the queue before workers or processes went |
//! | `lookup` | what is answered where no script or file is found |
//! | `slots` | how many processes or threads at once, and the queue before them |
//! | `threads` | the threads of programs inside this process |
//! | `junction` | where such a thread and the task that answers meet |
//! | `inward` | the task's side of it: the request body down, the answer up |
//! | `pipes` | the line to a process |
//! | `dispatch` | who gets a connection to the workers of a pool, and when: capacity, and the queue before it |
//! | `turns` | one request in the queue before a pool |
//! | `sweep` | closes connections that nobody used for too long |
//! | `connect` | connections to workers: opened, kept, given back |
//! | `places` | where a pool's requests can go: the pure part of it |
//! | `fastcgi` | the line to a FastCGI worker |
//! | `scgi` | the line to an SCGI worker |
//! | `wire` | a connection while one request is on it |
//! | `outgoing` | bytes on their way to a socket |
//! | `queue` | those who wait for a worker, and how long one more would |
//! | `repeat` | whether a request that failed may be sent again, and with what body |
//! | `line` | one program's side of an exchange, whatever carries it |
//! | `relay` | both directions at once: the request body down, the output up |
//! | `feed` | the request body's way to the program |
//! | `patience` | how long a program may be silent |
//! | `aftermath` | programs that go on after their response is complete |
//! | `stderr` | what a program says on its standard error, on its way into the log |

mod aftermath;
mod app;
#[cfg(test)]
mod app_tests;
mod cgi;
#[cfg(test)]
mod cgi_tests;
mod connect;
mod dispatch;
mod fastcgi;
#[cfg(test)]
mod fastcgi_tests;
mod feed;
mod files;
mod index;
mod inward;
mod junction;
mod line;
mod lookup;
mod outgoing;
mod patience;
mod pipes;
#[cfg(test)]
mod pipes_tests;
mod places;
mod pool;
mod pool_route;
#[cfg(test)]
mod pool_tests;
mod queue;
mod relay;
#[cfg(test)]
mod relay_tests;
mod repeat;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod rig_cgi;
#[cfg(test)]
mod rig_pool;
mod scgi;
mod service;
mod slots;
mod status;
mod stderr;
mod sweep;
mod threads;
mod turns;
mod users;
mod waits;
mod wire;

pub use app::{App, AppRules};
pub use cgi::Cgi;
pub use files::Files;
pub use index::{Index, Listed};
pub use pool::Pool;
pub use pool_route::PoolRoute;
pub use service::Service;
pub use status::{Gather, StatusPage};
