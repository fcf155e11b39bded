//! One WebSocket: hello, then frames to the room and messages from it.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::protocol::{
    ClientMessage, ErrorCode, ErrorMessage, Hello, NewToken, Refused, ServerMessage, VERSION, parse,
};
use crate::room::{Admission, Close, ConnectionId, written};
use crate::session::{Input, OpenError, Outbox, Outgoing, OutgoingReceiver, RoomHandle, Rooms, outbox};
use crate::token::Tokens;
use crate::upgrade::Socket;

/// Serves one WebSocket until it is closed. A panic ends it alone.
pub(crate) fn serve(socket: Socket, rooms: Rooms, tokens: Tokens) -> impl Future<Output = ()> + Send {
    // What the future does not begin with, it does not carry along: there are many, and they last.
    let (sink, stream) = socket.split();
    let connection = Connection {
        id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
        rooms,
        tokens,
        room: None,
        room_id: String::new(),
    };
    async move {
        let rooms = connection.rooms.clone();
        let _open = rooms.opened();
        if AssertUnwindSafe(run(sink, stream, connection)).catch_unwind().await.is_err() {
            rooms.metrics().panics.inc();
            tracing::error!("a session panicked; its WebSocket is closed");
        }
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A WebSocket's place: which room it is in, from its hello on.
struct Connection {
    id: ConnectionId,
    rooms: Rooms,
    tokens: Tokens,
    room: Option<RoomHandle>,
    room_id: String,
}

impl Drop for Connection {
    /// The room learns that the WebSocket is gone, however it went.
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            let id = self.id;
            tokio::spawn(async move {
                let _ = room.send(Input::Disconnect(id)).await;
            });
        }
    }
}

async fn run(sink: SplitSink<Socket, Message>, mut stream: SplitStream<Socket>, mut connection: Connection) {
    let farewell = connection.rooms.limits().farewell;
    let (outbox, outgoing) = outbox(connection.rooms.limits().send_queue_bytes);
    let mut writer = tokio::spawn(write(sink, outgoing, connection.rooms.clone()));
    let written = tokio::select! {
        () = connection.read(&mut stream, &outbox) => false,
        _ = &mut writer => true,
    };
    drop(connection);
    drop(outbox);
    if !written && timeout(farewell, &mut writer).await.is_err() {
        writer.abort();
    }
    // The other side's goodbye: without it the system might take back what it has not delivered yet.
    let _ = timeout(farewell, async { while let Some(Ok(_)) = stream.next().await {} }).await;
}

