//! Many clients on bad lines, one seed each: sockets are cut in the middle of the stream and the session is resumed, actions are sent again with
//! their keys on whichever carrier there is. Every client sees every event once and in order, every action happens once, and what a client has
//! folded together is the room.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use simmer_sfu::message::{Data, Event as CoreEvent};
use simmer_sfu::transport::SendDataError;

use super::tests::{OFFER, admission, room_config};
use super::*;
use crate::protocol::{
    CHANNEL, ChatLine, ParticipantState, RecordingInfo, Resume, Snapshot, StepsState, Welcome, parse,
};

/// What a client makes of a snapshot and the events after it.
fn fold(state: &mut Snapshot, event: &Event) {
    let by = event.by.clone().unwrap_or_default();
    match event.body.clone() {
        EventBody::Joined { participant } => {
            state.participants.retain(|known| known.participant.id != participant.id);
            state.participants.push(ParticipantState { participant, present: true });
        }
        EventBody::Left { participant, .. } => {
            for known in &mut state.participants {
                known.present &= known.participant.id != participant;
            }
            state.hands.retain(|hand| *hand != participant);
        }
        EventBody::Published { publication } => {
            state.publications.push(PublicationState { publication, muted: false });
        }
        EventBody::Unpublished { publication } => {
            state.publications.retain(|known| known.publication.id != publication);
        }
        EventBody::Muted { publication, muted } => {
            for known in &mut state.publications {
                if known.publication.id == publication {
                    known.muted = muted;
                }
            }
        }
        EventBody::Chat { text } => {
            state.chat.push(ChatLine { seq: event.seq, at: event.at, by: event.by.clone(), text });
            let excess = state.chat.len().saturating_sub(200);
            state.chat.drain(..excess);
        }
        EventBody::Hand { raised: true } => state.hands.push(by),
        EventBody::Hand { raised: false } => state.hands.retain(|hand| *hand != by),
        EventBody::StepsSet { steps } => {
            state.steps = StepsState { steps, current: None, done: BTreeMap::new() };
        }
        EventBody::StepStarted { step } => state.steps.current = Some(step),
        EventBody::StepTicked { step, done } => {
            let count = state.steps.steps.len();
            state.steps.done.entry(by).or_insert_with(|| vec![false; count])[step as usize] = done;
        }
        EventBody::Recording { state: recording, session, reason } => {
            state.recording = Some(RecordingInfo { state: recording, session, reason });
        }
        EventBody::Ended {} => state.ended = true,
        EventBody::Unknown => {}
    }
}

#[derive(Default)]
struct Client {
    identity: String,
    /// The WebSocket, as far as the client knows.
    socket: Option<ConnectionId>,
    /// Said hello on it and not been welcomed yet.
    waiting: bool,
    /// Sent on the WebSocket and not hurried yet.
    unhurried: VecDeque<Bytes>,
    /// In flight on the WebSocket.
    coming: VecDeque<Bytes>,
    going: VecDeque<Bytes>,
    /// The data channel, and what is in flight there.
    channel: Option<(ParticipantId, ChannelId)>,
    channel_coming: VecDeque<Bytes>,
    channel_going: VecDeque<Bytes>,
    session: Option<(String, String)>,
    seq: u64,
    state: Snapshot,
    /// Not answered yet: key and action.
    open: BTreeMap<String, Value>,
    /// Request id -> key.
    asked: BTreeMap<u64, String>,
    /// Key -> the seq it was done with.
    done: BTreeMap<String, Option<u64>>,
    next_id: u64,
    next_key: u64,
    had_channel: bool,
}

