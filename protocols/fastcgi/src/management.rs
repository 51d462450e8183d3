//! The management records (section 4): GET_VALUES, its answer, and UNKNOWN_TYPE. It must not know when they are sent.

use bytes::{BufMut, Bytes};

use crate::error::{ParamsFault, Violation};
use crate::limits::ParamsLimits;
use crate::params::{Params, ParamsReader, put_pair};
use crate::record::{Header, RecordType};
use crate::writer::put_fixed;

/// `FCGI_MAX_CONNS`: how many connections at once the application accepts.
pub const MAX_CONNS: &str = "FCGI_MAX_CONNS";
/// `FCGI_MAX_REQS`: how many requests at once the application accepts.
pub const MAX_REQS: &str = "FCGI_MAX_REQS";
/// `FCGI_MPXS_CONNS`: "1" when the application takes several requests at once on a connection, else "0".
pub const MPXS_CONNS: &str = "FCGI_MPXS_CONNS";

/// Pairs in one management record. The specification names three.
const MAX_VALUES: usize = 64;

/// What an application says about itself when a Web server asks. A value that is `None` is left out of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Connections at once ([`MAX_CONNS`]).
    pub max_conns: Option<u32>,
    /// Requests at once, on all connections together ([`MAX_REQS`]).
    pub max_reqs: Option<u32>,
    /// Whether one connection carries several requests at once ([`MPXS_CONNS`]).
    pub mpxs_conns: Option<bool>,
}

/// The answer to GET_VALUES, as it came. An application leaves out what it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(Params);

impl Values {
    /// What it says of the three variables that the specification names. A value that is no number is taken for
    /// none.
    pub fn capabilities(&self) -> Capabilities {
        let number = |name: &str| std::str::from_utf8(self.0.get(name)?).ok()?.parse().ok();
        Capabilities {
            max_conns: number(MAX_CONNS),
            max_reqs: number(MAX_REQS),
            mpxs_conns: match self.0.get(MPXS_CONNS) {
                Some(b"0") => Some(false),
                Some(b"1") => Some(true),
                _ => None,
            },
        }
    }

    /// All pairs.
    pub const fn pairs(&self) -> &Params {
        &self.0
    }
}

/// A management record must have id 0 and is held whole in memory, so its length is bounded.
pub(crate) fn check_management(header: Header, max_bytes: usize) -> Result<(), Violation> {
    let record_type = header.record_type;
    if header.request_id != 0 {
        return Err(Violation::ManagementId { record_type, id: header.request_id });
    }
    if usize::from(header.content_length) > max_bytes {
        let fault =
            ParamsFault::TotalTooLong { needed: usize::from(header.content_length), limit: max_bytes };
        return Err(Violation::Values { record_type, fault });
    }
    Ok(())
}

/// Reads the content of a management record that holds pairs.
pub(crate) fn read_values(content: &Bytes) -> Result<Values, ParamsFault> {
    // The record is here whole and was bounded by its header: only the number of pairs is still open.
    let mut reader = ParamsReader::new(ParamsLimits {
        max_total_bytes: usize::MAX,
        max_name_bytes: usize::MAX,
        max_value_bytes: usize::MAX,
        max_pairs: MAX_VALUES,
    });
    reader.push(content)?;
    reader.finish().map(Values)
}

/// The content of a GET_VALUES record that asks for these names.
pub(crate) fn names_content(names: &[&str]) -> Vec<u8> {
    let mut content = Vec::new();
    for name in names {
        put_pair(&mut content, name.as_bytes(), b"");
    }
    content
}

/// The content of the answer to a GET_VALUES record.
pub(crate) fn answer_content(asked: &Values, capabilities: &Capabilities) -> Vec<u8> {
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let known = [
        (MAX_CONNS, number(capabilities.max_conns)),
        (MAX_REQS, number(capabilities.max_reqs)),
        (MPXS_CONNS, number(capabilities.mpxs_conns.map(u32::from))),
    ];
    let mut content = Vec::new();
    // FastCGI 1.0 4.1: the answer holds what was asked for and is known; a name asked for twice is answered once.
    for (name, value) in known {
        if let Some(value) = value
            && asked.0.get(name).is_some()
        {
            put_pair(&mut content, name.as_bytes(), value.as_bytes());
        }
    }
    content
}

/// Appends the UNKNOWN_TYPE record that answers a management record of that type (section 4.2).
pub(crate) fn put_unknown_type(out: &mut impl BufMut, unknown: u8) {
    put_fixed(out, RecordType::UnknownType, 0, [unknown, 0, 0, 0, 0, 0, 0, 0]);
}
