//! The cooking class's backend: makes classes, and gives tokens to those who have a link.
//!
//! A link's key is a keyed hash of the room and the role, so that nothing has to be kept and links outlive a restart.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::protocol::Role;
use crate::token::{Grant, TokenKey};

/// What the demo signs with.
#[derive(Clone)]
pub struct DemoClass {
    tokens: TokenKey,
    links: Arc<EncodingKey>,
}

impl DemoClass {
    /// `secret` is the server's key.
    pub fn new(tokens: TokenKey, secret: &[u8]) -> Self {
        Self { tokens, links: Arc::new(EncodingKey::from_secret(secret)) }
    }

    /// `POST /demo/class` and `POST /demo/class/token`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/demo/class", post(create))
            .route("/demo/class/token", post(exchange))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(self)
    }

    fn link_key(&self, room: &str, role: Role) -> String {
        let role = match role {
            Role::Host => "host",
            Role::Participant => "participant",
        };
        // Cannot be taken for a token: a token's signed part has no colons.
        let text = format!("simmer:class-link:{role}:{room}");
        crypto::sign(text.as_bytes(), &self.links, Algorithm::HS256).unwrap_or_default()
    }

    fn role_of(&self, room: &str, key: &str) -> Option<Role> {
        let is = |role| {
            let expected = self.link_key(room, role);
            !expected.is_empty() && same(expected.as_bytes(), key.as_bytes())
        };
        [Role::Host, Role::Participant].into_iter().find(|&role| is(role))
    }
}

#[derive(Serialize)]
struct Class {
    room: String,
    host_key: String,
    participant_key: String,
}

async fn create(State(demo): State<DemoClass>) -> Json<Class> {
    let room = format!("class-{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 9]>()));
    Json(Class {
        host_key: demo.link_key(&room, Role::Host),
        participant_key: demo.link_key(&room, Role::Participant),
        room,
    })
}

#[derive(Deserialize)]
struct Ticket {
    room: String,
    key: String,
    name: Option<String>,
    identity: String,
}

async fn exchange(State(demo): State<DemoClass>, ticket: Result<Json<Ticket>, JsonRejection>) -> Response {
    let Json(ticket) = match ticket {
        Ok(ticket) => ticket,
        Err(rejection) => return refuse(rejection.status(), "bad_json", "The request is not what this address takes."),
    };
    let Some(role) = demo.role_of(&ticket.room, &ticket.key) else {
        return refuse(StatusCode::FORBIDDEN, "bad_token", "This link does not open the class.");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut grant = Grant::new(&ticket.room, &ticket.identity, role, (now + LIFE).as_secs());
    grant.name = ticket.name;
    match demo.tokens.sign(&grant) {
        Ok(token) => Json(json!({"token": token, "role": role, "expires_in": LIFE.as_secs()})).into_response(),
        Err(_) => refuse(StatusCode::BAD_REQUEST, "invalid", "The identity is 1 to 64 visible ASCII characters."),
    }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"code": code, "message": message}))).into_response()
}

/// Compares without telling by its time where the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

const LIFE: Duration = Duration::from_secs(600);
const MAX_BODY_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::CONTENT_TYPE;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::token::{Authenticate, SAMPLE_KEY};

    fn demo() -> DemoClass {
        DemoClass::new(TokenKey::new(SAMPLE_KEY.as_bytes()).expect("a key"), SAMPLE_KEY.as_bytes())
    }

    async fn ask(path: &str, body: String) -> (StatusCode, Value) {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json").body(Body::from(body));
        let answer = demo().routes().oneshot(request.expect("a request")).await.expect("an answer");
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 65_536).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    #[tokio::test]
    async fn each_link_opens_its_class_in_its_role() {
        let (status, class) = ask("/demo/class", String::new()).await;
        assert_eq!(status, StatusCode::OK);
        for (key, role) in [("host_key", Role::Host), ("participant_key", Role::Participant)] {
            let ticket = json!({"room": class["room"], "key": class[key], "name": "Ana", "identity": "ana"});
            let (status, answer) = ask("/demo/class/token", ticket.to_string()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            let token = answer["token"].as_str().expect("a token");
            let grant = demo().tokens.authenticate(token, now).expect("a good token");
            assert_eq!((grant.role, grant.name.as_deref(), grant.identity.as_str()), (role, Some("Ana"), "ana"));
            assert!(grant.expires_at <= now + 600);
        }
    }

    #[tokio::test]
    async fn another_class_or_key_opens_nothing() {
        let (_, class) = ask("/demo/class", String::new()).await;
        for (room, key) in [(json!("class-other"), class["host_key"].clone()), (class["room"].clone(), json!("guess"))] {
            let ticket = json!({"room": room, "key": key, "identity": "ana"});
            let (status, answer) = ask("/demo/class/token", ticket.to_string()).await;
            assert_eq!((status, answer["code"].as_str()), (StatusCode::FORBIDDEN, Some("bad_token")));
        }
        let ticket = json!({"room": class["room"], "key": class["host_key"], "identity": "a b"});
        assert_eq!(ask("/demo/class/token", ticket.to_string()).await.1["code"], "invalid");
        assert_eq!(ask("/demo/class/token", "{".to_owned()).await.1["code"], "bad_json");
        assert_eq!(ask("/demo/class/token", format!("{{\"room\":\"{}\"}}", "x".repeat(5000))).await.1["code"], "bad_json");
    }
}
