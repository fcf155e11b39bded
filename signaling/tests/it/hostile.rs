//! What must not harm: bad tokens, bad frames, bad manners.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use simmer_signaling::protocol::Role;
use simmer_signaling::token::{Claims, Tokens};
use tokio::io::AsyncWriteExt as _;

use crate::client::Client;
use crate::server::Server;

/// Says one frame on a new WebSocket; the last error and the close code.
async fn refused(server: &Server, first: &str) -> (Value, u16) {
    let mut client = Client::open(server.address).await;
    client.say_text(first).await;
    let (said, code) = client.end().await;
    (said.last().cloned().unwrap_or_default(), code)
}

fn hello(token: &str) -> String {
    json!({"type": "hello", "protocol": 1, "token": token, "name": "Eve"}).to_string()
}

#[tokio::test]
async fn every_bad_token_gets_the_same_answer() {
    let server = Server::start().await;
    let good = server.token("r", "ana", Role::Host);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("a JWT") };
    let with_header = |header: &str| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
    let claims = |change: fn(&mut Claims)| {
        let mut claims = Claims::new("r", "ana", Role::Host, Duration::from_secs(60));
        change(&mut claims);
        server.tokens.sign(&claims)
    };
    let other_key = Tokens::new("another-key-of-at-least-32-bytes!").expect("a long key");
    let tokens = [
        with_header(r#"{"alg":"none"}"#),
        with_header(r#"{"alg":"HS384"}"#),
        with_header(r#"{"alg":"RS256"}"#),
        format!("{header}.{payload}."),
        claims(|claims| claims.exp -= 120),
        claims(|claims| claims.exp += 48 * 3600),
        claims(|claims| claims.nbf = Some(claims.exp)),
        claims(|claims| claims.room = "no room".to_owned()),
        claims(|claims| claims.sub = String::new()),
        other_key.sign(&Claims::new("r", "ana", Role::Host, Duration::from_secs(60))),
        "garbage".to_owned(),
        String::new(),
        "....".to_owned(),
        "x".repeat(60_000),
    ];
    let mut answers = Vec::new();
    for token in &tokens {
        answers.push(refused(&server, &hello(token)).await);
    }
    assert_eq!((&answers[0].0["code"], answers[0].1), (&json!("bad_token"), 4000));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let mut client = Client::open(server.address).await;
    client.hello(&good, None).await;
}

#[tokio::test]
async fn the_first_message_is_a_hello_of_this_protocol() {
    let server = Server::with(|limits| limits.hello = Duration::from_millis(20)).await;
    let good = server.token("r", "ana", Role::Host);
    let code = |answer: (Value, u16)| (answer.0["code"].as_str().map(str::to_owned), answer.1);
    let expected = |text: &str, close| (Some(text.to_owned()), close);
    for first in [r#"{"type":"leave"}"#, "{", "", r#"{"type":"hello"}"#] {
        assert_eq!(code(refused(&server, first).await), expected("hello_expected", 4000), "{first}");
    }
    let later = json!({"type": "hello", "protocol": 2, "token": good}).to_string();
    assert_eq!(code(refused(&server, &later).await), expected("unsupported_protocol", 4000));
    for name in ["", "   ", "a\u{7}b", &"x".repeat(41)] {
        let named = json!({"type": "hello", "protocol": 1, "token": good, "name": name}).to_string();
        assert_eq!(code(refused(&server, &named).await), expected("bad_name", 4000), "{name}");
    }
    let mut silent = Client::open(server.address).await;
    let (said, close) = silent.end().await;
    assert_eq!((said[0]["code"].as_str(), close), (Some("hello_expected"), 4000));
    let mut binary = Client::open(server.address).await;
    binary.say_binary(hello(&good).as_bytes()).await;
    assert_eq!(binary.end().await.1, 4000);
}

#[tokio::test]
async fn messages_over_their_limit_close() {
    let server = Server::start().await;
    let chat = |length: usize| {
        let message = json!({"type": "do", "id": 1, "action": {"kind": "chat", "text": ""}}).to_string();
        message.replace(r#""text":"""#, &format!(r#""text":"{}""#, "x".repeat(length - message.len())))
    };
    for (length, too_large) in [
        (64 * 1024 - 1, false),
        (64 * 1024, false),
        (64 * 1024 + 1, true),
        (512 * 1024 + 1, true),
        (1024 * 1024, true),
    ] {
        let mut client = server.host("r", "ana").await;
        client.say_text(&chat(length)).await;
        if too_large {
            let (said, close) = client.end().await;
            assert_eq!(
                (said.last().map(|m| &m["code"]), close),
                (Some(&json!("too_large")), 1009),
                "{length}"
            );
        } else {
            assert_eq!(client.until("error").await["code"], "invalid", "{length}");
        }
    }
    // A thousand times as much is refused as soon as it is announced (RFC 6455 section 5.2): text, masked, with its length in eight octets.
    let mut client = server.host("r", "ana").await;
    let mut header = vec![0x81, 0xff];
    header.extend((64 * 1024 * 1000_u64).to_be_bytes());
    header.extend([0; 4]);
    client.socket.get_mut().write_all(&header).await.expect("written");
    assert_eq!(client.end().await.1, 1009);
    // An offer may be longer.
    let mut client = server.host("r", "ana").await;
    client.say(json!({"type": "offer", "id": 9, "sdp": "x".repeat(500 * 1024)})).await;
    assert_eq!(client.until("error").await["code"], "bad_offer");
    assert_eq!(client.act(2, json!({"kind": "hand", "raised": true})).await["type"], "done");
    // Before the hello, too.
    assert_eq!(refused(&server, &"x".repeat(1024 * 1024)).await.1, 1009);
    assert_eq!(refused(&server, &"x".repeat(65 * 1024)).await.1, 1009);
    let mut client = server.host("r", "ana").await;
    client.say_binary(&vec![0; 65 * 1024]).await;
    assert_eq!(client.end().await.1, 1009);
}

#[tokio::test]
async fn bad_frames_are_answered_and_three_in_a_row_close() {
    let server = Server::start().await;
    let deep = format!(r#"{{"type":"do","id":1,"action":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    let mut client = server.host("r", "ana").await;
    client.say_text(&deep).await;
    assert_eq!(client.until("error").await["code"], "bad_json");
    client.say_binary(&[0xff; 10]).await;
    assert_eq!(client.until("error").await["code"], "bad_json");
    assert_eq!(client.act(2, json!({"kind": "hand", "raised": true})).await["type"], "done");
    client.say_text(r#"{"type":"dance","id":5}"#).await;
    let error = client.until("error").await;
    assert_eq!((&error["code"], &error["re"]), (&json!("unknown_type"), &json!(5)));
    for _ in 0..3 {
        client.say_text("[1]").await;
    }
    let (said, close) = client.end().await;
    assert_eq!((said.len(), close), (3, 4000));
    assert!(said.iter().all(|message| message["code"] == "bad_json"));
}

#[tokio::test]
async fn a_flood_is_refused_with_the_time_to_wait() {
    let server = Server::start().await;
    let mut flooder = server.host("r", "eve").await;
    for id in 0..300 {
        flooder.say(json!({"type": "do", "id": id, "action": {"kind": "chat", "text": "x"}})).await;
    }
    let mut done = 0;
    loop {
        let message = flooder.hear().await.expect("no close");
        done += u32::from(message["type"] == "done");
        if message["type"] == "error" {
            assert_eq!(message["code"], "rate_limited");
            assert!(message["retry_ms"].as_u64().is_some_and(|retry| retry > 0));
        }
        if message["re"] == 299 {
            break;
        }
    }
    assert!((10..150).contains(&done), "{done} of 300");
    let mut other = server.host("r", "ana").await;
    assert_eq!(other.act(1, json!({"kind": "chat", "text": "x"})).await["type"], "done");
}

#[tokio::test]
async fn only_pages_of_our_own_may_connect() {
    let server = Server::start().await;
    let own = format!("http://{}", server.address);
    for origin in [None, Some(own.as_str()), Some("https://class.example")] {
        assert!(Client::open_from(server.address, origin).await.is_ok(), "{origin:?}");
    }
    let deceptive = format!("http://{}.evil.example", server.address);
    for origin in ["https://evil.example", "null", "https://class.example.evil.example", "", &deceptive] {
        let response = Client::open_from(server.address, Some(origin)).await.err().expect("a refusal");
        assert_eq!(response.status(), 403, "{origin}");
    }
}
