//! The path of a request target, decoded once and made plain. It must not know routes, nor touch a file.
//!
//! What was decided, and why:
//!
//! - Escapes are decoded exactly once: `%252e` is the four characters `%2e` in a file's name, for ever.
//! - `.` and `..` are resolved after decoding, so `%2e%2e` is no way around it; whoever climbs above `/` is refused
//!   instead of being set back there, since nobody does that by mistake.
//! - `//` is one `/`: a file system sees no difference, so a rule about `/private/` must not see one either.
//! - `%2F` is refused. RFC 3875 4.1.5 allows that: decoded into PATH_INFO it could not be told from a separator.
//!   [`EncodedSlash::Decode`] decodes it, before everything else is looked at; the program finds the original in REQUEST_URI.
//! - Control bytes, encoded or not, are refused; `%0a` in a path has opened more than one FastCGI server.
//! - `;` and `\` and bytes from 0x80 up are data.

use std::fmt;

/// A path that begins with `/`, without escapes, without `.` and `..` and empty components (but for a `/` at its end),
/// and without control bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DecodedPath(Vec<u8>);

impl DecodedPath {
    /// The bytes; UTF-8 in all likelihood, but nobody promised.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for DecodedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// What `%2F` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlash {
    /// The request is refused.
    #[default]
    Refuse,
    /// The same as `/`.
    Decode,
}

/// Why a path was refused; HTTP answers 400 to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with /")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it.
    #[error("the % at byte {at} of the path has no two hexadecimal digits behind it")]
    BadEscape {
        /// Counted from 0, in the undecoded path.
        at: usize,
    },
    /// A control byte, as it is or encoded.
    #[error("the path contains the control byte 0x{byte:02x}")]
    ControlByte {
        /// The byte after decoding.
        byte: u8,
    },
    /// A space, `#` or `?` that is not encoded.
    #[error("the path contains {:?}, which must be encoded", char::from(*.byte))]
    Unencoded {
        /// The byte.
        byte: u8,
    },
    /// `%2F`.
    #[error("the path contains an encoded slash (%2F)")]
    EncodedSlash,
    /// More `..` than there are components before it.
    #[error("the path climbs above the root by ..")]
    AboveRoot,
    /// A component of a path that should have been made plain is empty, `.` or `..`.
    #[error("the path has an empty, . or .. component")]
    NotPlain,
}

/// Decodes the path of a request target, without its query, and makes it plain; an encoded slash is refused.
///
/// ```
/// use gatebridge::route::{PathError, decode_path};
///
/// assert_eq!(decode_path(b"/a%20b//c/../d/")?.as_bytes(), b"/a b/d/");
/// assert_eq!(decode_path(b"/a/%2e%2e/%2e%2e/etc"), Err(PathError::AboveRoot));
/// # Ok::<(), PathError>(())
/// ```
///
/// # Errors
/// See [`PathError`]; every one is the client's fault.
pub fn decode_path(target: &[u8]) -> Result<DecodedPath, PathError> {
    decode_path_with(target, EncodedSlash::Refuse)
}

/// The same, with a choice about `%2F`.
///
/// # Errors
/// See [`PathError`]; every one is the client's fault.
pub fn decode_path_with(target: &[u8], encoded_slash: EncodedSlash) -> Result<DecodedPath, PathError> {
    if target.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    make_plain(&unescape(target, encoded_slash)?).map(DecodedPath)
}

