//! The policies: applications around an application, one a file. A policy knows neither the front that asks nor the back
//! that answers.
//!
//! In the order in which a request meets them, outermost first:
//!
//! | policy | around | what it does |
//! |---|---|---|
//! | [`Forwarded`] | all routes, per listener | believes `X-Forwarded-*` from listed proxies, and nobody else's |
//! | [`Redirect`] | all routes | lets a program's local redirect ask the routes again |
//! | [`Methods`] | one route | lets listed methods through |
//! | [`Timeout`] | one route | bounds the whole request |
//! | [`MaxBody`] | one route | bounds the request body |
//! | [`Spool`] | one route | takes the whole request body before the back is asked |

mod forwarded;
mod max_body;
mod methods;
mod redirect;
mod spool;
mod timeout;

pub use forwarded::Forwarded;
pub use max_body::MaxBody;
pub use methods::Methods;
pub use redirect::{MAX_LOCAL_REDIRECTS, Redirect};
pub use spool::Spool;
pub use timeout::Timeout;
