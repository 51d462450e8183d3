//! The differences to hyper and to h11 that have been judged, each with the reason why it stays; finds none itself.

use crate::common::verdict::Judged;

const fn judged(name: &'static str, ours: &'static str, theirs: &'static str, why: &'static str) -> Judged {
    Judged { name, ours, theirs, why }
}

const TWO_LENGTHS: &str = "Equal lengths may be taken for one (RFC 9112 6.3); a second field or a list is what smuggling looks like (lesson 9).";
const DIGITS: &str =
    "Leading zeros are digits like others (RFC 9110 8.6); it is the number that must fit, not its spelling.";
const BOTH: &str = "The coding may win over the length (RFC 9112 6.1); whoever sees the length first reads another message (lesson 9).";
const TE_10: &str = "Transfer-Encoding in HTTP/1.0 is to be treated as faulty framing (RFC 9112 6.1).";
const TE: &str = "Chunked is applied once and is last, and another coding is not understood here (RFC 9112 6.1, 7): 400 or 501.";
const FOLD: &str =
    "A folded field is refused, as RFC 9112 5.2 allows: a parser that does not unfold reads another field.";
const SIZE: &str = "Sixteen digits hold every size; more of them is an attempt at an overflow.";
const SIZE_SPACE: &str = "No space follows a size (RFC 9112 7.1). Before an extension RFC 9110 5.6.3 wants it parsed: refused on purpose, as parsers disagree about it (lesson 9).";
const EXTENSION: &str = "An extension has a name, and no CR, NUL or other control byte (RFC 9112 7.1.1).";
const EXTENSION_LONG: &str = "RFC 9112 7.1.1 asks for a limit on extensions; ours is 256 bytes a line.";
const TRAILER: &str = "A field that frames, routes or authenticates has no place in a trailer section (RFC 9110 6.5.1, lesson 9).";
const TRAILER_MANY: &str = "Our limit is 32 trailer fields.";
const LF: &str =
    "RFC 9112 2.2 allows to take LF for a line end; one who does not reads another message (lesson 9).";
const BLANK: &str = "RFC 9112 2.2: a server should ignore at least one empty line before a request line.";
const BLANK_MANY: &str = "Two empty lines are skipped; more is no HTTP.";
const METHOD: &str = "A method longer than any that exists is answered with 501 (RFC 9112 3).";
const VERSION: &str = "Another version than 1.0 and 1.1 is answered with 505 (RFC 9110 15.6.6): 1.2 does not exist, and 2 is no text.";
const HOST_MISMATCH: &str =
    "The target's host wins (RFC 9112 3.2.2); one who routes by Host reads another request.";
const USER: &str = "User information in an http URI is to be treated as an error (RFC 9110 4.2.4).";
const NO_AUTHORITY: &str = "An http URI with an empty host is invalid (RFC 9110 4.2.1).";
const SCHEME: &str = "Only http and https URIs are HTTP's to serve.";
const FRAGMENT: &str = "A fragment is never sent (RFC 9112 3.2); hyper drops it silently, and REQUEST_URI would differ from what was sent.";
const EIGHT_BIT: &str =
    "A target is ASCII (RFC 3986 2); other bytes are percent-encoded by whoever sends them.";
const ODD: &str = "Not in RFC 3986, but sent by many, and without meaning for framing and routing.";
const FORM: &str =
    "Each form of target belongs to its methods: authority to CONNECT, asterisk to OPTIONS (RFC 9112 3.2).";
const TARGET_LONG: &str = "Our limit is 8 KiB (414); RFC 9112 3 asks for 8,000 bytes.";
const HOST_COUNT: &str = "A request of HTTP/1.1 has exactly one Host (RFC 9112 3.2).";
const HOST_SYNTAX: &str = "An invalid Host is answered with 400 (RFC 9112 3.2).";
const CONTROL: &str = "A control byte other than a tab is no part of a field value (RFC 9110 5.5).";
const FIELDS: &str = "Our limit is 100 fields (431).";
const HEAD: &str = "Our limit is 32 KiB for a head (431).";
const EXPECT: &str = "An expectation that cannot be met is answered with 417 (RFC 9110 10.1.1).";
const KEEP_10: &str = "Connection: keep-alive of HTTP/1.0 is honoured (RFC 9112 9.3); h11 closes instead, which is allowed, too.";

