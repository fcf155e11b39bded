//! Virtual users for a Simmer server: they publish media that says what it is, subscribe to it, and verify what
//! arrives.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`mark`], [`source`], [`flow`] | media with its own account of itself, and what was sent of it |
//! | [`verify`] | the check of one received stream |
//! | [`link`], [`relay`] | an emulated network, pure and as a UDP relay |

pub mod clock;
pub mod flow;
pub mod link;
pub mod mark;
pub mod relay;
pub mod source;
pub mod verify;
