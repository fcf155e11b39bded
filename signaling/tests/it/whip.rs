//! WHIP and WHEP as HTTP sees them: statuses, headers, and who may ask.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use simmer_signaling::protocol::Role;
use simmer_signaling::token::{Claims, May};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

const PUBLISH: &str = include_str!("../../../sfu/src/sdp/fixtures/obs_whip.sdp");
const SDP: &str = "Content-Type: application/sdp\r\n";
const FRAGMENT: &str = "Content-Type: application/trickle-ice-sdpfrag\r\n";

struct Response {
    status: u16,
    /// With lower-case names.
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a problem in JSON");
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()));
        body["code"].as_str().expect("a code").to_owned()
    }
}

/// Asks on a connection of its own; `headers` end their lines.
async fn ask(address: SocketAddr, request: &str, headers: &str, body: &str) -> Response {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a request");
    // Who is refused by their headers alone may find nobody to read the rest.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8(response).expect("text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Response { status, headers, body: body.to_owned() }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn a_session_has_its_resource_until_it_is_deleted() {
    let server = Server::answering().await;
    let mut host = server.host("r", "host").await;
    let token = bearer(&server.token("r", "obs", Role::Participant));
    let opened = ask(server.address, "POST /v1/whip/r", &format!("{token}{SDP}"), PUBLISH).await;
    assert_eq!((opened.status, opened.body.as_str()), (201, "v=0"));
    assert_eq!(opened.header("content-type"), Some("application/sdp"));
    assert_eq!(opened.header("etag"), Some("\"1\""));
    let location = opened.header("location").expect("a location").to_owned();
    assert!(location.starts_with("/v1/whip/r/s"));
    host.event("joined").await;

    let patch = format!("PATCH {location}");
    let end = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n";
    let restart = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n";
    let base = format!("{token}{FRAGMENT}");
    for (headers, body, status, code) in [
        (format!("{base}If-Match: \"1\"\r\n"), end, 204, None),
        (format!("{base}If-Match: \"0\", \"1\"\r\n"), end, 204, None),
        (base.clone(), end, 428, Some("precondition_required")),
        (format!("{base}If-Match: \"7\"\r\n"), end, 412, Some("precondition_failed")),
        (format!("{token}{SDP}If-Match: \"1\"\r\n"), end, 415, Some("unsupported_media_type")),
        (format!("{base}If-Match: \"1\"\r\n"), "hello", 400, Some("bad_offer")),
    ] {
        let response = ask(server.address, &patch, &headers, body).await;
        assert_eq!(response.status, status, "{headers}{body}");
        assert_eq!(code.is_some().then(|| response.code()).as_deref(), code);
    }
    let restarted = ask(server.address, &patch, &format!("{base}If-Match: *\r\n"), restart).await;
    assert_eq!((restarted.status, restarted.body.as_str()), (200, "v=0"));
    assert_eq!(restarted.header("content-type"), Some("application/trickle-ice-sdpfrag"));
    assert_eq!(restarted.header("etag"), Some("\"2\""));

    let delete = format!("DELETE {location}");
    let other = bearer(&server.token("r", "eve", Role::Host));
    assert_eq!(ask(server.address, &delete, &other, "").await.status, 404);
    assert_eq!(ask(server.address, &delete, "", "").await.status, 401);
    // A token that has expired in the meantime still ends what it began.
    let mut expired = Claims::new("r", "obs", Role::Participant, Duration::ZERO);
    expired.exp -= 60;
    let expired = bearer(&server.tokens.sign(&expired));
    assert_eq!(ask(server.address, &delete, &expired, "").await.status, 200);
    assert_eq!(host.event("left").await["reason"], "left");
    assert_eq!(ask(server.address, &delete, &token, "").await.status, 404);
    assert_eq!(
        ask(
            server.address,
            "DELETE /v1/whip/nowhere/s1",
            &bearer(&server.token("nowhere", "obs", Role::Host)),
            ""
        )
        .await
        .status,
        404
    );
    let again = ask(server.address, "POST /v1/whip/r", &format!("{expired}{SDP}"), PUBLISH).await;
    assert_eq!((again.status, again.code().as_str()), (401, "bad_token"));
}

