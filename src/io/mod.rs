//! What the fronts and backs stand on: listeners, connected streams, deadlines, drain, temporary files, the
//! date. This room knows no protocol and no configuration.

mod date;
mod deadline;
mod drain;
mod listener;
mod stream;
mod temp;

pub use date::http_date;
pub use deadline::Deadline;
pub use drain::{Drain, DrainWatch, Entrance, Phase};
pub use listener::{BindError, Endpoint, Listener, is_shortage};
pub use stream::{Peer, Stream};
pub use temp::{TempError, TempFile, TempFolder};