impl Connection {
    /// Reads until the WebSocket is gone, silent, or to be closed: then the reason is in the outbox.
    async fn read(&mut self, stream: &mut SplitStream<Socket>, outbox: &Outbox) {
        let rooms = self.rooms.clone();
        let limits = rooms.limits();
        // Apart, so that its memory goes when it is over.
        let hello = timeout(limits.hello, Box::pin(self.hello(stream, outbox))).await;
        let refused = match hello {
            Ok(Ok(())) => None,
            Ok(Err(refused)) => refused,
            Err(_) => Some(Refusal::new(ErrorCode::HelloExpected, "The hello did not come in time.")),
        };
        if let Some(refused) = refused {
            self.refuse(outbox, refused);
            return;
        }
        let Some(room) = self.room.clone() else { return };
        while let Ok(Some(frame)) = timeout(limits.silence, stream.next()).await {
            let frame = match frame {
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(_)) => return,
                Ok(frame) => frame,
                Err(Error::Capacity(_)) => return self.refuse(outbox, Refusal::too_large()),
                Err(_) => return,
            };
            // Read when there is a place for it: until then it is but a frame.
            let Ok(place) = room.place().await else { return outbox.close(Close::GoingAway) };
            match self.input(frame) {
                Ok(input) => place.send(input),
                Err(refused) => return self.refuse(outbox, refused),
            }
        }
    }

    /// What a frame is to the room.
    fn input(&self, frame: Message) -> Result<Input, Refusal> {
        let limits = self.rooms.limits();
        let message = match frame {
            Message::Text(text) if text.len() > limits.offer_bytes => return Err(Refusal::too_large()),
            Message::Text(text) => {
                let message = parse(text.as_bytes());
                let is_offer = matches!(message, Ok(ClientMessage::Offer(_)));
                if text.len() > limits.message_bytes && !is_offer {
                    return Err(Refusal::too_large());
                }
                message
            }
            frame if frame.len() > limits.message_bytes => return Err(Refusal::too_large()),
            _ => Err(Refused::binary()),
        };
        self.count(&message);
        Ok(match message {
            Ok(ClientMessage::Token(NewToken { id, token })) => self.renewal(id, &token),
            message => Input::Message(self.id, message),
        })
    }

    fn renewal(&self, request: u64, token: &str) -> Input {
        let claims = self.tokens.verify(token).ok().filter(|claims| claims.room == self.room_id);
        // The name stays the one that was given at the hello.
        let admission = claims.and_then(|claims| Admission::new(&claims, None, self.rooms.limits()).ok());
        Input::Renew { connection: self.id, request, admission }
    }

    /// Waits for the hello and enters the room. `Err(None)`: the WebSocket is gone.
    async fn hello(
        &mut self,
        stream: &mut SplitStream<Socket>,
        outbox: &Outbox,
    ) -> Result<(), Option<Refusal>> {
        let expected = || Some(Refusal::new(ErrorCode::HelloExpected, "The first message is a `hello`."));
        let text = loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => break text,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(expected()),
                Some(Err(Error::Capacity(_))) => return Err(Some(Refusal::too_large())),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
            }
        };
        if text.len() > self.rooms.limits().message_bytes {
            return Err(Some(Refusal::too_large()));
        }
        let message = parse(text.as_bytes());
        self.count(&message);
        let Ok(ClientMessage::Hello(hello)) = message else { return Err(expected()) };
        if hello.protocol != VERSION {
            let text = "This server speaks version 1 of the protocol.";
            return Err(Some(Refusal::new(ErrorCode::UnsupportedProtocol, text)));
        }
        let Ok(claims) = self.tokens.verify(&hello.token) else {
            return Err(Some(Refusal::new(ErrorCode::BadToken, "The token does not open this room.")));
        };
        let admission = Admission::new(&claims, hello.name.as_deref(), self.rooms.limits())
            .map_err(|text| Refusal::new(ErrorCode::BadName, text))?;
        self.enter(&claims.room, admission, hello, outbox).await
    }

    async fn enter(
        &mut self,
        room: &str,
        admission: Admission,
        hello: Hello,
        outbox: &Outbox,
    ) -> Result<(), Option<Refusal>> {
        // A room may end between being found and being entered; the next one is new.
        for _ in 0..3 {
            let handle = match self.rooms.open(room) {
                Ok(handle) => handle,
                Err(OpenError::ServerFull) => {
                    return Err(Some(Refusal::new(ErrorCode::ServerFull, "The server is full.")));
                }
                Err(OpenError::Draining) => break,
            };
            let connect = Input::Connect {
                connection: self.id,
                outbox: outbox.clone(),
                admission: admission.clone(),
                resume: hello.resume.clone(),
            };
            if handle.send(connect).await.is_ok() {
                self.room = Some(handle);
                room.clone_into(&mut self.room_id);
                return Ok(());
            }
        }
        outbox.close(Close::GoingAway);
        Err(None)
    }

    fn refuse(&self, outbox: &Outbox, refusal: Refusal) {
        let Refusal { code, message } = refusal;
        self.rooms.metrics().errors.with_label_values(&[code.as_str()]).inc();
        let error = ErrorMessage { re: None, code, message: message.to_owned(), retry_ms: None };
        let _ = outbox.send(written(&ServerMessage::Error(error)), true);
        outbox.close(if code == ErrorCode::TooLarge { Close::TooLarge } else { Close::Protocol });
    }

    fn count(&self, message: &Result<ClientMessage, Refused>) {
        let name = match message {
            Ok(ClientMessage::Hello(_)) => "hello",
            Ok(ClientMessage::Token(_)) => "token",
            Ok(ClientMessage::Offer(_)) => "offer",
            Ok(ClientMessage::View { .. }) => "view",
            Ok(ClientMessage::Do(_)) => "do",
            Ok(ClientMessage::Ping {}) => "ping",
            Ok(ClientMessage::Leave {}) => "leave",
            Err(_) => "refused",
        };
        self.rooms.metrics().received.with_label_values(&[name, "websocket"]).inc();
    }
}

