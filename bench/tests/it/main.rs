//! Whole fan-out runs against the media core.

mod front;
#[path = "../../examples/bare_host/host.rs"]
mod host;
mod site;
mod tls;
mod wish;

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser as _;
use simmer_bench::args::{Cli, Command, FanoutArgs, PlayArgs};
use simmer_bench::attack;
use simmer_bench::link::LinkConfig;
use simmer_bench::load;
use simmer_bench::ramp::{self, RampReport};
use simmer_bench::relay::Relay;
use simmer_bench::report::{Media, Report};
use simmer_bench::scenario::Scenario;
use simmer_bench::stolen::Stolen;

use crate::host::Host;
use crate::site::Site;

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
    args.options.url = format!("http://{}", host.address);
    load::play(args.scenario(), args.options).await.expect("the run measures something").report()
}

fn video(report: &Report) -> &Media {
    report.video.as_ref().expect("video is sent")
}

async fn start() -> Host {
    Host::start(([127, 0, 0, 1], 0).into()).await.expect("two free ports")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_published_arrives_and_is_verified() {
    let host = start().await;
    let report = run(&host, &["--publishers", "2", "--subscribers", "3", "--audio", "--max-loss", "0"]).await;
    assert!(report.is_met(), "{report}");
    assert_eq!(report.stolen_percent.is_some(), Stolen::now().is_some(), "{report}");
    assert_eq!((report.joins.joined, video(&report).streams_whole), (3, 6), "{report}");
    assert!(video(&report).received > 1000 && video(&report).received == video(&report).expected, "{report}");
    let audio = report.audio.as_ref().expect("audio was asked for");
    assert!(audio.received > 500 && audio.received == audio.expected, "{report}");
    assert_eq!(report.feedback.unknown_ssrc + report.feedback.complaints, 0, "{report}");
    // Two seconds and more of feedback every 100 ms from each of three.
    assert!(report.feedback.transport_feedback >= 3 * 20, "{report}");
    // The server may send before a client has made its keys of the handshake's last flight: a frame or two.
    assert!(report.feedback.undecryptable <= 3 * 20, "{report}");
    assert!(
        report.joins.join_ms.count == 3 && report.latency_us.count == video(&report).received,
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_over_ipv6() {
    let host = Host::start((Ipv6Addr::LOCALHOST, 0).into()).await.expect("two free ports on ::1");
    let report =
        run(&host, &["--publishers", "2", "--subscribers", "2", "--max-loss", "0", "--feedback-ms", "0"])
            .await;
    assert!(report.is_met(), "{report}");
    assert_eq!((report.joins.joined, video(&report).streams_whole), (2, 4), "{report}");
    assert_eq!(report.feedback.transport_feedback, 0, "none was negotiated: {report}");
    assert!(video(&report).received > 500 && video(&report).received == video(&report).expected, "{report}");
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
    assert!(video(&report).recovered > 0 && report.feedback.nacked > 0, "{report}");
    assert!(report.latency_us.min >= 16_000.0, "both ways through the link: {report}");
}

async fn play(host: &Host, words: &[&str]) -> Report {
    let words = ["simmer-bench", "run"].iter().chain(words);
    let Command::Run(args) = Cli::try_parse_from(words).expect("valid words").command else {
        panic!("run was asked for")
    };
    let PlayArgs { mut options, .. } = args.clone();
    options.url = format!("http://{}", host.address);
    options.threads = Some(1);
    let scenario = args.scenario().expect("a scenario").expect("one is named");
    load::play(scenario, options).await.expect("the run measures something").report()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_meeting_everybody_sees_and_hears_all_others() {
    let host = start().await;
    let words = ["meeting", "--count", "member=4", "--warmup", "0", "--duration", "2"];
    let report = play(&host, &words).await;
    assert!(report.is_met(), "{report}");
    let audio = report.audio.as_ref().expect("audio is sent");
    assert_eq!((video(&report).streams_whole, audio.streams_whole), (12, 12), "{report}");
    assert!(video(&report).received > 12 * 60 && audio.received > 12 * 80, "{report}");
    // Who came first has nobody to see, or another one whose joining was quicker.
    assert!(report.joins.joined == 4 && (3..=4).contains(&report.joins.join_ms.count), "{report}");
    assert!(report.av_offset_ms.count > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_counts_what_it_does_not_open() {
    let host = start().await;
    let counts = ["--count", "fan=1", "--count", "crowd=3"];
    let report = play(&host, &[&["crowd", "--warmup", "0", "--duration", "2"], &counts[..]].concat()).await;
    assert!(report.is_met(), "{report}");
    let verified = report.latency_us.count;
    assert!(verified > 200, "{report}");
    // All four have the same, give or take what is on its way at the window's ends; one of them is verified.
    assert!(video(&report).received.abs_diff(verified * 4) < 3 * 40, "{report}");
    assert_eq!(video(&report).streams_whole, 4, "{report}");
    assert!(report.feedback.transport_feedback >= 4 * 20, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_hear_all_speakers() {
    let host = start().await;
    let counts = ["--count", "speaker=3", "--count", "listener=2"];
    let report = play(&host, &[&["panel", "--warmup", "0", "--duration", "2"], &counts[..]].concat()).await;
    assert!(report.is_met(), "{report}");
    assert!(report.video.is_none(), "{report}");
    let audio = report.audio.as_ref().expect("audio is sent");
    assert!(audio.streams_whole == 6 && audio.received == audio.expected, "{report}");
    assert_eq!(report.latency_us.count, audio.received, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_comes_again_and_new_ones_drop_in() {
    let host = start().await;
    let text = r#"
        name = "churn"
        warmup_s = 0
        duration_s = 4
        [[group]]
        name = "creator"
        count = 1
        video = { bitrate = 500_000 }
        [[group]]
        name = "regular"
        count = 1
        sees = "all"
        [[group]]
        name = "returning"
        count = 2
        sees = "all"
        stay_s = 0.5
        away_s = 0.1
        [[group]]
        name = "passer-by"
        arrivals_per_s = 4.0
        stay_s = 0.3
        sees = "all"
    "#;
    let mut options = args(&[]).options;
    options.url = format!("http://{}", host.address);
    let scenario = Scenario::parse(text).expect("valid");
    let report = load::play(scenario, options).await.expect("it measures").report();
    assert!(report.is_met(), "{report}");
    // A regular, two who were there at least twice, and several passers-by.
    assert!(report.joins.joined >= 1 + 4 + 4, "{report}");
    assert_eq!(video(&report).received, video(&report).expected, "{report}");
    assert!(video(&report).expected > 4 * 30, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_connects_is_counted_by_connections() {
    let host = start().await;
    let words = ["idle", "--rooms", "1", "--count", "guest=5", "--warmup", "0", "--duration", "1"];
    let report = play(&host, &words).await;
    assert!(report.is_met(), "{report}");
    assert_eq!((report.joins.joined, report.joins.join_ms.count), (5, 5), "{report}");
}

async fn ramp(host: &Host, words: &[&str]) -> RampReport {
    let words =
        ["simmer-bench", "ramp", "--step-s", "0.5", "--settle-s", "0", "--threads", "1"].iter().chain(words);
    let Command::Ramp(mut args) = Cli::try_parse_from(words).expect("valid words").command else {
        panic!("ramp was asked for")
    };
    args.options.url = format!("http://{}", host.address);
    ramp::run(args).await.expect("it measures")
}

#[tokio::test(flavor = "multi_thread")]
async fn members_grow_until_a_limit_is_passed_or_none_is_left() {
    let host = start().await;
    let generous = ["--max-join-p95-ms", "60000", "--max-latency-p99-ms", "60000", "--max-loss", "50"];
    let sizes =
        ["crowd", "--count", "fan=1", "--from", "1", "--to", "4", "--factor", "2", "--min-members", "6"];
    let report = ramp(&host, &[&generous[..], &sizes[..]].concat()).await;
    let members: Vec<u64> = report.steps.iter().map(|step| step.members).collect();
    assert_eq!((members, report.saturation.as_ref()), (vec![3, 4, 6], None), "{report}");
    assert!(report.is_met() && report.steps.iter().all(|step| step.packets_per_s > 10.0), "{report}");
    let told = report.steps.iter().all(|step| step.stolen_percent.is_some());
    assert_eq!(told, Stolen::now().is_some(), "{report}");
    // No packet is that fast: the first step passes the limit and is the last.
    let impatient = ["--max-latency-p50-ms", "0.000001", "--min-members", "3"];
    let report = ramp(&host, &[&sizes[..9], &impatient[..]].concat()).await;
    let found = report.saturation.as_ref().expect("a limit was passed");
    assert_eq!((report.steps.len(), found.held, found.passed), (1, 0, 3), "{report}");
    assert!(!report.is_met(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_is_a_failed_run() {
    let mut args = args(&["--subscribers", "1"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    args.options.url = format!("http://{free}");
    let error = load::play(args.scenario(), args.options).await.expect_err("nobody listens there");
    assert!(format!("{error:#}").contains("no server"), "{error:#}");
}

/// Every attack for a moment. What takes how long is not for here: only that each is made, and harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn attacks_are_made_and_the_call_goes_on() {
    let site = Site::start().await;
    let words = ["--length-ms", "300", "--subscribers", "2", "--joins", "1", "--rate", "2000"];
    let generous = ["--max-join-factor", "1000", "--max-growth-mib", "100000", "--max-answer-ms", "1000000"];
    let words = ["simmer-bench", "attack"].iter().chain(&words).chain(&generous);
    let Command::Attack(mut args) = Cli::try_parse_from(words).expect("valid words").command else {
        panic!("attack was asked for")
    };
    args.url = format!("http://{}", site.address);
    let report = attack::run(&args).await.expect("the honest call comes about");
    assert!(report.is_met(), "{report}");
    assert_eq!(report.attacks.len(), 15, "{report}");
    let [quiet, attacks @ ..] = &report.attacks[..] else { panic!("nothing was done") };
    assert_eq!((quiet.attack, quiet.sent, quiet.joined), ("none", 0, 1), "{report}");
    assert!(attacks.iter().all(|row| row.sent > 10 && row.joined == 1), "{report}");
}
