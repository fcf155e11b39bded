//! Whole fan-out runs against the media core.

#[path = "../../examples/bare_host/host.rs"]
mod host;

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser as _;
use simmer_bench::args::{Cli, Command, FanoutArgs};
use simmer_bench::attack;
use simmer_bench::fanout;
use simmer_bench::link::LinkConfig;
use simmer_bench::relay::Relay;
use simmer_bench::report::Report;

use crate::host::Host;

fn args(words: &[&str]) -> FanoutArgs {
    let words =
        ["simmer-bench", "fanout", "--warmup", "0", "--duration", "2", "--threads", "1"].iter().chain(words);
    let Command::Fanout(args) = Cli::try_parse_from(words).expect("valid words").command else {
        panic!("fanout was asked for")
    };
    args
}

async fn run(host: &Host, words: &[&str]) -> Report {
    let mut args = args(words);
    args.url = format!("http://{}", host.address);
    fanout::run(args).await.expect("the run measures something")
}

async fn start() -> Host {
    Host::start(([127, 0, 0, 1], 0).into()).await.expect("two free ports")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_published_arrives_and_is_verified() {
    let host = start().await;
    let report = run(&host, &["--publishers", "2", "--subscribers", "3", "--audio", "--max-loss", "0"]).await;
    assert!(report.is_met(), "{report}");
    assert_eq!((report.joins.joined, report.video.streams_whole), (3, 6), "{report}");
    assert!(report.video.received > 1000 && report.video.received == report.video.expected, "{report}");
    let audio = report.audio.as_ref().expect("audio was asked for");
    assert!(audio.received > 500 && audio.received == audio.expected, "{report}");
    assert_eq!(report.feedback.unknown_ssrc + report.feedback.complaints, 0, "{report}");
    // Two seconds and more of feedback every 100 ms from each of three.
    assert!(report.feedback.transport_feedback >= 3 * 20, "{report}");
    // The server may send before a client has made its keys of the handshake's last flight: a frame or two.
    assert!(report.feedback.undecryptable <= 3 * 20, "{report}");
    assert!(report.joins.join_ms.count == 3 && report.latency_us.count == report.video.received, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_over_ipv6() {
    let host = Host::start((Ipv6Addr::LOCALHOST, 0).into()).await.expect("two free ports on ::1");
    let report =
        run(&host, &["--publishers", "2", "--subscribers", "2", "--max-loss", "0", "--feedback-ms", "0"])
            .await;
    assert!(report.is_met(), "{report}");
    assert_eq!((report.joins.joined, report.video.streams_whole), (2, 4), "{report}");
    assert_eq!(report.feedback.transport_feedback, 0, "none was negotiated: {report}");
    assert!(report.video.received > 500 && report.video.received == report.video.expected, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bad_link_loses_is_recovered() {
    let host = start().await;
    let config = LinkConfig {
        loss: 0.02,
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(2),
        seed: 4,
        ..LinkConfig::default()
    };
    let relay = Relay::bind(([127, 0, 0, 1], 0).into(), host.address, config, config).expect("a free port");
    let port = relay.local_addr().port().to_string();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || relay.run(&stopped));
    let report = run(&host, &["--subscribers", "2", "--media-port", &port, "--max-loss", "1"]).await;
    stop.store(true, Ordering::Relaxed);
    let stats = thread.join().expect("no panic").expect("no error");
    assert!(stats.down.lost > 0 && stats.clients == 3, "{stats:?}");
    assert!(report.is_met(), "{report}");
    assert!(report.video.recovered > 0 && report.feedback.nacked > 0, "{report}");
    assert!(report.latency_us.min >= 16_000.0, "both ways through the link: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_is_a_failed_run() {
    let mut args = args(&["--subscribers", "1"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    args.url = format!("http://{free}");
    let error = fanout::run(args).await.expect_err("nobody listens there");
    assert!(format!("{error:#}").contains("no server"), "{error:#}");
}

/// Every attack for a moment. What takes how long is not for here: only that each is made, and harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn attacks_are_made_and_the_call_goes_on() {
    let host = start().await;
    let words = ["--length-ms", "300", "--subscribers", "2", "--joins", "1", "--rate", "2000"];
    let generous = ["--max-join-factor", "1000", "--max-growth-mib", "100000", "--max-answer-ms", "1000000"];
    let words = ["simmer-bench", "attack"].iter().chain(&words).chain(&generous);
    let Command::Attack(mut args) = Cli::try_parse_from(words).expect("valid words").command else {
        panic!("attack was asked for")
    };
    args.url = format!("http://{}", host.address);
    let report = attack::run(&args).await.expect("the honest call comes about");
    assert!(report.is_met(), "{report}");
    assert_eq!(report.attacks.len(), 15, "{report}");
    let [quiet, attacks @ ..] = &report.attacks[..] else { panic!("nothing was done") };
    assert_eq!((quiet.attack, quiet.sent, quiet.joined), ("none", 0, 1), "{report}");
    assert!(attacks.iter().all(|row| row.sent > 10 && row.joined == 1), "{report}");
}
