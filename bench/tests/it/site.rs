//! The real rooms over the real media core, as the binary composes them, on one port of this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::ListenerExt;
use simmer_sfu::{Config, Sfu};
use simmer_signaling::limits::Limits;
use simmer_signaling::metrics::Metrics;
use simmer_signaling::session::{Rooms, RoomsConfig, feed};
use simmer_signaling::token::{SAMPLE_KEY, Tokens};
use simmer_signaling::{MediaCore, Signaling};
use tokio::net::TcpListener;

/// A running server; it ends with its runtime.
pub(crate) struct Site {
    /// Where HTTP and media are.
    pub(crate) address: SocketAddr,
    /// What the rooms count.
    pub(crate) metrics: Metrics,
    core: Sfu,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let metrics = Metrics::new();
        let (events, told) = feed(&metrics);
        let mut attempts = 0;
        let (listener, core) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let listen = listener.local_addr().expect("an address");
            let limits = simmer_sfu::Limits::default();
            let config = Config { listen, advertise: vec![listen.ip()], workers: 1, limits };
            let events = events.clone();
            match Sfu::start(config, Box::new(move |event| events.core(event))) {
                Ok(core) => break (listener, core),
                // Somebody's media socket may have that port.
                Err(error) => assert!(attempts < 16, "{error}"),
            }
            attempts += 1;
        };
        let address = listener.local_addr().expect("an address");
        let media_core: Arc<dyn MediaCore> = Arc::new(core.clone());
        let config = RoomsConfig {
            limits: Arc::new(Limits::default()),
            core: media_core,
            recorder: None,
            metrics: metrics.clone(),
        };
        let signaling = Signaling {
            rooms: Rooms::start(config, told),
            tokens: Tokens::new(SAMPLE_KEY).expect("a long key"),
            allowed_origins: Arc::from([]),
        };
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("no delay"));
        tokio::spawn(async move { axum::serve(listener, signaling.routes()).await });
        Self { address, metrics, core }
    }

    /// Addresses for WHIP and WHEP, as the command line takes them.
    pub(crate) fn whip_whep(&self) -> [String; 4] {
        let of = |protocol: &str| format!("http://{}/v1/{protocol}/{{room}}", self.address);
        ["--whip".to_owned(), of("whip"), "--whep".to_owned(), of("whep")]
    }

    /// Offers that came by HTTP, and sessions that were ended there.
    pub(crate) fn opened_and_ended(&self) -> (u64, u64) {
        let received = |what| self.metrics.received.with_label_values(&[what, "http"]).get();
        (received("offer"), received("leave"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.core.shutdown();
    }
}
