//! The core from outside.

mod simulation;
mod transport;