struct World {
    room: Room,
    rng: StdRng,
    now: Instant,
    clients: Vec<Client>,
    next_connection: u64,
    /// Cut WebSockets that the server has not noticed yet.
    half_open: Vec<ConnectionId>,
    /// Whose data channel is about to open.
    opening: Option<usize>,
    seed: u64,
    resumed: u64,
    repeated_events: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut config = room_config(now, 0);
        config.seed = rng.random();
        // Some rooms forget fast, so that resuming needs snapshots.
        let held = if seed.is_multiple_of(3) { 8 } else { 5000 };
        let clients = (0..rng.random_range(2..5))
            .map(|i| Client { identity: format!("i{i}"), ..Client::default() })
            .collect();
        Self {
            room: Room::new(config, Box::new(MemoryLog::new(held))),
            rng,
            now,
            clients,
            next_connection: 0,
            half_open: Vec::new(),
            opening: None,
            seed,
            resumed: 0,
            repeated_events: 0,
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.random_range(0..120));
        let at = self.rng.random_range(0..self.clients.len());
        match self.rng.random_range(0..100) {
            0..30 => self.deliver_to_client(at),
            30..50 => self.deliver_to_server(at),
            50..58 => self.cut(at),
            58..70 => self.open(at),
            70..84 => self.new_action(at),
            84..92 => self.send_again(at),
            92..95 => self.open_channel(at),
            95..96 => self.drop_on_channel(at),
            96..98 => self.notice_cuts(),
            98 => self.room.handle_timeout(self.now),
            _ => {
                // Once in a while somebody is away for longer than the grace time.
                if self.rng.random_range(0..8) == 0 {
                    self.now += Duration::from_secs(61);
                    self.room.handle_timeout(self.now);
                }
            }
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Send { to: Carrier::WebSocket(connection), hurried, text, .. } => {
                    let client = self.clients.iter_mut().find(|client| client.socket == Some(connection));
                    if let Some(client) = client {
                        client.unhurried.push_back(text);
                        if hurried {
                            client.hurry();
                        }
                    }
                }
                Output::Hurry => self.clients.iter_mut().for_each(Client::hurry),
                Output::Send { to: Carrier::Channel(participant, channel), text, .. } => {
                    let channel = Some((participant, channel));
                    let client = self.clients.iter_mut().find(|client| client.channel == channel);
                    if let Some(client) = client {
                        client.channel_coming.push_back(text);
                    }
                }
                Output::Close { connection, .. } => {
                    for client in &mut self.clients {
                        if client.socket == Some(connection) {
                            client.lose_socket();
                        }
                    }
                }
                Output::Core(Command::Leave { participant }) => {
                    for client in &mut self.clients {
                        if client.channel.is_some_and(|(core, _)| core == participant) {
                            client.channel = None;
                            client.channel_coming.clear();
                            client.channel_going.clear();
                        }
                    }
                }
                Output::Core(Command::Join { participant, .. }) => {
                    let channel = ChannelId(1);
                    let label = CHANNEL.to_owned();
                    self.room.handle_core(self.now, CoreEvent::ChannelOpened { participant, channel, label });
                    if let Some(at) = self.opening.take() {
                        self.clients[at].channel = Some((participant, channel));
                    }
                }
                Output::Core(_) | Output::Record(_) | Output::Reply { .. } => {}
            }
        }
    }

    fn open(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.socket.is_some() {
            return;
        }
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        client.socket = Some(connection);
        client.waiting = true;
        let resume =
            client.session.clone().map(|(session, secret)| Resume { session, secret, after: client.seq });
        let role = if at == 0 { Role::Host } else { Role::Participant };
        let admission = admission(&client.identity.clone(), role);
        self.room.connect(self.now, connection, admission, resume.as_ref());
    }

    fn cut(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if let Some(connection) = client.socket {
            client.lose_socket();
            self.half_open.push(connection);
        }
    }

    fn notice_cuts(&mut self) {
        for connection in std::mem::take(&mut self.half_open) {
            self.room.disconnect(self.now, connection);
        }
    }

    fn open_channel(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.channel.is_some() || client.had_channel || client.socket.is_none() || client.waiting {
            return;
        }
        client.had_channel = true;
        self.opening = Some(at);
        let offer = json!({"type": "offer", "id": 0, "sdp": OFFER, "tracks": []}).to_string();
        let connection = client.socket.expect("an open socket");
        self.room.handle(self.now, connection, parse(offer.as_bytes()));
    }

    fn drop_on_channel(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if let Some((participant, channel)) = client.channel
            && client.channel_coming.pop_back().is_some()
        {
            let reason = SendDataError::Full;
            self.room.handle_core(self.now, CoreEvent::DataDropped { participant, channel, reason });
        }
    }

    fn new_action(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.session.is_none() {
            return;
        }
        client.next_key += 1;
        let key = format!("{}-{}", client.identity, client.next_key);
        let action = match self.rng.random_range(0..6) {
            0 if at == 0 => json!({"kind": "steps_set", "steps": [{"title": key}, {"title": "b"}]}),
            1 if at == 0 => json!({"kind": "step_start", "step": self.rng.random_range(0..2)}),
            2 => json!({"kind": "hand", "raised": self.rng.random::<bool>()}),
            3 => {
                json!({"kind": "step_tick", "step": self.rng.random_range(0..2), "done": self.rng.random::<bool>()})
            }
            _ => json!({"kind": "chat", "text": key}),
        };
        client.open.insert(key.clone(), action);
        self.send(at, &key);
    }

    fn send_again(&mut self, at: usize) {
        let keys: Vec<String> = self.clients[at].open.keys().cloned().collect();
        if !keys.is_empty() {
            let key = keys[self.rng.random_range(0..keys.len())].clone();
            self.send(at, &key);
        }
    }

    /// Sends an action, maybe once more, on either carrier.
    fn send(&mut self, at: usize, key: &str) {
        let by_channel = self.rng.random::<bool>();
        let client = &mut self.clients[at];
        client.next_id += 1;
        let request = json!({"type": "do", "id": client.next_id, "key": key, "action": client.open[key]});
        let text = Bytes::from(request.to_string());
        if by_channel && client.channel.is_some() {
            client.channel_going.push_back(text);
        } else if client.socket.is_some() && !client.waiting {
            client.going.push_back(text);
        } else {
            return;
        }
        client.asked.insert(client.next_id, key.to_owned());
    }

    fn deliver_to_server(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if let Some(connection) = client.socket
            && let Some(text) = client.going.pop_front()
        {
            self.room.handle(self.now, connection, parse(&text));
            self.carry_out();
        }
        let client = &mut self.clients[at];
        if let Some((participant, channel)) = client.channel
            && let Some(text) = client.channel_going.pop_front()
        {
            let data = Data::Text(text);
            self.room.handle_core(self.now, CoreEvent::Data { participant, channel, data });
        }
    }

    fn deliver_to_client(&mut self, at: usize) {
        for _ in 0..3 {
            let client = &mut self.clients[at];
            let on_channel = client.coming.is_empty();
            let text = if on_channel { client.channel_coming.pop_front() } else { client.coming.pop_front() };
            let Some(text) = text else { return };
            match serde_json::from_slice(&text).expect("a message") {
                ServerMessage::Welcome(welcome) => self.welcomed(at, *welcome),
                ServerMessage::Event(event) => self.event(at, &event, on_channel),
                ServerMessage::Done(done) => self.clients[at].settled(done.re, done.seq, self.seed),
                ServerMessage::Error(error) if error.code != ErrorCode::RateLimited => {
                    // No such step: that is final.
                    assert_eq!(error.code, ErrorCode::NotFound, "seed {}: {error:?}", self.seed);
                    self.clients[at].settled(error.re.expect("a request"), None, self.seed);
                }
                _ => {}
            }
        }
    }

    fn welcomed(&mut self, at: usize, welcome: Welcome) {
        let seed = self.seed;
        let client = &mut self.clients[at];
        client.waiting = false;
        self.resumed += u64::from(welcome.session.resumed);
        client.session = Some((welcome.session.id, welcome.session.secret));
        match welcome.snapshot {
            Some(snapshot) => {
                assert!(welcome.seq >= client.seq, "seed {seed}: a snapshot of the past");
                client.seq = welcome.seq;
                client.state = snapshot;
            }
            None => assert_eq!(welcome.seq, client.seq, "seed {seed}: resumed elsewhere"),
        }
    }

    fn event(&mut self, at: usize, event: &Event, on_channel: bool) {
        let client = &mut self.clients[at];
        if event.seq <= client.seq {
            self.repeated_events += 1;
            return;
        }
        if on_channel && event.seq != client.seq + 1 {
            return;
        }
        assert_eq!(event.seq, client.seq + 1, "seed {}: a gap on the WebSocket", self.seed);
        client.seq = event.seq;
        fold(&mut client.state, event);
    }

    /// All lines are good again: everybody comes back, and everything open is done.
    fn heal(&mut self) {
        for _ in 0..400 {
            self.now += Duration::from_millis(100);
            if self.room.poll_timeout() <= self.now {
                self.room.handle_timeout(self.now);
            }
            self.notice_cuts();
            for at in 0..self.clients.len() {
                self.open(at);
                self.carry_out();
                for _ in 0..20 {
                    self.deliver_to_client(at);
                    self.deliver_to_server(at);
                    self.carry_out();
                }
                self.send_again(at);
            }
            if self.clients.iter().all(|client| client.open.is_empty() && client.is_quiet()) {
                return;
            }
        }
        panic!("seed {}: it never came to rest", self.seed);
    }

    fn check(&self) {
        let seed = self.seed;
        let sorted = |mut snapshot: Snapshot| {
            snapshot.participants.sort_by(|a, b| a.participant.id.cmp(&b.participant.id));
            snapshot
        };
        let room = sorted(self.room.snapshot());
        for client in &self.clients {
            assert_eq!(client.seq, self.room.log.last_seq(), "seed {seed}: {}", client.identity);
            assert_eq!(sorted(client.state.clone()), room, "seed {seed}: {}", client.identity);
        }
        let mut said = BTreeMap::<&str, u32>::new();
        for line in &room.chat {
            *said.entry(&line.text).or_default() += 1;
        }
        let chats = self.clients.iter().flat_map(|client| &client.done);
        for (key, seq) in chats.filter(|(_, seq)| seq.is_some()) {
            let count = said.get(key.as_str()).copied().unwrap_or(0);
            assert!(count <= 1, "seed {seed}: {key} was done {count} times");
            if let Some(line) = room.chat.iter().find(|line| line.text == *key) {
                assert_eq!(Some(line.seq), *seq, "seed {seed}: {key} was told another seq");
            }
        }
        // Everything that was ever done is one event: chat lines are as many as chats settled.
        let own_lines: usize = room.chat.iter().filter(|line| line.text.contains('-')).count();
        assert_eq!(own_lines, said.len(), "seed {seed}");
    }
}

