//! A client that says and hears JSON.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_from(address, None).await.expect("a WebSocket")
    }

    /// Opens a WebSocket as a page of `origin` would.
    pub(crate) async fn open_from(
        address: SocketAddr,
        origin: Option<&str>,
    ) -> Result<Self, Box<Response<Option<Vec<u8>>>>> {
        Self::over(TcpStream::connect(address).await.expect("a connection"), address, origin, None).await
    }

    /// Opens a WebSocket that takes frames of so many bytes and no larger ones.
    pub(crate) async fn open_with_frames_of(address: SocketAddr, bytes: usize) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self::over(stream, address, None, Some(bytes)).await.expect("a WebSocket")
    }

    /// Opens a WebSocket that takes little before it is read.
    pub(crate) async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let stream = socket.connect(address).await.expect("a connection");
        Self::over(stream, address, None, None).await.expect("a WebSocket")
    }

    async fn over(
        stream: TcpStream,
        address: SocketAddr,
        origin: Option<&str>,
        max_frame: Option<usize>,
    ) -> Result<Self, Box<Response<Option<Vec<u8>>>>> {
        let mut request = format!("ws://{address}/v1/ws").into_client_request().expect("a request");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("simmer.v1"));
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_str(origin).expect("an origin"));
        }
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(max_frame);
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, response)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], "simmer.v1");
                Ok(Self { socket })
            }
            Err(Error::Http(response)) => Err(response),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        // A server that has closed meanwhile is seen when reading.
        let _ = self.socket.send(Message::text(text)).await;
    }

    pub(crate) async fn say_binary(&mut self, bytes: &[u8]) {
        let _ = self.socket.send(Message::binary(bytes.to_vec())).await;
    }

    /// The next message, or the code the WebSocket was closed with.
    pub(crate) async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something in time");
            match next {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
                None => panic!("the WebSocket ended without a close"),
            }
        }
    }

    /// The next message of a type; others before it are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message =
                self.hear().await.unwrap_or_else(|code| panic!("closed with {code} before `{kind}`"));
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The next event of a kind.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.until("event").await;
            if event["kind"] == kind {
                return event;
            }
        }
    }

    /// Reads to the end: what was said, and the close code.
    pub(crate) async fn end(&mut self) -> (Vec<Value>, u16) {
        let mut said = Vec::new();
        loop {
            match self.hear().await {
                Ok(message) => said.push(message),
                Err(code) => return (said, code),
            }
        }
    }

    pub(crate) async fn hello(&mut self, token: &str, resume: Option<Value>) -> Value {
        let mut hello = json!({"type": "hello", "protocol": 1, "token": token, "name": "Ana"});
        if let Some(resume) = resume {
            hello["resume"] = resume;
        }
        self.say(hello).await;
        self.until("welcome").await
    }

    /// Acts; the reply.
    pub(crate) async fn act(&mut self, id: u64, action: Value) -> Value {
        self.say(json!({"type": "do", "id": id, "action": action})).await;
        loop {
            let message = self.hear().await.unwrap_or_else(|code| panic!("closed with {code}"));
            if message["re"] == id {
                return message;
            }
        }
    }
}

/// What a resumption of this welcome's session says.
pub(crate) fn resume(welcome: &Value, after: u64) -> Value {
    json!({"session": welcome["session"]["id"], "secret": welcome["session"]["secret"], "after": after})
}

/// A hang becomes a failure; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);
