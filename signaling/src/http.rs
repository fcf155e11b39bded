//! The routes of the library: the WebSocket, WHIP and WHEP, and the health check.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::session::Rooms;
use crate::token::Tokens;
use crate::upgrade::Upgrade;
use crate::{whip, ws};

/// What the routes stand on.
#[derive(Clone)]
pub struct Signaling {
    /// All rooms.
    pub rooms: Rooms,
    /// Who may come in.
    pub tokens: Tokens,
    /// Origins whose pages may connect, besides the server's own, such as `https://class.example`.
    pub allowed_origins: Arc<[String]>,
}

impl Signaling {
    /// `GET /v1/ws`, `POST /v1/whip/{room}`, `POST /v1/whep/{room}` with their sessions, and `GET /healthz`. Who serves them sets `TCP_NODELAY`
    /// on what they accept: messages leave in several small frames.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/ws", get(web_socket))
            .route("/healthz", get(health))
            .merge(whip::routes(&self))
            .with_state(self)
    }

    /// Whether a page of this request's origin may connect. What is no browser sends no origin.
    pub(crate) fn origin_is_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https")
                && host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
        });
        own || self.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

async fn web_socket(State(signaling): State<Signaling>, headers: HeaderMap, upgrade: Upgrade) -> Response {
    if !signaling.origin_is_allowed(&headers) {
        signaling.rooms.metrics().origins_refused.inc();
        return refusal(StatusCode::FORBIDDEN, "not_allowed", "Pages of this origin may not connect.");
    }
    // A message somewhat over its limit is read, so that its sender can be told; one far over ends the connection.
    let read_at_most = signaling.rooms.limits().offer_bytes.saturating_mul(2);
    upgrade.accept(read_at_most, move |socket| ws::serve(socket, signaling.rooms, signaling.tokens))
}

async fn health(State(signaling): State<Signaling>) -> Response {
    let (status, text) = if signaling.rooms.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
    } else {
        (StatusCode::OK, r#"{"status":"ok"}"#)
    };
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// An error over HTTP, as section 9 of the protocol has it.
pub fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "code": code, "message": message }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
