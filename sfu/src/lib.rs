//! Simmer's media core: a selective forwarding unit, sans-IO inside, with a thin driver outside.

pub mod codec;
mod config;
pub mod id;
pub mod message;
pub mod sdp;
pub mod sink;
pub mod transport;
pub mod view;

pub use config::{Config, Limits};
