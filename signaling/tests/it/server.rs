//! The library's server on a port of its own, with a core that only takes notes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::serve::ListenerExt;
use simmer_sfu::id::ParticipantId;
use simmer_sfu::message::{Command, Event};
use simmer_signaling::limits::Limits;
use simmer_signaling::metrics::Metrics;
use simmer_signaling::protocol::Role;
use simmer_signaling::session::{Feed, Rooms, RoomsConfig, feed};
use simmer_signaling::token::{Claims, SAMPLE_KEY, Tokens};
use simmer_signaling::{MediaCore, Signaling};
use tokio::net::TcpListener;

use crate::client::Client;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tokens: Tokens,
    pub(crate) rooms: Rooms,
    pub(crate) feed: Feed,
    pub(crate) core: Arc<NotingCore>,
}

/// Takes notes of who joined and left; a marked offer makes it panic, in the room's task.
#[derive(Default)]
pub(crate) struct NotingCore {
    pub(crate) joined: Mutex<Vec<ParticipantId>>,
    pub(crate) left: Mutex<Vec<ParticipantId>>,
    pub(crate) panics_at_offer: u64,
    /// Through which it answers every offer, if it does.
    pub(crate) answers: OnceLock<Feed>,
}

impl MediaCore for NotingCore {
    fn send(&self, command: Command) -> bool {
        match command {
            Command::Join { participant, .. } => self.joined.lock().expect("a lock").push(participant),
            Command::Leave { participant } => self.left.lock().expect("a lock").push(participant),
            Command::Offer { request, .. } if request == self.panics_at_offer => {
                panic!("as the test wants it")
            }
            Command::Offer { participant, request, .. }
            | Command::RestartIce { participant, request, .. } => {
                if let Some(feed) = self.answers.get() {
                    feed.core(Event::Answered { participant, request, answer: Ok("v=0".to_owned()) });
                }
            }
            _ => {}
        }
        true
    }
}

/// The offer's id that makes the core panic.
pub(crate) const PANIC: u64 = 666;

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With a core that answers.
    pub(crate) async fn answering() -> Self {
        let server = Self::start().await;
        assert!(server.core.answers.set(server.feed.clone()).is_ok());
        server
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let tokens = Tokens::new(SAMPLE_KEY).expect("a long key");
        let metrics = Metrics::new();
        let (feed, told) = feed(&metrics);
        let core = Arc::new(NotingCore { panics_at_offer: PANIC, ..NotingCore::default() });
        let media_core: Arc<dyn MediaCore> = Arc::<NotingCore>::clone(&core);
        let config = RoomsConfig { limits: Arc::new(limits), core: media_core, recorder: None, metrics };
        let rooms = Rooms::start(config, told);
        let signaling = Signaling {
            rooms: rooms.clone(),
            tokens: tokens.clone(),
            allowed_origins: Arc::from(["https://class.example".to_owned()]),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("no delay"));
        tokio::spawn(async move { axum::serve(listener, signaling.routes()).await });
        Self { address, tokens, rooms, feed, core }
    }

    pub(crate) fn token(&self, room: &str, identity: &str, role: Role) -> String {
        self.tokens.sign(&Claims::new(room, identity, role, Duration::from_secs(60)))
    }

    /// A host in the room.
    pub(crate) async fn host(&self, room: &str, identity: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.hello(&self.token(room, identity, Role::Host), None).await;
        client
    }
}
