//! The reader of script output, shared by CGI, FastCGI and SCGI; knows RFC 3875 section 6 and not how the
//! bytes came.

mod head;
mod reader;
mod response;

pub use reader::{Event, Facts, ScriptReader};
pub use response::{Head, Kind, ScriptResponse};
