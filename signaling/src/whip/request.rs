//! What a request says: who asks, in which format, under which condition.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::timeout;

use super::reply::Refusal;
use crate::http::Signaling;
use crate::limits::Limits;
use crate::protocol::ErrorCode;
use crate::room::{Admission, Expects};
use crate::token::Claims;

/// The media type of offers and answers.
pub(super) const SDP: &str = "application/sdp";
/// The media type of fragments (RFC 8840).
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What the bearer token says, when it opens this room now.
pub(super) fn claims(signaling: &Signaling, room: &str, headers: &HeaderMap) -> Result<Claims, Refusal> {
    let claims = bearer(headers).and_then(|token| signaling.tokens.verify(token).ok());
    claims.filter(|claims| claims.room == room).ok_or_else(|| bad_token(headers))
}

/// Whose session may be meant: a token that opened it is good for it even after it has expired.
pub(super) fn owner(signaling: &Signaling, room: &str, headers: &HeaderMap) -> Result<String, Refusal> {
    let claims = bearer(headers).and_then(|token| signaling.tokens.verify_expired(token).ok());
    claims.filter(|claims| claims.room == room).map(|claims| claims.sub).ok_or_else(|| bad_token(headers))
}

/// Who comes, by the token alone.
pub(super) fn admission(claims: &Claims, limits: &Limits) -> Result<Admission, Refusal> {
    Admission::new(claims, None, limits).map_err(|text| Refusal::new(ErrorCode::BadName, text))
}

/// Refuses a request whose sender would not take an answer.
pub(super) fn accepts_sdp(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if accepted.peek().is_none() {
        return Ok(());
    }
    let takes = |range: &str| {
        let range = essence(range);
        [SDP, "application/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known))
    };
    if accepted.flat_map(|value| value.split(',')).any(takes) {
        return Ok(());
    }
    let text = "The answer is application/sdp.";
    Err(Refusal::of_http(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text))
}

/// Refuses a body of another media type.
pub(super) fn is_of(headers: &HeaderMap, media_type: &str) -> Result<(), Refusal> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence);
    if named.is_some_and(|named| named.eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let text = "The body is of another media type than this resource takes.";
    Err(Refusal::of_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", text))
}

/// The condition, without which an ICE session is not changed.
pub(super) fn expects(headers: &HeaderMap) -> Result<Expects, Refusal> {
    let Some(condition) = text(headers, &IF_MATCH) else {
        let text = "The request needs If-Match, with the entity tag of the ICE session.";
        return Err(Refusal::of_http(StatusCode::PRECONDITION_REQUIRED, "precondition_required", text));
    };
    if condition.trim() == "*" {
        return Ok(Expects::Any);
    }
    Ok(Expects::Tags(condition.split(',').map(|tag| tag.trim().to_owned()).collect()))
}

/// The body, which is of this media type, in time and of bounded length.
pub(super) async fn body(
    signaling: &Signaling,
    request: Request,
    media_type: &str,
) -> Result<String, Refusal> {
    is_of(request.headers(), media_type)?;
    let limits = signaling.rooms.limits();
    let read = timeout(limits.hello, to_bytes(request.into_body(), limits.offer_bytes)).await;
    let Ok(read) = read else {
        let text = "The request did not come in time.";
        return Err(Refusal::of_http(StatusCode::REQUEST_TIMEOUT, "timeout", text));
    };
    // What ends too early for another reason has nobody left to tell.
    let bytes = read.map_err(|_| Refusal::new(ErrorCode::OfferTooLarge, "The body is too large."))?;
    String::from_utf8(bytes.into())
        .map_err(|_| Refusal::new(ErrorCode::BadOffer, "The offer is malformed: it is not UTF-8."))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

fn bad_token(headers: &HeaderMap) -> Refusal {
    let challenge =
        if headers.contains_key(AUTHORIZATION) { "Bearer error=\"invalid_token\"" } else { "Bearer" };
    Refusal::unauthorized(challenge)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A media type or range without its parameters.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}
