//! Simmer's media core: a selective forwarding unit, sans-IO inside, with a thin driver outside.

pub mod codec;
mod config;
pub mod egress;
pub mod id;
pub mod ingress;
pub mod keyframe;
pub mod message;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sink;
pub mod transport;
pub mod view;

pub use config::{Config, Limits};
