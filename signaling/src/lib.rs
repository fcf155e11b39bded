//! Simmer's rooms and how clients talk to them.

pub mod protocol;
