//! The backs: applications that have the answer made by a program. A back knows neither who asks nor which policies stand
//! around it.
