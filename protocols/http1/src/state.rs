//! Who may say what, and when: two tables and the picture above them; knows neither bytes nor which side we are.
//!
//! Two peers talk, and each is in a state of its own. Both sides of the codec keep both states, ours to know what we
//! may say, the other's to know what may be read:
//!
//! ```text
//!   the client                                    the server
//!
//!   Idle --Close--> Closed                        Idle --Close--> Closed
//!    | Request                                     | (the client's Request)      | Response (no request: 408, 400)
//!    v                                             v                             |
//!   OwesBody <-+ Body                             OwesResponse <-+ Informational |
//!    | End   --+                                   |   |       --+               |
//!    |                                             |   | Switch                  |
//!    |   an Upgrade or CONNECT                     |   +----------> Switched     |
//!    +---------------> MightSwitch                 | Response                    |
//!    |                  |    | the server           v                             |
//!    |  it answered     |    | switched            OwesBody <-+ Body <------------+
//!    |  otherwise       |    v                      | End   --+
//!    v                  |   Switched                v
//!   Done <--------------+                          Done
//!
//!   both Done, and the connection is kept: both Idle again
//!   Done, and the connection is not kept: MustClose --Close--> Closed
//!   a broken message: Failed; the other side may end what it says, and a server may still send one response
//! ```
//!
//! [`SAYS`] is what each side does by speaking; [`HEARS`] is what its words do to the other side; `settle` holds
//! the few rules that look at both at once, applied until nothing changes. Everything else in this crate asks here.

use std::fmt;

/// A side of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that asks.
    Client,
    /// The side that answers.
    Server,
}

/// Where a side stands: what it owes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing: a request may begin.
    Idle,
    /// A response.
    OwesResponse,
    /// The rest of its message: content, then its end.
    OwesBody,
    /// Nothing more in this exchange.
    Done,
    /// Nothing, until the server has said whether the protocol changes.
    MightSwitch,
    /// Nothing but the end of the connection.
    MustClose,
    /// The connection speaks another protocol now.
    Switched,
    /// It has ended its side.
    Closed,
    /// It broke the protocol.
    Failed,
}

/// A kind of thing that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// A request head.
    Request,
    /// A head with a 1xx status other than 101.
    Informational,
    /// A head with a final status.
    Response,
    /// 101, or a 2xx to CONNECT.
    Switch,
    /// A piece of content.
    Body,
    /// The end of a message, with or without trailers.
    End,
    /// The end of the connection.
    Close,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "a request",
            Self::Informational => "an informational response",
            Self::Response => "a response",
            Self::Switch => "a switch of protocols",
            Self::Body => "a piece of body",
            Self::End => "the end of a message",
            Self::Close => "the end of the connection",
        })
    }
}

/// One row: a side in a state says a word and is in another state.
pub type Row = (Role, State, Word, State);

/// What each side may say, and where that takes it.
pub const SAYS: &[Row] = &[
    (Role::Client, State::Idle, Word::Request, State::OwesBody),
    (Role::Client, State::Idle, Word::Close, State::Closed),
    (Role::Client, State::OwesBody, Word::Body, State::OwesBody),
    (Role::Client, State::OwesBody, Word::End, State::Done),
    (Role::Client, State::Done, Word::Close, State::Closed),
    (Role::Client, State::MustClose, Word::Close, State::Closed),
    (Role::Client, State::Closed, Word::Close, State::Closed),
    (Role::Server, State::Idle, Word::Response, State::OwesBody),
    (Role::Server, State::Idle, Word::Close, State::Closed),
    (Role::Server, State::OwesResponse, Word::Informational, State::OwesResponse),
    (Role::Server, State::OwesResponse, Word::Response, State::OwesBody),
    (Role::Server, State::OwesResponse, Word::Switch, State::Switched),
    (Role::Server, State::OwesBody, Word::Body, State::OwesBody),
    (Role::Server, State::OwesBody, Word::End, State::Done),
    (Role::Server, State::Done, Word::Close, State::Closed),
    (Role::Server, State::MustClose, Word::Close, State::Closed),
    (Role::Server, State::Closed, Word::Close, State::Closed),
];

