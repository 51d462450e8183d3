//! From a list of variables back to an environ, for the fronts that receive one; knows what each name means,
//! not who sent it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, Method, Version};

use crate::environ::{Environ, Redirect, Scheme};
use crate::error::{Excerpt, VariablesError};
use crate::limits::MAX_VARIABLES;
use crate::{fields, names, proxied};

impl Environ {
    /// The environ that a list of variables describes: a FastCGI front's params, an SCGI front's headers, a
    /// CGI program's own environment.
    ///
    /// What is a field of [`Environ`] becomes that field, `HTTP_FOO_BAR` becomes the header field `foo-bar`,
    /// and everything else is kept verbatim in [`front_variables`](Self::front_variables), so that
    /// [`walk`](Self::walk) lists it again. Not kept: `GATEWAY_INTERFACE` and `SCGI`, which belong to one
    /// connection, and header fields that may never be listed (`HTTP_PROXY`, `HTTP_CONTENT_LENGTH`,
    /// `HTTP_TRANSFER_ENCODING` ...).
    ///
    /// An empty value of a typed variable counts as not sent (RFC 3875 4.1 treats both alike). Of two
    /// variables with one name the later counts, as programs behind nginx are used to; several `HTTP_*` of
    /// one name are several header fields.
    ///
    /// # Errors
    /// [`VariablesError`] when there is no method, when a method, protocol, port or length is malformed, or
    /// on a NUL byte.
    ///
    /// ```
    /// use gatebridge_cgi::Environ;
    ///
    /// let environ = Environ::from_variables([
    ///     ("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "3"), ("HTTP_X_ONE", "1"), ("MY_OWN", "kept"),
    /// ])?;
    /// assert_eq!((environ.content_length, &environ.headers["x-one"]), (Some(3), &"1".parse().unwrap()));
    /// assert_eq!(environ.front_variables, [("MY_OWN".into(), "kept".into())]);
    /// # Ok::<(), gatebridge_cgi::VariablesError>(())
    /// ```
    pub fn from_variables<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, VariablesError>
    where
        N: Into<Bytes>,
        V: Into<Bytes>,
    {
        let mut reading = Reading::default();
        for (at, (name, value)) in variables.into_iter().enumerate() {
            if at >= MAX_VARIABLES {
                return Err(VariablesError::TooMany { limit: MAX_VARIABLES });
            }
            reading.take(name.into(), value.into())?;
        }
        reading.finish()
    }
}

/// An environ in the making.
#[derive(Default)]
struct Reading {
    environ: Environ,
    method: Option<Method>,
    port: Option<u16>,
    redirect_url: Option<Bytes>,
    redirect_query_string: Option<Bytes>,
    redirect_method: Option<Bytes>,
    redirect_status: Option<u16>,
}

impl Reading {
    fn take(&mut self, name: Bytes, value: Bytes) -> Result<(), VariablesError> {
        if name.is_empty() {
            return Err(VariablesError::NoName { value: Excerpt::of(&value) });
        }
        if name.contains(&0) || value.contains(&0) {
            return Err(VariablesError::Nul { name: Excerpt::of(&name) });
        }
        // Whatever the case: curl and others take "http_proxy" for their own setting as well.
        if name.eq_ignore_ascii_case(names::HTTP_PROXY.as_bytes()) {
            return Ok(());
        }
        if name.starts_with(names::HTTP_PREFIX.as_bytes()) {
            self.field(name, value);
            return Ok(());
        }
        let Some(known) = names::SERVER_SET.iter().find(|known| known.as_bytes() == name) else {
            if name != names::SCGI {
                self.keep(name, value);
            }
            return Ok(());
        };
        match *known {
            names::CONTENT_LENGTH => self.length(&value),
            names::REQUEST_METHOD | names::SERVER_PROTOCOL | names::SERVER_PORT => {
                self.grammatical(known, &value)
            }
            _ => {
                self.typed(known, value);
                Ok(())
            }
        }
    }

    /// Keeps a variable that is no field; of two with one name the later.
    fn keep(&mut self, name: Bytes, value: Bytes) {
        match self.environ.front_variables.iter_mut().find(|(kept, _)| *kept == name) {
            Some((_, old)) => *old = value,
            None => self.environ.front_variables.push((name, value)),
        }
    }

    fn field(&mut self, name: Bytes, value: Bytes) {
        let Some(field) = fields::field_name(&name) else {
            return self.keep(name, value);
        };
        if !fields::may_be_listed(&field) {
            return;
        }
        // The bound on variables is far below the map's own, so what is a valid value always finds room.
        let kept = HeaderValue::from_maybe_shared(value.clone())
            .is_ok_and(|checked| self.environ.headers.try_append(field, checked).is_ok());
        if !kept {
            self.keep(name, value);
        }
    }

    /// RFC 3875 4.1.2: digits or nothing.
    fn length(&mut self, value: &Bytes) -> Result<(), VariablesError> {
        if value.is_empty() {
            return Ok(());
        }
        let second = digits(value)
            .ok_or_else(|| malformed(names::CONTENT_LENGTH, value, "a number of digits alone"))?;
        match self.environ.content_length.replace(second) {
            Some(first) if first != second => Err(VariablesError::TwoLengths { first, second }),
            _ => Ok(()),
        }
    }

