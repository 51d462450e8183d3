//! What the outside can see of the gateway: one record per exchange in the access log, the error log, and how it is right
//! now. It knows records, not requests.

mod access;
pub mod histogram;
mod line;
mod log;
pub mod status;
mod tally;

pub use access::{AccessLog, AccessSettings, Destination, Format};
pub use log::start as start_log;
pub use tally::Tally;
