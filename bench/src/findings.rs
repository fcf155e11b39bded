//! From what the clients counted to a report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::args::FanoutArgs;
use crate::client::{ClientResult, ThreadResult, latency_histogram};
use crate::connection::WireCounts;
use crate::flow::{Flow, Flows};
use crate::measure::ProcessUsage;
use crate::publisher::PublisherCounts;
use crate::report::{
    BenchCost, Feedback, Joins, Media, Objective, Percentiles, PublisherReport, Report, RunConfig, ServerCost,
};
use crate::source::MediaKind;
use crate::subscriber::SubscriberCounts;
use crate::verify::StreamCounts;

/// When a client got where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Milestones {
    /// It began to open its WebSocket.
    pub began: Option<Instant>,
    /// Its offer was sent.
    pub offered: Option<Instant>,
    /// Its first view was sent.
    pub viewed: Option<Instant>,
    /// Its transport was connected.
    pub connected: Option<Instant>,
    /// Its first key frame was whole.
    pub picture: Option<Instant>,
}

/// What the processes had used at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    server: Option<ProcessUsage>,
    bench: ProcessUsage,
}

impl Usage {
    /// The server's, if its process is known, and the bench's.
    ///
    /// # Errors
    /// The server's process is gone.
    pub fn now(server: Option<u32>) -> Result<Self> {
        Ok(Self {
            server: server.map(ProcessUsage::of).transpose()?,
            bench: ProcessUsage::of_this_process()?,
        })
    }
}

/// The measuring window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How long it was.
    pub length: Duration,
    /// At its beginning.
    pub before: Usage,
    /// At its end.
    pub after: Usage,
}

/// Everything a run left behind.
#[derive(Debug)]
pub struct Findings {
    /// What was asked for.
    pub args: FanoutArgs,
    /// The room.
    pub room: String,
    /// Client threads.
    pub threads: usize,
    /// What was sent.
    pub flows: Arc<Flows>,
    /// Clients by number, publishers first.
    pub milestones: Vec<(usize, Milestones)>,
    /// Why clients did not come or did not stay.
    pub failures: Vec<String>,
    /// What the threads counted.
    pub results: Vec<ThreadResult>,
    /// The server before the first client came.
    pub server_before: Option<ProcessUsage>,
    /// The window, unless the run ended before it.
    pub window: Option<Window>,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// `slots` messages that came.
    pub slot_updates: u64,
    /// Refusals and media losses.
    pub complaints: u64,
}

impl Findings {
    /// The report.
    pub fn report(self) -> Report {
        let sums = Sums::of(&self.results);
        let video = self.media(MediaKind::Video, &sums);
        let audio = self.args.audio.then(|| self.media(MediaKind::Audio, &sums));
        let server = self.server_cost(video.received + audio.as_ref().map_or(0, |audio| audio.received));
        let bench = self.bench_cost();
        let joins = self.joins();
        let publishers = PublisherReport {
            packets: sums.publishers.packets,
            late: sums.publishers.late,
            key_frame_requests: sums.publishers.key_frame_requests,
            nacked: sums.publishers.nacked,
            retransmitted: sums.publishers.retransmitted,
        };
        let feedback = Feedback {
            nacked: sums.subscribers.nacked,
            key_frames_asked: sums.subscribers.key_frames_asked,
            transport_feedback: sums.subscribers.feedback,
            padding: sums.subscribers.padding,
            unknown_ssrc: sums.subscribers.unknown,
            misdirected: sums.subscribers.misdirected,
            undecryptable: sums.wire.rtp.saturating_sub(sums.wire.opened + sums.wire.duplicates),
            slot_updates: self.slot_updates,
            complaints: self.complaints,
        };
        let mut report = Report {
            schema: 1,
            tool: "simmer-bench fanout",
            version: env!("CARGO_PKG_VERSION"),
            config: self.config(),
            interrupted: self.interrupted,
            window_s: self.window.map_or(0.0, |window| window.length.as_secs_f64()),
            joins,
            video,
            audio,
            latency_us: Percentiles::of(&sums.latency, 1.0),
            publishers,
            feedback,
            server,
            bench,
            objectives: Vec::new(),
            warnings: Vec::new(),
        };
        report.objectives = self.objectives(&report);
        report.warnings = warnings(&report, self.failures.len());
        report
    }

