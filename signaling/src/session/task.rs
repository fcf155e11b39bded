//! One room's task: its inbox in, its outputs out, its timers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Data, Event};
use simmer_sfu::transport::SendDataError;
use tokio::sync::{mpsc, oneshot};

use super::outbox::Outbox;
use super::rooms::{Rooms, Shared, unix_millis};
use crate::media_core::MediaCore;
use crate::metrics::Metrics;
use crate::protocol::{ClientMessage, Refused, Resume};
use crate::recorder::{BeginRequest, RunningRecording};
use crate::room::{
    Admission, Carrier, Close, ConnectionId, Counts, HttpReply, HttpRequest, Output, RecordCommand,
    RecorderEvent, RequestId, Room,
};

/// What comes into a room.
pub(crate) enum Input {
    /// A WebSocket said hello.
    Connect { connection: ConnectionId, outbox: Outbox, admission: Admission, resume: Option<Resume> },
    /// A WebSocket is gone.
    Disconnect(ConnectionId),
    /// A message came on a WebSocket.
    Message(ConnectionId, Result<ClientMessage, Refused>),
    /// A newer token came on a WebSocket; `None` when it is not valid in this room.
    Renew { connection: ConnectionId, request: u64, admission: Option<Admission> },
    /// A request came over HTTP.
    Http { request: HttpRequest, reply: oneshot::Sender<HttpReply> },
    /// The core tells something.
    Core(Event),
    /// The recorder tells something.
    Recorder(RecorderEvent),
    /// The recorder has begun, or could not.
    Begun(Option<Box<dyn RunningRecording>>),
    /// The server ends.
    ShutDown,
}

/// A room with what it stands on.
pub(super) struct RoomTask {
    room: Room,
    inbox: mpsc::Receiver<Input>,
    /// For what comes back from the recorder.
    own_inbox: mpsc::Sender<Input>,
    held: Held,
    shared: Arc<Shared>,
    counts: Counts,
}

/// What a room has taken from outside. Given back when the task ends, also by a panic.
struct Held {
    core: Arc<dyn MediaCore>,
    participants: BTreeSet<ParticipantId>,
    recording: Option<Box<dyn RunningRecording>>,
    outboxes: HashMap<ConnectionId, Outbox>,
    /// Who waits for a reply over HTTP. To drop one tells them that the room is gone.
    waiting: HashMap<RequestId, oneshot::Sender<HttpReply>>,
    next_request: u64,
    metrics: Metrics,
    present: i64,
    recorded: i64,
}

impl Drop for Held {
    fn drop(&mut self) {
        for participant in std::mem::take(&mut self.participants) {
            self.core.send(Command::Leave { participant });
        }
        if let Some(recording) = self.recording.take() {
            recording.finish(Instant::now());
        }
        for outbox in self.outboxes.values() {
            outbox.close(Close::Internal);
        }
        self.gauge(0, 0);
    }
}

impl Held {
    fn gauge(&mut self, present: i64, recorded: i64) {
        self.metrics.participants.add(present - self.present);
        self.metrics.recordings.add(recorded - self.recorded);
        self.present = present;
        self.recorded = recorded;
    }
}

impl RoomTask {
    pub(super) fn new(
        room: Room,
        shared: Arc<Shared>,
        own_inbox: mpsc::Sender<Input>,
        inbox: mpsc::Receiver<Input>,
    ) -> Self {
        let held = Held {
            core: Arc::clone(&shared.config.core),
            participants: BTreeSet::new(),
            recording: None,
            outboxes: HashMap::new(),
            waiting: HashMap::new(),
            next_request: 0,
            metrics: shared.config.metrics.clone(),
            present: 0,
            recorded: 0,
        };
        Self { room, inbox, own_inbox, held, shared, counts: Counts::default() }
    }

