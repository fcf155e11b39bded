//! The core from outside.

mod simulation;
