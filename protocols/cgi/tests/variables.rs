//! From variables back to an environ: what each becomes, each mistake, and the round trip; knows the public
//! API only.
#![allow(clippy::unwrap_used, reason = "tests")]

mod invariants;

use gatebridge_cgi::limits::MAX_VARIABLES;
use gatebridge_cgi::{Blame, Environ, Excerpt, Listing, Redirect, Scheme, VariablesError};
use http::{Method, Version};
use invariants::listed;

fn read(variables: &[(&'static str, &'static str)]) -> Result<Environ, VariablesError> {
    let method = [("REQUEST_METHOD", "GET")];
    Environ::from_variables(method.iter().chain(variables).map(|(name, value)| (*name, *value)))
}

#[test]
fn what_nginx_sends_becomes_fields() {
    let environ = read(&[
        ("QUERY_STRING", "a=b"),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", ""),
        ("SCRIPT_NAME", "/index.php"),
        ("PATH_INFO", ""),
        ("REQUEST_URI", "/?a=b"),
        ("DOCUMENT_URI", "/index.php"),
        ("DOCUMENT_ROOT", "/srv"),
        ("SCRIPT_FILENAME", "/srv/index.php"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("REQUEST_SCHEME", "https"),
        ("HTTPS", "on"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "nginx/1.22.1"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_PORT", "50000"),
        ("REMOTE_USER", ""),
        ("SERVER_ADDR", "::1"),
        ("SERVER_PORT", "8443"),
        ("SERVER_NAME", "example.org"),
        ("REDIRECT_STATUS", "200"),
        ("PHP_VALUE", "a=1"),
        ("HTTP_HOST", "example.org"),
        ("HTTP_COOKIE", "a=1"),
        ("HTTP_COOKIE", "b=2"),
    ])
    .unwrap();
    assert_eq!((environ.content_length, &environ.content_type, &environ.remote_user), (None, &None, &None));
    assert_eq!((environ.protocol, environ.scheme), (Version::HTTP_2, Scheme::Https));
    assert_eq!(environ.remote_addr.unwrap().to_string(), "192.0.2.7");
    assert_eq!((environ.remote_port, environ.server_port), (Some(50000), 8443));
    assert_eq!(environ.script_filename.as_deref().unwrap().to_str(), Some("/srv/index.php"));
    assert_eq!(environ.headers.get_all("cookie").iter().count(), 2);
    assert_eq!(environ.headers["host"], "example.org");
    let kept = [("DOCUMENT_URI", "/index.php"), ("PHP_VALUE", "a=1")]
        .map(|(name, value)| (name.into(), value.into()));
    assert_eq!(environ.front_variables, kept);
}

#[test]
fn what_does_not_fit_a_field_is_kept_verbatim() {
    let odd = [
        ("REMOTE_ADDR", "unix:"),
        ("REMOTE_PORT", "none"),
        ("SERVER_ADDR", "localhost"),
        ("REDIRECT_STATUS", "-1"),
        ("CONTENT_TYPE", "a\nb"),
        ("HTTP_X_ODD", "a\nb"),
        ("HTTP_lower", "1"),
        ("HTTP_", "2"),
        ("HTTP_X.Y", "3"),
        ("REDIRECT_QUERY_STRING", "no url"),
        ("EMPTY", ""),
    ];
    let environ = read(&odd).unwrap();
    let list = listed(&environ, Listing::FASTCGI);
    for (name, value) in odd.into_iter().filter(|(name, _)| *name != "REDIRECT_STATUS") {
        assert_eq!(list.get(name.as_bytes()).map(Vec::as_slice), Some(value.as_bytes()), "{name}");
    }
}

#[test]
fn lesson_01_a_front_cannot_bring_a_proxy_either() {
    let environ =
        read(&[("HTTP_PROXY", "x"), ("http_proxy", "x"), ("HTTP_PrOxY", "x"), ("HTTP_ACCEPT", "y")]).unwrap();
    assert_eq!(environ.headers.len(), 1);
    assert!(environ.front_variables.is_empty());
}

#[test]
fn lesson_42_nor_what_has_its_own_variable() {
    let environ =
        read(&[("HTTP_CONTENT_LENGTH", "9"), ("HTTP_TRANSFER_ENCODING", "chunked"), ("SCGI", "1")]).unwrap();
    assert!(environ.headers.is_empty() && environ.front_variables.is_empty());
}

#[test]
fn of_two_with_one_name_the_later_counts() {
    let environ =
        read(&[("SCRIPT_FILENAME", "/a"), ("MY", "1"), ("SCRIPT_FILENAME", "/b"), ("MY", "2")]).unwrap();
    assert_eq!(environ.script_filename.unwrap().to_str(), Some("/b"));
    assert_eq!(environ.front_variables, [("MY".into(), "2".into())]);
}

#[test]
fn a_redirect_and_a_default_port_are_understood() {
    let environ =
        read(&[("HTTPS", "on"), ("REDIRECT_URL", "/a"), ("REDIRECT_REQUEST_METHOD", "POST")]).unwrap();
    assert_eq!(environ.server_port, 443);
    let redirect = Redirect { url: "/a".into(), query_string: "".into(), request_method: Method::POST };
    assert_eq!(environ.redirect, Some(redirect));
}

#[test]
fn no_method_is_refused() {
    let none: [(&str, &str); 1] = [("REQUEST_METHOD", "")];
    let error = Environ::from_variables(none).unwrap_err();
    assert_eq!((&error, error.blame()), (&VariablesError::NoMethod, Blame::Front));
}

#[test]
fn a_malformed_value_is_refused() {
    for (name, value) in [
        ("REQUEST_METHOD", "GET /"),
        ("SERVER_PROTOCOL", "INCLUDED"),
        ("SERVER_PORT", "65536"),
        ("SERVER_PORT", "+80"),
        ("CONTENT_LENGTH", "-1"),
        ("CONTENT_LENGTH", "1, 1"),
        ("CONTENT_LENGTH", "18446744073709551616"),
    ] {
        match read(&[(name, value)]).unwrap_err() {
            VariablesError::Malformed { name: named, value: shown, .. } => {
                assert_eq!((named, shown), (name, Excerpt::of(value.as_bytes())));
            }
            other => assert_eq!(other.to_string(), "", "{name}={value}"),
        }
    }
}

#[test]
fn two_lengths_are_refused() {
    assert_eq!(read(&[("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "1")]).unwrap().content_length, Some(1));
    let error = read(&[("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "2")]).unwrap_err();
    assert_eq!(error, VariablesError::TwoLengths { first: 1, second: 2 });
}

#[test]
fn a_variable_without_a_name_is_refused() {
    assert_eq!(read(&[("", "x")]).unwrap_err(), VariablesError::NoName { value: Excerpt::of(b"x") });
}

#[test]
fn a_nul_is_refused() {
    for (name, value) in [("A\0B", "x"), ("HTTP_A", "x\0"), ("CONTENT_LENGTH", "1\0")] {
        assert_eq!(
            read(&[(name, value)]).unwrap_err(),
            VariablesError::Nul { name: Excerpt::of(name.as_bytes()) }
        );
    }
}

#[test]
fn too_many_variables_are_refused() {
    let variables = |count: usize| {
        let rest = (1..count).map(|number| (format!("V{number}"), String::new()));
        Environ::from_variables(std::iter::once(("REQUEST_METHOD".into(), "GET".into())).chain(rest))
    };
    assert_eq!(variables(MAX_VARIABLES).unwrap().front_variables.len(), MAX_VARIABLES - 1);
    assert_eq!(variables(MAX_VARIABLES + 1).unwrap_err(), VariablesError::TooMany { limit: MAX_VARIABLES });
}
