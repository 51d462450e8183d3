//! Processes: started off the runtime's threads, watched by pidfd, ended with their whole group, reaped by name.
//! This room must not know HTTP, routes, configuration or what a program is started for.
//!
//! | file | what it holds |
//! |---|---|
//! | [`startup`] | what the gateway's own process must look like before the first child |
//! | [`launch`] | a program with its arguments, environment and descriptors, as data |
//! | [`spawn`] | the threads that start programs |
//! | [`child`] | one running program: its pipes, its exit |
//! | [`ending`] | TERM, grace, KILL, reap: the one thread that sees a child out |
//! | [`reap`] | the system calls: peek, reap, signal a group |
//! | [`orphan`] | children of children that land here when the gateway is process 1 or a subreaper |
//! | [`failure`] | why a program could not be started, and what to do about it |
//! | `diagnose` | finds that out |
//! | [`signal`] | the gateway's own signals as a stream |
//! | [`notify`] | what the gateway tells the service manager that started it |
//! | [`passed`] | the sockets that a service manager passed, by name |
//! | [`worker`] | the table of what a worker may be |
//! | [`census`] | who is there: workers and seats as plain values |
//! | [`plan`] | what is to be done about a pool: decided from values alone |
//! | [`scale`] | how many workers the load asks for: decided from values alone |
//! | [`quota`] | what one worker may have before it is replaced |
//! | [`demand`] | how the manager hears that requests wait |
//! | `cpu` | whether a processor has nothing to do |
//! | `crew` | the workers and seats as the manager keeps them |
//! | [`manager`] | the one loop of a pool: notes, asks the plan, does |
//! | `keeper` | one worker from its start to its end |
//! | [`roster`] | what the workers' side and those who give them requests tell each other |
//! | [`socket`] | the listening sockets that workers are started with |
//! | `usage` | what a process has used so far |
//! | [`journal`] | the lines that a program writes, bounded and made harmless |
//!
//! ```no_run
//! use gatebridge::process::{Launch, Spawner, Stdin};
//! use std::num::NonZeroUsize;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let spawner = Spawner::start(NonZeroUsize::MIN)?;
//! let mut launch = Launch::new("/bin/cat");
//! launch.stdin = Stdin::Pipe;
//! let mut child = spawner.spawn(launch).await?;
//!
//! let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else { unreachable!() };
//! stdin.write_all(b"hello").await?;
//! drop(stdin); // end of input
//! let mut answer = Vec::new();
//! stdout.read_to_end(&mut answer).await?;
//! assert_eq!(answer, b"hello");
//! assert!(child.wait().await?.success());
//! # Ok(()) }
//! ```

pub mod census;
pub mod child;
mod cpu;
mod crew;
pub mod demand;
mod diagnose;
pub mod ending;
pub mod failure;
pub mod journal;
mod keeper;
pub mod launch;
pub mod manager;
pub mod notify;
pub mod orphan;
pub mod passed;
pub mod plan;
pub mod quota;
pub mod reap;
pub mod roster;
pub mod scale;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod startup;
mod usage;
pub mod worker;

pub use census::{Census, WorkerId};
pub use child::Child;
pub use demand::Demand;
pub use ending::Ending;
pub use failure::{FailureClass, FailureKind, MAX_STRING_BYTES, SpawnFailure};
pub use launch::{DEFAULT_GRACE, Launch, Output, RestOfGroup, Stdin};
pub use manager::{Manager, Workers};
pub use notify::{News, Notifier};
pub use orphan::{adopt_orphans, inherits_orphans, reap_orphans};
pub use passed::{Passed, PassedError};
pub use reap::{Exit, GroupSignal, Pid, Status};
pub use roster::{Outage, Roster, WorkerHandle};
pub use signal::{Signal, Signals};
pub use spawn::Spawner;
pub use startup::prepare;
pub use usage::{Usage, usage};