    /// Runs until the room can be forgotten or the server ends.
    pub(super) async fn run(mut self, rooms: Rooms, id: String) {
        let number = u32::try_from(self.room.core_id().0).unwrap_or_default();
        let mut batch = Vec::new();
        loop {
            let wake = tokio::time::Instant::from_std(self.room.poll_timeout());
            tokio::select! {
                biased;
                _ = self.inbox.recv_many(&mut batch, BATCH) => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            let now = Instant::now();
            let mut ends = false;
            for input in batch.drain(..) {
                ends |= matches!(input, Input::ShutDown);
                self.take(now, input);
                self.carry_out(now);
            }
            self.room.handle_timeout(now);
            self.carry_out(now);
            self.count();
            if ends || self.room.is_over(now) {
                break;
            }
        }
        // Whoever looks for the room from here on finds none, or a new one; whoever came in between is sent away to try again.
        rooms.forget(&id, number);
        self.inbox.close();
        while let Ok(input) = self.inbox.try_recv() {
            match input {
                Input::Connect { outbox, .. } => outbox.close(Close::GoingAway),
                Input::Begun(Some(recording)) => recording.finish(Instant::now()),
                _ => {}
            }
        }
    }

    fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::Connect { connection, outbox, admission, resume } => {
                self.held.outboxes.insert(connection, outbox);
                self.room.connect(now, connection, admission, resume.as_ref());
            }
            Input::Disconnect(connection) => {
                self.held.outboxes.remove(&connection);
                self.room.disconnect(now, connection);
            }
            Input::Message(connection, message) => self.room.handle(now, connection, message),
            Input::Renew { connection, request, admission } => {
                self.room.renew(now, connection, request, admission);
            }
            Input::Http { request, reply } => {
                let id = RequestId(self.held.next_request);
                self.held.next_request += 1;
                self.held.waiting.insert(id, reply);
                self.room.handle_http(now, id, request);
            }
            Input::Core(event) => self.room.handle_core(now, event),
            Input::Recorder(event) => self.room.handle_recorder(now, event),
            Input::Begun(Some(recording)) => {
                let session = recording.session();
                self.held.recording = Some(recording);
                self.room.handle_recorder(now, RecorderEvent::Began { session });
            }
            Input::Begun(None) => self.room.handle_recorder(now, RecorderEvent::Unavailable),
            Input::ShutDown => self.room.shut_down(now),
        }
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Send { to, name, error, hurried, text } => {
                    let metrics = &self.held.metrics;
                    if let Some(code) = error {
                        metrics.errors.with_label_values(&[code.as_str()]).inc();
                    }
                    match to {
                        Carrier::WebSocket(connection) => {
                            metrics.sent.with_label_values(&[name, "websocket"]).inc();
                            let Some(outbox) = self.held.outboxes.get(&connection) else { continue };
                            if outbox.send(text, hurried).is_err() {
                                self.held.outboxes.remove(&connection);
                                self.room.disconnect(now, connection);
                            }
                        }
                        Carrier::Channel(participant, channel) => {
                            metrics.sent.with_label_values(&[name, "channel"]).inc();
                            let data = Data::Text(text);
                            if !self.held.core.send(Command::SendData { participant, channel, data }) {
                                let reason = SendDataError::Full;
                                let dropped = Event::DataDropped { participant, channel, reason };
                                self.room.handle_core(now, dropped);
                            }
                        }
                    }
                }
                Output::Hurry => self.held.outboxes.values().for_each(Outbox::hurry),
                Output::Close { connection, why } => {
                    if let Some(outbox) = self.held.outboxes.remove(&connection) {
                        outbox.close(why);
                    }
                }
                Output::Reply { request, reply } => {
                    let Some(waiting) = self.held.waiting.remove(&request) else { continue };
                    if let Err(HttpReply::Opened { session, .. }) = waiting.send(reply) {
                        self.room.abandon(now, &session);
                    }
                }
                Output::Core(command) => {
                    match &command {
                        Command::Join { participant, .. } => {
                            self.held.participants.insert(*participant);
                        }
                        Command::Leave { participant } => {
                            self.held.participants.remove(participant);
                        }
                        _ => {}
                    }
                    self.held.core.send(command);
                }
                Output::Record(command) => self.record(command),
            }
        }
    }

    fn record(&mut self, command: RecordCommand) {
        match command {
            RecordCommand::Begin { base } => self.begin_recording(base),
            RecordCommand::Event { event, at } => {
                if let Some(recording) = &mut self.held.recording {
                    recording.event(&event, at);
                }
            }
            RecordCommand::Finish { at } => {
                if let Some(recording) = self.held.recording.take() {
                    recording.finish(at);
                }
            }
        }
    }

    /// Beginning touches the disk, so it happens beside the room.
    fn begin_recording(&self, base: Instant) {
        let Some(recorder) = self.shared.config.recorder.clone() else { return };
        let ago = u64::try_from(base.elapsed().as_millis()).unwrap_or(0);
        let request = BeginRequest {
            room: self.room.id().to_owned(),
            core_room: RoomId(self.room.core_id().0),
            base,
            started_at: unix_millis().saturating_sub(ago),
        };
        let inbox = self.own_inbox.clone();
        tokio::spawn(async move {
            let begun = tokio::task::spawn_blocking(move || recorder.begin(request)).await;
            let recording = match begun {
                Ok(Ok(recording)) => Some(recording),
                Ok(Err(_)) | Err(_) => None,
            };
            if let Err(mpsc::error::SendError(Input::Begun(Some(recording)))) =
                inbox.send(Input::Begun(recording)).await
            {
                recording.finish(Instant::now());
            }
        });
    }

    fn count(&mut self) {
        let counts = self.room.counts();
        let before = std::mem::replace(&mut self.counts, counts);
        let metrics = self.held.metrics.clone();
        metrics.events.inc_by(counts.events - before.events);
        metrics.repeated.inc_by(counts.repeated - before.repeated);
        for (label, new) in [
            ("events", counts.resumed - before.resumed),
            ("snapshot", counts.resumed_anew - before.resumed_anew),
        ] {
            if new > 0 {
                metrics.resumes.with_label_values(&[label]).inc_by(new);
            }
        }
        let new = counts.channel_messages - before.channel_messages;
        if new > 0 {
            metrics.received.with_label_values(&["room", "channel"]).inc_by(new);
        }
        self.held.gauge(i64::try_from(self.room.present()).unwrap_or(0), i64::from(self.room.is_recorded()));
    }
}

/// Inputs that are taken between two looks at the clock.
const BATCH: usize = 64;
