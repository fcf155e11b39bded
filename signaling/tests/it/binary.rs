//! The binary itself, as a process.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use simmer_signaling::protocol::Role;
use simmer_signaling::token::{Claims, SAMPLE_KEY, Tokens};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::client::Client;

fn simmer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simmer"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Starts the server on free ports; where it listens.
async fn serve(data: &str, more: &[&str]) -> (Child, SocketAddr) {
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1", "--data", data];
    arguments.extend(["--metrics-listen", "127.0.0.1:0"]);
    arguments.extend(more);
    let mut child = simmer(&arguments).spawn().expect("a process");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
    stdout.read_line(&mut line).await.expect("a line");
    let url = line.strip_prefix("Simmer is ready: http://").and_then(|rest| rest.strip_suffix("/\n"));
    let address =
        url.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("not ready: {line:?}"));
    (child, address)
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    response
}

async fn ends(mut child: Child) -> Option<i32> {
    let pid = child.id().expect("a running process").to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("a signal");
    assert!(sent.success());
    child.wait().await.expect("an end").code()
}

#[tokio::test]
async fn the_server_records_and_ends_in_good_order() {
    let data = tempfile::tempdir().expect("a folder");
    let (server, address) = serve(data.path().to_str().expect("a path"), &[]).await;
    assert!(get(address, "/healthz", "").await.contains(r#"{"status":"ok"}"#));
    assert!(get(address, "/demo/class", "").await.contains("<!doctype html>"));
    let tokens = Tokens::new(SAMPLE_KEY).expect("a long key");
    let token = tokens.sign(&Claims::new("r", "ana", Role::Host, Duration::from_secs(60)));
    let mut ana = Client::open(address).await;
    ana.hello(&token, None).await;
    ana.act(1, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]})).await;
    assert_eq!(ana.act(2, json!({"kind": "record_start"})).await["type"], "done");
    ana.act(3, json!({"kind": "step_start", "step": 0})).await;
    let (_, goodbye) = {
        let end = tokio::spawn(ends(server));
        let said = ana.end().await;
        assert_eq!(end.await.expect("the end"), Some(0));
        said
    };
    assert_eq!(goodbye, 1001);
    // The recording was finished, not left to the next start.
    let sessions = std::fs::read_dir(data.path().join("sessions")).expect("sessions");
    let session = sessions.map(|entry| entry.expect("an entry").path()).next().expect("a session");
    let events = std::fs::read_to_string(session.join("events.jsonl")).expect("events");
    let kinds: Vec<String> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["kind"]
                .as_str()
                .unwrap_or("")
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["joined", "steps_set", "recording", "step_started", "recording"]);
    assert!(session.join("manifest.json").exists());
}

#[tokio::test]
async fn production_needs_a_key_and_asks_for_tokens() {
    let output = simmer(&["serve", "--production"]).output().await.expect("a process");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sample key"));

    let data = tempfile::tempdir().expect("a folder");
    let key = "a-key-that-nobody-should-ever-see-printed";
    let (server, address) =
        serve(data.path().to_str().expect("a path"), &["--production", "--key", key]).await;
    assert!(get(address, "/", "").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "/demo/class", "").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "/client/client.js", "").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/v1/sessions", "").await.contains(r#"{"sessions":[]}"#));
    assert_eq!(ends(server).await, Some(0));
}

#[tokio::test]
async fn a_printed_token_is_one() {
    let output = simmer(&["token", "--room", "r", "--identity", "ana", "--role", "host", "--name", "Ana"])
        .output()
        .await
        .expect("a process");
    let token = String::from_utf8(output.stdout).expect("text");
    let claims = Tokens::new(SAMPLE_KEY).expect("a long key").verify(token.trim()).expect("a valid token");
    assert_eq!((claims.room.as_str(), claims.sub.as_str(), claims.role), ("r", "ana", Role::Host));
}