impl Client {
    fn lose_socket(&mut self) {
        self.socket = None;
        self.waiting = false;
        self.unhurried.clear();
        self.coming.clear();
        self.going.clear();
    }

    fn hurry(&mut self) {
        self.coming.append(&mut self.unhurried);
    }

    fn settled(&mut self, re: u64, seq: Option<u64>, seed: u64) {
        let Some(key) = self.asked.get(&re).cloned() else { return };
        self.open.remove(&key);
        let before = self.done.insert(key.clone(), seq);
        assert!(before.is_none() || before == Some(seq), "seed {seed}: {key} got two replies");
    }

    fn is_quiet(&self) -> bool {
        let queues = [&self.unhurried, &self.coming, &self.going, &self.channel_coming, &self.channel_going];
        !self.waiting && queues.iter().all(|queue| queue.is_empty())
    }
}

#[test]
fn every_client_sees_every_event_once_and_in_order() {
    let (mut resumed, mut events, mut repeated, mut done) = (0, 0, 0, 0);
    for seed in 0..1000 {
        let mut world = World::new(seed);
        for _ in 0..220 {
            world.step();
        }
        world.heal();
        world.check();
        resumed += world.resumed;
        repeated += world.repeated_events;
        events += world.room.counts().events;
        done += world.clients.iter().map(|client| client.done.len()).sum::<usize>();
    }
    // The plan has met what it is for.
    assert!(resumed > 2000, "{resumed} resumptions");
    assert!(events > 10_000, "{events} events");
    assert!(done > 10_000, "{done} actions");
    assert!(repeated > 10, "{repeated} events that came twice");
}
