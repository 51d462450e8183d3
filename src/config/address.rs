//! Addresses as written: where to listen, where to connect, which peers to trust; it opens and looks up nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;

use super::defaults;
use super::meant::ListenAddress;
use super::meant_back::ConnectAddress;

/// `sockaddr_un.sun_path` has 108 bytes on Linux, the last of which is a NUL.
const MAX_UNIX_PATH_BYTES: usize = 107;

/// systemd.socket(5), `FileDescriptorName=`: the longest name of a descriptor.
const MAX_DESCRIPTOR_NAME_BYTES: usize = 255;

/// The first descriptor that is not standard input, output or error.
const FIRST_FREE_DESCRIPTOR: i32 = 3;

/// A peer whose forwarding fields are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrustedPeer {
    /// One in this range.
    Net(IpNet),
    /// Any at a unix socket.
    Unix,
}

/// A text that is no address: what is wrong with it and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {hint}")]
pub struct AddressError {
    pub(super) problem: String,
    pub(super) hint: String,
}

impl AddressError {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    /// Reads `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/gatebridge.sock`, `fd:3` or `fd:web`. A relative path of a
    /// unix socket stays relative.
    ///
    /// # Errors
    ///
    /// The text is none of these; the message says what to write instead.
    ///
    /// ```
    /// use gatebridge::config::ListenAddress;
    ///
    /// assert_eq!("fd:3".parse(), Ok(ListenAddress::Descriptor(3)));
    /// assert!("localhost:8080".parse::<ListenAddress>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Self::Unix);
        }
        if let Some(descriptor) = text.strip_prefix("fd:") {
            return passed(text, descriptor);
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            let hint = listen_hint(text);
            AddressError::new(format!("\"{text}\" is not an address to listen at"), hint)
        })
    }
}

/// Reads what stands behind `fd:`: a number, or a name that is none.
fn passed(text: &str, descriptor: &str) -> Result<ListenAddress, AddressError> {
    let wrong =
        |hint: &str| Err(AddressError::new(format!("\"{text}\" is not an inherited descriptor"), hint));
    match descriptor.parse::<i32>() {
        Ok(number) if number >= FIRST_FREE_DESCRIPTOR => Ok(ListenAddress::Descriptor(number)),
        Ok(_) => wrong("write \"fd:3\" or a higher number; 0, 1 and 2 are standard input, output and error"),
        Err(_) if is_descriptor_name(descriptor) => Ok(ListenAddress::Named(descriptor.to_owned())),
        Err(_) => {
            wrong("write its number, \"fd:3\", or the FileDescriptorName of its socket unit, \"fd:web\"")
        }
    }
}

/// Whether systemd would take this as the name of a descriptor; digits alone are a number.
fn is_descriptor_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    (1..=MAX_DESCRIPTOR_NAME_BYTES).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What was probably meant by something that is no IP address and port.
fn listen_hint(text: &str) -> String {
    let all = "write \"127.0.0.1:8080\", \"[::1]:8080\", \"unix:/path\" or \"fd:3\"";
    let port = |text: &str| text.parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp:")) {
        return format!("write it without \"{}\"", &text[..text.len() - rest.len()]);
    }
    if text.starts_with('/') {
        return format!("did you mean \"unix:{text}\"?");
    }
    if port(text) {
        return format!(
            "did you mean \"127.0.0.1:{text}\"? Write \"0.0.0.0:{text}\" to be called from other machines"
        );
    }
    match text.rsplit_once(':') {
        Some(("" | "*", number)) if port(number) => {
            format!(
                "did you mean \"0.0.0.0:{number}\"? Write \"127.0.0.1:{number}\" to be called from this machine only"
            )
        }
        Some(("localhost", number)) if port(number) => format!("did you mean \"127.0.0.1:{number}\"?"),
        Some((host, number)) if port(number) && host.parse::<std::net::Ipv6Addr>().is_ok() => {
            format!("did you mean \"[{host}]:{number}\"?")
        }
        _ => match text.parse::<IpAddr>() {
            Ok(ip) => format!("add a port: did you mean \"{}\"?", SocketAddr::new(ip, 8080)),
            Err(_) => all.to_owned(),
        },
    }
}

/// Reads `10.0.0.7:9000`, `[::1]:9000`, `php:9000` or `unix:/run/php/php-fpm.sock`.
pub(super) fn connect(text: &str) -> Result<ConnectAddress, AddressError> {
    let wrong = |hint: &str| AddressError::new(format!("\"{text}\" is not an address to connect to"), hint);
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(ConnectAddress::Unix);
    }
    if text.starts_with('/') {
        return Err(wrong(&format!("did you mean \"unix:{text}\"?")));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 {
            Err(wrong("port 0 is no port"))
        } else {
            Ok(ConnectAddress::Tcp(address))
        };
    }
    let all = "write \"unix:/run/php/php-fpm.sock\", \"127.0.0.1:9000\" or \"name:9000\"";
    let Some((host, port)) = text.rsplit_once(':') else { return Err(wrong(all)) };
    match port.parse::<u16>() {
        Ok(port) if port > 0 && is_host_name(host) => {
            Ok(ConnectAddress::Name { host: host.to_owned(), port })
        }
        _ => Err(wrong(all)),
    }
}

