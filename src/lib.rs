//! gatebridge: the bridge between HTTP and programs.
#![deny(unsafe_code)]

pub mod back;
pub mod cli;
pub mod compare;
pub mod config;
pub mod exchange;
pub mod front;
pub mod gateway;
pub mod io;
pub mod observe;
pub mod policy;
pub mod process;
pub mod route;
