//! Members that come by WHIP and WHEP over TLS, and servers that they do not talk to.

use std::net::SocketAddr;
use std::path::Path;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use simmer_bench::report::Report;
use simmer_bench::wish::http::Access;
use simmer_bench::wish::session::Session;
use simmer_bench::wish::tls::Trust;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::front::{Authority, Front, Identity, authority, expired, own, params};
use crate::site::Site;
use crate::wish::run;

const LOCAL: [&str; 2] = ["127.0.0.1", "localhost"];

/// One publishes, two watch, for a second.
async fn fanout(front: &str, ca: Option<&Path>) -> anyhow::Result<Report> {
    let of = |protocol: &str| format!("{front}/v1/{protocol}/{{room}}");
    let (whip, whep) = (of("whip"), of("whep"));
    let ca = ca.map(|file| file.to_string_lossy().into_owned());
    let mut words = vec!["fanout", "--subscribers", "2", "--duration", "1", "--max-loss", "0"];
    words.extend(["--whip", &whip, "--whep", &whep]);
    if let Some(ca) = &ca {
        words.extend(["--ca", ca]);
    }
    run(&words).await
}

/// What is said when a session cannot be opened at that address.
async fn refusal(url: &str, trust: Trust) -> String {
    let url = url.parse().expect("an address");
    let opened = Session::open(Access { remote: false, trust }, url, None, "v=0 offer").await;
    format!("{:#}", opened.expect_err("a refusal"))
}

fn by(authority: &Authority) -> Trust {
    Trust::of_file(authority.file()).expect("it names one")
}

fn named(file: &NamedTempFile) -> Trust {
    Trust::of_file(file.path()).expect("it names one")
}

/// Where nobody is behind it, since nobody should come through.
async fn shown(identity: Identity) -> String {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    format!("https://{}/whip", Front::start(identity, nobody).await.address)
}

/// A server that sends everybody elsewhere; `{path}` in `to` is the path that was asked for.
async fn redirecting(to: &str) -> SocketAddr {
    let to = to.to_owned();
    let elsewhere = axum::Router::new().fallback(move |asked: axum::http::Uri| {
        let to = to.replace("{path}", asked.path());
        async move { (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]) }
    });
    serve(elsewhere).await
}

