//! Serves replays over HTTP: the list of sessions, manifests, room logs, chapters, and byte ranges of media files.
//!
//! Whoever may not see a session gets the same answer as for one that does not exist.

mod range;

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
    RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::spawn_blocking;

use self::range::{Requested, Span};
use crate::manifest::Manifest;
use crate::store::{CHAPTERS, EVENTS, SESSION, SessionId, Store, TRACKS};

/// Decides whether the sender of a request may see a session.
pub type Authorize = Arc<dyn Fn(&HeaderMap, &SessionId) -> bool + Send + Sync>;

/// The replay's routes, all under `/v1/sessions`.
pub fn routes(store: Store, authorize: Authorize) -> Router {
    Router::new()
        .route("/v1/sessions", get(list))
        .route("/v1/sessions/{id}", get(manifest))
        .route("/v1/sessions/{id}/events.jsonl", get(events))
        .route("/v1/sessions/{id}/chapters.vtt", get(chapters))
        .route("/v1/sessions/{id}/tracks/{file}", get(track))
        .with_state(Replays { store, authorize })
}

#[derive(Clone)]
struct Replays {
    store: Store,
    authorize: Authorize,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    NotFound,
    NotReady,
    Internal,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such session or file."),
            Self::NotReady => (StatusCode::CONFLICT, "not_ready", "The session has not been finished yet."),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The recording cannot be read.")
            }
        };
        let body = json!({"code": code, "message": message}).to_string();
        (status, [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-store"), NO_SNIFF], body).into_response()
    }
}

async fn list(State(replays): State<Replays>, headers: HeaderMap) -> Result<Response, Refusal> {
    let store = replays.store.clone();
    let mut sessions = blocking(move || store.list().map_err(|_| Refusal::Internal)).await?;
    sessions.retain(|session| session.id.parse().is_ok_and(|id| (replays.authorize)(&headers, &id)));
    let body = json!({"sessions": sessions}).to_string();
    Ok(([(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-store"), NO_SNIFF], body).into_response())
}

async fn manifest(
    State(replays): State<Replays>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (_, manifest) = replays.open(&headers, &id).await?;
    let body = serde_json::to_vec(&manifest).map_err(|_| Refusal::Internal)?;
    Ok(small(&headers, JSON, body.into()))
}

async fn events(
    State(replays): State<Replays>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (id, _) = replays.open(&headers, &id).await?;
    replays.small_file(&headers, &id, EVENTS, "application/jsonl").await
}

async fn chapters(
    State(replays): State<Replays>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (id, _) = replays.open(&headers, &id).await?;
    replays.small_file(&headers, &id, CHAPTERS, "text/vtt; charset=utf-8").await
}

async fn track(
    State(replays): State<Replays>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (id, manifest) = replays.open(&headers, &id).await?;
    // Only a name that the recorder itself wrote down ever becomes a path.
    let track = manifest.tracks.iter().find(|track| track.file == name).ok_or(Refusal::NotFound)?;
    let path = replays.store.session_dir(&id).join(TRACKS).join(&track.file);
    media(&headers, path, &id, &track.file, if track.kind == "audio" { "audio/mp4" } else { "video/webm" })
        .await
}

impl Replays {
    /// The manifest of a session that the request may see.
    async fn open(&self, headers: &HeaderMap, id: &str) -> Result<(SessionId, Manifest), Refusal> {
        let id: SessionId = id.parse().map_err(|_| Refusal::NotFound)?;
        if !(self.authorize)(headers, &id) {
            return Err(Refusal::NotFound);
        }
        let store = self.store.clone();
        blocking(move || match store.manifest(&id) {
            Ok(Some(manifest)) => Ok((id, manifest)),
            Ok(None) if store.session_dir(&id).join(SESSION).exists() => Err(Refusal::NotReady),
            Ok(None) => Err(Refusal::NotFound),
            Err(_) => Err(Refusal::Internal),
        })
        .await
    }

    async fn small_file(
        &self,
        headers: &HeaderMap,
        id: &SessionId,
        name: &str,
        content_type: &'static str,
    ) -> Result<Response, Refusal> {
        let path = self.store.session_dir(id).join(name);
        let bytes = tokio::fs::read(path).await.map_err(|_| Refusal::Internal)?;
        Ok(small(headers, content_type, bytes.into()))
    }
}

/// A whole body, named by its content.
fn small(headers: &HeaderMap, content_type: &'static str, body: Bytes) -> Response {
    let tag = format!("\"{:x}-{:08x}\"", body.len(), crc32fast::hash(&body));
    let shared = [(ETAG, tag.as_str()), (CACHE_CONTROL, "private, no-cache"), NO_SNIFF];
    if names(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, shared).into_response();
    }
    (shared, [(CONTENT_TYPE, content_type)], body).into_response()
}

/// A media file, whole or one range of it.
async fn media(
    headers: &HeaderMap,
    path: PathBuf,
    id: &SessionId,
    name: &str,
    content_type: &'static str,
) -> Result<Response, Refusal> {
    let mut file = File::open(path).await.map_err(|_| Refusal::Internal)?;
    let length = file.metadata().await.map_err(|_| Refusal::Internal)?.len();
    // Finished files never change, and their ids are never used again.
    let tag = format!("\"{id}-{name}-{length:x}\"");
    let shared = [
        (ETAG, tag.as_str()),
        (CACHE_CONTROL, "private, max-age=31536000, immutable"),
        (ACCEPT_RANGES, "bytes"),
        NO_SNIFF,
    ];
    if names(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, shared).into_response());
    }
    let current = headers.get(IF_RANGE).is_none_or(|wanted| wanted.as_bytes() == tag.as_bytes());
    let range = headers.get(RANGE).filter(|_| current).and_then(|range| range.to_str().ok());
    let (status, span) = match range.map_or(Requested::Whole, |range| range::parse(range, length)) {
        Requested::Whole => (StatusCode::OK, Span { start: 0, length }),
        Requested::Part(span) => (StatusCode::PARTIAL_CONTENT, span),
        Requested::Unsatisfiable => {
            let range = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, shared, range).into_response());
        }
    };
    file.seek(SeekFrom::Start(span.start)).await.map_err(|_| Refusal::Internal)?;
    let mut response =
        (status, shared, [(CONTENT_TYPE, content_type)], body(file, span.length)).into_response();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(span.length));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = span.start + span.length.saturating_sub(1);
        let range = format!("bytes {}-{last}/{length}", span.start);
        response
            .headers_mut()
            .insert(CONTENT_RANGE, HeaderValue::try_from(range).map_err(|_| Refusal::Internal)?);
    }
    Ok(response)
}

/// The next `length` bytes of a file, a chunk at a time.
fn body(file: File, length: u64) -> Body {
    let file = file.take(length);
    Body::from_stream(stream::try_unfold(file, |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        Ok::<_, std::io::Error>((!chunk.is_empty()).then(|| (Bytes::from(chunk), file)))
    }))
}

/// Whether If-None-Match names what would be sent (RFC 9110 section 13.1.2).
fn names(headers: &HeaderMap, tag: &str) -> bool {
    let wanted = headers.get(IF_NONE_MATCH).and_then(|wanted| wanted.to_str().ok());
    wanted.is_some_and(|wanted| {
        wanted.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
    })
}

/// Reads the disk where it may block.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(read).await.unwrap_or(Err(Refusal::Internal))
}

const JSON: &str = "application/json";
const NO_SNIFF: (axum::http::HeaderName, &str) = (X_CONTENT_TYPE_OPTIONS, "nosniff");
const CHUNK: usize = 64 << 10;

#[cfg(test)]
mod tests;
