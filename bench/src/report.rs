//! What a fan-out run found: for machines as JSON, for people as a table.

use std::fmt::{self, Write as _};

use hdrhistogram::Histogram;
use serde::Serialize;

/// A run's report. `schema` changes when a field changes its meaning or goes; new fields may come at any time.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// 1.
    pub schema: u32,
    /// `simmer-bench fanout`.
    pub tool: &'static str,
    /// The bench's version.
    pub version: &'static str,
    /// What was asked for.
    pub config: RunConfig,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Seconds that were measured.
    pub window_s: f64,
    /// How the subscribers came in.
    pub joins: Joins,
    /// The video that arrived.
    pub video: Media,
    /// The audio that arrived, if it was asked for.
    pub audio: Option<Media>,
    /// Ages of video packets on arrival, in microseconds; retransmitted packets count from their first sending.
    pub latency_us: Percentiles,
    /// What the publishers did.
    pub publishers: PublisherReport,
    /// What the subscribers asked for.
    pub feedback: Feedback,
    /// What the server cost, if its process was named.
    pub server: Option<ServerCost>,
    /// What the bench itself cost.
    pub bench: BenchCost,
    /// What was to be achieved.
    pub objectives: Vec<Objective>,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the command line's words")]
pub struct RunConfig {
    pub url: String,
    pub room: String,
    pub publishers: u32,
    pub subscribers: u32,
    pub duration_s: u64,
    pub warmup_s: u64,
    pub bitrate_bps: u32,
    pub fps: u32,
    pub audio: bool,
    pub join_interval_ms: u64,
    pub feedback_ms: u64,
    pub threads: usize,
    pub media_port: Option<u16>,
    pub seed: u64,
}

/// How the subscribers came in.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Joins {
    /// Subscribers that should have come.
    pub wanted: u64,
    /// Subscribers that had a whole key frame.
    pub joined: u64,
    /// From opening the WebSocket to the first whole key frame, in milliseconds.
    pub join_ms: Percentiles,
    /// From sending the offer to the connected transport, in milliseconds.
    pub connect_ms: Percentiles,
    /// From sending the view to the first whole key frame, in milliseconds.
    pub first_frame_ms: Percentiles,
    /// Why the others did not, at most ten.
    pub failures: Vec<String>,
}

/// What arrived of one kind of media, over all subscribers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Media {
    /// Packets of the window that should have arrived: each publisher's, once for each subscriber.
    pub expected: u64,
    /// Different packets of the window that did arrive.
    pub received: u64,
    /// The share that did not, in percent.
    pub loss_percent: f64,
    /// Of those that arrived, the ones that came as retransmissions.
    pub recovered: u64,
    /// Streams with a whole key frame; for audio, 0.
    pub streams_whole: u64,
    /// Streams there should be.
    pub streams: u64,
    /// Whole frames since the beginning.
    pub frames: u64,
    /// Frames of which something never came, since the beginning.
    pub frames_incomplete: u64,
    /// The longest time between two whole frames of a stream in the window, in milliseconds.
    pub longest_gap_ms: f64,
    /// Packets whose content was changed.
    pub corrupt: u64,
    /// Packets that came more than once, seen on the socket or after decryption.
    pub duplicates: u64,
    /// Packets that came after one sent later.
    pub reordered: u64,
    /// Packets the server left out on purpose.
    pub left_out: u64,
    /// Breaks in sequence numbers.
    pub sequence_breaks: u64,
    /// Breaks in picture ids or layer indices.
    pub picture_id_breaks: u64,
    /// Breaks in timestamps.
    pub timestamp_breaks: u64,
    /// Marker bits that do not end a frame.
    pub marker_errors: u64,
}

/// What the publishers did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PublisherReport {
    /// Packets sent in the window, audio included.
    pub packets: u64,
    /// Of these, packets that left more than 20 ms late.
    pub late: u64,
    /// Key frames the server asked for, since the beginning.
    pub key_frame_requests: u64,
    /// Packets the server asked for again.
    pub nacked: u64,
    /// Packets sent again.
    pub retransmitted: u64,
}

/// What the subscribers asked for and could not place.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Feedback {
    /// Packets asked for again.
    pub nacked: u64,
    /// Key frames asked for.
    pub key_frames_asked: u64,
    /// Transport-wide feedback sent.
    pub transport_feedback: u64,
    /// Packets of padding only.
    pub padding: u64,
    /// Packets with an SSRC that no slot has.
    pub unknown_ssrc: u64,
    /// Packets of another publisher than the slot should show.
    pub misdirected: u64,
    /// Packets that could not be decrypted.
    pub undecryptable: u64,
    /// `slots` messages that came.
    pub slot_updates: u64,
    /// Refusals and media losses the server told of.
    pub complaints: u64,
}

/// What the server cost in the window.
#[derive(Clone, Debug, Serialize)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// Processor time, in seconds.
    pub cpu_s: f64,
    /// Processor time in percent of one processor.
    pub cpu_percent: f64,
    /// Processor time for each packet that arrived at a subscriber, in microseconds.
    pub us_per_packet: f64,
    /// Packets that arrived at subscribers, by second.
    pub packets_per_s: f64,
    /// Resident memory before the first client came, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the window's end, in KiB.
    pub rss_after_kib: u64,
    /// The most resident memory the process ever had, in KiB.
    pub peak_rss_kib: u64,
}

