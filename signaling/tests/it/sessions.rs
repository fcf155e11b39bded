//! Sessions over real sockets.

use std::time::Duration;

use serde_json::json;
use simmer_sfu::message::Event as CoreEvent;
use simmer_signaling::limits::Rate;
use simmer_signaling::protocol::Role;
use simmer_signaling::token::Claims;

use crate::client::{Client, resume};
use crate::server::{PANIC, Server};

const OFFER: &str = include_str!("../../../sfu/src/sdp/fixtures/chromium_publish.sdp");

#[tokio::test]
async fn two_clients_share_one_log() {
    let server = Server::start().await;
    let mut ana = server.host("class-7", "ana").await;
    let mut ben = Client::open(server.address).await;
    let welcome = ben.hello(&server.token("class-7", "ben", Role::Participant), None).await;
    assert_eq!((&welcome["seq"], &welcome["you"]["role"]), (&json!(2), &json!("participant")));
    assert_eq!(ana.event("joined").await["participant"]["id"], welcome["you"]["id"]);
    let done = ana.act(7, json!({"kind": "chat", "text": "Smells good"})).await;
    let event = ben.event("chat").await;
    assert_eq!((&event["seq"], &event["text"]), (&done["seq"], &json!("Smells good")));
    // Another room hears nothing of it, and has a log of its own.
    let mut other = server.host("class-8", "ana").await;
    assert_eq!(other.act(1, json!({"kind": "hand", "raised": true})).await["seq"], 2);
}

#[tokio::test]
async fn a_long_message_comes_in_frames_of_a_kibibyte() {
    let server = Server::start().await;
    let mut ana = Client::open_with_frames_of(server.address, 1020).await;
    ana.hello(&server.token("class-7", "ana", Role::Host), None).await;
    // Of two bytes each, so that some are cut.
    let text = "é".repeat(1999);
    for (id, text) in [&text[..], "short", &text[2..]].into_iter().enumerate() {
        ana.act(id as u64, json!({"kind": "chat", "text": text})).await;
    }
    let mut ben = Client::open_with_frames_of(server.address, 1020).await;
    let welcome = ben.hello(&server.token("class-7", "ben", Role::Participant), None).await;
    assert_eq!(welcome["snapshot"]["chat"][0]["text"], text);
}

#[tokio::test]
async fn a_cut_socket_is_resumed_and_nothing_is_missing() {
    let server = Server::start().await;
    let mut ana = server.host("r", "ana").await;
    let token = server.token("r", "ben", Role::Participant);
    let mut ben = Client::open(server.address).await;
    let welcome = ben.hello(&token, None).await;
    drop(ben);
    ana.act(1, json!({"kind": "chat", "text": "one"})).await;
    ana.act(2, json!({"kind": "chat", "text": "two"})).await;
    let mut ben = Client::open(server.address).await;
    let again = ben.hello(&token, Some(resume(&welcome, 2))).await;
    assert_eq!((&again["session"]["resumed"], &again["seq"]), (&json!(true), &json!(2)));
    assert_eq!(ben.event("chat").await["seq"], 3);
    assert_eq!(ben.event("chat").await["seq"], 4);
    // A resumption takes over a socket that is still open, too.
    let mut second = Client::open(server.address).await;
    assert_eq!(second.hello(&token, Some(resume(&again, 4))).await["session"]["resumed"], true);
    assert_eq!(ben.end().await.1, 4001);
    // A wrong secret is no error, but a new session that ends the older one.
    let mut third = Client::open(server.address).await;
    let forged = json!({"session": again["session"]["id"], "secret": "guessed", "after": 4});
    let welcome = third.hello(&token, Some(forged)).await;
    assert_eq!((&welcome["session"]["resumed"], welcome.get("snapshot").is_some()), (&json!(false), true));
    assert_eq!(second.end().await.1, 4002);
}

#[tokio::test]
async fn leaving_being_removed_and_the_end_have_their_codes() {
    let server = Server::start().await;
    let mut ana = server.host("r", "ana").await;
    let mut ben = server.host("r", "ben").await;
    ben.say(json!({"type": "leave"})).await;
    assert_eq!(ben.end().await.1, 1000);
    assert_eq!(ana.event("left").await["reason"], "left");

    let mut eve = Client::open(server.address).await;
    let token = server.token("r", "eve", Role::Participant);
    let id = eve.hello(&token, None).await["you"]["id"].clone();
    assert_eq!(ana.act(1, json!({"kind": "kick", "participant": id})).await["type"], "done");
    assert_eq!(eve.end().await.1, 4003);
    let mut eve = Client::open(server.address).await;
    eve.say(json!({"type": "hello", "protocol": 1, "token": token})).await;
    let (said, code) = eve.end().await;
    assert_eq!((&said[0]["code"], code), (&json!("kicked"), 4003));

    ana.act(2, json!({"kind": "end"})).await;
    assert_eq!(ana.end().await.1, 4004);
}

#[tokio::test]
async fn media_goes_to_the_core_and_its_answers_come_back() {
    let server = Server::start().await;
    let mut ana = server.host("r", "ana").await;
    ana.say(json!({"type": "offer", "id": 3, "sdp": OFFER, "tracks": []})).await;
    // The next reply shows that the offer has been handled.
    ana.act(4, json!({"kind": "hand", "raised": true})).await;
    let participant = server.core.joined.lock().expect("a lock")[0];
    server.feed.core(CoreEvent::Answered { participant, request: 3, answer: Ok("v=0".to_owned()) });
    assert_eq!(ana.until("answer").await, json!({"type": "answer", "re": 3, "sdp": "v=0"}));
    ana.say(json!({"type": "leave"})).await;
    ana.end().await;
    server.rooms.shut_down().await;
    assert_eq!(*server.core.left.lock().expect("a lock"), [participant]);
}

