//! The walker's rules, one test each; knows the public API only.
#![allow(clippy::unwrap_used, reason = "tests")]

mod invariants;

use std::net::IpAddr;

use gatebridge_cgi::{Environ, Listing, Redirect, Scheme, alias, names};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Version};
use invariants::listed;

fn with_fields(fields: &[(&str, &str)]) -> Environ {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    Environ { headers, ..Environ::default() }
}

fn value(environ: &Environ, name: &str) -> Option<String> {
    listed(environ, Listing::CGI).remove(name.as_bytes()).map(|value| String::from_utf8(value).unwrap())
}

fn http_names(environ: &Environ) -> Vec<String> {
    let names = listed(environ, Listing::CGI).into_keys().map(|name| String::from_utf8(name).unwrap());
    names.filter(|name| name.starts_with("HTTP_")).collect()
}

#[test]
fn every_typed_field_has_its_variable() {
    let environ = Environ {
        method: Method::POST,
        protocol: Version::HTTP_2,
        scheme: Scheme::Https,
        request_uri: "/s%20t/i?q=%20".into(),
        script_name: "/s t".into(),
        mount_point: "/never/listed".into(),
        path_info: "/i".into(),
        path_translated: Some("/srv/i".into()),
        script_filename: Some("/srv/s t".into()),
        document_root: Some("/srv".into()),
        query_string: "q=%20".into(),
        server_name: "example.org".into(),
        server_port: 8443,
        server_addr: Some(IpAddr::from([10, 0, 0, 1])),
        server_software: "gatebridge/1".into(),
        remote_addr: Some("2001:db8::1".parse().unwrap()),
        remote_port: Some(65535),
        remote_host: Some("client.example".into()),
        remote_user: Some("ann".into()),
        auth_type: Some("Basic".into()),
        content_length: Some(u64::MAX),
        content_type: Some(HeaderValue::from_static("text/plain")),
        headers: HeaderMap::new(),
        unique_id: "id-1".into(),
        redirect_status: 404,
        redirect: Some(Redirect {
            url: "/old".into(),
            query_string: "a=b".into(),
            request_method: Method::PUT,
        }),
        pass_authorization: true,
        variables: vec![("GIT_PROJECT_ROOT".into(), "/srv/git".into())],
        front_variables: vec![("FRONT".into(), "1".into())],
    };
    let expected = "AUTH_TYPE=Basic CONTENT_LENGTH=18446744073709551615 CONTENT_TYPE=text/plain DOCUMENT_ROOT=/srv \
        FRONT=1 GATEWAY_INTERFACE=CGI/1.1 GIT_PROJECT_ROOT=/srv/git HTTPS=on PATH_INFO=/i PATH_TRANSLATED=/srv/i \
        QUERY_STRING=q=%20 REDIRECT_QUERY_STRING=a=b REDIRECT_REQUEST_METHOD=PUT REDIRECT_STATUS=404 \
        REDIRECT_URL=/old REMOTE_ADDR=2001:db8::1 REMOTE_HOST=client.example REMOTE_PORT=65535 REMOTE_USER=ann \
        REQUEST_METHOD=POST REQUEST_SCHEME=https REQUEST_URI=/s%20t/i?q=%20 SCRIPT_FILENAME=/srv/s t \
        SCRIPT_NAME=/s t SERVER_ADDR=10.0.0.1 SERVER_NAME=example.org SERVER_PORT=8443 SERVER_PROTOCOL=HTTP/2.0 \
        SERVER_SOFTWARE=gatebridge/1 UNIQUE_ID=id-1";
    let list = listed(&environ, Listing::CGI);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let shown: Vec<String> =
        list.into_iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
    assert_eq!(shown.join(" "), expected);
    for name in names::SERVER_SET {
        assert!(shown.iter().any(|pair| pair.starts_with(&format!("{name}="))), "{name} has no typed field");
    }
}

#[test]
fn lesson_01_proxy_never_becomes_a_variable() {
    for name in ["Proxy", "proxy", "PROXY"] {
        assert_eq!(
            http_names(&with_fields(&[(name, "http://attacker.example"), ("Accept", "*/*")])),
            ["HTTP_ACCEPT"]
        );
    }
    let mut environ = Environ::default();
    environ.front_variables.push(("http_proxy".into(), "http://attacker.example".into()));
    assert_eq!(value(&environ, "http_proxy"), None);
}

#[test]
fn lesson_02_only_letters_digits_and_hyphens_become_variables() {
    let environ = with_fields(&[
        ("X_Forwarded_For", "1.1.1.1"),
        ("X.Forwarded.For", "2.2.2.2"),
        ("X-Forwarded-For", "3.3.3.3"),
        ("X!Y", "4"),
        ("Content_Length", "5"),
    ]);
    assert_eq!(http_names(&environ), ["HTTP_X_FORWARDED_FOR"]);
    assert_eq!(value(&environ, "HTTP_X_FORWARDED_FOR").as_deref(), Some("3.3.3.3"));
}

