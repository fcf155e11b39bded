//! The recording: asked for in the room, done by a recorder outside, which answers in its own time.

use std::sync::Arc;
use std::time::Instant;

use super::actions::Outcome;
use super::keys::Reply;
use super::{Carrier, Output, Refusal, Room};
use crate::protocol::{ErrorCode, Event, EventBody, RecordingInfo, RecordingState};

/// What a room asks of its recorder. In this order: `Begin`, then `Event`s once it has begun, then `Finish`.
#[derive(Clone, Debug)]
pub enum RecordCommand {
    /// Begin a session; answered by [`RecorderEvent::Began`] or [`RecorderEvent::Unavailable`].
    Begin {
        /// Session time zero.
        base: Instant,
    },
    /// An entry of the room's log, or what was so when the recording began.
    Event {
        /// What.
        event: Arc<Event>,
        /// When, on the process's clock.
        at: Instant,
    },
    /// End the session.
    Finish {
        /// When.
        at: Instant,
    },
}

/// What the recorder tells a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecorderEvent {
    /// The session has begun.
    Began {
        /// Its id.
        session: String,
    },
    /// It could not begin.
    Unavailable,
    /// It failed; nothing more of it is recorded.
    Failed {
        /// Its id.
        session: String,
        /// Why, a short stable word.
        reason: &'static str,
    },
    /// Its replay can be opened.
    Available {
        /// Its id.
        session: String,
    },
}

/// How far the room's recording is.
#[derive(Debug, Default)]
pub(super) struct Recording {
    phase: Phase,
    /// As the log last said it.
    info: Option<RecordingInfo>,
    /// Replays that became available while a later recording ran: told when that one has ended, so that the last
    /// `recording` event always tells the present state.
    available: Vec<String>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// The recorder has been asked.
    Starting(Asked),
    /// It runs.
    Running(String),
}

/// Who asked for the recording, and where the reply goes.
#[derive(Debug)]
struct Asked {
    by: String,
    to: Carrier,
    re: u64,
    key: Option<String>,
    base: Instant,
    /// It was stopped before it began.
    cancelled: bool,
}

