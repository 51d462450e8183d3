//! What the two differential tests and their table share; knows no other server.
#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "corpus.rs"]
pub(crate) mod corpus;
#[path = "judged.rs"]
pub(crate) mod judged;
#[path = "verdict.rs"]
pub(crate) mod verdict;
