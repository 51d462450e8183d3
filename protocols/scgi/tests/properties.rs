//! Properties for generated requests and for the fuzz target's checks; knows the public API only.
#![allow(clippy::unwrap_used, reason = "tests")]

mod invariants;

use std::collections::BTreeMap;

use bytes::Bytes;
use gatebridge_scgi::{Client, HeaderWriter, Limits, Message};
use invariants::transcript;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn headers() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    btree_map(vec(1..=255_u8, 1..12), vec(1..=255_u8, 0..30), 0..12)
}

/// What a client writes.
fn written(headers: &BTreeMap<Vec<u8>, Vec<u8>>, body: &[u8]) -> Vec<u8> {
    let mut writer = HeaderWriter::new();
    writer.append(b"CONTENT_LENGTH", body.len().to_string().as_bytes());
    for (name, value) in headers {
        writer.append(name, value);
    }
    let mut client = Client::new();
    let head = client.send(Message::Headers(writer)).unwrap();
    let body = client.send(Message::Body(Bytes::copy_from_slice(body))).unwrap();
    client.send(Message::End).unwrap();
    [head, body].concat()
}

proptest! {
    #[test]
    fn what_a_client_writes_a_server_reads_at_any_cut(
        headers in headers(),
        body in vec(any::<u8>(), 0..200),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let connection = written(&headers, &body);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(connection.len() + 1)).collect();
        cuts.extend([0, connection.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &connection[pair[0]..pair[1]]);
        let said = transcript(Limits::default(), pieces);
        prop_assert_eq!((said.complete, said.error), (true, None));
        prop_assert_eq!(said.body, body);
        let read = said.headers.unwrap();
        let rest: BTreeMap<Vec<u8>, Vec<u8>> =
            read.pairs()[2..].iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        prop_assert_eq!(rest, headers);
    }

    #[test]
    fn the_fuzz_targets_invariants_hold_for_damaged_requests(
        choice: u8, size: u8, headers in headers(), body in vec(any::<u8>(), 0..20),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3), cut in any::<prop::sample::Index>(),
    ) {
        let mut connection = written(&headers, &body);
        for (at, byte) in damage {
            let at = at.index(connection.len());
            connection[at] = byte;
        }
        if choice & 2 != 0 {
            connection.truncate(cut.index(connection.len()));
        }
        invariants::connection(&[&[choice, size], &connection[..]].concat());
    }

    #[test]
    fn the_fuzz_targets_invariants_hold_for_any_bytes(data in vec(any::<u8>(), 0..64)) {
        invariants::connection(&data);
    }
}
