//! What a room does, step by step.

mod over_http;

use serde_json::{Value, json};
use simmer_sfu::audio::Speaker;
use simmer_sfu::codec::Codec;
use simmer_sfu::id::{Mid, PublicationId};
use simmer_sfu::message::{Data, DisconnectReason, Event as CoreEvent};
use simmer_sfu::sink::Publication as CorePublication;
use simmer_sfu::transport::SendDataError;
use simmer_sfu::view::{
    AudioWish as CoreAudioWish, Role as CoreRole, SlotAssignment, VideoSource, VideoWish,
};

use super::*;
use crate::protocol::{CHANNEL, Resume, parse};

/// Chromium's offer to publish: one video with simulcast, one audio, a data channel.
pub(super) const OFFER: &str = include_str!("../../../sfu/src/sdp/fixtures/chromium_publish.sdp");

pub(super) fn room_config(base: Instant, seed: u8) -> RoomConfig {
    RoomConfig {
        id: "class-7".to_owned(),
        number: 7,
        base,
        started_at: 1_790_000_000_000,
        seed: [seed; 32],
        recorder: true,
        limits: Arc::new(Limits::default()),
    }
}

pub(super) fn admission(identity: &str, role: Role) -> Admission {
    let host = role == Role::Host;
    let rights = Rights { publish: true, subscribe: true, send: true, record: host, administer: host };
    Admission { identity: identity.to_owned(), name: identity.to_uppercase(), role, rights }
}

/// A room at a table: everything it says is laid out.
struct Table {
    room: Room,
    now: Instant,
    connections: u64,
    said: Vec<(Carrier, Value)>,
    closed: Vec<(ConnectionId, u16)>,
    replies: Vec<(RequestId, HttpReply)>,
    commands: Vec<Command>,
    recorded: Vec<RecordCommand>,
}

impl Table {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut RoomConfig)) -> Self {
        let now = Instant::now();
        let mut config = room_config(now, 1);
        change(&mut config);
        let log = MemoryLog::new(config.limits.held_events);
        Self {
            room: Room::new(config, Box::new(log)),
            now,
            connections: 0,
            said: Vec::new(),
            closed: Vec::new(),
            replies: Vec::new(),
            commands: Vec::new(),
            recorded: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.drain();
        self.said.clear();
        self.closed.clear();
        self.replies.clear();
        self.commands.clear();
        self.recorded.clear();
    }