async fn serve(routes: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_over_tls() {
    let (site, authority) = (Site::start().await, Authority::new("ours"));
    let front = Front::start(authority.vouches_for(&LOCAL), site.address).await;
    let report =
        fanout(&format!("https://{}", front.address), Some(authority.file())).await.expect("it measures");
    assert!(report.is_met(), "{report}");
    let video = report.video.as_ref().expect("video");
    assert!(video.streams_whole == 2 && video.received == video.expected, "{report}");
    assert!(video.received > 2 * 100 && report.joins.joined == 2, "{report}");
    assert_eq!((site.opened_and_ended(), report.feedback.complaints), ((3, 3), 0), "{report}");
    // Three offers and three goodbyes.
    assert_eq!(front.whole_handshakes(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_trusted_vouches_for_is_told_nothing() {
    let (site, authority) = (Site::start().await, Authority::new("ours"));
    let front = Front::start(authority.vouches_for(&LOCAL), site.address).await;
    let url = format!("https://{}", front.address);
    let error = format!("{:#}", fanout(&url, None).await.expect_err("it is a stranger"));
    assert!(
        error.contains("no authority that this machine trusts") && error.contains("--ca FILE"),
        "{error}"
    );
    for name in ["another", "ours"] {
        let another = Authority::new(name);
        let error = format!("{:#}", fanout(&url, Some(another.file())).await.expect_err("it is a stranger"));
        assert!(error.contains("nothing in the file of --ca"), "{name}: {error}");
    }
    assert_eq!((front.whole_handshakes(), site.opened_and_ended()), (0, (0, 0)));
}

#[tokio::test]
async fn a_certificate_must_be_for_the_host_and_the_time() {
    let authority = Authority::new("ours");
    let url = shown(authority.vouches_for(&["media.example"])).await;
    let why = refusal(&url, by(&authority)).await;
    assert!(why.contains("not for the host that was asked") && why.contains("media.example"), "{why}");
    let by_name = shown(authority.vouches_for(&["127.0.0.1"])).await.replace("127.0.0.1", "localhost");
    let why = refusal(&by_name, by(&authority)).await;
    assert!(why.contains("not for the host that was asked") && why.contains("localhost"), "{why}");
    let url = shown(authority.vouched_for(&LOCAL)).await;
    let why = refusal(&url, by(&authority)).await;
    assert!(why.contains("not valid at this time") && why.contains("expired"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_vouch_for_itself_where_it_is_named() {
    let site = Site::start().await;
    for said in [params(&LOCAL), authority(&LOCAL)] {
        let (identity, file) = own(&said);
        let front = Front::start(identity, site.address).await;
        let url = format!("https://localhost:{}/v1/whip/r", front.address.port());
        let why = refusal(&url, named(&file)).await;
        assert!(why.contains("401 bad_token"), "it came through: {why}");
        // Another of the same name is another.
        let why = refusal(&url, named(&own(&said).1)).await;
        assert!(why.contains("nothing in the file of --ca"), "{why}");
        let why = refusal(&url, Trust::of_system().expect("it may be empty")).await;
        assert!(why.contains("no authority that this machine trusts"), "{why}");
        assert_eq!(front.whole_handshakes(), 1);
    }
    for (said, reason) in [
        (authority(&["media.example"]), "not for the host that was asked"),
        (authority(&[]), "not for the host that was asked"),
        (expired(authority(&LOCAL)), "not valid at this time"),
    ] {
        let (identity, file) = own(&said);
        let why = refusal(&shown(identity).await, named(&file)).await;
        assert!(why.contains(reason), "{why}");
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let authority_of_others = Authority::new("ours");
    for version in [&TLS12, &TLS13] {
        let (own, file) = own(&authority(&LOCAL));
        let vouched = authority_of_others.vouches_for(&LOCAL);
        for (identity, trust) in [(own, named(&file)), (vouched, by(&authority_of_others))] {
            let front = Front::speaking(&[version], identity.without_its_key(), nobody).await;
            let why = refusal(&format!("https://{}/whip", front.address), trust).await;
            assert!(why.contains("vouches for the server's certificate: "), "{why}");
            assert!(why.ends_with("BadSignature") && front.whole_handshakes() == 0, "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_scheme_is_told() {
    let (site, authority) = (Site::start().await, Authority::new("ours"));
    let why = refusal(&format!("https://{}/v1/whip/r", site.address), by(&authority)).await;
    assert!(why.contains("speaks no TLS; is it http://?"), "{why}");
    let url = shown(authority.vouches_for(&LOCAL)).await.replace("https://", "http://");
    let why = refusal(&url, by(&authority)).await;
    assert!(why.contains("speaks no HTTP; is it https://?"), "{why}");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/whip", silent.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = silent.accept().await.expect("a connection");
        stream.read_u8().await.expect("a request");
        stream.shutdown().await.expect("it is closed");
        stream.read_to_end(&mut Vec::new()).await
    });
    let why = refusal(&url, by(&authority)).await;
    assert!(why.contains("no answer; is it https://?"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_to_tls_and_never_from_it() {
    let (site, authority) = (Site::start().await, Authority::new("ours"));
    let front = Front::start(authority.vouches_for(&LOCAL), site.address).await;
    let plain = redirecting(&format!("https://{}{{path}}", front.address)).await;
    let secure = Front::start(authority.vouches_for(&LOCAL), plain).await;
    for begin in [format!("http://{plain}"), format!("https://{}", secure.address)] {
        // With the token, or nobody would get in.
        let report = fanout(&begin, Some(authority.file())).await.expect("it measures");
        assert!(report.is_met() && report.joins.joined == 2, "{report}");
    }
    assert_eq!((secure.whole_handshakes(), front.whole_handshakes()), (3, 12));
    assert_eq!(site.opened_and_ended(), (6, 6));
    for (to, reason) in [
        (format!("http://{}{{path}}", site.address), "is not https://"),
        (
            "https://192.0.2.1/whip".to_owned(),
            "https://192.0.2.1/whip is not on this machine; --allow-remote",
        ),
    ] {
        let away = Front::start(authority.vouches_for(&LOCAL), redirecting(&to).await).await;
        let why = refusal(&format!("https://{}/whip", away.address), by(&authority)).await;
        assert!(why.contains(reason), "{why}");
        assert_eq!(away.whole_handshakes(), 1);
    }
    assert_eq!(site.opened_and_ended(), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_over_tls_is_not_ended_without() {
    let authority = Authority::new("ours");
    let opened = axum::Router::new().fallback(|| async {
        let headers = [(CONTENT_TYPE, "application/sdp"), (LOCATION, "http://127.0.0.1/session")];
        (StatusCode::CREATED, headers, "v=0\r\n")
    });
    let front = Front::start(authority.vouches_for(&LOCAL), serve(opened).await).await;
    let url = format!("https://{}/whip", front.address).parse().expect("an address");
    let access = Access { remote: false, trust: by(&authority) };
    let (session, _) =
        Session::open(access, url, None, "v=0 offer").await.expect("it is opened all the same");
    let error = session.end().await.expect_err("that would be in the open");
    assert!(error.to_string().contains("http://127.0.0.1/session is not https://"), "{error}");
}
