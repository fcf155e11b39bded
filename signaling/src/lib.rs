//! Simmer's rooms and how clients talk to them.
//!
//! [`protocol`] is what is said, [`room`] what it means, told the time and without IO; [`session`] runs rooms on tokio, [`Signaling`] serves
//! them over WebSockets, and over WHIP and WHEP. Media and recording are behind [`MediaCore`] and [`Recorder`].

mod http;
pub mod limits;
mod media_core;
pub mod metrics;
pub mod protocol;
pub mod recorder;
pub mod room;
pub mod session;
pub mod token;
mod upgrade;
mod whip;
mod ws;

#[cfg(feature = "server")]
pub mod server;

pub use http::{Signaling, refusal};
pub use media_core::MediaCore;
pub use recorder::Recorder;