    fn drain(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Send { to, text, .. } => {
                    self.said.push((to, serde_json::from_slice(&text).expect("a message")));
                }
                Output::Close { connection, why } => self.closed.push((connection, why.code())),
                Output::Reply { request, reply } => self.replies.push((request, reply)),
                Output::Core(command) => self.commands.push(command),
                Output::Record(command) => self.recorded.push(command),
            }
        }
    }

    fn connect(&mut self, admission: Admission, resume: Option<&Resume>) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.room.connect(self.now, connection, admission, resume);
        self.drain();
        connection
    }

    /// Enters; the connection and the participant's id.
    fn join(&mut self, identity: &str, role: Role) -> (ConnectionId, String) {
        let connection = self.connect(admission(identity, role), None);
        let id = self.welcome(connection)["you"]["id"].as_str().expect("an id").to_owned();
        (connection, id)
    }

    fn welcome(&self, connection: ConnectionId) -> Value {
        let of = |(to, message): &&(Carrier, Value)| {
            *to == Carrier::WebSocket(connection) && message["type"] == "welcome"
        };
        self.said.iter().rfind(of).expect("a welcome").1.clone()
    }

    fn resume(&self, connection: ConnectionId, after: u64) -> Resume {
        let session = self.welcome(connection)["session"].clone();
        let text = |name: &str| session[name].as_str().expect("a text").to_owned();
        Resume { session: text("id"), secret: text("secret"), after }
    }

    fn say(&mut self, connection: ConnectionId, message: Value) {
        self.room.handle(self.now, connection, parse(message.to_string().as_bytes()));
        self.drain();
    }

    /// Acts; the reply.
    fn act(&mut self, connection: ConnectionId, action: Value) -> Value {
        self.act_with_key(connection, None, action)
    }

    fn act_with_key(&mut self, connection: ConnectionId, key: Option<&str>, action: Value) -> Value {
        self.now += Duration::from_millis(250);
        self.say(connection, json!({"type": "do", "id": 77, "key": key, "action": action}));
        self.said
            .iter()
            .rfind(|(_, message)| message["re"] == 77)
            .map_or(Value::Null, |(_, reply)| reply.clone())
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.room.handle_timeout(self.now);
        self.drain();
    }

    /// Kinds of the events since `clear`, as one connection got them.
    fn kinds(&self, connection: ConnectionId) -> Vec<&str> {
        self.said
            .iter()
            .filter(|(to, message)| *to == Carrier::WebSocket(connection) && message["type"] == "event")
            .filter_map(|(_, message)| message["kind"].as_str())
            .collect()
    }

    fn types(&self, to: Carrier) -> Vec<&str> {
        let to = |(carrier, message): &'_ (Carrier, Value)| (*carrier == to).then(|| message["type"].clone());
        self.said
            .iter()
            .filter(|said| to(said).is_some())
            .filter_map(|(_, message)| message["type"].as_str())
            .collect()
    }

    /// The core's participant that joined last.
    fn core(&self) -> ParticipantId {
        let joined = self.commands.iter().rev().find_map(|command| match command {
            Command::Join { participant, .. } => Some(*participant),
            _ => None,
        });
        joined.expect("somebody joined the core")
    }

    fn core_says(&mut self, event: CoreEvent) {
        self.room.handle_core(self.now, event);
        self.drain();
    }

    fn publish(&mut self, participant: ParticipantId, mid: &str, index: u16) -> String {
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

fn offer() -> Value {
    json!({"type": "offer", "id": 1, "sdp": OFFER, "tracks": [{"mid": "1", "source": "screen"}]})
}

#[test]
fn who_enters_gets_the_room_and_the_others_an_event() {
    let mut table = Table::new();
    let (ana, ana_id) = table.join("ana", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    let welcome = table.welcome(ben);
    assert_eq!(welcome["seq"], 2);
    assert_eq!(welcome["you"]["name"], "BEN");
    assert_eq!(welcome["session"]["resumed"], false);
    assert_eq!(welcome["snapshot"]["participants"].as_array().map(Vec::len), Some(2));
    assert_eq!(table.kinds(ana), ["joined"]);
    assert_eq!(table.kinds(ben), [""; 0]);
    assert_ne!(ana_id, ben_id);
}

#[test]
fn rights_are_the_tokens() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let mut mute = admission("mute", Role::Participant);
    mute.rights = Rights { publish: false, subscribe: false, send: false, record: false, administer: false };
    let silent = table.connect(mute, None);
    let steps = json!({"kind": "steps_set", "steps": [{"title": "Chop"}]});
    assert_eq!(table.act(host, steps.clone())["type"], "done");
    for action in [
        json!({"kind": "chat", "text": "hi"}),
        json!({"kind": "hand", "raised": true}),
        steps,
        json!({"kind": "step_start", "step": 0}),
        json!({"kind": "step_tick", "step": 0, "done": true}),
        json!({"kind": "record_start"}),
        json!({"kind": "record_stop"}),
        json!({"kind": "kick", "participant": "p"}),
        json!({"kind": "end"}),
    ] {
        table.clear();
        assert_eq!(table.act(silent, action.clone())["code"], "not_allowed", "{action}");
        assert_eq!(table.kinds(host), [""; 0], "{action}");
    }
    table.say(silent, json!({"type": "view", "view": {}}));
    assert_eq!(table.said.last().expect("a reply").1["code"], "not_allowed");
    table.say(silent, offer());
    assert_eq!(table.said.last().expect("a reply").1["code"], "not_allowed");
    assert!(table.commands.is_empty());
}

#[test]
fn values_out_of_range_are_refused() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let title = |length| json!({"kind": "steps_set", "steps": [{"title": "x".repeat(length)}]});
    let steps = |count| json!({"kind": "steps_set", "steps": vec![json!({"title": "x"}); count]});
    let chat = |length| json!({"kind": "chat", "text": "é".repeat(length)});
    for (action, code) in [
        (chat(0), "invalid"),
        (chat(2001), "invalid"),
        (steps(0), "invalid"),
        (steps(11), "invalid"),
        (title(0), "invalid"),
        (title(121), "invalid"),
        (json!({"kind": "step_start", "step": 0}), "not_found"),
        (json!({"kind": "mute", "publication": "x", "muted": true}), "not_found"),
        (json!({"kind": "kick", "participant": "p0"}), "not_found"),
        (json!({"kind": "record_stop"}), "not_recording"),
    ] {
        assert_eq!(table.act(host, action.clone())["code"], code, "{action}");
    }
    for action in [chat(2000), steps(10), title(120), json!({"kind": "step_start", "step": 0})] {
        assert_eq!(table.act(host, action.clone())["type"], "done", "{action}");
    }
    assert_eq!(table.act_with_key(host, Some(&"k".repeat(65)), chat(1))["code"], "invalid");
    assert_eq!(table.act_with_key(host, Some(""), chat(1))["code"], "invalid");
}