/// Why the WebSocket is closed.
struct Refusal {
    code: ErrorCode,
    message: &'static str,
}

impl Refusal {
    fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message }
    }

    fn too_large() -> Self {
        Self::new(ErrorCode::TooLarge, "The message is too large.")
    }
}

/// Writes what the room sends, and pings, until it is told to close or the WebSocket is gone.
async fn write(mut sink: SplitSink<Socket, Message>, mut outgoing: OutgoingReceiver, rooms: Rooms) {
    let limits = rooms.limits();
    let mut pings = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let why = loop {
        let next = tokio::select! {
            biased;
            next = outgoing.next() => next,
            _ = pings.tick() => {
                let ping = tokio::select! {
                    () = outgoing.overflowed() => break Close::TooSlow,
                    sent = sink.send(Message::Ping(Vec::new().into())) => sent,
                };
                if ping.is_err() {
                    return;
                }
                continue;
            }
        };
        match next {
            Some(Outgoing::Text(text)) => {
                let sent = tokio::select! {
                    () = outgoing.overflowed() => break Close::TooSlow,
                    sent = send_all(&mut sink, &outgoing, text) => sent,
                };
                if sent.is_err() {
                    return;
                }
            }
            Some(Outgoing::Close(why)) => break why,
            None => return,
        }
    };
    rooms.metrics().closes.with_label_values(&[&why.code().to_string()]).inc();
    let frame = CloseFrame { code: why.code().into(), reason: Utf8Bytes::from_static("") };
    let _ = timeout(limits.farewell, sink.send(Message::Close(Some(frame)))).await;
}

/// Sends a message and what waits behind it: in one go what is short, as it is where somebody comes in or many do. Without an end when it is cancelled:
/// then nothing but a close may follow.
async fn send_all(
    sink: &mut SplitSink<Socket, Message>,
    outgoing: &OutgoingReceiver,
    first: Bytes,
) -> Result<(), Error> {
    let mut space = WRITE_BUFFER;
    let mut next = Some(first);
    while let Some(text) = next {
        send(sink, &text, &mut space).await?;
        outgoing.sent(&text);
        next = outgoing.ready();
    }
    sink.flush().await
}

/// Writes a message in as many frames as it takes (RFC 6455 section 5.4), and those before it to the system when there is no more `space` for them: what a
/// WebSocket writes from is as large for good as it ever was, and the list of a room's members is many times what comes later.
async fn send(sink: &mut SplitSink<Socket, Message>, text: &Bytes, space: &mut usize) -> Result<(), Error> {
    let mut rest = text.clone();
    let mut kind = Data::Text;
    loop {
        let piece = rest.split_to(rest.len().min(WRITE_BUFFER - HEADER));
        if piece.len() + HEADER > *space {
            sink.flush().await?;
            *space = WRITE_BUFFER;
        }
        *space -= piece.len() + HEADER;
        let frame = Frame::message(piece, OpCode::Data(kind), rest.is_empty());
        sink.feed(Message::Frame(frame)).await?;
        if rest.is_empty() {
            return Ok(());
        }
        kind = Data::Continue;
    }
}

/// Bytes: a size that the allocator has.
const WRITE_BUFFER: usize = 1024;
/// Bytes, at most, of a frame that fits (RFC 6455 section 5.2).
const HEADER: usize = 4;
