//! Every limit the signaling side keeps, section 7 of the protocol.

use std::time::Duration;

/// Bounds on what clients can make the server hold or do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A message, bytes; an offer has its own.
    pub message_bytes: usize,
    /// An offer's whole message, bytes.
    pub offer_bytes: usize,
    /// From the WebSocket's opening to the hello.
    pub hello: Duration,
    /// From an offer over HTTP to its answer.
    pub reply: Duration,
    /// How long a session stays without a WebSocket.
    pub grace: Duration,
    /// How long before its token's end a session is told; half its life if that is less.
    pub token_notice: Duration,
    /// How often the room's clock is told.
    pub clock_interval: Duration,
    /// How often those who are here are told of others who come and go, while many do.
    pub presence_interval: Duration,
    /// How often a WebSocket is pinged.
    pub ping_interval: Duration,
    /// A WebSocket that is silent for so long is dropped.
    pub silence: Duration,
    /// How long a closing WebSocket may take for what still has to be written and for the other side's goodbye.
    pub farewell: Duration,
    /// What may wait to be sent on one WebSocket, bytes.
    pub send_queue_bytes: usize,
    /// Participants present in a room.
    pub room_size: usize,
    /// Participants remembered after they left.
    pub remembered: usize,
    /// Rooms.
    pub rooms: usize,
    /// How long an empty or ended room is remembered.
    pub empty_room: Duration,
    /// How long an empty room is remembered in which nothing happened but coming and going.
    pub blank_room: Duration,
    /// How long somebody who was removed is kept out.
    pub kicked: Duration,
    /// Events held for resuming.
    pub held_events: usize,
    /// Bytes of missed events that a resumption may bring; a snapshot beyond.
    pub resume_bytes: usize,
    /// Idempotency keys remembered per participant.
    pub keys: usize,
    /// Characters of an idempotency key.
    pub key_chars: usize,
    /// Characters of a name.
    pub name_chars: usize,
    /// Characters of a chat line.
    pub chat_chars: usize,
    /// Chat lines in a snapshot.
    pub chat_lines: usize,
    /// Bytes of text in a snapshot's chat lines.
    pub chat_bytes: usize,
    /// Steps.
    pub steps: usize,
    /// Characters of a step's title.
    pub title_chars: usize,
    /// Publications that a view may name, for video and for audio each.
    pub view_wishes: usize,
    /// Bad frames in a row that close a WebSocket.
    pub bad_frames: u8,
    /// Rates, per participant.
    pub rates: Rates,
}

/// Rates per participant, by class of message.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Chat lines.
    pub chat: Rate,
    /// Everything else one can do.
    pub state: Rate,
    /// Offers.
    pub offer: Rate,
    /// Views.
    pub view: Rate,
    /// All messages together.
    pub all: Rate,
}

/// A steady rate and what may come at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Messages a second.
    pub per_second: u32,
    /// Messages at once, after a pause.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            message_bytes: 64 * 1024,
            offer_bytes: 512 * 1024,
            hello: Duration::from_secs(10),
            reply: Duration::from_secs(10),
            grace: Duration::from_secs(60),
            token_notice: Duration::from_secs(30),
            clock_interval: Duration::from_secs(5),
            presence_interval: Duration::from_millis(250),
            ping_interval: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            farewell: Duration::from_secs(5),
            send_queue_bytes: 1024 * 1024,
            room_size: 500,
            remembered: 2000,
            rooms: 10_000,
            empty_room: Duration::from_secs(600),
            blank_room: Duration::from_secs(10),
            kicked: Duration::from_secs(600),
            held_events: 5000,
            resume_bytes: 512 * 1024,
            keys: 256,
            key_chars: 64,
            name_chars: 40,
            chat_chars: 2000,
            chat_lines: 200,
            chat_bytes: 256 * 1024,
            steps: 10,
            title_chars: 120,
            view_wishes: 1000,
            bad_frames: 3,
            rates: Rates {
                chat: rate(5, 10),
                state: rate(20, 40),
                offer: rate(1, 5),
                view: rate(20, 40),
                all: rate(100, 200),
            },
        }
    }
}
