//! One client's session with the server: the protocol's client side, as far as the bench needs it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::args::Target;
use crate::source::MediaKind;
use crate::subscriber::SlotContent;

/// A session whose `welcome` has come.
#[derive(Debug)]
pub struct Session {
    socket: WebSocketStream<TcpStream>,
    room: RoomView,
    next_id: u64,
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
        let url = format!("ws://{}/v1/ws", target.authority);
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config))
            .await
            .context("opening the WebSocket")?;
        let mut session = Self { socket, room: RoomView::default(), next_id: 1 };
        session.send(&json!({"type": "hello", "protocol": 1, "token": token, "name": name})).await?;
        let welcome = session.receive().await?;
        match welcome.kind.as_str() {
            "welcome" => session.room.enter(&welcome.rest),
            "error" => bail!("the server refused the session: {}", refusal(&welcome.rest)),
            other => bail!("the server began with {other}, not with welcome"),
        }
        Ok(session)
    }

    /// Sends an offer; `tracks` says which source each m-line sends. Returns the offer's id.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn offer(&mut self, sdp: &str, tracks: &[(String, &str)]) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let tracks: Vec<Value> =
            tracks.iter().map(|(mid, source)| json!({"mid": mid, "source": source})).collect();
        self.send(&json!({"type": "offer", "id": id, "sdp": sdp, "tracks": tracks, "fresh": true})).await?;
        Ok(id)
    }

    /// Asks for every camera in the room, and for all audio.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn view_everything(&mut self) -> Result<()> {
        let video: Vec<Value> = self
            .room
            .publications
            .iter()
            .filter(|(_, publication)| publication.kind == Some(MediaKind::Video))
            .map(|(id, _)| json!({"publication": id, "max_height": VIEW_HEIGHT}))
            .collect();
        self.send(&json!({"type": "view", "view": {"video": video, "audio": "all"}})).await
    }

    /// How many publications of that kind the room has.
    pub fn publications(&self, kind: MediaKind) -> usize {
        self.room.publications.values().filter(|publication| publication.kind == Some(kind)).count()
    }

    /// The next message's meaning.
    ///
    /// # Errors
    /// A closed WebSocket, or a message that is none of the protocol's. Cancel safe.
    pub async fn next(&mut self) -> Result<Update> {
        let message = self.receive().await?;
        self.room.apply(&message)
    }

    /// Leaves the room and closes.
    ///
    /// # Errors
    /// What the WebSocket says.
    pub async fn leave(&mut self) -> Result<()> {
        self.send(&json!({"type": "leave"})).await?;
        while self.receive().await.is_ok() {}
        Ok(())
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        self.socket.send(Message::text(message.to_string())).await.context("sending to the server")
    }

    async fn receive(&mut self) -> Result<ServerMessage> {
        loop {
            match self.socket.next().await.context("the server closed the WebSocket")?? {
                Message::Text(text) => {
                    return serde_json::from_str(&text).context("the server sent no valid message");
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

#[derive(Debug, Deserialize)]
struct ServerMessage {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    rest: Value,
}

/// The room, as far as slots are told by it.
#[derive(Debug, Default)]
struct RoomView {
    /// Participant id -> publisher number.
    publishers: BTreeMap<String, u32>,
    publications: BTreeMap<String, Publication>,
}

#[derive(Debug)]
struct Publication {
    publisher: Option<u32>,
    kind: Option<MediaKind>,
}

impl RoomView {
    fn enter(&mut self, welcome: &Value) {
        let list = |name: &str| welcome["snapshot"][name].as_array().into_iter().flatten();
        list("participants").for_each(|participant| self.participant(participant));
        list("publications").for_each(|publication| self.publication(publication));
    }

    fn participant(&mut self, participant: &Value) {
        let number =
            participant["name"].as_str().and_then(|name| name.strip_prefix(PUBLISHER_NAME)?.parse().ok());
        if let (Some(id), Some(number)) = (participant["id"].as_str(), number) {
            self.publishers.insert(id.to_owned(), number);
        }
    }

    fn publication(&mut self, publication: &Value) {
        let Some(id) = publication["id"].as_str() else { return };
        let kind = match publication["kind"].as_str() {
            Some("video") => Some(MediaKind::Video),
            Some("audio") => Some(MediaKind::Audio),
            _ => None,
        };
        let participant = publication["participant"].as_str().unwrap_or_default();
        let publisher = self.publishers.get(participant).copied();
        self.publications.insert(id.to_owned(), Publication { publisher, kind });
    }

    fn apply(&mut self, message: &ServerMessage) -> Result<Update> {
        let rest = &message.rest;
        Ok(match message.kind.as_str() {
            "answer" => {
                let sdp = rest["sdp"].as_str().context("an answer without sdp")?;
                Update::Answer(rest["re"].as_u64().context("an answer to nothing")?, sdp.to_owned())
            }
            "event" => match rest["kind"].as_str() {
                Some("joined") => {
                    self.participant(&rest["participant"]);
                    Update::Nothing
                }
                Some("published") => {
                    self.publication(&rest["publication"]);
                    Update::Publications
                }
                Some("unpublished") => {
                    self.publications.remove(rest["publication"].as_str().unwrap_or_default());
                    Update::Publications
                }
                _ => Update::Nothing,
            },
            "slots" => Update::Slots(
                rest["slots"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|slot| {
                        let shown =
                            slot["publication"].as_str().and_then(|id| self.publications.get(id)?.publisher);
                        Some((slot["mid"].as_str()?.to_owned(), shown))
                    })
                    .collect(),
            ),
            "media" if rest["state"] == "lost" => {
                Update::MediaLost(rest["reason"].as_str().unwrap_or("no reason").to_owned())
            }
            "error" => Update::Refused(rest["re"].as_u64(), refusal(rest)),
            _ => Update::Nothing,
        })
    }
}

fn refusal(error: &Value) -> String {
    let word = |name: &str| error[name].as_str().unwrap_or("?").to_owned();
    format!("{}: {}", word("code"), word("message"))
}

/// What publishers are called, before their number.
pub const PUBLISHER_NAME: &str = "publisher ";
const VIEW_HEIGHT: u32 = 1080;
const TOKEN_SECONDS: u64 = 3600;
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(room: &mut RoomView, message: Value) -> Update {
        room.apply(&serde_json::from_value(message).expect("a message")).expect("a valid one")
    }

    #[test]
    fn slots_are_told_by_the_publisher_behind_them() {
        let mut room = RoomView::default();
        room.enter(&json!({"snapshot": {
            "participants": [{"id": "pA", "name": "publisher 0", "role": "participant", "present": true}],
            "publications": [{"id": "pA-0", "participant": "pA", "kind": "video", "source": "camera"}],
        }}));
        let joined = json!({"type": "event", "seq": 3, "kind": "joined", "participant": {"id": "pB", "name": "publisher 1"}});
        assert_eq!(apply(&mut room, joined), Update::Nothing);
        let publication = json!({"id": "pB-0", "participant": "pB", "kind": "audio", "source": "microphone"});
        let published = json!({"type": "event", "seq": 4, "kind": "published", "publication": publication});
        assert_eq!(apply(&mut room, published), Update::Publications);
        let slots = json!({"type": "slots", "slots": [
            {"mid": "3", "publication": "pB-0"}, {"mid": "4", "publication": null}, {"mid": "5", "publication": "pA-0"},
        ]});
        let expected =
            [("3", Some(1)), ("4", None), ("5", Some(0))].map(|(mid, shown)| (mid.to_owned(), shown));
        assert_eq!(apply(&mut room, slots), Update::Slots(expected.to_vec()));
    }

    #[test]
    fn refusals_and_losses_are_told() {
        let mut room = RoomView::default();
        let error = json!({"type": "error", "re": 7, "code": "not_allowed", "message": "No."});
        assert_eq!(apply(&mut room, error), Update::Refused(Some(7), "not_allowed: No.".into()));
        let lost = json!({"type": "media", "state": "lost", "reason": "consent_expired"});
        assert_eq!(apply(&mut room, lost), Update::MediaLost("consent_expired".into()));
        assert_eq!(apply(&mut room, json!({"type": "clock", "clock": 81250})), Update::Nothing);
    }
}
