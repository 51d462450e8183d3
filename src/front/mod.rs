//! The fronts: where requests come in. A front turns bytes of clients into requests and responses into bytes; it knows
//! the application only as [`Application`](crate::exchange::Application).

pub mod http;
pub mod service;