    fn config(&self) -> RunConfig {
        let args = &self.args;
        RunConfig {
            url: args.url.clone(),
            room: self.room.clone(),
            publishers: args.publishers,
            subscribers: args.subscribers,
            duration_s: args.duration,
            warmup_s: args.warmup,
            bitrate_bps: args.bitrate,
            fps: args.fps,
            audio: args.audio,
            join_interval_ms: args.join_interval_ms,
            feedback_ms: args.feedback_ms,
            threads: self.threads,
            media_port: args.media_port,
            seed: args.seed,
        }
    }

    fn joins(&self) -> Joins {
        let subscribers = || self.milestones.iter().filter(|(id, _)| *id >= self.args.publishers as usize);
        let times = |from: fn(&Milestones) -> Option<Instant>, to: fn(&Milestones) -> Option<Instant>| {
            let times = subscribers()
                .filter_map(|(_, at)| Some(to(at)?.saturating_duration_since(from(at)?).as_micros()))
                .map(|micros| u64::try_from(micros).unwrap_or(u64::MAX));
            Percentiles::of(&histogram(times), 0.001)
        };
        Joins {
            wanted: u64::from(self.args.subscribers),
            joined: subscribers().filter(|(_, at)| at.picture.is_some()).count() as u64,
            join_ms: times(|at| at.began, |at| at.picture),
            connect_ms: times(|at| at.offered, |at| at.connected),
            first_frame_ms: times(|at| at.viewed, |at| at.picture),
            failures: self.failures.iter().take(FAILURES_TOLD).cloned().collect(),
        }
    }

    fn media(&self, kind: MediaKind, sums: &Sums) -> Media {
        let flows = (0..self.args.publishers).filter_map(|publisher| self.flows.flow(publisher, kind));
        let expected = flows.map(Flow::measured).sum::<u64>() * u64::from(self.args.subscribers);
        let (counts, whole) = match kind {
            MediaKind::Video => (&sums.video, sums.streams_whole),
            MediaKind::Audio => (&sums.audio, 0),
        };
        Media {
            expected,
            received: counts.measured,
            loss_percent: expected.saturating_sub(counts.measured) as f64 * 100.0
                / (expected as f64).max(1.0),
            recovered: counts.recovered,
            streams_whole: whole,
            streams: u64::from(self.args.publishers) * u64::from(self.args.subscribers),
            frames: counts.frames,
            frames_incomplete: counts.frames_incomplete,
            longest_gap_ms: counts.longest_gap_us as f64 / 1000.0,
            corrupt: counts.corrupt,
            duplicates: counts.duplicates + if kind == MediaKind::Video { sums.wire.duplicates } else { 0 },
            reordered: counts.reordered,
            left_out: counts.left_out,
            sequence_breaks: counts.sequence_breaks,
            picture_id_breaks: counts.picture_id_breaks,
            timestamp_breaks: counts.timestamp_breaks,
            marker_errors: counts.marker_errors,
        }
    }

    fn server_cost(&self, packets: u64) -> Option<ServerCost> {
        let window = self.window?;
        let (before, after) = (window.before.server?, window.after.server?);
        let cpu_us = after.cpu_us.saturating_sub(before.cpu_us) as f64;
        let seconds = window.length.as_secs_f64().max(1e-6);
        Some(ServerCost {
            pid: self.args.server_pid?,
            cpu_s: cpu_us / 1e6,
            cpu_percent: cpu_us / 1e4 / seconds,
            us_per_packet: cpu_us / (packets as f64).max(1.0),
            packets_per_s: packets as f64 / seconds,
            rss_before_kib: self.server_before.unwrap_or(before).rss_kib,
            rss_after_kib: after.rss_kib,
            peak_rss_kib: after.peak_rss_kib,
        })
    }

    fn bench_cost(&self) -> BenchCost {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let Some(window) = self.window else { return BenchCost { processors, ..BenchCost::default() } };
        let cpu_us = window.after.bench.cpu_us.saturating_sub(window.before.bench.cpu_us) as f64;
        let busiest = self.results.iter().map(|result| result.busy).fold(0.0, f64::max);
        BenchCost {
            cpu_s: cpu_us / 1e6,
            cpu_percent: cpu_us / 1e4 / window.length.as_secs_f64().max(1e-6),
            busiest_thread_percent: busiest * 100.0,
            processors,
        }
    }