impl Recording {
    /// The session that runs.
    pub(super) fn session(&self) -> Option<&str> {
        match &self.phase {
            Phase::Running(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn info(&self) -> Option<RecordingInfo> {
        self.info.clone()
    }

    /// Whether this is the request that is being worked on, sent again: the reply goes to the last one who asked.
    pub(super) fn retried(&mut self, by: &str, key: &str, to: Carrier, re: u64) -> bool {
        match &mut self.phase {
            Phase::Starting(asked) if asked.by == by && asked.key.as_deref() == Some(key) => {
                asked.to = to;
                asked.re = re;
                true
            }
            _ => false,
        }
    }
}

impl Room {
    pub(super) fn start_recording(
        &mut self,
        now: Instant,
        id: &str,
        to: Carrier,
        re: u64,
        key: Option<String>,
    ) -> Result<Outcome, Refusal> {
        if !matches!(self.recording.phase, Phase::Idle) {
            return Err(Refusal::new(ErrorCode::AlreadyRecording, "The room is being recorded already."));
        }
        if !self.config.recorder {
            return Err(unavailable());
        }
        let asked = Asked { by: id.to_owned(), to, re, key, base: now, cancelled: false };
        self.recording.phase = Phase::Starting(asked);
        self.outputs.push_back(Output::Record(RecordCommand::Begin { base: now }));
        Ok(Outcome::Later)
    }

    /// Ends the recording. The event's seq, or `None` when there is no recording.
    pub(super) fn stop_recording(&mut self, now: Instant, by: Option<&str>) -> Option<u64> {
        match &mut self.recording.phase {
            Phase::Idle => None,
            Phase::Starting(asked) => {
                asked.cancelled = true;
                None
            }
            Phase::Running(session) => {
                let session = session.clone();
                let seq = self.tell_recording(now, by, RecordingState::Stopped, session, None);
                self.finish(now);
                Some(seq)
            }
        }
    }

    /// The recorder tells something.
    pub fn handle_recorder(&mut self, now: Instant, event: RecorderEvent) {
        match event {
            RecorderEvent::Began { session } => self.began(now, session),
            RecorderEvent::Unavailable => {
                if let Phase::Starting(asked) = std::mem::take(&mut self.recording.phase) {
                    self.refuse(asked.to, Some(asked.re), unavailable());
                }
            }
            RecorderEvent::Failed { session, reason } => {
                if self.recording.session() == Some(&session) {
                    self.tell_recording(now, None, RecordingState::Failed, session, Some(reason.to_owned()));
                    self.finish(now);
                }
            }
            RecorderEvent::Available { session } => {
                if matches!(self.recording.phase, Phase::Running(_)) {
                    self.recording.available.push(session);
                } else {
                    self.tell_recording(now, None, RecordingState::Available, session, None);
                }
            }
        }
    }

    fn began(&mut self, now: Instant, session: String) {
        let asked = match std::mem::take(&mut self.recording.phase) {
            Phase::Starting(asked) => asked,
            other => {
                self.recording.phase = other;
                return;
            }
        };
        if asked.cancelled || self.ended || self.present() == 0 {
            self.outputs.push_back(Output::Record(RecordCommand::Finish { at: now }));
            self.refuse(asked.to, Some(asked.re), unavailable());
            return;
        }
        for (by, body) in self.state_as_events() {
            let event = Arc::new(Event { seq: self.log.last_seq(), at: self.clock(asked.base), by, body });
            self.outputs.push_back(Output::Record(RecordCommand::Event { event, at: asked.base }));
        }
        self.recording.phase = Phase::Running(session.clone());
        let seq = self.tell_recording(now, Some(&asked.by), RecordingState::Started, session, None);
        self.settle(&asked.by, asked.to, asked.re, asked.key, Reply::Done(Some(seq)));
    }

    /// The room as events that would make it so: what a recording begins with.
    fn state_as_events(&self) -> Vec<(Option<String>, EventBody)> {
        let state = self.snapshot();
        let mut events = Vec::new();
        for known in state.participants.into_iter().filter(|known| known.present) {
            let by = Some(known.participant.id.clone());
            events.push((by, EventBody::Joined { participant: known.participant }));
        }
        for known in state.publications {
            let by = Some(known.publication.participant.clone());
            let publication = known.publication.id.clone();
            events.push((by.clone(), EventBody::Published { publication: known.publication }));
            if known.muted {
                events.push((by, EventBody::Muted { publication, muted: true }));
            }
        }
        if !state.steps.steps.is_empty() {
            events.push((None, EventBody::StepsSet { steps: state.steps.steps }));
        }
        if let Some(step) = state.steps.current {
            events.push((None, EventBody::StepStarted { step }));
        }
        for (participant, flags) in state.steps.done {
            for (step, _) in (0..).zip(flags).filter(|(_, done)| *done) {
                events.push((Some(participant.clone()), EventBody::StepTicked { step, done: true }));
            }
        }
        for hand in state.hands {
            events.push((Some(hand), EventBody::Hand { raised: true }));
        }
        events
    }

    fn finish(&mut self, now: Instant) {
        self.recording.phase = Phase::Idle;
        self.outputs.push_back(Output::Record(RecordCommand::Finish { at: now }));
        for session in std::mem::take(&mut self.recording.available) {
            self.tell_recording(now, None, RecordingState::Available, session, None);
        }
    }

    fn tell_recording(
        &mut self,
        now: Instant,
        by: Option<&str>,
        state: RecordingState,
        session: String,
        reason: Option<String>,
    ) -> u64 {
        self.recording.info = Some(RecordingInfo { state, session: session.clone(), reason: reason.clone() });
        self.append(now, by, EventBody::Recording { state, session, reason })
    }
}

fn unavailable() -> Refusal {
    Refusal::new(ErrorCode::RecorderUnavailable, "The server cannot record now.")
}
