//! Every limit of this crate, named, with its reason; knows nothing of who applies it.

/// Most bytes of one response head from a script, line ends included.
///
/// 64 KiB: php-fpm pages with many `Set-Cookie` and policy fields reach 8 to 16 KiB; four times that leaves
/// room, and a thousand scripts that never end their head still hold no more than 64 MiB.
pub const DEFAULT_MAX_HEAD_BYTES: usize = 64 * 1024;

/// Most fields in one response head from a script.
///
/// 256: real programs stay below 60; the number bounds the header table that is built from untrusted output.
pub const DEFAULT_MAX_FIELDS: usize = 256;

/// Most informational (1xx) heads before the final one.
///
/// 16: a program needs one or two (103 Early Hints); without a bound it could send heads for ever and never
/// answer.
pub const DEFAULT_MAX_INFORMATIONAL: usize = 16;

/// Most bytes of a bad line that an error message repeats, before escaping.
///
/// 80: one terminal line; a log is no place to copy a script's output into.
pub const MAX_EXCERPT_BYTES: usize = 80;

/// Most variables that [`Environ::from_variables`](crate::Environ::from_variables) accepts.
///
/// 1024: nginx sends about 30 plus one for each request field. The walker compares names pairwise, so the
/// number bounds that work as well as the memory.
pub const MAX_VARIABLES: usize = 1024;

/// Most bytes of one `NAME=value` string of a process's environment, its NUL included.
///
/// 128 KiB: Linux's MAX_ARG_STRLEN (32 pages of 4 KiB). One longer string makes `execve` fail with E2BIG,
/// which does not tell which one it was; this limit does.
pub const MAX_ENVIRONMENT_STRING_BYTES: usize = 128 * 1024;

/// What a [`ScriptReader`](crate::ScriptReader) accepts before it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptLimits {
    /// Most bytes of one head, line ends included. Default [`DEFAULT_MAX_HEAD_BYTES`].
    pub max_head_bytes: usize,
    /// Most fields of one head. Default [`DEFAULT_MAX_FIELDS`].
    pub max_fields: usize,
    /// Most informational heads before the final one. Default [`DEFAULT_MAX_INFORMATIONAL`].
    pub max_informational: usize,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            max_head_bytes: DEFAULT_MAX_HEAD_BYTES,
            max_fields: DEFAULT_MAX_FIELDS,
            max_informational: DEFAULT_MAX_INFORMATIONAL,
        }
    }
}
