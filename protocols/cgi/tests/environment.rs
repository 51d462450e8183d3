//! The appenders for a process's environment, one test for each mistake; knows the public API only.
#![allow(clippy::unwrap_used, reason = "tests")]

use gatebridge_cgi::limits::MAX_ENVIRONMENT_STRING_BYTES;
use gatebridge_cgi::{Appender, Environ, Environment, EnvironmentBlock, EnvironmentError, Excerpt};

fn fault(name: &[u8], value: &[u8]) -> EnvironmentError {
    let (mut pairs, mut block) = (Environment::default(), EnvironmentBlock::default());
    for appender in [&mut pairs as &mut dyn Appender, &mut block] {
        appender.append(b"GOOD", b"1");
        appender.append(name, value);
        appender.append(b"=", b"a second mistake");
    }
    let fault = pairs.finish().unwrap_err();
    assert_eq!(block.finish().unwrap_err(), fault, "both appenders refuse the same");
    fault
}

#[test]
fn pairs_and_block_say_the_same() {
    let mut environ = Environ { query_string: "a=b".into(), ..Environ::default() };
    environ.set_variable("BYTES", &b"\xff"[..]);
    let (mut pairs, mut block) = (Environment::default(), EnvironmentBlock::default());
    environ.walk(&mut pairs);
    environ.walk(&mut block);
    let (pairs, block) = (pairs.finish().unwrap(), block.finish().unwrap());
    let mut expected = Vec::new();
    for (name, value) in &pairs {
        expected.extend_from_slice(name.as_encoded_bytes());
        expected.push(b'=');
        expected.extend_from_slice(value.as_encoded_bytes());
        expected.push(0);
    }
    assert_eq!(block, expected);
    assert!(block.windows(8).any(|window| window == b"BYTES=\xff\0"));
}

#[test]
fn a_bad_name_is_refused() {
    for name in [&b""[..], b"A=B", b"A\0B"] {
        assert_eq!(fault(name, b"x"), EnvironmentError::Name { name: Excerpt::of(name) });
    }
}

#[test]
fn a_nul_in_a_value_is_refused() {
    let fault = fault(b"PATH_INFO", b"/a\0b");
    assert_eq!(fault, EnvironmentError::Value { name: Excerpt::of(b"PATH_INFO") });
    assert_eq!(
        fault.to_string(),
        r#"the value of "PATH_INFO" holds a NUL byte, which cannot be passed to a process"#
    );
}

#[test]
fn lesson_22_a_string_that_the_kernel_would_refuse_is_named() {
    let limit = MAX_ENVIRONMENT_STRING_BYTES;
    let longest = vec![b'x'; limit - "QUERY_STRING".len() - 2];
    let mut environment = Environment::default();
    environment.append(b"QUERY_STRING", &longest);
    assert_eq!(environment.finish().unwrap().len(), 1);
    let fault = fault(b"QUERY_STRING", &[&longest[..], b"x"].concat());
    assert_eq!(
        fault,
        EnvironmentError::TooLong { name: Excerpt::of(b"QUERY_STRING"), size: limit + 1, limit }
    );
    assert!(fault.to_string().contains("131073"));
}