#[tokio::test]
async fn who_may_not_or_asks_wrongly_is_told_why() {
    let server = Server::answering().await;
    let token = bearer(&server.token("r", "obs", Role::Participant));
    let mut mute = Claims::new("r", "mute", Role::Participant, Duration::from_secs(60));
    mute.may = Some(May { publish: Some(false), ..May::default() });
    let mute = bearer(&server.tokens.sign(&mute));
    let mut long = Claims::new("r", "long", Role::Participant, Duration::from_secs(60));
    long.name = Some("x".repeat(41));
    let long = bearer(&server.tokens.sign(&long));
    let elsewhere = bearer(&server.token("s", "obs", Role::Participant));
    let huge = "x".repeat(512 * 1024 + 1);
    let no_mux = PUBLISH.replace("a=rtcp-mux\n", "");
    for (headers, body, status, code) in [
        (SDP.to_owned(), PUBLISH, 401, "bad_token"),
        (format!("Authorization: Basic x\r\n{SDP}"), PUBLISH, 401, "bad_token"),
        (format!("Authorization: Bearer x\r\n{SDP}"), PUBLISH, 401, "bad_token"),
        (format!("{elsewhere}{SDP}"), PUBLISH, 401, "bad_token"),
        (format!("{mute}{SDP}"), PUBLISH, 403, "not_allowed"),
        (format!("{long}{SDP}"), PUBLISH, 400, "bad_name"),
        (token.clone(), PUBLISH, 415, "unsupported_media_type"),
        (format!("{token}Content-Type: application/json\r\n"), PUBLISH, 415, "unsupported_media_type"),
        (format!("{token}{SDP}Accept: text/html, image/*;q=0.8\r\n"), PUBLISH, 406, "not_acceptable"),
        (format!("{token}{SDP}"), "", 400, "bad_offer"),
        (format!("{token}{SDP}"), "v=0\u{0}", 400, "bad_offer"),
        (format!("{token}{SDP}"), &no_mux, 422, "unsupported_offer"),
        (format!("{token}{SDP}"), &huge, 413, "offer_too_large"),
        (format!("{token}{SDP}Origin: https://evil.example\r\n"), PUBLISH, 403, "not_allowed"),
    ] {
        let response = ask(server.address, "POST /v1/whip/r", &headers, body).await;
        assert_eq!((response.status, response.code().as_str()), (status, code), "{headers}");
        assert_eq!(response.header("www-authenticate").is_some(), status == 401, "{headers}");
    }
    assert!(server.core.joined.lock().expect("a lock").is_empty());
    let nothing = format!("{token}{SDP}");
    let watch = PUBLISH.replace("a=sendonly", "a=recvonly");
    let named = ask(server.address, "POST /v1/whep/r?publication=1-0", &nothing, &watch).await;
    assert_eq!((named.status, named.code().as_str()), (404, "not_found"));
    for path in ["/v1/whip/r", "/v1/whep/r", "/v1/whip/r/s1"] {
        for method in ["GET", "PUT"] {
            let response = ask(server.address, &format!("{method} {path}"), "", "").await;
            assert_eq!(response.status, 405, "{method} {path}");
            assert!(response.header("allow").is_some_and(|allowed| allowed.contains("OPTIONS")));
        }
    }
    let parameters = "Content-Type: Application/SDP; charset=utf-8\r\nAccept: text/html, */*;q=0.1\r\n";
    let taken = ask(server.address, "POST /v1/whip/r", &format!("{token}{parameters}"), PUBLISH).await;
    assert_eq!(taken.status, 201);
}

#[tokio::test]
async fn a_page_that_may_connect_can_read_the_reply() {
    let server = Server::answering().await;
    let page = "Origin: https://class.example\r\n";
    let asked = format!("{page}Access-Control-Request-Method: POST\r\n");
    let before = ask(server.address, "OPTIONS /v1/whep/r", &asked, "").await;
    assert_eq!(before.status, 204);
    assert_eq!(before.header("access-control-allow-origin"), Some("https://class.example"));
    assert_eq!(before.header("access-control-allow-headers"), Some("authorization, content-type, if-match"));
    assert_eq!(before.header("access-control-allow-methods"), Some("POST, PATCH, DELETE"));
    assert_eq!(before.header("accept-post"), Some("application/sdp"));
    let token = bearer(&server.token("r", "tv", Role::Participant));
    let watch = PUBLISH.replace("a=sendonly", "a=recvonly");
    let opened = ask(server.address, "POST /v1/whep/r", &format!("{page}{token}{SDP}"), &watch).await;
    assert_eq!(opened.status, 201);
    assert!(opened.header("location").is_some_and(|location| location.starts_with("/v1/whep/r/s")));
    assert_eq!(opened.header("access-control-allow-origin"), Some("https://class.example"));
    assert!(opened.header("access-control-expose-headers").is_some_and(|names| names.contains("location")));
    assert_eq!(opened.header("vary"), Some("origin"));
    let evil = ask(server.address, "OPTIONS /v1/whep/r", "Origin: https://evil.example\r\n", "").await;
    assert_eq!((evil.status, evil.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn who_finds_no_place_is_told_when_to_come_again() {
    let server = Server::with(|limits| limits.room_size = 1).await;
    let mut host = server.host("r", "host").await;
    let token = bearer(&server.token("r", "obs", Role::Participant));
    let headers = format!("{token}{SDP}");
    let full = ask(server.address, "POST /v1/whip/r", &headers, PUBLISH).await;
    assert_eq!((full.status, full.code().as_str()), (503, "room_full"));
    assert!(full.header("retry-after").is_some());
    host.act(1, json!({"kind": "end"})).await;
    let ended = ask(server.address, "POST /v1/whip/r", &headers, PUBLISH).await;
    assert_eq!((ended.status, ended.code().as_str()), (410, "room_ended"));

    let server = Server::answering().await;
    let headers = format!("{}{SDP}", bearer(&server.token("r", "obs", Role::Participant)));
    let mut hasty = Vec::new();
    for _ in 0..12 {
        hasty.push(ask(server.address, "POST /v1/whip/r", &headers, PUBLISH).await);
    }
    let refused = hasty.iter().find(|response| response.status == 429).expect("a refusal");
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("1")));
    server.rooms.shut_down().await;
    let draining = ask(server.address, "POST /v1/whip/r", &headers, PUBLISH).await;
    assert_eq!(draining.status, 503);
}

#[tokio::test]
async fn a_core_that_does_not_answer_is_not_waited_for_for_ever() {
    let server = Server::with(|limits| limits.reply = Duration::ZERO).await;
    let headers = format!("{}{SDP}", bearer(&server.token("r", "obs", Role::Participant)));
    let late = ask(server.address, "POST /v1/whip/r", &headers, PUBLISH).await;
    assert_eq!((late.status, late.code().as_str()), (503, "unavailable"));
}
