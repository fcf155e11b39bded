//! Classes for the demo: two secrets per room, made from the server's key, so that nothing is stored and links outlive a restart.

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use rand::Rng;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};

use super::pages;
use crate::http::refusal;
use crate::protocol::Role;
use crate::token::{Claims, Tokens, is_identity, is_room, same};

/// `POST /demo/class` and `POST /demo/class/token`, and the page at `GET /demo/class`.
pub(super) fn routes(tokens: Tokens) -> Router {
    Router::new()
        .route("/demo/class", post(make).get(page))
        .route("/demo/class/token", post(token))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(tokens)
}

#[derive(Serialize, Deserialize, Debug)]
struct Class {
    room: String,
    host_key: String,
    participant_key: String,
}

#[derive(Serialize, Deserialize, Debug)]
struct Ticket {
    room: String,
    key: String,
    name: String,
    identity: String,
}

#[derive(Serialize, Deserialize, Debug)]
struct Issued {
    token: String,
    role: Role,
    expires_in: u64,
}

/// The page of the same address, which this route would hide.
async fn page(headers: HeaderMap) -> Response {
    pages::demo("class", &headers)
}

async fn make(State(tokens): State<Tokens>) -> Json<Class> {
    let random: String = rand::rng().sample_iter(Alphanumeric).take(12).map(char::from).collect();
    let room = format!("class-{random}");
    let host_key = secret(&tokens, &room, Role::Host);
    let participant_key = secret(&tokens, &room, Role::Participant);
    Json(Class { room, host_key, participant_key })
}

async fn token(State(tokens): State<Tokens>, ticket: Result<Json<Ticket>, JsonRejection>) -> Response {
    let ticket = match ticket {
        Ok(Json(ticket)) => ticket,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large.");
        }
        Err(_) => {
            let text = "The body is a JSON object with `room`, `key`, `name` and `identity`.";
            return refusal(StatusCode::BAD_REQUEST, "bad_json", text);
        }
    };
    if !is_identity(&ticket.identity) {
        let text = "`identity` has 1 to 64 visible ASCII characters.";
        return refusal(StatusCode::BAD_REQUEST, "invalid", text);
    }
    let name = ticket.name.trim();
    if name.is_empty() || name.chars().count() > 40 || name.chars().any(char::is_control) {
        let text = "A name has 1 to 40 characters and no control characters.";
        return refusal(StatusCode::BAD_REQUEST, "bad_name", text);
    }
    let is = |role| same(&ticket.key, &secret(&tokens, &ticket.room, role));
    let role = match (is_room(&ticket.room), is(Role::Host), is(Role::Participant)) {
        (true, true, _) => Role::Host,
        (true, _, true) => Role::Participant,
        _ => {
            let text = "This link does not open the class.";
            return refusal(StatusCode::FORBIDDEN, "not_allowed", text);
        }
    };
    let mut claims = Claims::new(&ticket.room, &ticket.identity, role, LIFE);
    claims.name = Some(name.to_owned());
    Json(Issued { token: tokens.sign(&claims), role, expires_in: LIFE.as_secs() }).into_response()
}

fn secret(tokens: &Tokens, room: &str, role: Role) -> String {
    // No token's signing input looks like this: it has spaces.
    tokens.secret_for(&format!("demo class / {role:?} / {room}"))
}

const LIFE: Duration = Duration::from_secs(600);
const BODY_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::CONTENT_TYPE;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::token::SAMPLE_KEY;

    async fn post<T: DeserializeOwned>(key: &str, uri: &str, body: String) -> (StatusCode, T) {
        let tokens = Tokens::new(key).expect("a long key");
        let request = Request::post(uri)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .expect("a request");
        let response = routes(tokens).oneshot(request).await.expect("a response");
        let status = response.status();
        let body = to_bytes(response.into_body(), 100_000).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    fn ticket(room: &str, key: &str) -> String {
        json!({"room": room, "key": key, "name": " Ana ", "identity": "i-1"}).to_string()
    }

    #[tokio::test]
    async fn each_key_opens_its_role_also_after_a_restart() {
        let (_, class): (_, Class) = post(SAMPLE_KEY, "/demo/class", String::new()).await;
        for (key, role) in [(&class.host_key, Role::Host), (&class.participant_key, Role::Participant)] {
            let (status, issued): (_, Issued) =
                post(SAMPLE_KEY, "/demo/class/token", ticket(&class.room, key)).await;
            assert_eq!((status, issued.role, issued.expires_in), (StatusCode::OK, role, 600));
            let claims = Tokens::new(SAMPLE_KEY).expect("a long key").verify(&issued.token).expect("a token");
            assert_eq!(
                (claims.room, claims.sub, claims.name),
                (class.room.clone(), "i-1".into(), Some("Ana".into()))
            );
            assert_eq!(claims.role, role);
        }
    }

    #[tokio::test]
    async fn a_key_opens_no_other_room_and_no_other_server() {
        let (_, class): (_, Class) = post(SAMPLE_KEY, "/demo/class", String::new()).await;
        let refused = |key: &'static str, body: String| async move {
            let (status, body): (_, Value) = post(key, "/demo/class/token", body).await;
            (status, body["code"].clone())
        };
        let expected = (StatusCode::FORBIDDEN, json!("not_allowed"));
        assert_eq!(refused(SAMPLE_KEY, ticket("class-other", &class.host_key)).await, expected);
        assert_eq!(refused(SAMPLE_KEY, ticket(&class.room, "")).await, expected);
        assert_eq!(
            refused("another-key-of-at-least-32-bytes!", ticket(&class.room, &class.host_key)).await,
            expected
        );
    }

    #[tokio::test]
    async fn bad_bodies_are_refused_by_name() {
        for (body, status, code) in [
            ("{".to_owned(), StatusCode::BAD_REQUEST, "bad_json"),
            ("[]".to_owned(), StatusCode::BAD_REQUEST, "bad_json"),
            (ticket(&"x".repeat(20_000), "k"), StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            (
                json!({"room":"r","key":"k","name":"","identity":"i"}).to_string(),
                StatusCode::BAD_REQUEST,
                "bad_name",
            ),
            (
                json!({"room":"r","key":"k","name":"A","identity":" "}).to_string(),
                StatusCode::BAD_REQUEST,
                "invalid",
            ),
        ] {
            let (got, answer): (_, Value) = post(SAMPLE_KEY, "/demo/class/token", body).await;
            assert_eq!((got, &answer["code"]), (status, &json!(code)));
        }
    }
}
