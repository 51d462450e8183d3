//! Properties for generated input, and the fuzz target's own checks on it; knows the public API only.
#![allow(clippy::unwrap_used, reason = "tests")]

mod invariants;

use bytes::Bytes;
use gatebridge_cgi::{Environ, Facts, Listing, Redirect, Scheme, ScriptLimits};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use invariants::{listed, transcript};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Lines as scripts write them, right and wrong, with both line ends.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "Content-Type: text/html",
        "Status: 200 OK",
        "Status: 103",
        "Status: 304",
        "Location: /local?a",
        "Location: http://a.example/",
        "Content-Length: 3",
        "HTTP/1.1 200 OK",
        "Connection: x",
        "X: 1",
        "",
        "",
        " folded",
        "junk",
    ]);
    let line =
        prop_oneof![4 => known.prop_map(|line| line.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..12)];
    let ended = (line, prop::sample::select(vec!["\n", "\r\n", ""]));
    vec(ended, 0..10).prop_map(|lines| {
        lines.into_iter().flat_map(|(line, end)| [line, end.as_bytes().to_vec()].concat()).collect()
    })
}

fn text() -> impl Strategy<Value = Bytes> {
    "[ -~]{1,12}".prop_map(Bytes::from)
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name =
        prop_oneof!["[a-zA-Z][a-zA-Z0-9-]{0,10}", "(Cookie|Proxy|TE|Content-Length|Connection|X_Y|X-Y)"];
    vec((name, vec(prop_oneof![Just(9_u8), 32..127_u8, 128..=255_u8], 0..10)), 0..8).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        headers
    })
}

prop_compose! {
    fn environ()(
        paths in (text(), text(), text(), text(), text()),
        addresses in (option::of(any::<std::net::IpAddr>()), option::of(any::<std::net::Ipv4Addr>()), option::of(any::<u16>())),
        people in (option::of(text()), option::of(text()), option::of(text())),
        files in (option::of("/[a-z /]{0,9}"), option::of("/[a-z]{0,9}")),
        content in (option::of(any::<u64>()), option::of(text())),
        redirect in option::of((text(), text())),
        numbers in (any::<u16>(), any::<u16>(), any::<bool>()),
        headers in headers(),
        variables in vec(("MY_[A-Z]{1,3}", text()), 0..5),
    ) -> Environ {
        Environ {
            method: Method::from_bytes(b"PURGE").unwrap(),
            scheme: if numbers.2 { Scheme::Https } else { Scheme::Http },
            request_uri: paths.0, script_name: paths.1, path_info: paths.2, query_string: paths.3, server_name: paths.4,
            remote_addr: addresses.0, server_addr: addresses.1.map(Into::into), remote_port: addresses.2,
            remote_user: people.0, auth_type: people.1, remote_host: people.2,
            script_filename: files.0.map(Into::into), path_translated: files.1.map(Into::into),
            content_length: content.0,
            content_type: content.1.map(|value| HeaderValue::from_maybe_shared(value).unwrap()),
            redirect: redirect.map(|(url, query_string)| Redirect { url, query_string, request_method: Method::POST }),
            server_port: numbers.0, redirect_status: numbers.1,
            headers,
            variables: variables.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            ..Environ::default()
        }
    }
}

proptest! {
    #[test]
    fn any_cut_of_any_output_says_the_same(output in output(), cuts in vec(any::<prop::sample::Index>(), 0..5)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(output.len() + 1)).collect();
        cuts.extend([0, output.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &output[pair[0]..pair[1]]);
        let facts = Facts::default();
        let whole = transcript(ScriptLimits::default(), &facts, [&output]);
        prop_assert_eq!(transcript(ScriptLimits::default(), &facts, pieces), whole);
    }

    #[test]
    fn the_fuzz_targets_script_invariants_hold(choice: u8, size: u8, output in output()) {
        invariants::script_output(&[&[choice, size], &output[..]].concat());
    }

    #[test]
    fn the_fuzz_targets_variable_invariants_hold(
        variables in vec((prop_oneof![
            Just("REQUEST_METHOD".to_owned()), prop::sample::select(gatebridge_cgi::names::SERVER_SET.to_vec()).prop_map(str::to_owned),
            "HTTP_[A-Z_.a-z]{0,6}", "HTTP_PROXY|http_proxy|SCGI|LD_PRELOAD", "[ -~]{0,5}",
        ], prop_oneof!["", "[0-9]{1,6}", "[ -~\n]{0,8}", Just("() { x".to_owned()), Just("HTTP/1.0".to_owned())]), 0..12),
    ) {
        let method = ("REQUEST_METHOD".to_owned(), "GET".to_owned());
        let pairs = std::iter::once(method).chain(variables);
        let data: Vec<u8> = pairs.flat_map(|(name, value)| [name, "\0".into(), value, "\0".into()].concat().into_bytes()).collect();
        invariants::variables(&data);
    }

    #[test]
    fn an_environ_survives_its_variables(environ in environ()) {
        let list = listed(&environ, Listing::FASTCGI);
        let again = Environ::from_variables(list.clone()).unwrap();
        prop_assert_eq!(listed(&again, Listing::FASTCGI), list);
        // The typed fields are the same again, and not only kept as text.
        prop_assert_eq!(&again.request_uri, &environ.request_uri);
        prop_assert_eq!(again.content_length, environ.content_length);
        prop_assert_eq!(again.scheme, environ.scheme);
        prop_assert_eq!(again.remote_port, environ.remote_port);
        prop_assert_eq!(&again.script_filename, &environ.script_filename);
        prop_assert_eq!(&again.redirect, &environ.redirect);
        prop_assert_eq!(again.headers.is_empty(), !has_fields(&environ));
    }
}

fn has_fields(environ: &Environ) -> bool {
    listed(environ, Listing::FASTCGI).keys().any(|name| name.starts_with(b"HTTP_"))
}