#[tokio::test]
async fn a_slow_reader_is_let_go_and_the_others_go_on() {
    let server = Server::with(|limits| {
        limits.send_queue_bytes = 64 * 1024;
        limits.chat_chars = 60_000;
        limits.farewell = Duration::from_secs(60);
        limits.resume_bytes = 32 * 1024;
        limits.rates.chat = Rate { per_second: 1_000_000, burst: 1_000_000 };
        limits.rates.all = limits.rates.chat;
    })
    .await;
    let mut ana = server.host("r", "ana").await;
    let token = server.token("r", "slow", Role::Participant);
    let mut slow = Client::open_narrow(server.address).await;
    let welcome = slow.hello(&token, None).await;
    // More than all buffers between hold; Ana gets every reply although somebody does not read.
    let text = "x".repeat(50_000);
    for id in 0..200 {
        assert_eq!(ana.act(id, json!({"kind": "chat", "text": text})).await["type"], "done");
    }
    let (said, code) = slow.end().await;
    assert_eq!(code, 4005);
    let seen = said.iter().filter_map(|message| message["seq"].as_u64()).max().unwrap_or(2);
    assert!(seen < 202, "something was dropped");
    // It comes back, and as too much is missing, to the room as it stands.
    let mut slow = Client::open(server.address).await;
    let again = slow.hello(&token, Some(resume(&welcome, seen))).await;
    assert_eq!((&again["session"]["resumed"], &again["seq"]), (&json!(true), &json!(202)));
    assert!(again.get("snapshot").is_some());
}

#[tokio::test]
async fn a_room_that_panics_takes_down_itself_alone() {
    let server = Server::start().await;
    let mut other = server.host("other", "ana").await;
    let mut ana = server.host("r", "ana").await;
    let mut ben = server.host("r", "ben").await;
    ana.say(json!({"type": "offer", "id": 1, "sdp": OFFER, "tracks": []})).await;
    ana.act(2, json!({"kind": "hand", "raised": true})).await;
    ben.say(json!({"type": "offer", "id": PANIC, "sdp": OFFER, "tracks": []})).await;
    assert_eq!((ana.end().await.1, ben.end().await.1), (1011, 1011));
    assert_eq!(other.act(1, json!({"kind": "hand", "raised": true})).await["type"], "done");
    // What the room had in the core was given back; the room begins anew.
    let joined = server.core.joined.lock().expect("a lock").clone();
    let left = server.core.left.lock().expect("a lock").clone();
    assert_eq!((joined.len(), left), (2, joined.clone()));
    let mut ana = Client::open(server.address).await;
    assert_eq!(ana.hello(&server.token("r", "ana", Role::Host), None).await["seq"], 1);
}

#[tokio::test]
async fn the_servers_end_is_told_to_everybody() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for room in ["a", "b"] {
        clients.push(server.host(room, "ana").await);
    }
    let rooms = server.rooms.clone();
    let ended = tokio::spawn(async move { rooms.shut_down().await });
    for client in &mut clients {
        assert_eq!(client.end().await.1, 1001);
    }
    ended.await.expect("the end");
    let mut late = Client::open(server.address).await;
    let token = server.token("a", "ben", Role::Host);
    late.say(json!({"type": "hello", "protocol": 1, "token": token})).await;
    assert_eq!(late.end().await.1, 1001);
}

#[tokio::test]
async fn the_server_takes_no_more_rooms_than_it_may() {
    let server = Server::with(|limits| limits.rooms = 1).await;
    let _ana = server.host("a", "ana").await;
    let mut ben = Client::open(server.address).await;
    ben.say(json!({"type": "hello", "protocol": 1, "token": server.token("b", "ben", Role::Host)})).await;
    let (said, code) = ben.end().await;
    assert_eq!((&said[0]["code"], code), (&json!("server_full"), 4000));
    server.host("a", "ben").await;
}

#[tokio::test]
async fn a_newer_token_is_checked_like_the_first() {
    let server = Server::start().await;
    let mut ben = Client::open(server.address).await;
    ben.hello(&server.token("r", "ben", Role::Participant), None).await;
    let other_room = server.token("s", "ben", Role::Participant);
    let other_person = server.token("r", "eve", Role::Participant);
    for (id, token) in [(1, "no token"), (2, &other_room), (3, &other_person)] {
        ben.say(json!({"type": "token", "id": id, "token": token})).await;
        let error = ben.until("error").await;
        assert_eq!((&error["re"], &error["code"]), (&json!(id), &json!("bad_token")));
    }
    ben.say(json!({"type": "token", "id": 4, "token": server.token("r", "ben", Role::Participant)})).await;
    assert_eq!(ben.until("done").await["re"], 4);
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let server = Server::start().await;
    let mut ben = Client::open(server.address).await;
    let claims = Claims::new("r", "ben", Role::Participant, Duration::from_secs(2));
    ben.hello(&server.tokens.sign(&claims), None).await;
    let (said, code) = ben.end().await;
    assert_eq!((&said.last().expect("a word")["code"], code), (&json!("token_expired"), 4006));
}
