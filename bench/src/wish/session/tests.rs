use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::wish::tls::Trust;

const ANSWER: &str = "v=0\r\n";

fn local() -> Access {
    Access { remote: false, trust: Trust::of_system().expect("it may be empty") }
}

/// A server that gives these responses, one a connection, and tells the requests. `{}` is its own address.
async fn server(responses: &[&str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let responses: Vec<String> = responses.iter().map(|text| text.replace("{}", &address)).collect();
    let served = tokio::spawn(async move {
        let mut requests = Vec::new();
        for response in responses {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let mut read = 0;
            // Bodies here are as long as the header says, and short.
            while !whole(&request[..read]) {
                read += stream.read(&mut request[read..]).await.expect("a request");
            }
            requests.push(String::from_utf8_lossy(&request[..read]).into_owned());
            stream.write_all(response.as_bytes()).await.expect("it reads");
        }
        requests
    });
    (address, served)
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn created(location: &str) -> String {
    response("201 Created", &format!("Content-Type: application/sdp\r\n{location}"), ANSWER)
}

async fn open(address: &str) -> Result<(Session, String)> {
    let url = format!("http://{address}/rooms/whip/r?x=1").parse().expect("an address");
    Session::open(local(), url, Some("secret".into()), "v=0 offer").await
}

async fn refusal(response: &str) -> String {
    let (address, _) = server(&[response]).await;
    format!("{:#}", open(&address).await.expect_err("a refusal"))
}

#[tokio::test]
async fn an_offer_is_posted_and_its_session_deleted_wherever_it_is() {
    for (location, path) in [
        ("/sessions/7", "/sessions/7"),
        ("7?k=v", "/rooms/whip/7?k=v"),
        ("../s/7", "/rooms/s/7"),
        ("http://{}/abs/7", "/abs/7"),
    ] {
        let gone = response("200 OK", "", "");
        let (address, served) = server(&[&created(&format!("Location: {location}\r\n")), &gone]).await;
        let (session, answer) = open(&address).await.expect("it is opened");
        assert_eq!(answer, ANSWER);
        session.end().await.expect("it is ended");
        let requests = served.await.expect("both came");
        let [post, delete] = &requests[..] else { panic!("{requests:?}") };
        assert!(
            post.starts_with("POST /rooms/whip/r?x=1 HTTP/1.1\r\n") && post.ends_with("\r\n\r\nv=0 offer"),
            "{post}"
        );
        assert!(delete.starts_with(&format!("DELETE {path} HTTP/1.1\r\n")), "{delete}");
        for request in [post, delete] {
            let request = request.to_ascii_lowercase();
            assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
            assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
        }
        assert!(post.to_ascii_lowercase().contains("content-type: application/sdp\r\n"), "{post}");
    }
}

#[tokio::test]
async fn a_session_without_a_location_cannot_be_ended() {
    let (address, _) = server(&[&created("")]).await;
    let (session, _) = open(&address).await.expect("it is opened all the same");
    let error = session.end().await.expect_err("there is nothing to DELETE");
    assert!(error.to_string().contains("no Location"), "{error}");
}

#[tokio::test]
async fn redirects_that_keep_the_post_are_followed_on_this_machine() {
    let (end, served) = server(&[&created("Location: s\r\n")]).await;
    let first = response("307 Temporary Redirect", &format!("Location: http://{end}/else/where\r\n"), "");
    let (begin, _) = server(&[&first]).await;
    open(&begin).await.expect("it is opened there");
    let request = served.await.expect("it came").remove(0);
    assert!(request.starts_with("POST /else/where ") && request.ends_with("v=0 offer"), "{request}");
    assert!(request.to_ascii_lowercase().contains("authorization"), "the same machine: {request}");
    let away = response("308 Permanent Redirect", "Location: http://192.0.2.1/whip\r\n", "");
    let why = refusal(&away).await;
    assert!(why.contains("192.0.2.1") && why.contains("not on this machine"), "{why}");
    let why = refusal(&response("302 Found", "Location: /x\r\n", "")).await;
    assert!(why.contains("302") && why.contains("only 307 and 308"), "{why}");
    let round = response("308 Permanent Redirect", "Location: /again\r\n", "");
    let (address, _) = server(&[round.as_str(); 6]).await;
    let why = open(&address).await.expect_err("it has no end");
    assert!(why.to_string().contains("more than 5 times"), "{why}");
}

#[test]
fn a_token_goes_to_no_other_host() {
    let url = |text: &str| -> Url { text.parse().expect("an address") };
    let one = url("http://media.example/whip");
    assert!(same_host(&one, &url("http://media.example:8443/other")));
    assert!(!same_host(&one, &url("http://media.example.org/whip")));
    assert!(!same_host(&one, &url("http://127.0.0.1/whip")));
    assert!(same_host(&url("http://localhost/whip"), &url("http://[::1]:81/")));
}

#[tokio::test]
async fn refusals_are_told_with_their_code_and_sentence() {
    let simmer = r#"{"code":"bad_token","message":"The token does not open this room."}"#;
    let problem = r#"{"type":"about:blank","title":"Gone","detail":"no such stream"}"#;
    for (status, body, told) in [
        ("401 Unauthorized", simmer, "401 bad_token: The token does not open this room."),
        ("404 Not Found", problem, "404 about:blank: no such stream"),
        ("400 Bad Request", r#"{"error":"invalid SDP"}"#, "400 invalid SDP"),
        ("503 Service Unavailable", "busy\nmore", "503 busy"),
        ("500 Internal Server Error", "", "500 Internal Server Error"),
    ] {
        let why = refusal(&response(status, "", body)).await;
        assert!(why.ends_with(&format!("refused the offer: {told}")), "{why}");
    }
    let counter = response("406 Not Acceptable", "Content-Type: application/sdp; x=y\r\n", "v=0\r\n");
    assert!(refusal(&counter).await.contains("406 with an offer of its own"));
    assert!(refusal(&response("406 Not Acceptable", "", "no codec")).await.ends_with("406 no codec"));
    assert!(
        refusal(&response("200 OK", "Content-Type: application/sdp\r\n", ANSWER))
            .await
            .contains("answer 201")
    );
    assert!(refusal(&response("201 Created", "", "<html>")).await.contains("without a session description"));
    assert!(refusal("HTTP/1.1 201 Cre").await.contains("no answer"));
}
