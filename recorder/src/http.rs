//! Serves replays over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;

use crate::store::{SessionId, Store};

/// Decides whether the sender of a request may see a session.
pub type Authorize = Arc<dyn Fn(&HeaderMap, &SessionId) -> bool + Send + Sync>;

/// The replay's routes, all under `/v1/sessions`.
pub fn routes(_store: Store, _authorize: Authorize) -> Router {
    Router::new()
}