fn unescape(target: &[u8], encoded_slash: EncodedSlash) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(target.len());
    let mut at = 0;
    while let Some(&raw) = target.get(at) {
        let byte = if raw == b'%' {
            let byte = escaped(target.get(at + 1..at + 3)).ok_or(PathError::BadEscape { at })?;
            if byte == b'/' && encoded_slash == EncodedSlash::Refuse {
                // RFC 3875 4.1.5: a server may reject what would lose information when decoded into PATH_INFO.
                return Err(PathError::EncodedSlash);
            }
            at += 3;
            byte
        } else if matches!(raw, b' ' | b'#' | b'?') {
            return Err(PathError::Unencoded { byte: raw });
        } else {
            at += 1;
            raw
        };
        if byte.is_ascii_control() {
            return Err(PathError::ControlByte { byte });
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

fn escaped(digits: Option<&[u8]>) -> Option<u8> {
    let &[high, low] = digits? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// RFC 3986 5.2.4 for a path that begins with `/`, but what would climb above it is refused.
fn make_plain(decoded: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut plain: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut open_end = true; // whether the path ends at a directory so far
    for component in decoded.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => open_end = true,
            b".." => {
                let parent = plain.iter().rposition(|&byte| byte == b'/').ok_or(PathError::AboveRoot)?;
                plain.truncate(parent);
                open_end = true;
            }
            name => {
                plain.push(b'/');
                plain.extend_from_slice(name);
                open_end = false;
            }
        }
    }
    if open_end {
        plain.push(b'/');
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(target: &str) -> String {
        String::from_utf8(decode_path(target.as_bytes()).unwrap().into_bytes()).unwrap()
    }

    #[test]
    fn paths_are_made_plain() {
        for (target, path) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/...", "/..."),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/%61%62", "/ab"),
            ("/a%20b%3Fc%23d%25", "/a b?c#d%"),
            ("/a\\..\\b", "/a\\..\\b"),
        ] {
            assert_eq!(plain(target), path, "{target}");
        }
    }

    #[test]
    fn lesson_04_control_bytes_are_refused() {
        for (target, byte) in
            [("/a%00", 0), ("/a%0a.php", 10), ("/a%0D", 13), ("/a%7f", 127), ("/a\nb", 10), ("/%1f", 31)]
        {
            assert_eq!(decode_path(target.as_bytes()), Err(PathError::ControlByte { byte }), "{target}");
        }
    }

    #[test]
    fn lesson_06_a_path_is_decoded_exactly_once() {
        assert_eq!(plain("/%252e%252e/x"), "/%2e%2e/x");
        assert_eq!(plain("/%2500"), "/%00");
        for target in ["/..", "/../etc", "/a/../../etc", "/%2e%2e/etc", "/.%2E/etc", "/a/..//../x", "/%2e%2e"]
        {
            assert_eq!(decode_path(target.as_bytes()), Err(PathError::AboveRoot), "{target}");
        }
    }

    #[test]
    fn lesson_32_what_must_be_encoded_is_refused_as_it_is() {
        for (target, byte) in [("/a b", b' '), ("/a#b", b'#'), ("/a?b", b'?')] {
            assert_eq!(decode_path(target.as_bytes()), Err(PathError::Unencoded { byte }));
        }
        for target in ["", "a", "*", "http://h/", "%2Fa"] {
            assert_eq!(decode_path(target.as_bytes()), Err(PathError::NotAbsolute));
        }
    }

    #[test]
    fn escapes_need_two_digits() {
        for (target, at) in [("/%", 1), ("/%4", 1), ("/a%zz", 2), ("/%+1", 1), ("/%4g", 1), ("/a%-1b", 2)] {
            assert_eq!(decode_path(target.as_bytes()), Err(PathError::BadEscape { at }), "{target}");
        }
    }

    #[test]
    fn an_encoded_slash_is_refused_or_the_same_as_a_slash() {
        assert_eq!(decode_path(b"/a%2Fb"), Err(PathError::EncodedSlash));
        assert_eq!(decode_path(b"/a%2fb"), Err(PathError::EncodedSlash));
        let decode =
            |target: &[u8]| decode_path_with(target, EncodedSlash::Decode).map(DecodedPath::into_bytes);
        assert_eq!(decode(b"/a%2Fb").unwrap(), b"/a/b");
        assert_eq!(decode(b"/a%2F..%2F..%2Fb"), Err(PathError::AboveRoot));
    }

    fn encode(path: &[u8]) -> Vec<u8> {
        path.iter().fold(Vec::new(), |mut target, byte| {
            match byte {
                b'/' | b'a'..=b'z' | b'.' => target.push(*byte),
                _ => target.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            }
            target
        })
    }

    proptest! {
        #[test]
        fn nothing_ever_escapes(target in "/([a.%/;\\\\~]|\\.\\.|%2e|%2E|%2f|%00|%25){0,24}", decode in any::<bool>()) {
            let slash = if decode { EncodedSlash::Decode } else { EncodedSlash::Refuse };
            if let Ok(path) = decode_path_with(target.as_bytes(), slash) {
                let path = path.as_bytes();
                prop_assert_eq!(path[0], b'/');
                prop_assert!(!path.iter().any(u8::is_ascii_control));
                let mut components: Vec<_> = path[1..].split(|&byte| byte == b'/').collect();
                if components.last() == Some(&&b""[..]) {
                    components.pop();
                }
                for component in components {
                    prop_assert!(!matches!(component, b"" | b"." | b".."));
                }
            }
        }

        #[test]
        fn a_plain_path_survives_another_round(target in proptest::collection::vec(any::<u8>(), 0..40)) {
            let target = [b"/", &target[..]].concat();
            if let Ok(path) = decode_path_with(&target, EncodedSlash::Decode) {
                prop_assert_eq!(decode_path(&encode(path.as_bytes())).unwrap(), path);
            }
        }
    }
}
