//! One room around the media core: just enough of the protocol for bench clients, without tokens, limits or a log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use simmer_sfu::codec::Kind;
use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::view::{AudioWish, VideoWish, View};
use simmer_sfu::{Config, Limits, Sfu};
use simmer_signaling::protocol::{ClientMessage, SUBPROTOCOL};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// A running host; it ends with its runtime.
pub(crate) struct Host {
    /// Where its HTTP port is.
    pub(crate) address: SocketAddr,
    sfu: Sfu,
}

impl Host {
    /// Listens on `address`, TCP for WebSockets and UDP for media.
    pub(crate) async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.context("the HTTP port")?;
        let address = listener.local_addr()?;
        let (events, mut told) = unbounded_channel();
        let config =
            Config { listen: address, advertise: vec![address.ip()], workers: 1, limits: Limits::default() };
        let sfu = Sfu::start(config, Box::new(move |event| drop(events.send(event))))?;
        let room = Arc::new(Mutex::new(Room::default()));
        let told_room = room.clone();
        tokio::spawn(async move {
            while let Some(event) = told.recv().await {
                lock(&told_room).tell(event);
            }
        });
        let host = Self { address, sfu: sfu.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sfu, room) = (sfu.clone(), room.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, sfu, room).await {
                        tracing::debug!("a session ended: {error:#}");
                    }
                });
            }
        });
        Ok(host)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.sfu.shutdown();
        tracing::info!(counters = ?self.sfu.counters(), "stopped");
    }
}

#[derive(Default)]
struct Room {
    participants: BTreeMap<ParticipantId, (String, UnboundedSender<Value>)>,
    publications: Vec<Value>,
    seq: u64,
}

impl Room {
    fn join(&mut self, name: &str, out: UnboundedSender<Value>) -> ParticipantId {
        let id = ParticipantId(0x1000 + self.seq);
        let state = |(id, (name, _)): (&ParticipantId, &(String, _))| json!({"id": id.to_string(), "name": name, "role": "participant", "present": true});
        let participants: Vec<Value> = self.participants.iter().map(state).collect();
        self.event(json!({"kind": "joined", "participant": {"id": id.to_string(), "name": name, "role": "participant"}}));
        let rights =
            json!({"publish": true, "subscribe": true, "send": true, "record": false, "administer": false});
        let _gone = out.send(json!({
            "type": "welcome", "protocol": 1,
            "session": {"id": "s", "secret": "s", "resumed": false, "grace_ms": 0},
            "you": {"id": id.to_string(), "name": name, "role": "participant", "may": rights},
            "room": {"id": "bench", "clock": 0, "started_at": 0},
            "limits": {"message_bytes": 65536, "offer_bytes": 524288, "chat_chars": 2000},
            "seq": self.seq,
            "snapshot": {
                "participants": participants, "publications": self.publications,
                "steps": {"steps": [], "current": null, "done": {}},
                "hands": [], "chat": [], "recording": null, "ended": false,
            },
        }));
        self.participants.insert(id, (name.to_owned(), out));
        id
    }

    fn event(&mut self, mut event: Value) {
        self.seq += 1;
        event["type"] = json!("event");
        event["seq"] = json!(self.seq);
        event["at"] = json!(0);
        event["by"] = Value::Null;
        for (_, out) in self.participants.values() {
            let _gone = out.send(event.clone());
        }
    }

    fn tell(&mut self, event: Event) {
        let to = |participant: ParticipantId, message: Value| {
            if let Some((_, out)) = self.participants.get(&participant) {
                let _gone = out.send(message);
            }
        };
        match event {
            Event::Answered { participant, request, answer: Ok(sdp) } => {
                to(participant, json!({"type": "answer", "re": request, "sdp": sdp}));
            }
            Event::Answered { participant, request, answer: Err(error) } => {
                let message = error.to_string();
                to(
                    participant,
                    json!({"type": "error", "re": request, "code": "bad_offer", "message": message}),
                );
            }
            Event::Disconnected { participant, reason } => {
                to(participant, json!({"type": "media", "state": "lost", "reason": format!("{reason:?}")}));
            }
            Event::Slots { participant, slots } => {
                let slot = |slot: &simmer_sfu::view::SlotAssignment| json!({"mid": slot.mid.as_str(), "publication": slot.publication.map(|id| id.to_string())});
                to(
                    participant,
                    json!({"type": "slots", "slots": slots.iter().map(slot).collect::<Vec<_>>()}),
                );
            }
            Event::Published { publication, .. } => {
                let (kind, source) = match publication.codec.kind() {
                    Kind::Video => ("video", "camera"),
                    Kind::Audio => ("audio", "microphone"),
                };
                let participant = publication.id.participant.to_string();
                let publication = json!({
                    "id": publication.id.to_string(), "participant": participant,
                    "kind": kind, "source": source, "simulcast": false, "muted": false,
                });
                self.publications.push(publication.clone());
                self.event(json!({"kind": "published", "publication": publication}));
            }
            Event::Unpublished { publication, .. } => {
                let id = publication.to_string();
                self.publications.retain(|publication| publication["id"] != id.as_str());
                self.event(json!({"kind": "unpublished", "publication": id}));
            }
            _ => {}
        }
    }
}

async fn serve(stream: TcpStream, sfu: Sfu, room: Arc<Mutex<Room>>) -> Result<()> {
    stream.set_nodelay(true)?;
    #[allow(clippy::result_large_err, reason = "the library's signature")]
    let accept = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("a header value"));
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, accept).await?;
    let (mut sink, mut source) = socket.split();
    let (out, mut queue) = unbounded_channel::<Value>();
    tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            if sink.send(Message::text(message.to_string())).await.is_err() {
                return;
            }
        }
        let _gone = sink.close().await;
    });
    let mut joined = None;
    while let Some(Ok(Message::Text(text))) = source.next().await {
        match (serde_json::from_str(&text)?, joined) {
            (ClientMessage::Hello(hello), None) => {
                let participant = lock(&room).join(&hello.name.unwrap_or_default(), out.clone());
                joined = Some(participant);
                sfu.send(Command::Join { room: RoomId(1), participant })?;
            }
            (ClientMessage::Offer(offer), Some(participant)) => {
                sfu.send(Command::Offer { participant, request: offer.id, sdp: offer.sdp })?;
            }
            (ClientMessage::View { view }, Some(participant)) => {
                let wish = |wish: &simmer_signaling::protocol::VideoWish| {
                    let publication: simmer_sfu::id::PublicationId =
                        wish.publication.as_ref()?.parse().ok()?;
                    Some(VideoWish::new(publication, wish.max_height))
                };
                let video = view.video.iter().filter_map(wish).collect();
                sfu.send(Command::SetView { participant, view: View { video, audio: AudioWish::All } })?;
            }
            (ClientMessage::Leave {}, _) => break,
            _ => {}
        }
    }
    if let Some(participant) = joined {
        lock(&room).participants.remove(&participant);
        sfu.send(Command::Leave { participant })?;
    }
    Ok(())
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}
