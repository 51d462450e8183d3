//! The asynchronous runners, held to the very tests of the synchronous ones; it must not know a test.

#![allow(clippy::duplicate_mod, reason = "each of them is a test of its own, with a rig of its own")]

#[path = "development.rs"]
mod development;
#[path = "fastcgi.rs"]
mod fastcgi;
#[path = "scgi.rs"]
mod scgi;
