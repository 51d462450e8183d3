//! The backs: applications that have the answer made by a program. A back knows neither who asks nor which policies stand
//! around it.
//!
//! | file | noun |
//! |---|---|
//! | `line` | one program's side of an exchange, whatever carries it |
//! | `relay` | both directions at once: the request body down, the output up |
//! | `feed` | the request body's way to the program |
//! | `patience` | how long a program may be silent |
//! | `aftermath` | programs that go on after their response is complete |
//! | [`Files`] | a folder of files |
//! | [`Index`] | the page that tells what can be called |
//! | `stderr` | what a program says on its standard error, on its way into the log |

mod aftermath;
mod feed;
mod files;
mod index;
mod line;
mod patience;
mod relay;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod rig;
mod stderr;

pub use files::Files;
pub use index::{Index, Listed};