/// What the bench cost in the window.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BenchCost {
    /// Processor time, in seconds.
    pub cpu_s: f64,
    /// Processor time in percent of one processor.
    pub cpu_percent: f64,
    /// The busiest client thread, in percent of a processor.
    pub busiest_thread_percent: f64,
    /// Processors of the machine.
    pub processors: usize,
}

/// Something that was to be achieved.
#[derive(Clone, Debug, Serialize)]
pub struct Objective {
    /// What.
    pub name: &'static str,
    /// The most it may be.
    pub limit: f64,
    /// What it was.
    pub value: f64,
    /// Whether that is met.
    pub met: bool,
}

impl Objective {
    /// `value` must be at most `limit`.
    pub fn at_most(name: &'static str, value: f64, limit: f64) -> Self {
        Self { name, limit, value, met: value <= limit }
    }
}

/// Percentiles of a distribution; all 0 when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named after what they are")]
pub struct Percentiles {
    pub count: u64,
    pub min: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Percentiles {
    /// Of a histogram whose values are multiplied by `unit`.
    pub fn of(histogram: &Histogram<u64>, unit: f64) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 * unit;
        Self {
            count: histogram.len(),
            min: histogram.min() as f64 * unit,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: histogram.max() as f64 * unit,
        }
    }
}

impl Report {
    /// Whether every objective is met.
    pub fn is_met(&self) -> bool {
        self.objectives.iter().all(|objective| objective.met)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        writeln!(
            f,
            "fanout: {} publishers, {} subscribers, {} kbit/s at {} fps{}, {:.1} s measured{interrupted}\n",
            config.publishers,
            config.subscribers,
            config.bitrate_bps / 1000,
            config.fps,
            if config.audio { " and audio" } else { "" },
            self.window_s,
        )?;
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<22}{value}");
        let times = |times: &Percentiles| {
            format!(
                "p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
                times.p50, times.p95, times.p99, times.max
            )
        };
        row("joined", format!("{} of {}", self.joins.joined, self.joins.wanted))?;
        row("join time", times(&self.joins.join_ms))?;
        row("  connecting", times(&self.joins.connect_ms))?;
        row("  view to picture", times(&self.joins.first_frame_ms))?;
        let age = &self.latency_us;
        let ms = |us: f64| us / 1000.0;
        row(
            "latency",
            format!(
                "p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
                ms(age.p50),
                ms(age.p95),
                ms(age.p99),
                ms(age.max)
            ),
        )?;
        row("video", self.video.line())?;
        row("  frames", self.video.frames_line())?;
        row("  verified", self.video.verified_line())?;
        if let Some(audio) = &self.audio {
            row("audio", audio.line())?;
            row("  verified", audio.verified_line())?;
        }
        let feedback = &self.feedback;
        row(
            "feedback",
            format!(
                "{} transport-wide, {} nacked, {} key frames asked for, {} misdirected, {} unknown, {} undecryptable, {} complaints",
                feedback.transport_feedback,
                feedback.nacked,
                feedback.key_frames_asked,
                feedback.misdirected,
                feedback.unknown_ssrc,
                feedback.undecryptable,
                feedback.complaints
            ),
        )?;
        let sent = &self.publishers;
        row(
            "publishers",
            format!(
                "{} packets, {} late, {} key frames requested, {} of {} nacked sent again",
                sent.packets, sent.late, sent.key_frame_requests, sent.retransmitted, sent.nacked
            ),
        )?;
        if let Some(server) = &self.server {
            row(
                "server",
                format!(
                    "{:.2} us a packet, {:.1} % of a processor at {:.0} packets/s",
                    server.us_per_packet, server.cpu_percent, server.packets_per_s
                ),
            )?;
            let mib = |kib: u64| kib as f64 / 1024.0;
            row(
                "  memory",
                format!(
                    "{:.1} MiB before, {:.1} MiB after, {:.1} MiB at most",
                    mib(server.rss_before_kib),
                    mib(server.rss_after_kib),
                    mib(server.peak_rss_kib)
                ),
            )?;
        }
        row(
            "bench",
            format!(
                "{:.1} % of a processor, busiest thread {:.1} %, {} processors",
                self.bench.cpu_percent, self.bench.busiest_thread_percent, self.bench.processors
            ),
        )?;
        let mut tail = String::new();
        for objective in &self.objectives {
            let verdict = if objective.met { "met   " } else { "MISSED" };
            writeln!(
                tail,
                "  {verdict} {}: {:.3}, at most {}",
                objective.name, objective.value, objective.limit
            )?;
        }
        for failure in &self.joins.failures {
            writeln!(tail, "  failed: {failure}")?;
        }
        for warning in &self.warnings {
            writeln!(tail, "  warning: {warning}")?;
        }
        write!(f, "\n{tail}")
    }
}

impl Media {
    fn line(&self) -> String {
        format!(
            "{} of {} packets, {:.4} % lost, {} recovered",
            self.received, self.expected, self.loss_percent, self.recovered
        )
    }

    fn frames_line(&self) -> String {
        format!(
            "{} whole, {} incomplete, longest gap {:.0} ms; {} of {} streams whole",
            self.frames, self.frames_incomplete, self.longest_gap_ms, self.streams_whole, self.streams
        )
    }

    fn verified_line(&self) -> String {
        format!(
            "{} corrupt, {} duplicate, {} reordered, {} left out, breaks: {} sequence, {} picture id, {} time, {} marker",
            self.corrupt,
            self.duplicates,
            self.reordered,
            self.left_out,
            self.sequence_breaks,
            self.picture_id_breaks,
            self.timestamp_breaks,
            self.marker_errors
        )
    }
}

#[cfg(test)]
mod tests;
