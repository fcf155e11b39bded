//! The core from outside.
#![expect(
    clippy::disallowed_methods,
    reason = "virtual time starts at any instant; only differences are seen"
)]

mod beside;
mod bursts;
mod call;
mod channels;
mod clocks;
mod crowd;
mod dark;
mod fault;
mod hour;
mod layers;
mod lines;
mod narrow;
mod playout;
mod redundancy;
mod repairs;
mod repeat;
mod reports;
mod restart;
mod roles;
mod shards;
mod simulation;
mod speaker;
mod talk;
mod transport;
mod unseen;
mod views;
mod voices;
mod workers;