#[test]
fn a_key_makes_an_action_happen_once() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let chat = json!({"kind": "chat", "text": "once"});
    let first = table.act_with_key(ana, Some("k"), chat.clone());
    table.clear();
    assert_eq!(table.act_with_key(ana, Some("k"), chat.clone()), first);
    assert_eq!(table.kinds(ben), [""; 0]);
    // Another's key is another key.
    assert_ne!(table.act_with_key(ben, Some("k"), chat)["seq"], first["seq"]);
    // A refusal is a reply as well.
    let start = json!({"kind": "step_start", "step": 0});
    assert_eq!(table.act_with_key(ana, Some("s"), start.clone())["code"], "not_found");
    table.act(ana, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]}));
    assert_eq!(table.act_with_key(ana, Some("s"), start)["code"], "not_found");
}

#[test]
fn what_changes_nothing_is_done_without_an_event() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    table.act(ana, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]}));
    for action in [
        json!({"kind": "hand", "raised": true}),
        json!({"kind": "step_start", "step": 0}),
        json!({"kind": "step_tick", "step": 0, "done": true}),
    ] {
        assert!(table.act(ana, action.clone())["seq"].is_u64(), "{action}");
        table.clear();
        let again = table.act(ana, action.clone());
        assert_eq!((&again["type"], &again["seq"]), (&json!("done"), &Value::Null), "{action}");
        assert_eq!(table.kinds(ana), [""; 0], "{action}");
    }
}

#[test]
fn a_host_may_mute_and_only_the_owner_unmute() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let (eve, _) = table.join("eve", Role::Participant);
    table.say(ben, offer());
    let publication = table.publish(table.core(), "0", 0);
    let mute = |muted| json!({"kind": "mute", "publication": publication, "muted": muted});
    assert_eq!(table.act(eve, mute(true))["code"], "not_allowed");
    assert_eq!(table.act(host, mute(true))["type"], "done");
    assert_eq!(table.act(host, mute(false))["code"], "not_allowed");
    assert_eq!(table.act(ben, mute(false))["type"], "done");
    assert!(!table.room.snapshot().publications[0].muted);
}

#[test]
fn who_is_kicked_stays_out_for_ten_minutes() {
    let mut table = Table::new();
    let (host, host_id) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.clear();
    let done = table.act(host, json!({"kind": "kick", "participant": ben_id}));
    let (_, event) = table.said.iter().find(|(_, message)| message["kind"] == "left").expect("an event");
    assert_eq!(
        (&event["seq"], &event["by"], &event["reason"]),
        (&done["seq"], &json!(host_id), &json!("kicked"))
    );
    assert_eq!(table.closed, [(ben, 4003)]);
    assert_eq!(table.kinds(ben), ["left"]);
    table.clear();
    let again = table.connect(admission("ben", Role::Participant), None);
    assert_eq!(table.closed, [(again, 4003)]);
    assert_eq!(table.said[0].1["code"], "kicked");
    table.wait(Duration::from_secs(601));
    table.clear();
    let (_, id) = table.join("ben", Role::Participant);
    assert_eq!(id, ben_id);
}

#[test]
fn the_end_is_for_everybody_and_the_room_is_forgotten_later() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.clear();
    assert_eq!(table.act(host, json!({"kind": "end"}))["type"], "done");
    assert_eq!((table.kinds(host), table.kinds(ben)), (vec!["ended"], vec!["ended"]));
    let mut closed = table.closed.clone();
    closed.sort_unstable();
    assert_eq!(closed, [(host, 4004), (ben, 4004)]);
    table.clear();
    let late = table.connect(admission("eve", Role::Participant), None);
    assert_eq!((table.closed[0], &table.said[0].1["code"]), ((late, 4004), &json!("room_ended")));
    assert!(!table.room.is_over(table.now));
    assert!(table.room.is_over(table.now + Duration::from_secs(600)));
}

#[test]
fn a_room_in_which_nothing_happened_is_forgotten_soon() {
    let after = |happens: &[Value]| {
        let mut table = Table::new();
        let (host, _) = table.join("host", Role::Host);
        let (ben, ben_id) = table.join("ben", Role::Participant);
        for action in happens {
            let mut action = action.clone();
            if action["kind"] == "kick" {
                action["participant"] = json!(ben_id);
            }
            assert_eq!(table.act(host, action)["type"], "done");
        }
        table.say(ben, json!({"type": "leave"}));
        table.say(host, json!({"type": "leave"}));
        let kept = [9, 10, 599, 600].map(|seconds| table.now + Duration::from_secs(seconds));
        kept.map(|at| table.room.is_over(at))
    };
    assert_eq!(after(&[]), [false, true, true, true]);
    assert_eq!(after(&[json!({"kind": "chat", "text": "hello"})]), [false, false, false, true]);
    assert_eq!(after(&[json!({"kind": "kick"})]), [false, false, false, true]);
}

