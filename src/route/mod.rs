//! From a request's path to what answers it. This room must not know how anything is started or spoken to.

pub mod file;
pub mod path;
pub mod script;
pub mod split;
pub mod table;

pub use file::{FileRoot, Found, OpenedFile};
pub use path::{DecodedPath, EncodedSlash, PathError, decode_path, decode_path_with};
pub use script::{LookupFailure, Refusal, RootError, Script, ScriptRoot};
pub use split::{Split, below, check_script, split};
pub use table::{Entry, RouteTable};
