//! Where rooms, core and recorder meet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::{IntCounter, IntCounterVec, Opts};
use simmer_recorder as recorder;
use simmer_recorder::{Notice, RecorderConfig, SessionId, SessionInfo, TimelineEvent};
use simmer_sfu::id::RoomId;
use simmer_sfu::message::Command;

use crate::media_core::MediaCore;
use crate::metrics::Metrics;
use crate::protocol::Event;
use crate::recorder::{BeginRequest, Recorder, RecorderUnavailable, RunningRecording};
use crate::room::RecorderEvent;
use crate::session::Feed;

/// The recorder on disk, for rooms.
pub(super) struct DiskRecorder {
    recorder: recorder::Recorder,
    core: Arc<dyn MediaCore>,
    rooms: RoomsBySession,
}

type RoomsBySession = Arc<Mutex<HashMap<SessionId, String>>>;

impl DiskRecorder {
    /// Opens the folder and completes what a crash left; blocks until that is done.
    pub(super) fn open(
        config: RecorderConfig,
        core: Arc<dyn MediaCore>,
        feed: Feed,
        metrics: &Metrics,
    ) -> Result<Self, recorder::OpenError> {
        let rooms = RoomsBySession::default();
        let notices = Notices {
            rooms: Arc::clone(&rooms),
            core: Arc::clone(&core),
            feed,
            counters: Counters::new(metrics),
        };
        let (recorder, recovered) =
            recorder::Recorder::open(config, Box::new(move |notice| notices.handle(notice)))?;
        for session in recovered {
            tracing::info!(?session, "an unfinished recording was completed");
        }
        Ok(Self { recorder, core, rooms })
    }

    /// The recorder itself.
    pub(super) fn recorder(&self) -> &recorder::Recorder {
        &self.recorder
    }
}

impl Recorder for DiskRecorder {
    fn begin(&self, request: BeginRequest) -> Result<Box<dyn RunningRecording>, RecorderUnavailable> {
        let BeginRequest { room, core_room, base, started_at } = request;
        let session =
            SessionInfo { title: room.clone(), room: room.clone(), base, started_at_unix_ms: started_at };
        let recording = self.recorder.begin(session).map_err(|error| {
            tracing::error!(%error, "a recording cannot begin");
            RecorderUnavailable
        })?;
        lock(&self.rooms).insert(recording.id(), room);
        self.core.send(Command::SetSink { room: core_room, sink: Some(recording.sink()) });
        Ok(Box::new(Running { recording, core: Arc::clone(&self.core), core_room }))
    }
}

struct Running {
    recording: recorder::Recording,
    core: Arc<dyn MediaCore>,
    core_room: RoomId,
}

impl RunningRecording for Running {
    fn session(&self) -> String {
        self.recording.id().to_string()
    }

    fn event(&mut self, event: &Event, at: Instant) {
        match serde_json::to_value(&event.body) {
            Ok(body) => {
                self.recording.event(TimelineEvent { seq: event.seq, at, by: event.by.clone(), body });
            }
            Err(error) => tracing::error!(%error, "an event cannot be written"),
        }
    }

    fn finish(self: Box<Self>, at: Instant) {
        self.core.send(Command::SetSink { room: self.core_room, sink: None });
        self.recording.finish(at);
    }
}

/// What the recorder tells, on its own threads.
struct Notices {
    rooms: RoomsBySession,
    core: Arc<dyn MediaCore>,
    feed: Feed,
    counters: Counters,
}

impl Notices {
    fn handle(&self, notice: Notice) {
        match notice {
            Notice::KeyframeWanted { publication, encoding } => {
                self.core.send(Command::RequestKeyframe { publication, encoding });
            }
            Notice::Overflow { session, packets, events } => {
                self.counters.dropped.with_label_values(&["packet"]).inc_by(packets);
                self.counters.dropped.with_label_values(&["event"]).inc_by(events);
                tracing::warn!(%session, packets, events, "the disk does not keep up: the recording has holes");
            }
            Notice::Failed { session, reason } => {
                let reason = match reason {
                    recorder::FailReason::DiskFull => "disk_full",
                    recorder::FailReason::ReadOnly => "read_only",
                    _ => "io",
                };
                self.counters.failed.with_label_values(&[reason]).inc();
                tracing::error!(%session, reason, "a recording failed");
                if let Some(room) = lock(&self.rooms).remove(&session) {
                    self.feed.recorder(&room, RecorderEvent::Failed { session: session.to_string(), reason });
                }
            }
            Notice::Finished { session } => {
                self.counters.finished.inc();
                tracing::info!(%session, "a recording is finished");
                if let Some(room) = lock(&self.rooms).remove(&session) {
                    self.feed.recorder(&room, RecorderEvent::Available { session: session.to_string() });
                }
            }
            _ => {}
        }
    }
}

struct Counters {
    dropped: IntCounterVec,
    failed: IntCounterVec,
    finished: IntCounter,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        Self {
            dropped: metrics.add(IntCounterVec::new(
                Opts::new("simmer_recorder_dropped_total", "What the queue to the disk could not take."),
                &["what"],
            )),
            failed: metrics.add(IntCounterVec::new(
                Opts::new("simmer_recordings_failed_total", "Recordings that ended by a fault of the disk."),
                &["reason"],
            )),
            finished: metrics.add(IntCounter::new(
                "simmer_recordings_finished_total",
                "Recordings whose replay can be opened.",
            )),
        }
    }
}

fn lock(rooms: &RoomsBySession) -> std::sync::MutexGuard<'_, HashMap<SessionId, String>> {
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}