/// Reads an entry of `trusted_proxies`: an address, a range of them, or `unix`.
pub(super) fn trusted_proxy(text: &str) -> Result<TrustedPeer, AddressError> {
    if text == "unix" {
        return Ok(TrustedPeer::Unix);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(TrustedPeer::Net(IpNet::from(ip)));
    }
    let wrong = || {
        AddressError::new(
            format!("\"{text}\" is neither an IP address nor a range of them"),
            "write \"10.0.0.7\", \"10.0.0.0/8\", \"fd00::/8\", or \"unix\" for whoever may connect to a unix socket",
        )
    };
    let net = text.parse::<IpNet>().map_err(|_| wrong())?;
    if net != net.trunc() {
        // Somebody who wrote 10.0.0.7/8 meant either the host or the net, and the two differ by millions.
        let hint = format!("did you mean \"{}\" or \"{}\"?", net.trunc(), net.addr());
        return Err(AddressError::new(format!("\"{text}\" has bits set behind its prefix"), hint));
    }
    Ok(TrustedPeer::Net(net))
}

/// Whether this is a host name: letters, digits, hyphens and dots, no empty label.
pub(super) fn is_host_name(text: &str) -> bool {
    // RFC 1123 2.1: at most 255 characters in all; RFC 1035 2.3.4: at most 63 in a label. An underscore is no host
    // name by the letter, but container networks use it.
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn unix_path(path: &str) -> Result<PathBuf, AddressError> {
    if path.is_empty() {
        return Err(AddressError::new("the unix socket has no path", "write \"unix:/run/gatebridge.sock\""));
    }
    if path.starts_with("//") {
        let hint = format!("did you mean \"unix:/{}\"?", path.trim_start_matches('/'));
        return Err(AddressError::new(format!("\"unix:{path}\" starts with more than one slash"), hint));
    }
    Ok(PathBuf::from(path))
}

/// Whether the path of a unix socket fits the structure that the kernel takes it in.
pub(super) fn check_unix_length(path: &Path) -> Result<(), AddressError> {
    let length = path.as_os_str().len();
    if length <= MAX_UNIX_PATH_BYTES {
        return Ok(());
    }
    Err(AddressError::new(
        format!(
            "{} has {length} bytes, and the path of a unix socket at most {MAX_UNIX_PATH_BYTES}",
            path.display()
        ),
        "choose a shorter folder, for example /run",
    ))
}

/// The address of a gateway that nobody configured.
pub(super) fn default_listen() -> ListenAddress {
    defaults::LISTEN_ADDRESS.parse().unwrap_or(ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_at_show_as_they_are_written() {
        for text in
            ["127.0.0.1:8080", "[::1]:0", "0.0.0.0:80", "unix:/run/a b.sock", "unix:a.sock", "fd:3", "fd:web"]
        {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn addresses_to_connect_to_show_as_they_are_written() {
        for text in ["127.0.0.1:9000", "[::1]:9000", "php:9000", "app_1.internal:65535", "unix:/run/php.sock"]
        {
            assert_eq!(connect(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_error_alone_says_what_to_write() {
        let error = "8080".parse::<ListenAddress>().unwrap_err().to_string();
        assert!(error.contains("did you mean \"127.0.0.1:8080\"?"), "{error}");
    }

    #[test]
    fn names_of_descriptors() {
        let named = |name: &str| format!("fd:{name}").parse::<ListenAddress>();
        for good in ["web", "gatebridge.socket", "8080/tcp", &"a".repeat(255)] {
            assert_eq!(named(good), Ok(ListenAddress::Named(good.to_owned())));
        }
        for bad in ["", "a:b", "a b", "bücher", "99999999999", &"a".repeat(256)] {
            assert!(named(bad).unwrap_err().hint.contains("FileDescriptorName"), "{bad}");
        }
        assert!(named("2").is_err() && named("-1").is_err());
    }

    #[test]
    fn host_names() {
        for good in ["a", "blog.example.org", "1.2.3.4", "xn--bcher-kva.example", "app_1"] {
            assert!(is_host_name(good), "{good}");
        }
        let long = ["a".repeat(64), vec!["a".repeat(63); 5].join(".")];
        for bad in ["", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "bücher.example", "a:1"] {
            assert!(!is_host_name(bad), "{bad}");
        }
        assert!(long.iter().all(|name| !is_host_name(name)));
    }

    #[test]
    fn the_default_is_the_constant() {
        assert_eq!(default_listen().to_string(), defaults::LISTEN_ADDRESS);
    }

    #[test]
    fn lesson_36_a_range_is_not_guessed() {
        assert!(trusted_proxy("10.0.0.7/8").is_err());
        assert_eq!(trusted_proxy("10.0.0.7"), Ok(TrustedPeer::Net("10.0.0.7/32".parse().unwrap())));
        assert_eq!(trusted_proxy("unix"), Ok(TrustedPeer::Unix));
        assert!(trusted_proxy("*").is_err());
    }
}
