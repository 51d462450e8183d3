//! What the tests of this crate share; knows no test.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod corpus;
