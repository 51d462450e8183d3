//! Every limit of the codec, with its default and the reason for it. It must not know what happens when one is
//! exceeded.

/// What a [`Client`](crate::Client) puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Requests in progress at once on the connection; ids run from 1 to this. Default
    /// [`DEFAULT_CLIENT_REQUESTS`]. 0 counts as 1.
    pub max_requests: u16,
    /// Content of one management record (GET_VALUES_RESULT), in bytes. Default [`DEFAULT_MANAGEMENT_BYTES`].
    pub max_management_bytes: usize,
}

/// One: the specification has no flow control for each request, so a multiplexed connection stands still when one
/// reader does, and hardly any application can do it.
pub const DEFAULT_CLIENT_REQUESTS: u16 = 1;

/// 4 KiB: the three values that exist take less than 100 bytes, and a management record is held whole in memory.
pub const DEFAULT_MANAGEMENT_BYTES: usize = 4 * 1024;

impl Default for ClientLimits {
    fn default() -> Self {
        Self { max_requests: DEFAULT_CLIENT_REQUESTS, max_management_bytes: DEFAULT_MANAGEMENT_BYTES }
    }
}

/// What a [`Server`](crate::Server) puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Requests in progress at once on the connection. Default [`DEFAULT_SERVER_REQUESTS`]. 0 counts as 1. One more
    /// is answered CANT_MPX_CONN when this is 1, else OVERLOADED.
    pub max_requests: u16,
    /// Requests begun whose PARAMS have not all come. One more is answered OVERLOADED. Default
    /// [`DEFAULT_HALF_OPEN_REQUESTS`]. 0 counts as 1.
    pub max_half_open_requests: u16,
    /// The bounds of each request's PARAMS.
    pub params: ParamsLimits,
    /// Content of one management record (GET_VALUES), in bytes. Default [`DEFAULT_MANAGEMENT_BYTES`].
    pub max_management_bytes: usize,
}

/// One: what nearly every Web server sends, and what a program that handles one request at a time can do.
pub const DEFAULT_SERVER_REQUESTS: u16 = 1;

/// Eight: a Web server sends BEGIN_REQUEST and PARAMS in one write, so a ninth that is still incomplete is a flood.
/// Each may hold `max_total_bytes` of memory.
pub const DEFAULT_HALF_OPEN_REQUESTS: u16 = 8;

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_requests: DEFAULT_SERVER_REQUESTS,
            max_half_open_requests: DEFAULT_HALF_OPEN_REQUESTS,
            params: ParamsLimits::default(),
            max_management_bytes: DEFAULT_MANAGEMENT_BYTES,
        }
    }
}

/// The bounds of a stream of name-value pairs, each checked as soon as the length is known and before memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamsLimits {
    /// The whole stream with its length bytes. Default [`DEFAULT_PARAMS_BYTES`].
    pub max_total_bytes: usize,
    /// One name. Default [`DEFAULT_PARAM_NAME_BYTES`].
    pub max_name_bytes: usize,
    /// One value. Default [`DEFAULT_PARAM_VALUE_BYTES`].
    pub max_value_bytes: usize,
    /// The number of pairs. Default [`DEFAULT_PARAM_PAIRS`].
    pub max_pairs: usize,
}

/// 256 KiB: twice what Linux grants one string of an environment, four times what Web servers let through as headers.
pub const DEFAULT_PARAMS_BYTES: usize = 256 * 1024;
/// 1 KiB: a name is `HTTP_` and the name of a header.
pub const DEFAULT_PARAM_NAME_BYTES: usize = 1024;
/// 128 KiB: what Linux grants one string of an environment (MAX_ARG_STRLEN).
pub const DEFAULT_PARAM_VALUE_BYTES: usize = 128 * 1024;
/// 1024: a request has some 30 variables and at most a few hundred headers. Empty pairs take 2 bytes on the wire and
/// 12 in memory.
pub const DEFAULT_PARAM_PAIRS: usize = 1024;

impl Default for ParamsLimits {
    fn default() -> Self {
        Self {
            max_total_bytes: DEFAULT_PARAMS_BYTES,
            max_name_bytes: DEFAULT_PARAM_NAME_BYTES,
            max_value_bytes: DEFAULT_PARAM_VALUE_BYTES,
            max_pairs: DEFAULT_PARAM_PAIRS,
        }
    }
}
