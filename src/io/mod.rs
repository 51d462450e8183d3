//! What the fronts and backs stand on: listeners, connected streams, deadlines, drain, temporary files, shortages,
//! the date. This room knows no protocol and no configuration.

mod date;
mod deadline;
mod drain;
mod listener;
mod shortage;
mod stream;
mod temp;

pub use date::http_date;
pub use deadline::Deadline;
pub use drain::{Drain, DrainWatch, Entrance, Phase};
pub use listener::{BindError, Endpoint, Listener};
pub use shortage::{Shortage, in_words, is_shortage};
pub use stream::{Peer, Stream};
pub use temp::{TempError, TempFile, TempFolder};
