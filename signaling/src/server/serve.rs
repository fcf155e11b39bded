//! The server's life: start in order, say so, end in order.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::routing::get;
use axum::serve::ListenerExt;
use prometheus::{IntGaugeVec, Opts};
use simmer_recorder::{RecorderConfig, SessionId, Store};
use simmer_sfu::{Sfu, StartError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing_subscriber::EnvFilter;

use super::config::{Config, LogFormat};
use super::core_metrics::CoreMetrics;
use super::media_report;
use super::recording::DiskRecorder;
use super::{demo_class, pages, print};
use crate::http::{Signaling, refusal};
use crate::limits::Limits;
use crate::media_core::MediaCore;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::session::{Feed, Rooms, RoomsConfig, feed};
use crate::token::Tokens;

/// Runs until SIGINT or SIGTERM.
pub(super) fn run(config: Config) -> anyhow::Result<()> {
    start_log(config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    if config.key.is_sample() {
        tracing::warn!(
            "THE SAMPLE KEY IS IN USE: ANYBODY CAN MAKE TOKENS. Set a key of your own with --key or SIMMER_KEY."
        );
    }
    let metrics = Metrics::new();
    let tokens = config.tokens()?;
    let (feed, told) = feed(&metrics);
    let (listener, core) = bind(&config, &feed).await?;
    let address = listener.local_addr()?;
    let media_core: Arc<dyn MediaCore> = Arc::new(core.clone());

    let (data, for_recorder, feed_for_recorder) =
        (RecorderConfig::new(&config.data), Arc::clone(&media_core), feed);
    let metrics_for_recorder = metrics.clone();
    let recorder = tokio::task::spawn_blocking(move || {
        DiskRecorder::open(data, for_recorder, feed_for_recorder, &metrics_for_recorder)
    })
    .await?
    .context("cannot open the recordings")?;
    let recorder = Arc::new(recorder);

    let limits = Limits { room_size: config.room_size, ..Limits::default() };
    let rooms = Rooms::start(
        RoomsConfig {
            limits: Arc::new(limits),
            core: media_core,
            recorder: Some(Arc::clone(&recorder) as Arc<dyn Recorder>),
            metrics: metrics.clone(),
        },
        told,
    );
    let metrics_listener = TcpListener::bind(config.metrics_listen)
        .await
        .with_context(|| format!("cannot bind {}/tcp for metrics", config.metrics_listen))?;
    let metrics_address = metrics_listener.local_addr()?;
    register_metrics(&metrics, &core);

    let (stop, stopped) = watch::channel(false);
    let routes = routes(&config, &rooms, &tokens, recorder.recorder().store().clone());
    let http = tokio::spawn(listen(listener, routes, stopped.clone()));
    let scrapes = tokio::spawn(listen(
        metrics_listener,
        metrics_routes(metrics).merge(media_report::routes(core.clone())),
        stopped,
    ));
    tracing::info!(http = %address, media = %core.local_addr(), metrics = %metrics_address, workers = config.workers(), "ready");
    print(&format!("Simmer is ready: http://{address}/\n"))?;

    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    tracing::info!("ending");
    // Sessions first: nobody is let in any more, everybody is told, recordings get their last event.
    if tokio::time::timeout(SESSIONS_END, rooms.shut_down()).await.is_err() {
        tracing::warn!("some sessions did not end in time");
    }
    let _ = stop.send(true);
    let recordings = recorder.recorder().clone();
    let finished = tokio::task::spawn_blocking(move || {
        recordings.shutdown();
        core.shutdown();
    });
    if tokio::time::timeout(RECORDINGS_END, finished).await.is_err() {
        tracing::warn!("recordings are not finished yet: the next start completes them");
    }
    let _ = tokio::time::timeout(HTTP_END, async { (http.await, scrapes.await) }).await;
    tracing::info!("ended");
    Ok(())
}

/// HTTP and media on one port number. When any port will do, pairs are tried until both are free.
async fn bind(config: &Config, feed: &Feed) -> anyhow::Result<(TcpListener, Sfu)> {
    let any = config.listen.port() == 0 && config.media_listen.is_none();
    let mut attempts = if any { 16 } else { 1 };
    loop {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot bind {}/tcp", config.listen))?;
        let port = listener.local_addr()?.port();
        let listen = config.media_listen.unwrap_or(SocketAddr::new(every_address(config), port));
        let advertise =
            if config.advertise.is_empty() { local_addresses(listen.ip()) } else { config.advertise.clone() };
        let events = feed.clone();
        let started = Sfu::start(
            simmer_sfu::Config {
                listen,
                advertise,
                workers: config.workers(),
                limits: simmer_sfu::Limits::default(),
            },
            Box::new(move |event| events.core(event)),
        );
        attempts -= 1;
        match started {
            Ok(core) => return Ok((listener, core)),
            Err(StartError::Bind { .. }) if attempts > 0 => {}
            Err(error) => return Err(error).context("cannot start the media core"),
        }
    }
}

/// Where media listens when nobody says: on IPv4, and on both families when HTTP or what is advertised has IPv6.
fn every_address(config: &Config) -> IpAddr {
    if config.listen.is_ipv6() || config.advertise.iter().any(IpAddr::is_ipv6) {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// What clients are told when nobody says: loopback and each address of this machine that the socket listens on.
fn local_addresses(listen: IpAddr) -> Vec<IpAddr> {
    if !listen.is_unspecified() {
        return vec![listen];
    }
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    if listen.is_ipv6() {
        addresses.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the local addresses cannot be read; name them with --advertise");
        Vec::new()
    });
    for address in interfaces.iter().map(if_addrs::Interface::ip) {
        let usable = match address {
            IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_loopback(),
            IpAddr::V6(v6) => listen.is_ipv6() && !v6.is_unicast_link_local() && !v6.is_loopback(),
        };
        if usable && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn routes(config: &Config, rooms: &Rooms, tokens: &Tokens, store: Store) -> Router {
    let signaling = Signaling {
        rooms: rooms.clone(),
        tokens: tokens.clone(),
        allowed_origins: config.allow_origin.clone().into(),
    };
    let (production, readers, recorded) = (config.production, tokens.clone(), store.clone());
    let authorize = move |headers: &HeaderMap, id: &SessionId| {
        !production || may_replay(headers, &readers, || recorded.summary(id).map(|session| session.room))
    };
    let mut routes = signaling
        .routes()
        .merge(simmer_recorder::http::routes(store, Arc::new(authorize)))
        .merge(pages::client());
    if !config.production {
        routes = routes.merge(pages::demos()).merge(demo_class::routes(tokens.clone()));
    }
    routes.fallback(|| async { refusal(StatusCode::NOT_FOUND, "not_found", "There is nothing here.") }).layer(
        SetResponseHeaderLayer::overriding(pages::NO_SNIFF.0, HeaderValue::from_static(pages::NO_SNIFF.1)),
    )
}

/// Whether a request has a token for the session's room.
fn may_replay(headers: &HeaderMap, tokens: &Tokens, room: impl FnOnce() -> Option<String>) -> bool {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .and_then(|token| tokens.verify(token).ok())
        .is_some_and(|claims| room().is_some_and(|room| room == claims.room))
}

fn metrics_routes(metrics: Metrics) -> Router {
    Router::new().route(
        "/metrics",
        get(move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.text()) }),
    )
}

fn register_metrics(metrics: &Metrics, core: &Sfu) {
    if let Err(error) = metrics.registry().register(Box::new(CoreMetrics::new(core.clone()))) {
        tracing::error!(%error, "the media core's metrics cannot be registered");
    }
    let build: IntGaugeVec = metrics
        .add(IntGaugeVec::new(Opts::new("simmer_build_info", "Which version runs; always 1."), &["version"]));
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
}

async fn listen(listener: TcpListener, routes: Router, mut stopped: watch::Receiver<bool>) {
    let ended = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    // A message in several frames, or one right after another, is not held back until the client has acknowledged what was before it.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(ended).await {
        tracing::error!(%error, "HTTP ended");
    }
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL_LOG));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// What the DTLS stack warns of: extensions of every browser's that it does not know.
const USUAL_LOG: &str = "info,rtc_dtls=error";
const SESSIONS_END: Duration = Duration::from_secs(3);
const RECORDINGS_END: Duration = Duration::from_secs(5);
const HTTP_END: Duration = Duration::from_millis(500);