/// Differences to hyper 1.12.
pub(crate) const HYPER: &[Judged] = &[
    judged("length-twice-equal", "refused", "taken", TWO_LENGTHS),
    judged("chunked-and-length", "refused", "taken", BOTH),
    judged("length-and-chunked", "refused", "taken", BOTH),
    judged("chunked-twice", "refused", "taken", TE),
    judged("chunked-twice-in-list", "refused", "taken", TE),
    judged("coding-gzip-chunked", "refused", "taken", TE),
    judged("coding-identity-chunked", "refused", "taken", TE),
    judged("coding-comma", "refused", "taken", TE),
    judged("chunk-17-digits", "refused", "taken", SIZE),
    judged("chunk-21-digits", "refused", "taken", SIZE),
    judged("chunk-space-behind", "refused", "taken", SIZE_SPACE),
    judged("chunk-tab-behind", "refused", "taken", SIZE_SPACE),
    judged("chunk-extension-space", "refused", "taken", SIZE_SPACE),
    judged("chunk-extension-nothing", "refused", "taken", EXTENSION),
    judged("chunk-extension-nul", "refused", "taken", EXTENSION),
    judged("chunk-extension-long", "refused", "taken", EXTENSION_LONG),
    judged("trailer-length", "refused", "taken", TRAILER),
    judged("trailer-coding", "refused", "taken", TRAILER),
    judged("trailer-host", "refused", "taken", TRAILER),
    judged("trailer-authorization", "refused", "taken", TRAILER),
    judged("trailer-many", "refused", "taken", TRAILER_MANY),
    judged("bare-lf-everywhere", "refused", "taken", LF),
    judged("bare-lf-behind-first-line", "refused", "taken", LF),
    judged("bare-lf-behind-field", "refused", "taken", LF),
    judged("bare-lf-at-the-end", "refused", "taken", LF),
    judged("blank-lines-three-before", "refused", "taken", BLANK_MANY),
    judged("blank-bare-lf-before", "refused", "taken", LF),
    judged("method-long", "refused", "taken", METHOD),
    judged("target-absolute-other-host", "refused", "taken", HOST_MISMATCH),
    judged("target-absolute-user", "refused", "taken", USER),
    judged("target-absolute-ftp", "refused", "taken", SCHEME),
    judged("target-fragment", "refused", "taken", FRAGMENT),
    judged("target-utf-8", "refused", "taken", EIGHT_BIT),
    judged("target-odd-visible", "taken", "refused", ODD),
    judged("target-asterisk-get", "refused", "taken", FORM),
    judged("target-authority-get", "refused", "taken", FORM),
    judged("target-connect-no-port", "refused", "taken", FORM),
    judged("target-connect-path", "refused", "taken", FORM),
    judged("target-connect-absolute", "refused", "taken", FORM),
    judged("target-long", "refused", "taken", TARGET_LONG),
    judged("host-missing", "refused", "taken", HOST_COUNT),
    judged("host-twice-equal", "refused", "taken", HOST_COUNT),
    judged("host-twice", "refused", "taken", HOST_COUNT),
    judged("host-list", "refused", "taken", HOST_SYNTAX),
    judged("host-port-letters", "refused", "taken", HOST_SYNTAX),
    judged("host-port-large", "refused", "taken", HOST_SYNTAX),
    judged("host-only-port", "refused", "taken", HOST_SYNTAX),
    judged("host-ipv6-open", "refused", "taken", HOST_SYNTAX),
    judged("host-ipv6-bare", "refused", "taken", HOST_SYNTAX),
    judged("host-ipv6-zone", "refused", "taken", HOST_SYNTAX),
    judged("host-user", "refused", "taken", USER),
    judged("host-path", "refused", "taken", HOST_SYNTAX),
    judged("host-scheme", "refused", "taken", HOST_SYNTAX),
    judged("host-space", "refused", "taken", HOST_SYNTAX),
    judged("host-8-bit", "refused", "taken", HOST_SYNTAX),
    judged("host-percent-broken", "refused", "taken", HOST_SYNTAX),
    judged("field-40000-bytes", "refused", "taken", HEAD),
    judged("expect-unknown", "refused", "taken", EXPECT),
];

