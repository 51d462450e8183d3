//! What the fronts and backs stand on: listeners, connected streams, deadlines, drain, the date. This room knows no
//! protocol and no configuration.

mod date;
mod deadline;
mod drain;
mod listener;
mod stream;

pub use date::http_date;
pub use deadline::Deadline;
pub use drain::{Drain, DrainWatch, Phase};
pub use listener::{BindError, Endpoint, Listener, is_shortage};
pub use stream::{Peer, Stream};
