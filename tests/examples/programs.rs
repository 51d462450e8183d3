//! The examples as modules, so that a test can call them in its own process; must not know how they are tested.

#![allow(dead_code, unreachable_pub, reason = "their main is not called here")]

#[path = "../../examples/authorizer.rs"]
pub mod authorizer;
#[path = "../../examples/filter.rs"]
pub mod filter;
#[path = "../../examples/form.rs"]
pub mod form;
#[path = "../../examples/hello.rs"]
pub mod hello;
#[path = "../../examples/middleware.rs"]
pub mod middleware;
