//! What the room replies, as HTTP says it.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{
    ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::response::{IntoResponse, Response};

use super::request::{FRAGMENT, SDP};
use crate::http::{Signaling, refusal};
use crate::protocol::ErrorCode;
use crate::room::HttpReply;

/// Where a session is found.
pub(super) struct Resource {
    /// `whip` or `whep`.
    pub(super) protocol: &'static str,
    pub(super) room: String,
}

/// Why a request is not done.
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// By a code of the protocol, which has its status.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status: status(code), code: code.as_str(), message: message.into(), header: None }
    }

    /// By a code that is for HTTP only.
    pub(super) fn of_http(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), header: None }
    }

    /// For the moment.
    pub(super) fn unavailable(message: &str) -> Self {
        Self::of_http(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).after(LATER)
    }

    /// Without a token that will do (RFC 6750 section 3).
    pub(super) fn unauthorized(challenge: &'static str) -> Self {
        let refusal = Self::new(ErrorCode::BadToken, "The token does not open this room.");
        Self { header: Some((WWW_AUTHENTICATE, HeaderValue::from_static(challenge))), ..refusal }
    }

    fn after(self, retry: Duration) -> Self {
        let seconds = retry.as_millis().div_ceil(1000).max(1);
        let seconds = HeaderValue::from(u32::try_from(seconds).unwrap_or(u32::MAX));
        Self { header: Some((RETRY_AFTER, seconds)), ..self }
    }

    fn response(self) -> Response {
        let mut response = refusal(self.status, self.code, &self.message);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Writes a reply.
pub(super) fn written(
    signaling: &Signaling,
    resource: &Resource,
    reply: Result<HttpReply, Refusal>,
) -> Response {
    let refused = match reply {
        Ok(HttpReply::Opened { session, tag, answer }) => {
            let location = format!("/v1/{}/{}/{session}", resource.protocol, resource.room);
            let headers = [(CONTENT_TYPE, SDP.to_owned()), (LOCATION, location), (ETAG, tag)];
            return (StatusCode::CREATED, headers, answer).into_response();
        }
        Ok(HttpReply::Restarted { tag, fragment }) => {
            let headers = [(CONTENT_TYPE, FRAGMENT.to_owned()), (ETAG, tag)];
            return (StatusCode::OK, headers, fragment).into_response();
        }
        Ok(HttpReply::Done) => return StatusCode::NO_CONTENT.into_response(),
        Ok(HttpReply::Outdated) => {
            let text = "The entity tag is not that of the present ICE session.";
            Refusal::of_http(StatusCode::PRECONDITION_FAILED, "precondition_failed", text)
        }
        Ok(HttpReply::Refused { code, message, retry }) => {
            let refusal = Refusal::new(code, message);
            match retry {
                Some(retry) => refusal.after(retry),
                None if refusal.status == StatusCode::SERVICE_UNAVAILABLE => refusal.after(LATER),
                None => refusal,
            }
        }
        Err(refusal) => refusal,
    };
    signaling.rooms.metrics().errors.with_label_values(&[refused.code]).inc();
    refused.response()
}

/// What a resource takes, for who asks before.
pub(super) fn options(allowed: &'static str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let (name, media_type) =
        if allowed.starts_with("POST") { ("accept-post", SDP) } else { ("accept-patch", FRAGMENT) };
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(media_type));
    response
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadToken => StatusCode::UNAUTHORIZED,
        ErrorCode::NotAllowed | ErrorCode::Kicked => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::RoomEnded => StatusCode::GONE,
        ErrorCode::OfferTooLarge | ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedOffer => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::RoomFull | ErrorCode::ServerFull => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// When to try again what had no place.
const LATER: Duration = Duration::from_secs(10);
