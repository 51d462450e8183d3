//! The policies: applications around an application, one a file. A policy knows neither the front that asks nor the back
//! that answers.
