//! Tests of the crate from outside.

#[cfg(feature = "server")]
mod binary;
mod client;
mod golden;
mod hostile;
mod server;
mod sessions;
mod whip;
