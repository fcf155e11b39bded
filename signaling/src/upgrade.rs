//! From an HTTP request to a WebSocket that is ours to configure and to write frames to.

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::protocol::SUBPROTOCOL;

/// A WebSocket, the server's end.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A request that asks for a WebSocket (RFC 6455 section 4.2.1). One that does not do so properly is refused as axum refuses it.
pub(crate) struct Upgrade {
    /// Judges the request and words the reply. The WebSocket it makes is none: the connection is taken from under it, since axum's writes whole messages
    /// only, and each keeps the memory of its largest.
    handshake: WebSocketUpgrade,
    connection: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let nothing = || hyper::upgrade::on(Request::new(()));
        let connection = parts.extensions.remove::<OnUpgrade>();
        if connection.is_some() {
            parts.extensions.insert(nothing());
        }
        let handshake = WebSocketUpgrade::from_request_parts(parts, state).await?;
        Ok(Self { handshake, connection: connection.unwrap_or_else(nothing) })
    }
}

impl Upgrade {
    /// The reply. When it is out `serve` gets the WebSocket, on a task of its own; never, if the client is gone by then. A message or frame of more than
    /// `read_at_most` bytes is an error of its stream.
    pub(crate) fn accept<F>(
        self,
        read_at_most: usize,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The 128 KiB that a WebSocket reads into by default would be most of what a session costs.
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .max_message_size(Some(read_at_most))
            .max_frame_size(Some(read_at_most));
        let connection = self.connection;
        tokio::spawn(async move {
            if let Ok(upgraded) = connection.await {
                let io = TokioIo::new(upgraded);
                let served = serve(Socket::from_raw_socket(io, Role::Server, Some(config)).await);
                served.await;
            }
        });
        self.handshake.protocols([SUBPROTOCOL]).on_upgrade(|_| std::future::ready(()))
    }
}
