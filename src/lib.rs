//! The gateway library.
#![deny(unsafe_code)]

pub mod config;
pub mod process;
pub mod route;
