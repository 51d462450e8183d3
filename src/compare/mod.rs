//! The room of `gatebridge compare`: one program answered in several ways, measured side by side. What is found is plain
//! data ([`findings`]); what follows from it is pure ([`verdict`], [`words`]), and so is how it is shown
//! ([`report`]). None of these knows a socket or a process.
//!
//! | file | is |
//! |---|---|
//! | [`findings`] | what a run found, as it is serialized: names with units, a schema version |
//! | [`spread`] | one figure over the rounds of a run: its values, median and extremes |
//! | [`verdict`] | what may be concluded: break-even, ratios, noise, figures that are not to be trusted |
//! | [`words`] | the verdicts as sentences |
//! | [`quantity`] | times, sizes and rates as people read them |
//! | [`report`] | all of it as a table, JSON, CSV or a page |
//! | [`load`] | the load generator |
//! | [`run`] | the measuring itself: who is compared, in turns, round after round |

pub mod findings;
pub mod load;
pub mod quantity;
pub mod report;
pub mod run;
pub mod spread;
pub mod verdict;
pub mod words;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod verdict_tests;

pub use findings::Findings;
pub use spread::Spread;
