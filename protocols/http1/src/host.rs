//! A host with an optional port, as `Host` and request targets carry it; knows no name resolution and no virtual host.

use std::net::Ipv6Addr;

use bytes::Bytes;

use crate::error::Excerpt;
use crate::grammar::{decimal, is_reg_name, percent_is_sound};
use crate::violation::PeerError;

/// The host that a request is meant for (RFC 9110 7.2): of its absolute-form or authority-form target if it has one,
/// else of its `Host` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    bytes: Bytes,
    name_len: usize,
    port: Option<u16>,
}

impl Host {
    /// Reads `uri-host [ ":" port ]` (RFC 9112 3.2): a registered name, an IPv4 address, or an IPv6 address in brackets,
    /// and a port of 0 to 65,535 or nothing behind the colon.
    ///
    /// # Errors
    /// [`PeerError::BadHost`] for anything else; user information, a zone and a path among it.
    pub fn parse(bytes: &Bytes) -> Result<Self, PeerError> {
        let bad = || PeerError::BadHost { value: Excerpt::of(bytes) };
        let name_len = if bytes.first() == Some(&b'[') {
            let close = memchr::memchr(b']', bytes).ok_or_else(bad)?;
            let inside = std::str::from_utf8(&bytes[1..close]).map_err(|_| bad())?;
            // RFC 3986 3.2.2: IPvFuture has no user yet; a zone (RFC 6874) means nothing to another machine.
            inside.parse::<Ipv6Addr>().map_err(|_| bad())?;
            close + 1
        } else {
            let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
            let name = &bytes[..end];
            if !name.iter().all(|b| is_reg_name(*b) || *b == b'%') || !percent_is_sound(name) {
                return Err(bad());
            }
            end
        };
        let port = match &bytes[name_len..] {
            [] => None,
            // RFC 3986 3.2.3: the port may be empty, and means the scheme's default then.
            [b':'] => None,
            [b':', digits @ ..] => {
                Some(decimal(digits).and_then(|port| u16::try_from(port).ok()).ok_or_else(bad)?)
            }
            _ => return Err(bad()),
        };
        // RFC 9110 4.2.1: a port without a host names nothing.
        if name_len == 0 && !bytes.is_empty() {
            return Err(bad());
        }
        Ok(Self { bytes: bytes.clone(), name_len, port })
    }

    /// Host and port as they were received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets through `parse`.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The host without its port, as received: in any case, an IPv6 address in its brackets. Empty if `Host` was empty.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().get(..self.name_len).unwrap_or_default()
    }

    /// The port, if one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether both name the same place, a missing port being `default_port`.
    #[must_use]
    pub(crate) fn is_same_place(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.name().eq_ignore_ascii_case(other.name())
            && self.port.or(default_port) == other.port.or(default_port)
    }
}
