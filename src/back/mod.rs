//! The backs: applications that have the answer made by a program. A back knows neither who asks nor which policies stand
//! around it.
//!
//! | file | noun |
//! |---|---|
//! | [`Cgi`] | a process per request |
//! | [`Files`] | a folder of files |
//! | [`Index`] | the page that tells what can be called |
//! | `slots` | how many processes at once, and the queue before them |
//! | `pipes` | the line to a process |
//! | `line` | one program's side of an exchange, whatever carries it |
//! | `relay` | both directions at once: the request body down, the output up |
//! | `feed` | the request body's way to the program |
//! | `patience` | how long a program may be silent |
//! | `aftermath` | programs that go on after their response is complete |
//! | `stderr` | what a program says on its standard error, on its way into the log |

mod aftermath;
mod cgi;
#[cfg(test)]
mod cgi_tests;
mod feed;
mod files;
mod index;
mod line;
mod patience;
mod pipes;
#[cfg(test)]
mod pipes_tests;
mod relay;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod rig_cgi;
mod slots;
mod stderr;

pub use cgi::Cgi;
pub use files::Files;
pub use index::{Index, Listed};
