//! The tables of `state`: nothing leads nowhere, nothing is said twice, and the picture above them tells the truth.

use gatebridge_http1::state::{Conversation, HEARS, Role, SAYS, State, Word};

const STATES: [State; 9] = [
    State::Idle,
    State::OwesResponse,
    State::OwesBody,
    State::Done,
    State::MightSwitch,
    State::MustClose,
    State::Switched,
    State::Closed,
    State::Failed,
];

const WORDS: [Word; 7] =
    [Word::Request, Word::Informational, Word::Response, Word::Switch, Word::Body, Word::End, Word::Close];

/// Every conversation that can come about.
fn reachable() -> Vec<Conversation> {
    let mut known = vec![Conversation::default()];
    let mut next = 0;
    while let Some(from) = known.get(next).copied() {
        next += 1;
        let mut steps: Vec<Conversation> = Vec::new();
        for role in [Role::Client, Role::Server] {
            for word in WORDS {
                let mut to = from;
                if to.say(role, word) {
                    steps.push(to);
                } else {
                    assert_eq!(to, from, "{role:?} may not say {word:?}, and nothing changes");
                }
            }
            let mut failed = from;
            failed.fail(role);
            steps.push(failed);
        }
        for change in [Conversation::keep_no_longer, Conversation::propose_switch] {
            let mut to = from;
            change(&mut to);
            steps.push(to);
        }
        for step in steps {
            if !known.contains(&step) {
                known.push(step);
            }
        }
    }
    known
}

#[test]
fn a_row_is_there_once() {
    for rows in [SAYS, HEARS] {
        for (i, (role, state, word, _)) in rows.iter().enumerate() {
            assert!(!rows[..i].iter().any(|(r, s, w, _)| (r, s, w) == (role, state, word)));
        }
    }
}

#[test]
fn every_row_is_used_and_every_state_reached() {
    let all = reachable();
    for (role, state, word, _) in SAYS {
        let used = all.iter().any(|c| c.state(*role) == *state && c.may_say(*role, *word));
        assert!(used, "{role:?} in {state:?} never says {word:?}");
    }
    for state in STATES {
        assert!(
            all.iter().any(|c| c.state(Role::Client) == state || c.state(Role::Server) == state),
            "{state:?} is never reached"
        );
    }
}

#[test]
fn every_conversation_can_end() {
    let over = |state| matches!(state, State::Closed | State::Switched | State::Failed | State::MustClose);
    for conversation in reachable() {
        let mut now = conversation;
        now.keep_no_longer();
        // Each side says whatever it may, its last words first.
        for _ in 0..20 {
            for role in [Role::Client, Role::Server] {
                let _ = [Word::End, Word::Response, Word::Request].iter().any(|word| now.say(role, *word));
            }
        }
        let (client, server) = (now.state(Role::Client), now.state(Role::Server));
        let idle = (client, server) == (State::Idle, State::Idle);
        let owed_to_nobody = client == State::Failed && server == State::Idle;
        assert!(idle || owed_to_nobody || (over(client) || over(server)), "{conversation:?} ends as {now:?}");
    }
}

#[test]
fn a_kept_connection_begins_again() {
    let mut conversation = Conversation::default();
    for _ in 0..3 {
        for (role, word) in [
            (Role::Client, Word::Request),
            (Role::Server, Word::Informational),
            (Role::Client, Word::Body),
            (Role::Server, Word::Response),
            (Role::Client, Word::End),
            (Role::Server, Word::Body),
            (Role::Server, Word::End),
        ] {
            assert!(conversation.say(role, word), "{role:?} {word:?} in {conversation:?}");
        }
        assert_eq!(conversation, Conversation::default());
    }
}

#[test]
fn a_switch_needs_a_proposal_and_a_whole_request() {
    let mut conversation = Conversation::default();
    assert!(conversation.say(Role::Client, Word::Request));
    assert!(!conversation.may_say(Role::Server, Word::Switch));
    conversation.propose_switch();
    assert!(!conversation.may_say(Role::Server, Word::Switch));
    assert!(conversation.say(Role::Client, Word::End));
    assert_eq!(conversation.state(Role::Client), State::MightSwitch);
    let mut declined = conversation;
    assert!(conversation.say(Role::Server, Word::Switch));
    assert_eq!(conversation.state(Role::Client), State::Switched);
    assert!(declined.say(Role::Server, Word::Response));
    assert_eq!(declined.state(Role::Client), State::Done);
}

#[test]
fn a_client_that_failed_gets_one_response() {
    let mut conversation = Conversation::default();
    conversation.fail(Role::Client);
    assert!(conversation.say(Role::Server, Word::Response));
    assert!(conversation.say(Role::Server, Word::End));
    assert_eq!(conversation.state(Role::Server), State::MustClose);
    assert!(!conversation.may_say(Role::Server, Word::Response));
}

/// The source of the module, for its picture.
const SOURCE: &str = include_str!("../src/state.rs");

#[test]
fn the_picture_names_every_state_and_word_of_the_tables() {
    let picture: String = SOURCE.lines().take_while(|line| line.starts_with("//!")).collect();
    for (_, from, word, to) in SAYS {
        for name in [format!("{from:?}"), format!("{word:?}"), format!("{to:?}")] {
            assert!(picture.contains(&name), "{name} is not in the picture");
        }
    }
}