#[test]
fn lesson_02_an_alias_is_found() {
    let found = |fields| alias(&with_fields(fields).headers).map(ToString::to_string);
    assert_eq!(found(&[("X_Forwarded_For", "1")]).as_deref(), Some("x_forwarded_for"));
    assert_eq!(found(&[("My.Own", "1"), ("My-Own", "2")]).as_deref(), Some("my.own"));
    assert_eq!(found(&[("Content_Length", "1")]).as_deref(), Some("content_length"));
    assert_eq!(found(&[("My_Own", "1"), ("X-Forwarded-For", "2")]), None);
}

#[test]
fn lesson_03_a_field_never_sets_a_server_variable() {
    let environ = with_fields(&[
        ("Remote-User", "root"),
        ("Script-Filename", "/etc/passwd"),
        ("Https", "on"),
        ("Php-Value", "x"),
        ("Ld-Preload", "x"),
        ("X-Token", "from the client"),
    ]);
    let environ = Environ { variables: vec![("HTTP_X_TOKEN".into(), "from the route".into())], ..environ };
    let list = listed(&environ, Listing::CGI);
    for name in ["REMOTE_USER", "SCRIPT_FILENAME", "HTTPS", "PHP_VALUE", "LD_PRELOAD"] {
        assert!(!list.contains_key(name.as_bytes()), "{name}");
    }
    assert_eq!(list[&b"HTTP_X_TOKEN"[..]], b"from the route");
}

