//! One exchange: a request on its way down, its response on the way up, and what is noted of both. This room knows
//! neither sockets nor protocols nor processes.
//!
//! | file | noun |
//! |---|---|
//! | `application` | [`Application`]: anything that answers a request |
//! | `request` | [`Request`]: the environ, the body, and where the exchange is noted |
//! | `response` | [`Response`]: status, reason phrase, headers and body |
//! | `body` | [`Body`] and [`BodyStream`]: pulled by whoever consumes it, so back-pressure is the default |
//! | `failure` | [`Failure`]: why there is no response, whose fault it is, and which status says so |
//! | `notes` | [`Exchange`]: the shared note pad that becomes one finished [`Record`] |
//! | `unique_id` | [`UniqueId`]: what a log line, an error page and a program call the same exchange |

mod application;
mod body;
mod failure;
mod notes;
mod request;
mod response;
#[cfg(test)]
pub(crate) mod testing;
mod unique_id;

pub use application::{Answer, Application};
pub use body::{Body, BodyStream, Chunk, FileRange};
pub use failure::{Blame, Failure, FailureKind};
pub use notes::{Ending, Exchange, Interim, ProgramEnd, ProgramUsage, Record, RecordSink};
pub use request::Request;
pub use response::{LocalRedirect, Response};
pub use unique_id::{UniqueId, unique_id};
