//! Records as values: every number the specification names, and the bytes it shows.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use gatebridge_fastcgi::{
    BeginRequest, EndRequest, Header, KEEP_CONN, ProtocolStatus, RecordType, RequestId, Role, Violation,
};
use proptest::prelude::*;

#[test]
fn numbers_and_words() {
    let types = [
        "BEGIN_REQUEST",
        "ABORT_REQUEST",
        "END_REQUEST",
        "PARAMS",
        "STDIN",
        "STDOUT",
        "STDERR",
        "DATA",
        "GET_VALUES",
        "GET_VALUES_RESULT",
        "UNKNOWN_TYPE",
    ];
    for (number, word) in (1..).zip(types) {
        assert_eq!(RecordType::from_number(number).to_string(), word);
    }
    assert_eq!(RecordType::from_number(12), RecordType::Other(12));
    assert_eq!(RecordType::Other(12).to_string(), "type 12");
    for number in 0..=255 {
        assert_eq!(RecordType::from_number(number).number(), number);
        assert_eq!(ProtocolStatus::from_number(number).number(), number);
    }
    for (number, role) in (1..).zip(["RESPONDER", "AUTHORIZER", "FILTER"]) {
        let found = Role::from_number(number).expect("a role");
        assert_eq!((found.to_string().as_str(), found.number()), (role, number));
    }
    assert_eq!((Role::from_number(0), Role::from_number(4)), (None, None));
    assert_eq!((RequestId::new(0), RequestId::new(1)), (None, Some(RequestId::FIRST)));
}

#[test]
fn headers_say_what_they_are() {
    let header = Header::aligned(RecordType::Stdout, 3, 13);
    assert_eq!(header.to_string(), "STDOUT id 3, 13 bytes + 3 padding");
    assert_eq!(Header::aligned(RecordType::Other(77), 0, 8).to_string(), "type 77 id 0, 8 bytes");
    assert_eq!(header.to_bytes(), [1, 6, 0, 3, 0, 13, 3, 0]);
}

#[test]
fn bodies_have_the_bytes_of_the_specification() {
    let begin = BeginRequest { role: Role::Filter.number(), flags: KEEP_CONN };
    assert_eq!(begin.to_bytes(), [0, 3, 1, 0, 0, 0, 0, 0]);
    assert!(begin.keep_conn());
    assert!(!BeginRequest::from_bytes([0, 1, 0xFE, 9, 9, 9, 9, 9]).keep_conn());
    let end = EndRequest { app_status: 0x0102_0304, protocol_status: ProtocolStatus::Overloaded };
    assert_eq!(end.to_bytes(), [1, 2, 3, 4, 2, 0, 0, 0]);
    assert_eq!(EndRequest::from_bytes([1, 2, 3, 4, 2, 9, 9, 9]), end);
}

proptest! {
    #[test]
    fn headers_are_read_as_they_are_written(bytes in any::<[u8; 8]>()) {
        match Header::from_bytes(bytes) {
            Ok(header) => {
                let mut written = bytes;
                written[7] = 0;
                prop_assert_eq!(header.to_bytes(), written);
            }
            Err(violation) => prop_assert_eq!(violation, Violation::Version { found: bytes[0] }),
        }
    }

    #[test]
    fn aligned_headers_end_on_a_multiple_of_eight(length in any::<u16>()) {
        let header = Header::aligned(RecordType::Stdin, 1, length);
        prop_assert_eq!((usize::from(length) + usize::from(header.padding_length)) % 8, 0);
        prop_assert!(header.padding_length < 8);
    }
}