#[test]
fn lesson_03_what_came_with_the_request_does_not_steer_a_process() {
    let mut environ = Environ::default();
    for name in ["LD_PRELOAD", "PATH", "PYTHONPATH", "BASH_ENV", "BASH_FUNC_ls%%", "PHP_VALUE"] {
        environ.front_variables.push((name.into(), "x".into()));
        assert!(names::is_protected(name.as_bytes()), "{name}");
    }
    environ.variables.push(("LD_LIBRARY_PATH".into(), "/opt/cuda".into()));
    let names = |listing| {
        let protected = listed(&environ, listing).into_keys().filter(|name| !names::is_server_set(name));
        protected.map(|name| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
    };
    // PHP_VALUE is a setting of php-fpm, which no CGI process reads.
    assert_eq!(names(Listing::CGI), ["LD_LIBRARY_PATH", "PHP_VALUE"]);
    assert_eq!(names(Listing::FASTCGI).len(), 7, "a FastCGI back loses none of a FastCGI front's variables");
}

#[test]
fn lesson_08_the_shell_guard_drops_function_definitions() {
    let mut environ = with_fields(&[("User-Agent", "() { :; }; echo hacked"), ("Accept", "*/*")]);
    environ.query_string = "() { :;}".into();
    environ.set_variable("ROUTE", "() { mine; }");
    let list = listed(&environ, Listing::CGI.with_shell_guard());
    assert!(!list.contains_key(&b"HTTP_USER_AGENT"[..]) && list[&b"QUERY_STRING"[..]].is_empty());
    assert!(list.contains_key(&b"HTTP_ACCEPT"[..]) && list.contains_key(&b"ROUTE"[..]));
    assert!(value(&environ, "HTTP_USER_AGENT").is_some(), "without the guard values are opaque");
}

#[test]
fn lesson_42_what_has_its_own_variable_or_was_consumed_is_not_passed() {
    let environ = with_fields(&[
        ("Content-Length", "1"),
        ("Content-Type", "a/b"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "X-Hop, close"),
        ("Keep-Alive", "1"),
        ("Proxy-Connection", "1"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "Basic x"),
        ("X-Hop", "1"),
        ("Host", "example.org"),
    ]);
    assert_eq!(http_names(&environ), ["HTTP_HOST"]);
    let unnamed = with_fields(&[("Connection", "Host"), ("Host", "example.org")]);
    assert_eq!(http_names(&unnamed), ["HTTP_HOST"], "Host cannot be named away");
}

#[test]
fn lesson_43_some_variables_are_always_set() {
    let list = listed(&Environ::default(), Listing::CGI);
    for name in [
        names::PATH_INFO,
        names::QUERY_STRING,
        names::SCRIPT_NAME,
        names::REQUEST_METHOD,
        names::SERVER_NAME,
        names::SERVER_PORT,
        names::SERVER_PROTOCOL,
        names::SERVER_SOFTWARE,
        names::GATEWAY_INTERFACE,
        names::REMOTE_ADDR,
    ] {
        assert!(list.contains_key(name.as_bytes()), "{name}");
    }
    assert_eq!(list[&b"PATH_INFO"[..]], b"");
    assert_eq!(list[&b"REMOTE_ADDR"[..]], b"", "a unix socket has no address");
}

#[test]
fn lesson_45_fields_of_one_name_are_joined() {
    let environ = with_fields(&[
        ("Cookie", "a=1"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("cookie", "b=2"),
        ("X-FORWARDED-FOR", "2.2.2.2"),
        ("Cookie", "c=3"),
    ]);
    assert_eq!(value(&environ, "HTTP_COOKIE").as_deref(), Some("a=1; b=2; c=3"));
    assert_eq!(value(&environ, "HTTP_X_FORWARDED_FOR").as_deref(), Some("1.1.1.1, 2.2.2.2"));
}

#[test]
fn lesson_47_content_length_comes_first_and_for_scgi_always() {
    let first = |environ: &Environ, listing| {
        let mut list = Vec::new();
        environ.walk_with(listing, &mut |name: &[u8], value: &[u8]| {
            list.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        });
        assert_eq!(list.iter().skip(1).filter(|pair| pair.starts_with("CONTENT_LENGTH=")).count(), 0);
        list.swap_remove(0)
    };
    let with_body = Environ { content_length: Some(0), ..Environ::default() };
    for listing in [Listing::CGI, Listing::FASTCGI, Listing::SCGI] {
        assert_eq!(first(&with_body, listing), "CONTENT_LENGTH=0");
    }
    let without = Environ::default();
    assert_eq!(first(&without, Listing::SCGI), "CONTENT_LENGTH=0");
    // RFC 3875 4.1.2: without a body it is not set.
    assert_eq!(first(&without, Listing::CGI), "GATEWAY_INTERFACE=CGI/1.1");
    assert_eq!(first(&without, Listing::FASTCGI), "GATEWAY_INTERFACE=CGI/1.1");
}

#[test]
fn authorization_is_passed_unless_the_environ_says_no() {
    let mut environ = with_fields(&[("Authorization", "Basic x")]);
    assert_eq!(http_names(&environ), ["HTTP_AUTHORIZATION"]);
    environ.pass_authorization = false;
    assert!(http_names(&environ).is_empty());
}

#[test]
fn the_configuration_wins_over_everything_but_framing() {
    let mut environ =
        Environ { content_length: Some(3), remote_user: Some("ann".into()), ..Environ::default() };
    environ.variables = [
        ("CONTENT_LENGTH", "99"),
        ("GATEWAY_INTERFACE", "CGI/9"),
        ("SCGI", "1"),
        ("REMOTE_USER", "bob"),
        ("TWICE", "first"),
        ("TWICE", "second"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    environ.front_variables = vec![("REMOTE_USER".into(), "eve".into()), ("TWICE".into(), "third".into())];
    let list = listed(&environ, Listing::CGI);
    let get = |name: &str| list.get(name.as_bytes()).map(|value| String::from_utf8(value.clone()).unwrap());
    assert_eq!(get("CONTENT_LENGTH").as_deref(), Some("3"));
    assert_eq!(get("GATEWAY_INTERFACE").as_deref(), Some("CGI/1.1"));
    assert_eq!(get("SCGI"), None);
    assert_eq!(get("REMOTE_USER").as_deref(), Some("bob"));
    assert_eq!(get("TWICE").as_deref(), Some("second"));
    environ.set_variable("TWICE", "set");
    assert_eq!(
        environ.variables.iter().filter(|(name, _)| name == "TWICE").count(),
        2,
        "set replaces, it does not add"
    );
}

#[test]
fn a_typed_field_wins_over_a_front_variable_once_it_has_a_value() {
    let mut environ = Environ::default();
    environ.front_variables.push(("REMOTE_ADDR".into(), "unix:".into()));
    assert_eq!(value(&environ, "REMOTE_ADDR").as_deref(), Some("unix:"));
    environ.remote_addr = Some("::ffff:192.0.2.1".parse().unwrap());
    assert_eq!(
        value(&environ, "REMOTE_ADDR").as_deref(),
        Some("192.0.2.1"),
        "an IPv4 client is shown as one"
    );
}

#[test]
fn a_head_is_read_without_decoding() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("a/b"));
    let environ = Environ::from_head(Method::PUT, "/a%2fb?c?d#e".into(), Version::HTTP_10, headers);
    assert_eq!(environ.request_uri, "/a%2fb?c?d#e");
    assert_eq!(environ.query_string, "c?d#e");
    assert_eq!(environ.content_type.unwrap(), "a/b");
    let none = Environ::from_head(Method::GET, "*".into(), Version::HTTP_11, HeaderMap::new());
    assert_eq!((none.query_string.len(), none.content_type), (0, None));
}