/// What a word of one side does to the other: (who hears it, its state, the word, its next state).
pub const HEARS: &[Row] = &[(Role::Server, State::Idle, Word::Request, State::OwesResponse)];

const STATES: usize = State::Failed as usize + 1;
const WORDS: usize = Word::Close as usize + 1;
type Table = [[[Option<State>; WORDS]; STATES]; 2];

/// The rows, laid out for a look-up without a search.
const fn lay_out(rows: &[Row]) -> Table {
    let mut table: Table = [[[None; WORDS]; STATES]; 2];
    let mut i = 0;
    while i < rows.len() {
        let (role, state, word, next) = rows[i];
        table[role as usize][state as usize][word as usize] = Some(next);
        i += 1;
    }
    table
}

static SAYS_TABLE: Table = lay_out(SAYS);
static HEARS_TABLE: Table = lay_out(HEARS);

/// One connection's conversation: the states of both sides, and the two facts that the joint rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    client: State,
    server: State,
    /// The connection outlives this exchange.
    kept: bool,
    /// The client has proposed another protocol (Upgrade, or CONNECT), and the server has not decided.
    proposed: bool,
}

impl Default for Conversation {
    fn default() -> Self {
        Self { client: State::Idle, server: State::Idle, kept: true, proposed: false }
    }
}

impl Conversation {
    /// Where a side stands.
    #[must_use]
    pub const fn state(&self, role: Role) -> State {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    /// Whether the connection outlives this exchange, as far as it is known.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Whether a side may say a word now.
    #[must_use]
    pub const fn may_say(&self, role: Role, word: Word) -> bool {
        // RFC 9110 7.8: a server switches when it has the whole request, and only if it was asked to.
        if matches!(word, Word::Switch) && !matches!(self.client, State::MightSwitch) {
            return false;
        }
        SAYS_TABLE[role as usize][self.state(role) as usize][word as usize].is_some()
    }

    /// A side says a word; `false` if it may not, and nothing changes then.
    #[must_use]
    pub fn say(&mut self, role: Role, word: Word) -> bool {
        if !self.may_say(role, word) {
            return false;
        }
        let Some(next) = SAYS_TABLE[role as usize][self.state(role) as usize][word as usize] else {
            return false;
        };
        *self.slot(role) = next;
        let other = role.other();
        if let Some(next) = HEARS_TABLE[other as usize][self.state(other) as usize][word as usize] {
            *self.slot(other) = next;
        }
        settle(self);
        true
    }

    /// The client's request proposes another protocol. Said with the request, before its end.
    pub fn propose_switch(&mut self) {
        self.proposed = true;
        settle(self);
    }

    /// The connection ends with this exchange.
    pub fn keep_no_longer(&mut self) {
        self.kept = false;
        settle(self);
    }

    /// A side broke the protocol: nothing that it says counts any more.
    pub fn fail(&mut self, role: Role) {
        *self.slot(role) = State::Failed;
        self.kept = false;
        settle(self);
    }

    const fn slot(&mut self, role: Role) -> &mut State {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }
}

impl Role {
    /// The side across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The rules that look at both sides, applied until nothing changes.
fn settle(conversation: &mut Conversation) {
    loop {
        let before = *conversation;
        let Conversation { client, server, kept, proposed } = conversation;
        match (&client, &server) {
            (State::Done, State::OwesResponse) if *proposed => *client = State::MightSwitch,
            (State::MightSwitch, State::Switched) => *client = State::Switched,
            (State::MightSwitch, State::OwesBody | State::Done | State::MustClose | State::Failed) => {
                *client = State::Done;
                *proposed = false;
            }
            (State::Done, State::Done) if *kept => {
                *client = State::Idle;
                *server = State::Idle;
                *proposed = false;
            }
            (State::Done, _) if !*kept => *client = State::MustClose,
            (_, State::Done) if !*kept => *server = State::MustClose,
            // Not for a client that failed: it is still told so, by a response to no request.
            (State::MustClose | State::Closed, State::Idle) => *server = State::MustClose,
            (State::Idle | State::Done, State::MustClose | State::Closed | State::Failed) => {
                *client = State::MustClose;
            }
            _ => {}
        }
        if *conversation == before {
            return;
        }
    }
}
