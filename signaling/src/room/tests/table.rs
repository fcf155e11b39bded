//! A room at a table.

use serde_json::{Value, json};
use simmer_sfu::codec::Codec;
use simmer_sfu::id::{Mid, PublicationId};
use simmer_sfu::message::Event as CoreEvent;
use simmer_sfu::sink::Publication as CorePublication;

use super::super::*;
use super::{admission, room_config};
use crate::protocol::{Resume, parse};

/// Everything the room says is laid out.
pub(super) struct Table {
    pub(super) room: Room,
    pub(super) now: Instant,
    pub(super) connections: u64,
    pub(super) said: Vec<(Carrier, Value)>,
    /// Where something is said that does not go out at once.
    pub(super) waits: Vec<Carrier>,
    pub(super) closed: Vec<(ConnectionId, u16)>,
    pub(super) replies: Vec<(RequestId, HttpReply)>,
    pub(super) commands: Vec<Command>,
    pub(super) recorded: Vec<RecordCommand>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut RoomConfig)) -> Self {
        let now = Instant::now();
        let mut config = room_config(now, 1);
        change(&mut config);
        let log = MemoryLog::new(config.limits.held_events);
        Self {
            room: Room::new(config, Box::new(log)),
            now,
            connections: 0,
            said: Vec::new(),
            waits: Vec::new(),
            closed: Vec::new(),
            replies: Vec::new(),
            commands: Vec::new(),
            recorded: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.drain();
        self.said.clear();
        self.closed.clear();
        self.replies.clear();
        self.commands.clear();
        self.recorded.clear();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Send { to, hurried, text, .. } => {
                    self.waits.retain(|waits| *waits != to);
                    if !hurried {
                        self.waits.push(to);
                    }
                    self.said.push((to, serde_json::from_slice(&text).expect("a message")));
                }
                Output::Hurry => self.waits.clear(),
                Output::Close { connection, why } => self.closed.push((connection, why.code())),
                Output::Reply { request, reply } => self.replies.push((request, reply)),
                Output::Core(command) => self.commands.push(command),
                Output::Record(command) => self.recorded.push(command),
            }
        }
    }

    pub(super) fn connect(&mut self, admission: Admission, resume: Option<&Resume>) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.room.connect(self.now, connection, admission, resume);
        self.drain();
        connection
    }

    /// Enters; the connection and the participant's id.
    pub(super) fn join(&mut self, identity: &str, role: Role) -> (ConnectionId, String) {
        let connection = self.connect(admission(identity, role), None);
        let id = self.welcome(connection)["you"]["id"].as_str().expect("an id").to_owned();
        (connection, id)
    }

    pub(super) fn welcome(&self, connection: ConnectionId) -> Value {
        let of = |(to, message): &&(Carrier, Value)| {
            *to == Carrier::WebSocket(connection) && message["type"] == "welcome"
        };
        self.said.iter().rfind(of).expect("a welcome").1.clone()
    }

    pub(super) fn resume(&self, connection: ConnectionId, after: u64) -> Resume {
        let session = self.welcome(connection)["session"].clone();
        let text = |name: &str| session[name].as_str().expect("a text").to_owned();
        Resume { session: text("id"), secret: text("secret"), after }
    }

    pub(super) fn say(&mut self, connection: ConnectionId, message: Value) {
        self.room.handle(self.now, connection, parse(message.to_string().as_bytes()));
        self.drain();
    }

    /// Acts; the reply.
    pub(super) fn act(&mut self, connection: ConnectionId, action: Value) -> Value {
        self.act_with_key(connection, None, action)
    }

    pub(super) fn act_with_key(
        &mut self,
        connection: ConnectionId,
        key: Option<&str>,
        action: Value,
    ) -> Value {
        self.now += Duration::from_millis(250);
        self.say(connection, json!({"type": "do", "id": 77, "key": key, "action": action}));
        self.said
            .iter()
            .rfind(|(_, message)| message["re"] == 77)
            .map_or(Value::Null, |(_, reply)| reply.clone())
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.room.handle_timeout(self.now);
        self.drain();
    }

    /// Kinds of the events since `clear`, as one connection got them.
    pub(super) fn kinds(&self, connection: ConnectionId) -> Vec<&str> {
        self.said
            .iter()
            .filter(|(to, message)| *to == Carrier::WebSocket(connection) && message["type"] == "event")
            .filter_map(|(_, message)| message["kind"].as_str())
            .collect()
    }

    pub(super) fn types(&self, to: Carrier) -> Vec<&str> {
        let to = |(carrier, message): &'_ (Carrier, Value)| (*carrier == to).then(|| message["type"].clone());
        self.said
            .iter()
            .filter(|said| to(said).is_some())
            .filter_map(|(_, message)| message["type"].as_str())
            .collect()
    }

    /// The core's participant that joined last.
    pub(super) fn core(&self) -> ParticipantId {
        let joined = self.commands.iter().rev().find_map(|command| match command {
            Command::Join { participant, .. } => Some(*participant),
            _ => None,
        });
        joined.expect("somebody joined the core")
    }

    pub(super) fn core_says(&mut self, event: CoreEvent) {
        self.room.handle_core(self.now, event);
        self.drain();
    }

    pub(super) fn publish(&mut self, participant: ParticipantId, mid: &str, index: u16) -> String {
        let id = PublicationId { participant, index };
        let publication = CorePublication {
            id,
            mid: Mid::new(mid.as_bytes()).expect("a mid"),
            codec: Codec::Vp8,
            encodings: vec![None],
        };
        self.core_says(CoreEvent::Published { room: self.room.core_id(), publication });
        id.to_string()
    }
}