    /// A run that verifies nothing is a failed one, whatever was asked for: the first four always hold.
    fn objectives(&self, report: &Report) -> Vec<Objective> {
        let media = || std::iter::once(&report.video).chain(&report.audio);
        let corrupt: u64 = media().map(|media| media.corrupt).sum();
        let breaks: u64 = media()
            .map(|media| {
                media.sequence_breaks + media.picture_id_breaks + media.timestamp_breaks + media.marker_errors
            })
            .sum();
        let missing = report.joins.wanted - report.joins.joined;
        let failures = self.failures.len() as u64;
        let mut objectives = vec![
            Objective::at_most("subscribers that did not join or stay", missing.max(failures) as f64, 0.0),
            Objective::at_most("corrupt packets", corrupt as f64, 0.0),
            Objective::at_most("breaks in sequence", breaks as f64, 0.0),
            Objective::at_most("misdirected packets", report.feedback.misdirected as f64, 0.0),
        ];
        if let Some(limit) = self.args.max_loss {
            let worst = media().map(|media| media.loss_percent).fold(0.0, f64::max);
            objectives.push(Objective::at_most("loss in percent", worst, limit));
        }
        if let Some(limit) = self.args.max_join_p95_ms {
            objectives.push(Objective::at_most("join time p95 in ms", report.joins.join_ms.p95, limit));
        }
        objectives
    }
}

/// All threads' counts together.
struct Sums {
    video: StreamCounts,
    audio: StreamCounts,
    publishers: PublisherCounts,
    subscribers: SubscriberCounts,
    wire: WireCounts,
    streams_whole: u64,
    latency: Histogram<u64>,
}

impl Sums {
    fn of(results: &[ThreadResult]) -> Self {
        let mut sums = Self {
            video: StreamCounts::default(),
            audio: StreamCounts::default(),
            publishers: PublisherCounts::default(),
            subscribers: SubscriberCounts::default(),
            wire: WireCounts::default(),
            streams_whole: 0,
            latency: histogram(std::iter::empty()),
        };
        for result in results {
            let added = sums.latency.add(&result.latency);
            debug_assert!(added.is_ok(), "all threads' histograms have the same bounds");
            for client in &result.clients {
                match client {
                    ClientResult::Publisher(counts, _) => sums.publishers.add(counts),
                    ClientResult::Subscriber(seen) => {
                        sums.video.add(&seen.video);
                        sums.audio.add(&seen.audio);
                        sums.subscribers.add(&seen.counts);
                        sums.wire.add(&seen.wire);
                        sums.streams_whole += seen.streams_whole.0;
                    }
                }
            }
        }
        sums
    }
}

fn warnings(report: &Report, failures: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    let bench = &report.bench;
    if bench.busiest_thread_percent > BUSY_PERCENT {
        warnings.push(format!(
            "a client thread was on a processor {:.0} % of the time: the bench is the bottleneck, use more --threads",
            bench.busiest_thread_percent
        ));
    }
    let used = bench.cpu_percent + report.server.as_ref().map_or(0.0, |server| server.cpu_percent);
    if used > 90.0 * bench.processors as f64 {
        warnings.push(format!(
            "server and bench used {used:.0} % of {} processors: the machine is full",
            bench.processors
        ));
    }
    if report.publishers.late * 100 > report.publishers.packets {
        warnings.push("more than 1 % of the packets left more than 20 ms late".to_owned());
    }
    if failures > FAILURES_TOLD {
        warnings.push(format!("{} more failures are not listed", failures - FAILURES_TOLD));
    }
    if report.window_s == 0.0 {
        warnings.push("the run ended before anything was measured".to_owned());
    }
    warnings
}

fn histogram(values: impl Iterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = latency_histogram();
    values.for_each(|value| histogram.saturating_record(value));
    histogram
}

const BUSY_PERCENT: f64 = 85.0;
const FAILURES_TOLD: usize = 10;