#[test]
fn a_new_session_of_the_same_identity_ends_the_older_one() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    table.publish(table.core(), "0", 0);
    table.clear();
    let (second, id) = table.join("ben", Role::Participant);
    assert_eq!(id, ben_id);
    assert_eq!(table.closed, [(ben, 4002)]);
    assert_eq!(table.kinds(host), ["unpublished"]);
    assert!(matches!(table.commands[..], [Command::Leave { .. }]));
    // What the older WebSocket still says or does is nobody's.
    table.clear();
    table.say(ben, json!({"type": "do", "id": 1, "action": {"kind": "chat", "text": "ghost"}}));
    table.room.disconnect(table.now, ben);
    table.wait(Duration::from_secs(61));
    assert_eq!(table.kinds(host), [""; 0]);
    assert_eq!(table.act(second, json!({"kind": "chat", "text": "hi"}))["type"], "done");
}

#[test]
fn a_lost_session_waits_for_its_client_and_then_leaves() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.act(ben, json!({"kind": "hand", "raised": true}));
    table.room.disconnect(table.now, ben);
    table.wait(Duration::from_millis(59_999));
    assert_eq!(table.room.present(), 2);
    table.clear();
    table.wait(Duration::from_millis(1));
    assert_eq!(table.kinds(host), ["left"]);
    assert!(table.said.iter().any(|(_, m)| m["reason"] == "timeout" && m["by"].is_null()));
    let snapshot = table.room.snapshot();
    assert!(snapshot.hands.is_empty());
    assert!(snapshot.participants.iter().any(|known| known.participant.id == ben_id && !known.present));
    table.clear();
    assert_eq!(table.join("ben", Role::Participant).1, ben_id);
    assert_eq!(table.kinds(host), ["joined"]);
}

#[test]
fn a_resumed_session_gets_what_it_missed() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.room.disconnect(table.now, ben);
    table.act(host, json!({"kind": "chat", "text": "one"}));
    table.act(host, json!({"kind": "chat", "text": "two"}));
    let resume = table.resume(ben, 2);
    table.clear();
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    let welcome = table.welcome(again);
    assert_eq!((&welcome["session"]["resumed"], &welcome["seq"]), (&json!(true), &json!(2)));
    assert!(welcome.get("snapshot").is_none());
    assert_ne!(welcome["session"]["secret"], json!(resume.secret));
    assert_eq!(table.kinds(again), ["chat", "chat"]);
    assert_eq!(table.kinds(host), [""; 0]);
}

#[test]
fn a_secret_is_good_until_its_successor_has_arrived() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    let first = table.resume(ben, 1);
    // The welcome with the second secret is lost on its way: the first is still good, and the older WebSocket is taken over.
    let second = table.connect(admission("ben", Role::Participant), Some(&first));
    assert_eq!(table.closed, [(ben, 4001)]);
    let third = table.connect(admission("ben", Role::Participant), Some(&first));
    assert_eq!(table.welcome(third)["session"]["resumed"], true);
    assert_eq!(table.closed, [(ben, 4001), (second, 4001)]);
    // Now the client speaks, so the newest has arrived.
    table.act(third, json!({"kind": "chat", "text": "hi"}));
    let fourth = table.connect(admission("ben", Role::Participant), Some(&first));
    assert_eq!(table.welcome(fourth)["session"]["resumed"], false);
    assert_eq!(table.closed.last(), Some(&(third, 4002)));
}

#[test]
fn another_identity_cannot_resume_ones_session() {
    let mut table = Table::new();
    let (ben, ben_id) = table.join("ben", Role::Participant);
    let resume = table.resume(ben, 1);
    table.connect(admission("eve", Role::Participant), None);
    let eve = table.connect(admission("eve", Role::Participant), Some(&resume));
    assert_eq!(table.welcome(eve)["session"]["resumed"], false);
    assert_ne!(table.welcome(eve)["you"]["id"], json!(ben_id));
    assert!(!table.closed.iter().any(|(closed, _)| *closed == ben));
}

#[test]
fn what_is_no_longer_held_comes_as_a_snapshot() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { held_events: 3, ..Limits::default() });
    });
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.room.disconnect(table.now, ben);
    for text in ["1", "2", "3", "4"] {
        table.act(host, json!({"kind": "chat", "text": text}));
    }
    for (after, snapshot) in [(3, false), (2, true), (100, true)] {
        let resume = Resume { after, ..table.resume(ben, 0) };
        let again = table.connect(admission("ben", Role::Participant), Some(&resume));
        let welcome = table.welcome(again);
        assert_eq!(welcome["session"]["resumed"], true, "{after}");
        assert_eq!(welcome.get("snapshot").is_some(), snapshot, "{after}");
        assert_eq!(welcome["seq"], if snapshot { 6 } else { after }, "{after}");
        let secret = welcome["session"]["secret"].clone();
        let ben_welcome =
            table.said.iter_mut().find(|(to, m)| *to == Carrier::WebSocket(ben) && m["type"] == "welcome");
        ben_welcome.expect("the first welcome").1["session"]["secret"] = secret;
    }
}

