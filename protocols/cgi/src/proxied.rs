//! What Apache's proxy modules make of a request's path, undone; knows three variables, no environ.
//!
//! `ProxyPass "/app" "fcgi://localhost"` (or `scgi:`) for `/app/a%20b` gives the whole path as SCRIPT_NAME, no PATH_INFO, and
//! the address that it asks, with what stands behind `/app`, as SCRIPT_FILENAME: `proxy:fcgi://localhost/a%20b`. Directives
//! that would correct this exist for FastCGI alone. So a program behind it has no PATH_INFO, and as many script names as
//! there are paths.

/// What SCRIPT_FILENAME begins with when it is an address.
const PREFIXES: [&[u8]; 2] = [b"proxy:fcgi://", b"proxy:scgi://"];

/// The path of such an address, as it is written there; `None` when this is a file name.
pub(crate) fn path(script_filename: &[u8]) -> Option<&[u8]> {
    let rest = PREFIXES.iter().find_map(|prefix| script_filename.strip_prefix(*prefix))?;
    Some(rest.iter().position(|&byte| byte == b'/').map_or(&[], |at| &rest[at..]))
}

/// How many bytes at the end of a script name are its path info: all that the address says behind the host, decoded.
/// `None` when the script name ends otherwise: then the address ends with the name of a file.
pub(crate) fn info_length(script_name: &[u8], path: &[u8]) -> Option<usize> {
    let info = decode(path);
    script_name.ends_with(&info).then_some(info.len())
}

/// Decodes `%XX` once. What is no such sequence stays.
fn decode(path: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match after {
            [high, low, after @ ..] if *first == b'%' => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high * 16 + low
                }
                _ => *first,
            },
            _ => *first,
        });
    }
    decoded
}

#[cfg(test)]
mod tests {
    use crate::Environ;

    /// SCRIPT_NAME, PATH_INFO and SCRIPT_FILENAME of what Apache sends.
    fn read(name: &str, info: Option<&str>, filename: &str) -> (String, String, Option<String>) {
        let mut variables =
            vec![("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", name), ("SCRIPT_FILENAME", filename)];
        variables.extend(info.map(|info| ("PATH_INFO", info)));
        let environ = Environ::from_variables(
            variables.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())),
        );
        let environ = environ.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let filename = environ.script_filename.map(|path| path.display().to_string());
        (text(&environ.script_name), text(&environ.path_info), filename)
    }

    fn told(name: &str, info: &str, filename: Option<&str>) -> (String, String, Option<String>) {
        (name.into(), info.into(), filename.map(str::to_owned))
    }

    #[test]
    fn lesson_43_apaches_proxies_have_a_path_info() {
        for (scheme, host) in [("fcgi", "localhost"), ("scgi", "localhost:4000"), ("fcgi", "[::1]:9000")] {
            let at = |path: &str| format!("proxy:{scheme}://{host}{path}");
            assert_eq!(read("/app/a b/ä", None, &at("/a%20b/%C3%a4")), told("/app", "/a b/ä", None));
            assert_eq!(read("/app", None, &at("")), told("/app", "", None));
            assert_eq!(read("/app/", None, &at("/")), told("/app", "/", None));
            assert_eq!(read("/a", None, &at("/a")), told("", "/a", None));
            // What only looks like an escape.
            assert_eq!(read("/app/100%", None, &at("/100%")), told("/app", "/100%", None));
            assert_eq!(read("/app/%zz", None, &at("/%zz")), told("/app", "/%zz", None));
        }
    }

    #[test]
    fn files_behind_apaches_proxies_are_files() {
        // ProxyPassMatch "^/(.+\.php)$" "fcgi://localhost/srv/$1"
        let file = "proxy:fcgi://localhost:9000/srv/a.php";
        assert_eq!(read("/a.php", None, file), told("/a.php", "", Some("/srv/a.php")));
        // SetHandler "proxy:unix:/run/a.sock|fcgi://localhost/", which knows the path info by itself
        assert_eq!(read("/a.php", Some("/more"), file), told("/a.php", "/more", Some("/srv/a.php")));
        assert_eq!(read("/a.php", Some(""), "/srv/a.php"), told("/a.php", "", Some("/srv/a.php")));
        assert_eq!(read("/a.php", None, "proxy:http://x/a.php").2, Some("proxy:http://x/a.php".into()));
    }
}
