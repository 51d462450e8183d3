//! Reads the corpus: one named message a line, its bytes escaped; judges none of them.

/// A message of the corpus.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Requests, good and bad.
pub(crate) fn requests() -> Vec<Case> {
    read(include_str!("../corpus/requests.txt"))
}

/// Responses, good and bad.
pub(crate) fn responses() -> Vec<Case> {
    read(include_str!("../corpus/responses.txt"))
}

/// Lines of `name | bytes`; empty lines and those that begin with `#` are for the reader.
fn read(text: &str) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let cases: Vec<Case> = lines
        .map(|line| {
            let (name, escaped) = line.split_once('|').unwrap_or_else(|| panic!("no bar in {line:?}"));
            Case { name: name.trim().into(), bytes: unescape(escaped.strip_prefix(' ').unwrap()) }
        })
        .collect();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before, "every name is there once");
    cases
}

/// `\r \n \t \\ \xNN`, and `\{N:text}` for N times a text.
fn unescape(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, behind): (&[u8], &str) = match after.as_bytes()[0] {
            b'r' => (b"\r", &after[1..]),
            b'n' => (b"\n", &after[1..]),
            b't' => (b"\t", &after[1..]),
            b'\\' => (b"\\", &after[1..]),
            b'x' => {
                bytes.push(u8::from_str_radix(&after[1..3], 16).unwrap());
                (b"", &after[3..])
            }
            b'{' => {
                let (inside, behind) = after[1..].split_once('}').unwrap();
                let (times, text) = inside.split_once(':').unwrap();
                bytes.extend(unescape(text).repeat(times.parse().unwrap()));
                (b"", behind)
            }
            other => panic!("unknown escape \\{}", char::from(other)),
        };
        bytes.extend_from_slice(byte);
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