#[test]
fn media_goes_to_the_core_and_its_news_to_the_room() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.clear();
    table.say(ben, json!({"type": "view", "view": {"video": [{"publication": "0000000700000001-0", "max_height": 360}], "audio": []}}));
    assert!(table.commands.is_empty());
    table.say(ben, offer());
    let [
        Command::Join { participant, .. },
        Command::SetView { view, .. },
        Command::SetScreens { mids, .. },
        Command::Offer { request: 1, .. },
    ] = &table.commands[..]
    else {
        panic!("join, view, screens, offer");
    };
    assert_eq!(mids, &[Mid::new(b"1").expect("a mid")]);
    assert_eq!((view.video.len(), &view.audio), (1, &CoreAudioWish::Only(vec![])));
    let participant = *participant;
    assert_eq!(participant.0 >> 32, 7);

    table.core_says(CoreEvent::Answered { participant, request: 1, answer: Ok("v=0".to_owned()) });
    assert_eq!(
        table.said.last().expect("an answer"),
        &(Carrier::WebSocket(ben), json!({"type":"answer","re":1,"sdp":"v=0"}))
    );
    let screen = table.publish(participant, "1", 0);
    let (_, event) = table.said.iter().find(|(_, m)| m["kind"] == "published").expect("an event");
    assert_eq!(
        event["publication"],
        json!({"id": screen, "participant": ben_id, "kind": "video", "source": "screen", "simulcast": false})
    );
    table.publish(participant, "9", 1);
    assert_eq!(table.room.snapshot().publications[1].publication.source, crate::protocol::Source::Camera);

    // A fresh connection: the former one's publications are forgotten, and what it still says is ignored.
    table.clear();
    let mut fresh = offer();
    fresh["fresh"] = json!(true);
    table.say(ben, fresh);
    assert!(matches!(
        table.commands[..],
        [
            Command::Leave { .. },
            Command::Join { .. },
            Command::SetView { .. },
            Command::SetScreens { .. },
            Command::Offer { .. }
        ]
    ));
    assert_ne!(table.core(), participant);
    assert_eq!(table.kinds(host), ["unpublished", "unpublished"]);
    table.clear();
    table.publish(participant, "0", 2);
    assert!(table.said.is_empty());
}

#[test]
fn a_view_names_publications_or_roles_within_their_ranges() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let publication = PublicationId { participant: ParticipantId(0x0000_0007_0000_0001), index: 0 };
    let id = publication.to_string();
    table.clear();
    let view = json!([
        {"publication": id, "max_height": 720, "max_fps": 15, "priority": 10},
        {"role": "screen", "max_height": 1080},
        {"role": "speaker", "max_height": 360, "priority": 0},
    ]);
    table.say(ben, json!({"type": "view", "view": {"video": view}}));
    let [Command::SetView { view, .. }] = &table.commands[..] else { panic!("a view") };
    let wish = |source: VideoSource, max_height| VideoWish::new(source, max_height);
    assert_eq!(
        view.video,
        [
            VideoWish { max_fps: Some(15), priority: Some(10), ..wish(publication.into(), 720) },
            wish(CoreRole::Screen.into(), 1080),
            VideoWish { priority: Some(0), ..wish(CoreRole::Speaker.into(), 360) },
        ]
    );
    for wish in [
        json!({"publication": id, "role": "screen", "max_height": 720}),
        json!({"max_height": 720}),
        json!({"publication": "x", "max_height": 720}),
        json!({"role": "screen", "max_height": 0}),
        json!({"role": "screen", "max_height": 4321}),
        json!({"role": "screen", "max_height": 720, "max_fps": 0}),
        json!({"role": "screen", "max_height": 720, "max_fps": 121}),
        json!({"role": "screen", "max_height": 720, "priority": 11}),
    ] {
        table.clear();
        table.say(ben, json!({"type": "view", "view": {"video": [wish]}}));
        assert!(table.commands.is_empty(), "{wish}");
        assert_eq!(table.said.last().expect("a reply").1["code"], "invalid", "{wish}");
    }
}

