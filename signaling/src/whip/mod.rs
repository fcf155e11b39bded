//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): one offer over HTTP instead of a session on a WebSocket.
//!
//! [`request`] reads what a request says, [`reply`] writes what the room replies, [`origin`] stands before both for the sake of browsers.
//! The room decides everything else.

mod origin;
mod reply;
mod request;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{ALLOW, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, patch, post};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::http::Signaling;
use crate::protocol::ErrorCode;
use crate::room::{HttpReply, HttpRequest, Purpose};
use crate::session::{Input, OpenError};

use reply::{Refusal, Resource};

/// The routes of both protocols.
pub(crate) fn routes(signaling: &Signaling) -> Router<Signaling> {
    Router::new()
        .route("/v1/whip/{room}", endpoint(post(publish)))
        .route("/v1/whep/{room}", endpoint(post(watch)))
        .route("/v1/whip/{room}/{session}", resource())
        .route("/v1/whep/{room}/{session}", resource())
        .route_layer(middleware::from_fn_with_state(signaling.clone(), origin::check))
}

fn endpoint(post: MethodRouter<Signaling>) -> MethodRouter<Signaling> {
    post.options(|| async { reply::options("POST, OPTIONS") })
        .fallback(|| async { not_that("POST, OPTIONS") })
}

fn resource() -> MethodRouter<Signaling> {
    const ALLOWED: &str = "PATCH, DELETE, OPTIONS";
    patch(change)
        .delete(leave)
        .options(|| async { reply::options(ALLOWED) })
        .fallback(|| async { not_that(ALLOWED) })
}

/// What a viewer may choose.
#[derive(Deserialize)]
struct Choice {
    publication: Option<String>,
}

async fn publish(State(signaling): State<Signaling>, Path(room): Path<String>, request: Request) -> Response {
    let resource = Resource { protocol: "whip", room };
    let opened = open(&signaling, &resource, Purpose::Publish, request).await;
    reply::written(&signaling, &resource, opened)
}

async fn watch(
    State(signaling): State<Signaling>,
    Path(room): Path<String>,
    Query(choice): Query<Choice>,
    request: Request,
) -> Response {
    let resource = Resource { protocol: "whep", room };
    let purpose = Purpose::Watch { publication: choice.publication.filter(|id| !id.is_empty()) };
    let opened = open(&signaling, &resource, purpose, request).await;
    reply::written(&signaling, &resource, opened)
}

async fn open(
    signaling: &Signaling,
    resource: &Resource,
    purpose: Purpose,
    request: Request,
) -> Result<HttpReply, Refusal> {
    signaling.rooms.metrics().received.with_label_values(&["offer", "http"]).inc();
    let claims = request::claims(signaling, &resource.room, request.headers())?;
    request::accepts_sdp(request.headers())?;
    let offer = request::body(signaling, request, request::SDP).await?;
    let admission = request::admission(&claims, signaling.rooms.limits())?;
    // A room may end between being found and being entered; the next one is new.
    for _ in 0..3 {
        let room = match signaling.rooms.open(&resource.room) {
            Ok(room) => room,
            Err(OpenError::ServerFull) => {
                return Err(Refusal::new(ErrorCode::ServerFull, "The server is full."));
            }
            Err(OpenError::Draining) => break,
        };
        let request = HttpRequest::Open {
            admission: admission.clone(),
            purpose: purpose.clone(),
            offer: offer.clone(),
        };
        if let Some(reply) = asked(signaling, &room, request).await? {
            return Ok(reply);
        }
    }
    Err(Refusal::unavailable("The server is going away."))
}

async fn change(
    State(signaling): State<Signaling>,
    Path((room, session)): Path<(String, String)>,
    request: Request,
) -> Response {
    let read = async {
        signaling.rooms.metrics().received.with_label_values(&["fragment", "http"]).inc();
        let identity = request::owner(&signaling, &room, request.headers())?;
        request::is_of(request.headers(), request::FRAGMENT)?;
        let expects = request::expects(request.headers())?;
        let fragment = request::body(&signaling, request, request::FRAGMENT).await?;
        let request = HttpRequest::Patch { session, identity, expects, fragment };
        of_session(&signaling, &room, request).await
    };
    let read = read.await;
    reply::written(&signaling, &Resource { protocol: "whip", room }, read)
}

async fn leave(
    State(signaling): State<Signaling>,
    Path((room, session)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let read = async {
        signaling.rooms.metrics().received.with_label_values(&["leave", "http"]).inc();
        let identity = request::owner(&signaling, &room, &headers)?;
        of_session(&signaling, &room, HttpRequest::Close { session, identity }).await
    };
    match read.await {
        Ok(HttpReply::Done) => StatusCode::OK.into_response(),
        read => reply::written(&signaling, &Resource { protocol: "whip", room }, read),
    }
}

/// Asks the room of a session that is open.
async fn of_session(signaling: &Signaling, room: &str, request: HttpRequest) -> Result<HttpReply, Refusal> {
    let reply = match signaling.rooms.find(room) {
        Some(room) => asked(signaling, &room, request).await?,
        None => None,
    };
    reply.ok_or(Refusal::new(ErrorCode::NotFound, "There is no such session."))
}

/// The room's reply; `None` when the room has just ended.
async fn asked(
    signaling: &Signaling,
    room: &crate::session::RoomHandle,
    request: HttpRequest,
) -> Result<Option<HttpReply>, Refusal> {
    let (reply, replied) = oneshot::channel();
    if room.send(Input::Http { request, reply }).await.is_err() {
        return Ok(None);
    }
    match timeout(signaling.rooms.limits().reply, replied).await {
        Ok(replied) => Ok(replied.ok()),
        Err(_) => Err(Refusal::unavailable("The media core did not answer in time.")),
    }
}

fn not_that(allowed: &'static str) -> Response {
    let mut response =
        crate::refusal(StatusCode::METHOD_NOT_ALLOWED, "not_allowed", "This resource has no such method.");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