    /// Variables that say what the request is: a value that nobody understands is refused.
    fn grammatical(&mut self, name: &'static str, value: &Bytes) -> Result<(), VariablesError> {
        if value.is_empty() {
            return Ok(());
        }
        match name {
            names::REQUEST_METHOD => {
                let method =
                    Method::from_bytes(value).map_err(|_| malformed(name, value, "a method (a token)"))?;
                self.method = Some(method);
            }
            names::SERVER_PROTOCOL => {
                self.environ.protocol = match &value[..] {
                    b"HTTP/0.9" => Version::HTTP_09,
                    b"HTTP/1.0" => Version::HTTP_10,
                    b"HTTP/1.1" => Version::HTTP_11,
                    b"HTTP/2" | b"HTTP/2.0" => Version::HTTP_2,
                    b"HTTP/3" | b"HTTP/3.0" => Version::HTTP_3,
                    _ => return Err(malformed(name, value, "a version of HTTP such as HTTP/1.1")),
                };
            }
            _ => {
                let port = digits(value).and_then(|port| u16::try_from(port).ok());
                self.port = Some(port.ok_or_else(|| malformed(name, value, "a port from 0 to 65535"))?);
            }
        }
        Ok(())
    }

    fn typed(&mut self, name: &'static str, value: Bytes) {
        let environ = &mut self.environ;
        match name {
            names::SCRIPT_NAME => environ.script_name = value,
            names::PATH_INFO => environ.path_info = value,
            names::QUERY_STRING => environ.query_string = value,
            names::REQUEST_URI => environ.request_uri = value,
            names::UNIQUE_ID => environ.unique_id = value,
            names::GATEWAY_INTERFACE => {}
            _ if value.is_empty() => {}
            names::SERVER_SOFTWARE => environ.server_software = value,
            names::SERVER_NAME => environ.server_name = value,
            names::REMOTE_HOST => environ.remote_host = Some(value),
            names::REMOTE_USER => environ.remote_user = Some(value),
            names::AUTH_TYPE => environ.auth_type = Some(value),
            names::PATH_TRANSLATED => environ.path_translated = Some(path(&value)),
            names::SCRIPT_FILENAME => environ.script_filename = Some(path(&value)),
            names::DOCUMENT_ROOT => environ.document_root = Some(path(&value)),
            names::REDIRECT_URL => self.redirect_url = Some(value),
            names::REDIRECT_QUERY_STRING => self.redirect_query_string = Some(value),
            names::REDIRECT_REQUEST_METHOD => self.redirect_method = Some(value),
            names::HTTPS if value.eq_ignore_ascii_case(b"on") || value == "1" => {
                environ.scheme = Scheme::Https
            }
            names::HTTPS => {}
            names::REQUEST_SCHEME if value.eq_ignore_ascii_case(b"https") => environ.scheme = Scheme::Https,
            names::REQUEST_SCHEME => {}
            _ => self.parsed(name, value),
        }
    }

    /// Fields of a narrower type than their variables: what does not fit (`REMOTE_ADDR=unix:`) is kept
    /// verbatim, and listed as long as the field stays empty.
    fn parsed(&mut self, name: &'static str, value: Bytes) {
        let text = std::str::from_utf8(&value).unwrap_or_default();
        let environ = &mut self.environ;
        let fits = match name {
            names::CONTENT_TYPE => {
                environ.content_type = HeaderValue::from_maybe_shared(value.clone()).ok();
                environ.content_type.is_some()
            }
            names::REMOTE_ADDR => {
                environ.remote_addr = text.parse().ok();
                environ.remote_addr.is_some()
            }
            names::SERVER_ADDR => {
                environ.server_addr = text.parse().ok();
                environ.server_addr.is_some()
            }
            names::REMOTE_PORT => {
                environ.remote_port = digits(&value).and_then(|port| u16::try_from(port).ok());
                environ.remote_port.is_some()
            }
            _ => {
                let status = digits(&value).and_then(|status| u16::try_from(status).ok());
                self.redirect_status = status.or(self.redirect_status);
                status.is_some()
            }
        };
        if !fits {
            self.keep(Bytes::from_static(name.as_bytes()), value);
        }
    }

    fn finish(self) -> Result<Environ, VariablesError> {
        let mut environ = self.environ;
        environ.method = self.method.ok_or(VariablesError::NoMethod)?;
        environ.server_port = self.port.unwrap_or(environ.scheme.default_port());
        environ.redirect_status = self.redirect_status.unwrap_or(environ.redirect_status);
        split_proxied(&mut environ);
        if let Some(url) = self.redirect_url {
            let method = self.redirect_method.and_then(|method| Method::from_bytes(&method).ok());
            environ.redirect = Some(Redirect {
                url,
                query_string: self.redirect_query_string.unwrap_or_default(),
                request_method: method.unwrap_or_default(),
            });
        } else {
            // Half a redirect is none, but nothing gets lost.
            let query = self.redirect_query_string.map(|value| (names::REDIRECT_QUERY_STRING, value));
            let method = self.redirect_method.map(|value| (names::REDIRECT_REQUEST_METHOD, value));
            let rest = query.into_iter().chain(method);
            environ
                .front_variables
                .extend(rest.map(|(name, value)| (Bytes::from_static(name.as_bytes()), value)));
        }
        Ok(environ)
    }
}

/// Gives a program behind Apache's proxy modules its path info back, or the name of its file.
fn split_proxied(environ: &mut Environ) {
    let Some(filename) = &environ.script_filename else { return };
    let Some(path) = proxied::path(filename.as_os_str().as_bytes()) else { return };
    let whole = environ.script_name.clone();
    let length = if environ.path_info.is_empty() { proxied::info_length(&whole, path) } else { None };
    environ.script_filename = match length {
        Some(length) => {
            environ.path_info = whole.slice(whole.len() - length..);
            environ.script_name = whole.slice(..whole.len() - length);
            None
        }
        None => Some(self::path(path)),
    };
}

fn malformed(name: &'static str, value: &[u8], wanted: &'static str) -> VariablesError {
    VariablesError::Malformed { name, value: Excerpt::of(value), wanted }
}

/// Digits alone, at least one, and no more than 64 bits.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn path(value: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(value))
}