#[test]
fn who_speaks_is_told_to_all_and_to_who_comes_later() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let publication = PublicationId { participant: ParticipantId(0x0000_0007_0000_0001), index: 1 };
    let speaks = |table: &mut Table, speakers| {
        table.clear();
        table.core_says(CoreEvent::Speakers { room: table.room.core_id(), speakers });
    };
    let told = |table: &Table, to| {
        let mut messages = table.said.iter().filter(|(carrier, _)| *carrier == Carrier::WebSocket(to));
        messages.find(|(_, message)| message["type"] == "speakers").map(|(_, message)| message.clone())
    };
    speaks(&mut table, vec![Speaker { publication, level: 34 }]);
    let message =
        json!({"type": "speakers", "speakers": [{"publication": "0000000700000001-1", "level": 34}]});
    assert_eq!((told(&table, ana), told(&table, ben)), (Some(message.clone()), Some(message.clone())));
    let (cem, _) = table.join("cem", Role::Participant);
    assert_eq!(told(&table, cem), Some(message));
    assert_eq!(table.types(Carrier::WebSocket(cem))[0], "welcome");
    speaks(&mut table, Vec::new());
    assert_eq!(told(&table, ben), Some(json!({"type": "speakers", "speakers": []})));
    let (dan, _) = table.join("dan", Role::Participant);
    assert_eq!(told(&table, dan), None, "a welcome says that it is silent");
}

#[test]
fn an_offer_that_is_none_changes_nothing() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, json!({"type": "offer", "id": 5, "sdp": "hello", "fresh": true}));
    let reply = &table.said.last().expect("a reply").1;
    assert_eq!((&reply["re"], &reply["code"]), (&json!(5), &json!("bad_offer")));
    assert!(table.commands.is_empty());
}

#[test]
fn room_messages_take_the_channel_while_the_web_socket_is_gone() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let participant = table.core();
    let channel = ChannelId(3);
    let other = CoreEvent::ChannelOpened { participant, channel: ChannelId(1), label: "other".to_owned() };
    table.core_says(other);
    table.core_says(CoreEvent::ChannelOpened { participant, channel, label: CHANNEL.to_owned() });
    table.clear();
    let carrier = Carrier::Channel(participant, channel);
    let chat = |id: u64| {
        Bytes::from(json!({"type": "do", "id": id, "action": {"kind": "chat", "text": "x"}}).to_string())
    };
    let data = |channel, text| CoreEvent::Data { participant, channel, data: Data::Text(text) };
    // Both open: the event takes the WebSocket, the reply the carrier that asked.
    table.core_says(data(channel, chat(1)));
    assert_eq!(table.types(Carrier::WebSocket(ben)), ["event"]);
    assert_eq!(table.types(carrier), ["done"]);
    // The WebSocket is gone.
    table.room.disconnect(table.now, ben);
    table.clear();
    table.act(host, json!({"kind": "chat", "text": "y"}));
    let slots = vec![SlotAssignment {
        mid: Mid::new(b"3").expect("a mid"),
        publication: None,
        role: None,
        paused: false,
    }];
    table.core_says(CoreEvent::Slots { participant, slots });
    table.core_says(CoreEvent::Answered { participant, request: 9, answer: Ok("v=0".to_owned()) });
    assert_eq!(table.types(carrier), ["event", "slots"]);
    // A ping asks after the carrier it comes on.
    table.clear();
    table.core_says(data(channel, Bytes::from_static(br#"{"type":"ping"}"#)));
    assert_eq!(table.said, [(carrier, json!({"type": "pong"}))]);
    // Offers and leaving are not for the channel; other channels are not ours.
    table.clear();
    table.core_says(data(channel, Bytes::from_static(br#"{"type":"leave"}"#)));
    assert_eq!(table.said.last().expect("a reply").1["code"], "invalid");
    table.core_says(CoreEvent::Data { participant, channel, data: Data::Binary(Bytes::new()) });
    assert_eq!(table.said.last().expect("a reply").1["code"], "bad_json");
    table.clear();
    table.core_says(data(ChannelId(1), chat(1)));
    assert!(table.said.is_empty());
}

#[test]
fn resuming_repeats_what_media_has_to_say_and_drops_lead_to_a_snapshot() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let participant = table.core();
    let resume = table.resume(ben, 1);
    table.room.disconnect(table.now, ben);
    table.core_says(CoreEvent::Answered { participant, request: 1, answer: Ok("v=0".to_owned()) });
    table.core_says(CoreEvent::SlotsWanted { participant, audio: 4, video: 6 });
    for wanted in [vec![true, false], vec![false, true]] {
        let publication = PublicationId { participant, index: 0 };
        let mid = Mid::new(b"0").expect("a mid");
        table.core_says(CoreEvent::EncodingsWanted { participant, publication, mid, wanted });
    }
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert_eq!(table.types(Carrier::WebSocket(again)), ["welcome", "answer", "slots_wanted", "encodings"]);
    assert_eq!(table.said.last().expect("a message").1["wanted"], json!([false, true]), "the latest only");
    let resume = table.resume(again, 1);
    table.core_says(CoreEvent::ChannelOpened {
        participant,
        channel: ChannelId(3),
        label: CHANNEL.to_owned(),
    });
    let reason = SendDataError::Full;
    table.core_says(CoreEvent::DataDropped { participant, channel: ChannelId(3), reason });
    let third = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert!(table.welcome(third).get("snapshot").is_some());
    let resume = table.resume(third, 1);
    let fourth = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert!(table.welcome(fourth).get("snapshot").is_none());
}

#[test]
fn three_bad_frames_in_a_row_close_the_web_socket() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    let bad = |table: &mut Table| {
        table.room.handle(table.now, ben, parse(b"{"));
        table.drain();
    };
    bad(&mut table);
    bad(&mut table);
    table.act(ben, json!({"kind": "chat", "text": "fine"}));
    bad(&mut table);
    bad(&mut table);
    assert_eq!(table.closed, []);
    bad(&mut table);
    assert_eq!(table.closed, [(ben, 4000)]);
    // An unknown type is no bad frame.
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    for _ in 0..5 {
        table.say(ben, json!({"type": "dance"}));
        assert_eq!(table.said.last().expect("a reply").1["code"], "unknown_type");
    }
    assert_eq!(table.closed, []);
}

#[test]
fn too_many_messages_are_refused_with_the_time_to_wait() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    let chat = json!({"type": "do", "id": 9, "action": {"kind": "chat", "text": "x"}});
    for _ in 0..10 {
        table.say(ben, chat.clone());
        assert_eq!(table.said.last().expect("a reply").1["type"], "done");
    }
    table.say(ben, chat.clone());
    let reply = table.said.last().expect("a reply").1.clone();
    assert_eq!((&reply["re"], &reply["code"]), (&json!(9), &json!("rate_limited")));
    table.now += Duration::from_millis(reply["retry_ms"].as_u64().expect("a time"));
    table.say(ben, chat.clone());
    assert_eq!(table.said.last().expect("a reply").1["type"], "done");
    // Everything together: what is refused counts too.
    for _ in 0..200 {
        table.say(ben, json!({"type": "dance"}));
    }
    assert_eq!(table.said.last().expect("a reply").1["code"], "rate_limited");
    // A new session is no way around it.
    let (again, _) = table.join("ben", Role::Participant);
    table.say(again, chat);
    assert_eq!(table.said.last().expect("a reply").1["code"], "rate_limited");
}

#[test]
fn a_full_room_lets_only_those_in_who_are_in() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { room_size: 2, ..Limits::default() });
    });
    table.join("ana", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let eve = table.connect(admission("eve", Role::Participant), None);
    assert_eq!(table.closed, [(eve, 4000)]);
    assert_eq!(table.said.last().expect("a reply").1["code"], "room_full");
    let (ben_again, _) = table.join("ben", Role::Participant);
    table.say(ben_again, json!({"type": "leave"}));
    assert_eq!(table.closed[1..], [(ben, 4002), (ben_again, 1000)]);
    table.join("eve", Role::Participant);
}

