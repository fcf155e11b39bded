//! What is known of sounds without hearing them: the levels that their packets carry (RFC 6464).
//!
//! - `activity`: one voice, over three spans of time.
//! - `speakers`: a room's voices against each other: who speaks, who leads.

mod activity;
mod speakers;

pub use speakers::{Heard, Silence, Speaker, Speakers};
