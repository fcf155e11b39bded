//! Members that come by WHIP and WHEP.

use clap::Parser as _;
use simmer_bench::args::{Cli, Command};
use simmer_bench::load;
use simmer_bench::report::Report;

use crate::site::Site;

/// Runs `simmer-bench` with these words, and without a warm-up.
pub(crate) async fn run(words: &[&str]) -> anyhow::Result<Report> {
    let words = ["simmer-bench"].iter().chain(words).chain(&["--warmup", "0", "--threads", "1"]);
    let (scenario, options) = match Cli::try_parse_from(words).expect("valid words").command {
        Command::Fanout(args) => (args.scenario(), args.options),
        Command::Run(args) => (args.scenario()?.expect("one is named"), args.options),
        other => panic!("{other:?}"),
    };
    Ok(load::play(scenario, options).await?.report())
}

async fn run_at(site: &Site, words: &[&str]) -> anyhow::Result<Report> {
    let urls = site.whip_whep();
    let words: Vec<&str> = words.iter().copied().chain(urls.iter().map(String::as_str)).collect();
    run(&words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_watch_one_and_nothing_is_lost() {
    let site = Site::start().await;
    let words = ["fanout", "--subscribers", "10", "--audio", "--duration", "2", "--max-loss", "0"];
    let report = run_at(&site, &words).await.expect("it measures");
    assert!(report.is_met(), "{report}");
    let (video, audio) = (report.video.as_ref().expect("video"), report.audio.as_ref().expect("audio"));
    assert_eq!((report.joins.joined, video.streams_whole, audio.streams_whole), (10, 10, 10), "{report}");
    assert!(video.received > 10 * 250 && video.received == video.expected, "{report}");
    assert!(audio.received > 10 * 80 && audio.received == audio.expected, "{report}");
    assert_eq!(report.latency_us.count, video.received, "all of it was opened and read: {report}");
    assert!(report.av_offset_ms.count > 0 && report.joins.join_ms.count == 10, "{report}");
    assert!(report.feedback.transport_feedback >= 10 * 15, "{report}");
    assert_eq!(report.feedback.unknown_ssrc + report.feedback.complaints, 0, "{report}");
    // Each of the eleven said goodbye, and was told that it is gone.
    assert_eq!(site.opened_and_ended(), (11, 11));
    assert_eq!(site.metrics.participants.get(), 0);
    assert!(report.warnings.iter().all(|warning| !warning.contains("DELETE")), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_ends_the_session_and_who_counts_only_verifies_nothing() {
    let site = Site::start().await;
    let scenario = std::env::temp_dir().join(format!("simmer-wish-{}.toml", std::process::id()));
    let text = r#"
        name = "churn"
        duration_s = 3
        rooms = 2
        [[group]]
        name = "creator"
        count = 1
        video = { bitrate = 500_000 }
        audio = true
        [[group]]
        name = "crowd"
        count = 2
        sealed = true
        sees = "all"
        hears = "all"
        [[group]]
        name = "returning"
        count = 1
        sees = "all"
        stay_s = 0.5
        away_s = 0.1
    "#;
    std::fs::write(&scenario, text).expect("a file");
    let name = scenario.to_string_lossy().into_owned();
    let report = run_at(&site, &["run", &name, "--max-loss", "0"]).await.expect("it measures");
    std::fs::remove_file(&scenario).expect("the file");
    assert!(report.is_met(), "{report}");
    let video = report.video.as_ref().expect("video");
    assert!(video.received > 4 * 80 && video.received == video.expected, "{report}");
    assert!(report.joins.joined >= 4 + 2 * 3, "they came again and again: {report}");
    let (opened, ended) = site.opened_and_ended();
    assert!(opened >= 2 + 4 + 2 * 3 && opened == ended, "{opened} {ended} {report}");
    assert_eq!((site.metrics.participants.get(), report.feedback.complaints), (0, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_told_with_its_code() {
    let site = Site::start().await;
    let words = ["fanout", "--subscribers", "2", "--duration", "1", "--bearer", "none of yours"];
    let error = format!("{:#}", run_at(&site, &words).await.expect_err("nobody gets in"));
    assert!(
        error.contains("publisher 0: http://") && error.contains("401 bad_token: The token does not"),
        "{error}"
    );
    assert!(error.contains("subscriber no 1: http://"), "{error}");
    let words = [
        "fanout",
        "--subscribers",
        "1",
        "--duration",
        "1",
        "--key",
        "a key that is not the server's, and long",
    ];
    let error = format!("{:#}", run_at(&site, &words).await.expect_err("nobody gets in"));
    assert!(error.contains("401 bad_token"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_these_protocols_cannot_do_is_refused_before_anybody_comes() {
    let site = Site::start().await;
    let error = format!("{:#}", run_at(&site, &["run", "meeting"]).await.expect_err("it cannot be played"));
    assert!(error.starts_with("the group member: ") && error.contains("sees and hears nobody"), "{error}");
    let error = run_at(&site, &["run", "broadcast", "--max-events-amiss", "0"]).await.expect_err("no events");
    assert!(error.to_string().contains("max_events_amiss"), "{error}");
    assert_eq!(site.opened_and_ended(), (0, 0));
    let words = ["run", "broadcast", "--whip", "http://192.0.2.1/whip", "--whep", "http://192.0.2.1/whep"];
    let error = run(&words).await.expect_err("elsewhere");
    assert!(error.to_string().contains("--allow-remote"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenarios_link_is_passed_both_ways() {
    let site = Site::start().await;
    let scenario = std::env::temp_dir().join(format!("simmer-wish-link-{}.toml", std::process::id()));
    let text = r#"
        name = "far"
        duration_s = 2
        link = { delay_ms = 10.0, loss_percent = 2.0 }
        [[group]]
        name = "creator"
        count = 1
        video = { bitrate = 1_500_000 }
        [[group]]
        name = "fan"
        count = 2
        sees = "all"
    "#;
    std::fs::write(&scenario, text).expect("a file");
    let name = scenario.to_string_lossy().into_owned();
    let report = run_at(&site, &["run", &name, "--max-loss", "1"]).await.expect("it measures");
    std::fs::remove_file(&scenario).expect("the file");
    assert!(report.is_met(), "{report}");
    let video = report.video.as_ref().expect("video");
    assert!(video.recovered > 0 && report.feedback.nacked > 0, "{report}");
    assert!(report.latency_us.min >= 18_000.0, "up and down: {report}");
    assert_eq!(site.opened_and_ended(), (3, 3));
}
