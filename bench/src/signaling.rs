//! One client's session with the server: the protocol's client side, as far as the bench needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use simmer_signaling::protocol::{
    Action, AudioWish, ClientMessage, Do, ErrorMessage, EventBody, Hello, Kind, MediaState, Offer,
    Participant, Publication, SUBPROTOCOL, ServerMessage, Snapshot, Track, VERSION, VideoWish, View,
};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::args::Target;
use crate::clock::Clock;
use crate::events::{EventLogs, Follower};
use crate::scenario::Share;
use crate::subscriber::SlotContent;

/// A session whose `welcome` has come.
#[derive(Debug)]
pub struct Session {
    socket: WebSocketStream<TcpStream>,
    room: RoomView,
    next_id: u64,
    log: Option<(Arc<EventLogs>, Follower)>,
}

/// What a message changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The answer to the offer with that id.
    Answer(u64, String),
    /// All slots, as they are now.
    Slots(Vec<SlotContent>),
    /// Publications came or went.
    Publications,
    /// The server lost the media connection.
    MediaLost(String),
    /// The action with that id was done.
    Done(u64),
    /// A request was refused: its id if it has one, code and message.
    Refused(Option<u64>, String),
    /// Nothing a bench client acts on.
    Nothing,
}

/// What a token says. Tokens of the bench may do everything but administer.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    room: &'a str,
    sub: &'a str,
    role: &'a str,
    exp: u64,
}

/// Signs a participant's token for an hour.
///
/// # Errors
/// What the signature says of the key.
pub fn token(key: &str, room: &str, identity: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = Claims { room, sub: identity, role: "participant", exp: now.as_secs() + TOKEN_SECONDS };
    let header = Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key.as_bytes()))
        .context("signing a token")
}

impl Session {
    /// Opens the WebSocket, says `hello` and waits for `welcome`.
    ///
    /// # Errors
    /// No connection, a refusal, or no answer within 10 s.
    pub async fn open(target: &Target, token: &str, name: &str) -> Result<Self> {
        tokio::time::timeout(OPEN_TIMEOUT, Self::open_patiently(target, token, name))
            .await
            .context("the server did not welcome the session in time")?
    }

    async fn open_patiently(target: &Target, token: &str, name: &str) -> Result<Self> {
        let stream = TcpStream::connect(target.address)
            .await
            .with_context(|| format!("no server at {}", target.address))?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{}/v1/ws", target.authority).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config))
            .await
            .context("opening the WebSocket")?;
        let mut session = Self { socket, room: RoomView::default(), next_id: 1, log: None };
        let hello =
            Hello { protocol: VERSION, token: token.to_owned(), name: Some(name.to_owned()), resume: None };
        session.send(&ClientMessage::Hello(hello)).await?;
        match session.receive().await? {
            ServerMessage::Welcome(welcome) => {
                session.room.seq = welcome.seq;
                session.room.enter(&welcome.snapshot.unwrap_or_default());
            }
            ServerMessage::Error(error) => bail!("the server refused the session: {}", refusal(&error)),
            other => bail!("the server began with {}, not with welcome", other.name()),
        }
        Ok(session)
    }

