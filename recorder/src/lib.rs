//! Simmer's recorder: writes a session to disk while it runs, completes it after a crash, serves its replay.
//!
//! A [`Recorder`] owns one folder and one writer thread. [`Recorder::begin`] gives a [`Recording`], which is fed from
//! two sides: its [`Recording::sink`] hears the media core, [`Recording::event`] takes the room log. When it is
//! finished, [`http::routes`] serves it. The format is described in `docs/recording-format.md`.

pub mod assembler;
mod clock;
mod finish;
mod fmp4;
pub mod http;
pub mod journal;
pub mod manifest;
mod opus;
mod queue;
mod recorder;
mod recover;
mod reorder;
mod segment;
mod session;
mod sink;
mod store;
mod timeline;
mod track;
mod vp8;
mod webm;
mod writer;

pub use recorder::{
    BeginError, FailReason, Notice, OpenError, Recorder, RecorderConfig, Recording, SessionInfo,
    TimelineEvent,
};
pub use recover::Recovered;
pub use store::{SessionId, SessionSummary, State, Store};