#[test]
fn the_longest_gone_are_forgotten_first() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { remembered: 1, ..Limits::default() });
    });
    let (host, _) = table.join("host", Role::Host);
    table.act(host, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]}));
    for name in ["ben", "eve"] {
        let (connection, _) = table.join(name, Role::Participant);
        table.act(connection, json!({"kind": "step_tick", "step": 0, "done": true}));
        table.say(connection, json!({"type": "leave"}));
    }
    let snapshot = table.room.snapshot();
    let names: Vec<_> = snapshot.participants.iter().map(|known| known.participant.name.as_str()).collect();
    assert!(names.contains(&"EVE") && !names.contains(&"BEN"), "{names:?}");
    assert_eq!(snapshot.steps.done.len(), 1);
}

fn recorded_kinds(table: &Table) -> Vec<String> {
    let kind = |command: &RecordCommand| match command {
        RecordCommand::Begin { .. } => "BEGIN".to_owned(),
        RecordCommand::Finish { .. } => "FINISH".to_owned(),
        RecordCommand::Event { event, .. } => {
            serde_json::to_value(&event.body).expect("JSON")["kind"].as_str().expect("a kind").to_owned()
        }
    };
    table.recorded.iter().map(kind).collect()
}

#[test]
fn a_recording_begins_with_the_room_as_it_is_and_takes_every_event() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    table.publish(table.core(), "0", 0);
    table.act(host, json!({"kind": "steps_set", "steps": [{"title": "Chop"}, {"title": "Fry"}]}));
    table.act(host, json!({"kind": "step_start", "step": 1}));
    table.act(ben, json!({"kind": "step_tick", "step": 0, "done": true}));
    table.clear();
    let start = json!({"kind": "record_start"});
    assert_eq!(table.act_with_key(host, Some("r"), start.clone()), Value::Null);
    // Sent again before the recorder has answered: one reply, to the last one who asked.
    assert_eq!(table.act_with_key(host, Some("r"), start.clone()), Value::Null);
    assert_eq!(table.act_with_key(host, Some("other"), start.clone())["code"], "already_recording");
    table.room.handle_recorder(table.now, RecorderEvent::Began { session: "S1".to_owned() });
    table.drain();
    let done = table.said.last().expect("a reply").1.clone();
    assert_eq!(done["type"], "done");
    assert_eq!(
        recorded_kinds(&table),
        ["BEGIN", "joined", "joined", "published", "steps_set", "step_started", "step_ticked", "recording"]
    );
    let bases: Vec<_> = table.recorded[..7]
        .iter()
        .map(|command| match command {
            RecordCommand::Begin { base } => *base,
            RecordCommand::Event { at, .. } | RecordCommand::Finish { at } => *at,
        })
        .collect();
    assert!(bases.iter().all(|at| *at == bases[0]), "all of it is at time zero");
    assert_eq!(table.act_with_key(host, Some("r"), start)["seq"], done["seq"]);
    table.clear();
    table.act(ben, json!({"kind": "chat", "text": "hi"}));
    assert_eq!(table.act(host, json!({"kind": "record_stop"}))["type"], "done");
    table.act(ben, json!({"kind": "chat", "text": "unrecorded"}));
    assert_eq!(recorded_kinds(&table), ["chat", "recording", "FINISH"]);
}