    /// Sends a first offer; returns its id.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn offer(&mut self, sdp: String, tracks: Vec<Track>) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&ClientMessage::Offer(Offer { id, sdp, tracks, fresh: true })).await?;
        Ok(id)
    }

    /// Compares the events that come with what others of that room hear.
    pub fn compare_events(&mut self, logs: Arc<EventLogs>, room: u32) {
        let follower = logs.follow(room, self.room.seq);
        self.log = Some((logs, follower));
    }

    /// Publications that the publisher `own`, or somebody who publishes nothing, sees and hears of all there are:
    /// that of the room's first publisher, then those of the ones after itself.
    pub fn picks(&self, own: Option<u32>, sees: Share, hears: Share) -> Picks {
        let of = |kind, share: Share| {
            let mut others: Vec<(u32, &Publication)> =
                self.room.published(kind).filter(|(publisher, _)| Some(*publisher) != own).collect();
            let first = others.iter().map(|(publisher, _)| *publisher).min();
            let rank = |publisher: u32| (Some(publisher) != first, own.is_some_and(|own| publisher < own));
            others.sort_by_key(|(publisher, _)| (rank(*publisher), *publisher));
            let count = share.of(u32::try_from(others.len()).unwrap_or(u32::MAX));
            others.iter().take(count as usize).map(|(_, publication)| publication.id.clone()).collect()
        };
        Picks { video: of(Kind::Video, sees), audio: of(Kind::Audio, hears) }
    }

    /// Asks for these.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn view(&mut self, picks: &Picks) -> Result<()> {
        let video = picks.video.iter().map(|id| VideoWish::of(id.clone(), VIEW_HEIGHT)).collect();
        let audio = AudioWish::Only(picks.audio.clone());
        self.send(&ClientMessage::View { view: View { video, audio } }).await
    }

    /// Says something that tells when it was said; returns the request's id.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn chat(&mut self, now: Instant) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let action = Action::Chat { text: format!("{CHAT}{}", Clock::nanos(now)) };
        self.send(&ClientMessage::Do(Do { id, key: None, action })).await?;
        Ok(id)
    }

    /// How often the server held a picture back.
    pub fn pauses(&self) -> u64 {
        self.room.pauses
    }

    /// The run has come to its end, as far as this member's events are concerned.
    pub fn end_events(&mut self) {
        if let Some((logs, follower)) = self.log.take() {
            logs.leave(follower);
        }
    }

    /// The next message's meaning.
    ///
    /// # Errors
    /// A closed WebSocket, or a message that is none of the protocol's. Cancel safe.
    pub async fn next(&mut self) -> Result<Update> {
        let message = self.receive().await?;
        Ok(self.room.apply(message))
    }

    /// Leaves the room and closes.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn leave(&mut self) -> Result<()> {
        self.send(&ClientMessage::Leave {}).await?;
        while self.receive().await.is_ok() {}
        Ok(())
    }

    fn hear(&mut self, message: &ServerMessage, words: &str) {
        let (Some((logs, follower)), ServerMessage::Event(event)) = (&mut self.log, message) else { return };
        logs.heard_event(follower, event.seq, words);
        if let EventBody::Chat { text } = &event.body
            && let Some(said) = text.strip_prefix(CHAT).and_then(|said| said.parse().ok())
        {
            logs.heard_action(Instant::now(), said);
        }
    }

    async fn send(&mut self, message: &ClientMessage) -> Result<()> {
        let text = serde_json::to_string(message)?;
        self.socket.send(Message::text(text)).await.context("sending to the server")
    }

    async fn receive(&mut self) -> Result<ServerMessage> {
        loop {
            match self.socket.next().await.context("the server closed the WebSocket")?? {
                Message::Text(text) => {
                    let message = serde_json::from_str(&text).context("the server sent no valid message")?;
                    self.hear(&message, &text);
                    return Ok(message);
                }
                Message::Close(frame) => {
                    let why = frame.map(|frame| format!(": {} {}", u16::from(frame.code), frame.reason));
                    bail!("the server closed the WebSocket{}", why.unwrap_or_default());
                }
                _ => {}
            }
        }
    }
}

/// The room, as far as slots are told by it.
#[derive(Debug, Default)]
struct RoomView {
    /// Participant id -> publisher number.
    publishers: BTreeMap<String, u32>,
    publications: BTreeMap<String, Publication>,
    /// The last event before those that come.
    seq: u64,
    /// Mids of slots whose picture the server holds back, since the line has no room for it.
    paused: BTreeSet<String>,
    /// How often that began.
    pauses: u64,
}

/// Publications that are to be seen and heard, the most important first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picks {
    /// Pictures.
    pub video: Vec<String>,
    /// Sounds.
    pub audio: Vec<String>,
}

impl RoomView {
    fn enter(&mut self, snapshot: &Snapshot) {
        snapshot.participants.iter().for_each(|state| self.participant(&state.participant));
        for state in &snapshot.publications {
            self.publications.insert(state.publication.id.clone(), state.publication.clone());
        }
    }

    /// What the bench's publishers publish; others may be in the room as well.
    fn published(&self, kind: Kind) -> impl Iterator<Item = (u32, &Publication)> {
        self.publications.values().filter(move |publication| publication.kind == kind).filter_map(
            |publication| Some((self.publishers.get(&publication.participant).copied()?, publication)),
        )
    }

