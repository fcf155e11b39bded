//! Simmer's media core: a selective forwarding unit, sans-IO inside, with a thin driver outside.
//!
//! [`Sfu::start`] gives a running core: a media port, a worker, a callback. Tell it with [`message::Command`]s who joins, what they offer and
//! what they want to see; it tells with [`message::Event`]s what came of it. It knows nothing of tokens, names or WebSockets.
//!
//! [`Shard`] is what is inside: without socket, thread, clock or randomness of its own, for those who bring theirs, and for the
//! simulation (feature `sim`).

pub mod audio;
pub mod bandwidth;
pub mod codec;
mod config;
mod counters;
mod driver;
pub mod egress;
pub mod id;
pub mod ingress;
mod keyframe;
pub mod message;
pub mod report;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
mod shard;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sink;
pub mod transport;
pub mod view;

pub use config::{Config, Limits};
pub use counters::{Counters, WorkerCounters};
pub use driver::{SendError, Sfu, StartError};
pub use shard::{Batch, Run, Shard, ShardConfig};