/// Differences to h11 0.16.
pub(crate) const H11: &[Judged] = &[
    judged("http10-keep-alive-two", "2 taken", "taken", KEEP_10),
    judged("length-list", "refused", "taken", TWO_LENGTHS),
    judged("length-twice-equal", "refused", "taken", TWO_LENGTHS),
    judged("length-30-digits", "taken", "refused", DIGITS),
    judged("chunked-and-length", "refused", "taken", BOTH),
    judged("length-and-chunked", "refused", "taken", BOTH),
    judged("chunked-in-http10", "refused", "taken", TE_10),
    judged("coding-folded", "refused", "taken", FOLD),
    judged("chunk-17-digits", "refused", "taken", SIZE),
    judged("chunk-space-behind", "refused", "taken", SIZE_SPACE),
    judged("chunk-tab-behind", "refused", "taken", SIZE_SPACE),
    judged("chunk-extension-nothing", "refused", "taken", EXTENSION),
    judged("chunk-extension-bare-cr", "refused", "taken", EXTENSION),
    judged("chunk-extension-nul", "refused", "taken", EXTENSION),
    judged("chunk-extension-long", "refused", "taken", EXTENSION_LONG),
    judged("chunk-final-bare-lf", "refused", "taken", LF),
    judged("trailer-length", "refused", "taken", TRAILER),
    judged("trailer-coding", "refused", "taken", TRAILER),
    judged("trailer-host", "refused", "taken", TRAILER),
    judged("trailer-authorization", "refused", "taken", TRAILER),
    judged("trailer-bare-lf", "refused", "taken", LF),
    judged("trailer-folded", "refused", "taken", FOLD),
    judged("trailer-many", "refused", "taken", TRAILER_MANY),
    judged("bare-lf-everywhere", "refused", "taken", LF),
    judged("bare-lf-behind-first-line", "refused", "taken", LF),
    judged("bare-lf-behind-field", "refused", "taken", LF),
    judged("bare-lf-at-the-end", "refused", "taken", LF),
    judged("folded", "refused", "taken", FOLD),
    judged("folded-tab", "refused", "taken", FOLD),
    judged("folded-empty", "refused", "taken", FOLD),
    judged("blank-line-before", "taken", "refused", BLANK),
    judged("blank-line-between", "2 taken", "taken, then refused", BLANK),
    judged("blank-line-at-the-end", "taken", "taken, then refused", BLANK),
    judged("method-long", "refused", "taken", METHOD),
    judged("version-2", "refused", "taken", VERSION),
    judged("version-preface", "refused", "taken, then refused", VERSION),
    judged("version-1.2", "refused", "taken", VERSION),
    judged("version-0.9", "refused", "taken", VERSION),
    judged("target-absolute-other-host", "refused", "taken", HOST_MISMATCH),
    judged("target-absolute-no-host", "refused", "taken", NO_AUTHORITY),
    judged("target-absolute-user", "refused", "taken", USER),
    judged("target-absolute-ftp", "refused", "taken", SCHEME),
    judged("target-fragment", "refused", "taken", FRAGMENT),
    judged("target-relative", "refused", "taken", FORM),
    judged("target-query-only", "refused", "taken", FORM),
    judged("target-asterisk-get", "refused", "taken", FORM),
    judged("target-authority-get", "refused", "taken", FORM),
    judged("target-connect-no-port", "refused", "taken", FORM),
    judged("target-connect-path", "refused", "taken", FORM),
    judged("target-connect-absolute", "refused", "taken", FORM),
    judged("target-long", "refused", "taken", TARGET_LONG),
    judged("host-list", "refused", "taken", HOST_SYNTAX),
    judged("host-port-letters", "refused", "taken", HOST_SYNTAX),
    judged("host-port-large", "refused", "taken", HOST_SYNTAX),
    judged("host-only-port", "refused", "taken", HOST_SYNTAX),
    judged("host-ipv6-open", "refused", "taken", HOST_SYNTAX),
    judged("host-ipv6-bare", "refused", "taken", HOST_SYNTAX),
    judged("host-ipv6-zone", "refused", "taken", HOST_SYNTAX),
    judged("host-user", "refused", "taken", USER),
    judged("host-path", "refused", "taken", HOST_SYNTAX),
    judged("host-scheme", "refused", "taken", HOST_SYNTAX),
    judged("host-space", "refused", "taken", HOST_SYNTAX),
    judged("host-8-bit", "refused", "taken", HOST_SYNTAX),
    judged("host-percent-broken", "refused", "taken", HOST_SYNTAX),
    judged("field-control-value", "refused", "taken", CONTROL),
    judged("field-del-value", "refused", "taken", CONTROL),
    judged("fields-101", "refused", "taken", FIELDS),
    judged("field-40000-bytes", "refused", "taken", HEAD),
    judged("expect-unknown", "refused", "taken", EXPECT),
];