    fn participant(&mut self, participant: &Participant) {
        let number = participant.name.strip_prefix(PUBLISHER_NAME).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            self.publishers.insert(participant.id.clone(), number);
        }
    }

    fn apply(&mut self, message: ServerMessage) -> Update {
        match message {
            ServerMessage::Answer(answer) => Update::Answer(answer.re, answer.sdp),
            ServerMessage::Slots(slots) => {
                let slots = slots.slots;
                let paused: BTreeSet<String> =
                    slots.iter().filter(|slot| slot.paused).map(|slot| slot.mid.clone()).collect();
                self.pauses += paused.difference(&self.paused).count() as u64;
                self.paused = paused;
                let shown = |id: String| {
                    let publication = self.publications.get(&id)?;
                    self.publishers.get(&publication.participant).copied()
                };
                // A picture that is held back is not shown.
                let content = slots.into_iter().map(|slot| {
                    let publication = slot.publication.filter(|_| !slot.paused);
                    (slot.mid, publication.and_then(shown))
                });
                Update::Slots(content.collect())
            }
            ServerMessage::Event(event) => match event.body {
                EventBody::Joined { participant } => {
                    self.participant(&participant);
                    Update::Nothing
                }
                EventBody::Published { publication } => {
                    self.publications.insert(publication.id.clone(), publication);
                    Update::Publications
                }
                EventBody::Unpublished { publication } => {
                    self.publications.remove(&publication);
                    Update::Publications
                }
                _ => Update::Nothing,
            },
            ServerMessage::Media(media) if media.state == MediaState::Lost => {
                Update::MediaLost(media.reason.unwrap_or_else(|| "no reason given".to_owned()))
            }
            ServerMessage::Done(done) => Update::Done(done.re),
            ServerMessage::Error(error) => Update::Refused(error.re, refusal(&error)),
            _ => Update::Nothing,
        }
    }
}

fn refusal(error: &ErrorMessage) -> String {
    format!("{:?}: {}", error.code, error.message)
}

/// What publishers are called, before their number.
pub const PUBLISHER_NAME: &str = "publisher ";
const VIEW_HEIGHT: u16 = 1080;
const CHAT: &str = "said at ";
const TOKEN_SECONDS: u64 = 3600;
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn apply(room: &mut RoomView, message: Value) -> Update {
        room.apply(serde_json::from_value(message).expect("a message"))
    }

    #[test]
    fn slots_are_told_by_the_publisher_behind_them() {
        let mut room = RoomView::default();
        let participant = |id: &str, name: &str| json!({"id": id, "name": name, "role": "participant"});
        let joined = |seq: u64, participant: Value| json!({"type": "event", "seq": seq, "at": 0, "by": null, "kind": "joined", "participant": participant});
        let published = |seq: u64, id: &str, participant: &str, kind: &str, source: &str| {
            let publication = json!({"id": id, "participant": participant, "kind": kind, "source": source, "simulcast": false});
            json!({"type": "event", "seq": seq, "at": 0, "by": null, "kind": "published", "publication": publication})
        };
        assert_eq!(apply(&mut room, joined(1, participant("pA", "publisher 0"))), Update::Nothing);
        apply(&mut room, published(2, "pA-0", "pA", "video", "camera"));
        assert_eq!(apply(&mut room, joined(3, participant("pB", "publisher 1"))), Update::Nothing);
        let published = published(4, "pB-0", "pB", "audio", "microphone");
        assert_eq!(apply(&mut room, published), Update::Publications);
        let slots = json!({"type": "slots", "slots": [
            {"mid": "3", "publication": "pB-0"}, {"mid": "4", "publication": null}, {"mid": "5", "publication": "pA-0"},
        ]});
        let expected =
            [("3", Some(1)), ("4", None), ("5", Some(0))].map(|(mid, shown)| (mid.to_owned(), shown));
        assert_eq!(apply(&mut room, slots), Update::Slots(expected.to_vec()));
        let held_back =
            json!({"type": "slots", "slots": [{"mid": "5", "publication": "pA-0", "paused": true}]});
        for _ in 0..2 {
            assert_eq!(apply(&mut room, held_back.clone()), Update::Slots(vec![("5".into(), None)]));
        }
        assert_eq!(room.pauses, 1, "told twice, begun once");
    }

    #[test]
    fn refusals_and_losses_are_told() {
        let mut room = RoomView::default();
        let error = json!({"type": "error", "re": 7, "code": "not_allowed", "message": "No."});
        assert_eq!(apply(&mut room, error), Update::Refused(Some(7), "NotAllowed: No.".into()));
        let lost = json!({"type": "media", "state": "lost", "reason": "consent_expired"});
        assert_eq!(apply(&mut room, lost), Update::MediaLost("consent_expired".into()));
        assert_eq!(apply(&mut room, json!({"type": "clock", "clock": 81250})), Update::Nothing);
    }
}
