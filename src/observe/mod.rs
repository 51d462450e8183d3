//! What the outside can see of the gateway: one record per exchange in the access log, and the error log. It knows
//! records, not requests.

mod access;
mod line;
mod log;

pub use access::{AccessLog, AccessSettings, Destination, Format};
pub use log::start as start_log;
