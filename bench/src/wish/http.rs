//! One request over HTTP/1.1 and its response, on a connection of its own, with TLS or without.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::wish::tls::Trust;

/// Which hosts may be asked.
#[derive(Clone, Debug)]
pub struct Access {
    /// Also those that are not this machine.
    pub remote: bool,
    /// Who vouches for those that are asked over TLS.
    pub trust: Trust,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// POST or DELETE.
    pub method: Method,
    /// Where.
    pub url: &'a Url,
    /// The bearer token, if there is one.
    pub bearer: Option<&'a str>,
    /// The offer, if there is one.
    pub offer: Option<&'a str>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Access {
    /// The host's address, IPv4 first.
    ///
    /// # Errors
    /// Another scheme than `http` and `https`, an unknown host, or one that may not be asked.
    pub async fn address(&self, url: &Url) -> Result<SocketAddr> {
        ensure!(
            ["http", "https"].contains(&url.scheme()),
            "{url} is neither http:// nor https://, and the bench speaks nothing else"
        );
        let port = url.port_or_known_default().unwrap_or(80);
        let found: Vec<SocketAddr> = match url.host().with_context(|| format!("{url} names no host"))? {
            Host::Ipv4(ip) => vec![(ip, port).into()],
            Host::Ipv6(ip) => vec![(ip, port).into()],
            Host::Domain(name) => tokio::net::lookup_host((name, port))
                .await
                .with_context(|| format!("the host of {url}"))?
                .collect(),
        };
        let local = found.iter().all(|address| address.ip().is_loopback());
        ensure!(self.remote || local, "{url} is not on this machine; --allow-remote allows that");
        let address = found.into_iter().min_by_key(SocketAddr::is_ipv6);
        address.with_context(|| format!("{url} has no address"))
    }

    /// Asks, and reads the whole response.
    ///
    /// # Errors
    /// A host that may not be asked, is not there or is not who it should be, no response within 10 s, or one that is too long.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Reply> {
        let (method, url) = (ask.method.clone(), ask.url);
        let asked = tokio::time::timeout(PATIENCE, self.ask_patiently(ask)).await;
        asked.unwrap_or_else(|_| bail!("no answer in time")).with_context(|| format!("{method} {url}"))
    }

    async fn ask_patiently(&self, ask: Ask<'_>) -> Result<Reply> {
        let address = self.address(ask.url).await?;
        let stream = TcpStream::connect(address).await.with_context(|| format!("no server at {address}"))?;
        stream.set_nodelay(true)?;
        match ask.url.scheme() {
            "https" => exchange(self.trust.secure(ask.url, stream).await?, ask).await,
            _ => exchange(stream, ask).await,
        }
    }
}

async fn exchange<S>(stream: S, ask: Ask<'_>) -> Result<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let sent = sender.send_request(request(&ask)?).await;
        let response = sent.map_err(|error| {
            let why = unanswered(&error, ask.url);
            anyhow::Error::new(error).context(why)
        })?;
        read(response).await
    };
    // What ends the connection ends the answer, and is told there.
    tokio::select! {
        reply = answered => reply,
        _ = async { drop(connection.await); std::future::pending::<()>().await } => bail!("no answer"),
    }
}

fn unanswered(error: &hyper::Error, url: &Url) -> &'static str {
    match error.is_parse() {
        true if url.scheme() == "http" => "what answers there speaks no HTTP; is it https://?",
        true => "what answers there speaks no HTTP",
        // Servers that take something else for TLS answer with an alert, or just go.
        false if error.is_incomplete_message() && url.scheme() == "http" => "no answer; is it https://?",
        false => "no answer",
    }
}

fn request(ask: &Ask<'_>) -> Result<Request<Full<Bytes>>> {
    let url = ask.url;
    let host = url.host_str().context("no host")?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(path)
        .header(HOST, authority)
        .header(CONNECTION, "close");
    if let Some(token) = ask.bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if ask.offer.is_some() {
        request = request.header(CONTENT_TYPE, SDP).header(ACCEPT, SDP);
    }
    let body = ask.offer.map(|offer| Bytes::copy_from_slice(offer.as_bytes())).unwrap_or_default();
    request.body(Full::new(body)).context("a request that cannot be written")
}

async fn read(response: Response<Incoming>) -> Result<Reply> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST_BODY).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Reply { status: head.status, headers: head.headers, body })
}

impl Reply {
    /// A header's value, if it is text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the body is a session description, by its media type.
    pub fn is_sdp(&self) -> bool {
        let named = self.header(CONTENT_TYPE).and_then(|value| value.split(';').next());
        named.is_some_and(|named| named.trim().eq_ignore_ascii_case(SDP))
    }

    /// What a refusal says: the status, and of the body the stable code and the sentence that JSON has, or its first line.
    pub fn refusal(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let field =
            |names: &[&str]| names.iter().find_map(|name| json.get(name)?.as_str().map(str::to_owned));
        // Simmer's own, then RFC 9457, then what is common.
        let said = match (field(&["code", "type", "error"]), field(&["message", "detail", "title"])) {
            (Some(code), Some(text)) => format!("{code}: {text}"),
            (Some(text), None) | (None, Some(text)) => text,
            (None, None) => self.body.lines().next().unwrap_or_default().to_owned(),
        };
        let mut said: String = said.trim().chars().filter(|c| !c.is_control()).take(LONGEST_SAYING).collect();
        if said.is_empty() {
            said = self.status.canonical_reason().unwrap_or("no reason given").to_owned();
        }
        format!("{} {said}", self.status.as_u16())
    }
}

/// The media type of offers and answers.
pub const SDP: &str = "application/sdp";
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_BODY: usize = 512 * 1024;
const LONGEST_SAYING: usize = 200;