#[test]
fn the_last_recording_event_tells_the_present_state() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let tell = |table: &mut Table, event| {
        table.room.handle_recorder(table.now, event);
        table.drain();
    };
    let began = |session: &str| RecorderEvent::Began { session: session.to_owned() };
    let available = |session: &str| RecorderEvent::Available { session: session.to_owned() };
    let state = |table: &Table| table.room.snapshot().recording.map(|info| (info.state, info.session));
    use crate::protocol::RecordingState::{Available, Failed, Started};
    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, began("S1"));
    table.act(host, json!({"kind": "record_stop"}));
    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, began("S2"));
    tell(&mut table, available("S1"));
    assert_eq!(state(&table), Some((Started, "S2".to_owned())));
    table.clear();
    table.act(host, json!({"kind": "record_stop"}));
    assert_eq!(table.kinds(host), ["recording", "recording"]);
    assert_eq!(state(&table), Some((Available, "S1".to_owned())));
    tell(&mut table, available("S2"));
    assert_eq!(state(&table), Some((Available, "S2".to_owned())));

    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, began("S3"));
    let failed = RecorderEvent::Failed { session: "S3".to_owned(), reason: "disk_full" };
    tell(&mut table, failed);
    assert_eq!(state(&table), Some((Failed, "S3".to_owned())));
    assert!(!table.room.is_recorded());
    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, RecorderEvent::Unavailable);
    assert_eq!(table.said.last().expect("a reply").1["code"], "recorder_unavailable");
    assert_eq!(table.act(host, json!({"kind": "record_stop"}))["code"], "not_recording");
}

#[test]
fn a_recording_ends_with_the_room_or_with_the_last_who_leaves() {
    for last in [json!({"type": "leave"}), json!({"type": "do", "id": 1, "action": {"kind": "end"}})] {
        let mut table = Table::new();
        let (host, _) = table.join("host", Role::Host);
        table.act(host, json!({"kind": "record_start"}));
        table.room.handle_recorder(table.now, RecorderEvent::Began { session: "S1".to_owned() });
        table.clear();
        table.say(host, last.clone());
        let kinds = recorded_kinds(&table);
        assert_eq!(kinds.last().map(String::as_str), Some("FINISH"), "{last}");
        assert!(kinds.contains(&"recording".to_owned()), "{last}");
    }
    // Stopped before it had begun.
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    table.act(host, json!({"kind": "record_start"}));
    table.room.shut_down(table.now);
    table.room.handle_recorder(table.now, RecorderEvent::Began { session: "S1".to_owned() });
    table.drain();
    assert_eq!(recorded_kinds(&table), ["BEGIN", "FINISH"]);
}

#[test]
fn the_clock_is_told_every_five_seconds() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.clear();
    table.wait(Duration::from_millis(4999));
    assert!(table.said.is_empty());
    table.wait(Duration::from_millis(1));
    assert_eq!(table.said, [(Carrier::WebSocket(ben), json!({"type": "clock", "clock": 5000}))]);
    assert_eq!(table.room.poll_timeout(), table.now + Duration::from_secs(5));
}
