//! Which pages may ask (the Fetch standard, "CORS protocol").

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::{Signaling, refusal};

/// Refuses pages of origins that are not allowed, and lets the others read what they are told. What is no browser sends no origin.
pub(super) async fn check(State(signaling): State<Signaling>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    if !signaling.origin_is_allowed(request.headers()) {
        signaling.rooms.metrics().origins_refused.inc();
        return refusal(StatusCode::FORBIDDEN, "not_allowed", "Pages of this origin may not connect.");
    }
    let asks_before = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed = "etag, location, retry-after, www-authenticate";
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    if asks_before {
        let named = "authorization, content-type, if-match";
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, PATCH, DELETE"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(named));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    }
    response
}
