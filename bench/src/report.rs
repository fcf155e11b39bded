//! What a run found: for machines as JSON, for people as a table.

use std::fmt::{self, Write as _};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::objectives::Objective;
use crate::scenario::Scenario;

/// A run's report. `schema` changes when a field changes its meaning or goes; new fields may come at any time.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// 2.
    pub schema: u32,
    /// `simmer-bench`.
    pub tool: &'static str,
    /// The bench's version.
    pub version: &'static str,
    /// What was asked for.
    pub config: RunConfig,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Seconds that were measured.
    pub window_s: f64,
    /// The share of all processors' time in them that the host of this virtual machine gave to others, in percent: the
    /// machine had work for it. None where the system does not tell, or nothing was measured; 0 where there is no host.
    pub stolen_percent: Option<f64>,
    /// How the members came in.
    pub joins: Joins,
    /// The video that arrived, if any is sent.
    pub video: Option<Media>,
    /// The audio that arrived, if any is sent.
    pub audio: Option<Media>,
    /// Ages of packets on arrival, in microseconds: of video, or of audio at members that see nothing;
    /// retransmitted packets count from their first sending. Packets sent before the member was there, or before its slot
    /// showed their publisher, are left out.
    pub latency_us: Percentiles,
    /// Distances between a publisher's picture and sound, by the server's sender reports, in milliseconds.
    pub av_offset_ms: Percentiles,
    /// What members were told of their rooms.
    pub events: Events,
    /// What the publishers did.
    pub publishers: PublisherReport,
    /// What the subscribers asked for.
    pub feedback: Feedback,
    /// What the server cost, if its process was named.
    pub server: Option<ServerCost>,
    /// What the bench itself cost.
    pub bench: BenchCost,
    /// What was seen second by second.
    pub samples: Vec<Sample>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whep: Option<String>,
    pub room: String,
    pub threads: usize,
    pub media_port: Option<u16>,
    pub seed: u64,
    pub scenario: Scenario,
}

/// How the members came in that see or hear something; all, where nobody does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Joins {
    /// Members that should have come.
    pub wanted: u64,
    /// Members that had a whole key frame, or a sound; a connection, where nobody sees or hears anything.
    pub joined: u64,
    /// Members that did not come, or did not stay.
    pub failed: u64,
    /// From beginning to open the session to that, in milliseconds; who came before anybody sent is left out.
    pub join_ms: Percentiles,
    /// From sending the offer to the connected transport, in milliseconds.
    pub connect_ms: Percentiles,
    /// From sending the view, which is the offer over HTTP, to the first whole key frame, in milliseconds.
    pub first_frame_ms: Percentiles,
    /// From beginning to open the session to everything there is to see and hear, in milliseconds.
    pub complete_ms: Percentiles,
    /// Why the others did not, at most ten.
    pub failures: Vec<String>,
}

/// What arrived of one kind of media, over all subscribers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Media {
    /// Packets of the window that should have arrived: what was sent in it by publishers that a slot showed from
    /// its beginning to its end.
    pub expected: u64,
    /// Different packets of the window that did arrive.
    pub received: u64,
    /// The share that did not, in percent.
    pub loss_percent: f64,
    /// Of those that arrived, the ones that came as retransmissions.
    pub recovered: u64,
    /// Streams with a whole key frame, or a sound.
    pub streams_whole: u64,
    /// Streams there should be.
    pub streams: u64,
    /// Whole frames since the beginning.
    pub frames: u64,
    /// Frames of which something never came, since the beginning.
    pub frames_incomplete: u64,
    /// The longest time between two whole frames of a stream in the window, in milliseconds.
    pub longest_gap_ms: f64,
    /// Gaps between whole frames in the window that are longer than three intervals, and than one and 150 ms.
    pub freezes: u64,
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
    /// Pictures that the server began to hold back, since it saw no room on a line; they are not measured.
    pub pauses: u64,
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
    /// Processor time for each packet that arrived at a subscriber, in microseconds; where members come and go, with what
    /// that costs.
    pub us_per_packet: f64,
    /// Packets that arrived at subscribers, by second, also at those who do not stay; repetitions are not counted.
    pub packets_per_s: f64,
    /// Processor time for each member that came before the warm-up, until the last of them saw and heard everything, in milliseconds, less what
    /// was forwarded meanwhile at the window's price; of groups that do not publish, where there are any.
    pub join_cpu_ms: f64,
    /// What resident memory grew from before those members came to the window's end, for each, in KiB.
    pub kib_per_member: f64,
    /// Resident memory before those members came, in KiB.
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

/// What members were told of their rooms.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Events {
    /// Events that came, once for each member.
    pub received: u64,
    /// Events a member never got.
    pub missed: u64,
    /// Events that came again or out of order.
    pub repeated: u64,
    /// Events that one member got in other words than another.
    pub differing: u64,
    /// Members that did not know their room's last event at the end.
    pub behind: u64,
    /// From a chat line to its event at each member, in milliseconds.
    pub event_ms: Percentiles,
    /// From a chat line to its reply, in milliseconds.
    pub reply_ms: Percentiles,
}

impl Events {
    /// All that should not be.
    pub fn amiss(&self) -> u64 {
        self.missed + self.repeated + self.differing + self.behind
    }
}

/// What was seen in one second of the run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Members that were there.
    pub members: u64,
    /// Packets that had come to members since the run began.
    pub received: u64,
    /// Ages of the packets that came since the last sample, in microseconds.
    pub latency_us: Percentiles,
    /// The server's processor time since it began, in microseconds; 0 if its process was not named.
    pub server_cpu_us: u64,
    /// The server's resident memory, in KiB; 0 if its process was not named.
    pub server_rss_kib: u64,
    /// The bench's processor time since it began, in microseconds.
    pub bench_cpu_us: u64,
    /// Whether the window was open.
    pub measured: bool,
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
    /// The objectives that were asked for, as rows of a Markdown table: name, what, goal, figure. The last row tells
    /// that the bench kept up, or why its figures are doubtful. With the floor of a packet in microseconds, one more tells how many times that the
    /// server took.
    pub fn rows(&self, name: &str, floor_us: Option<f64>) -> String {
        let mut rows = String::new();
        for objective in self.objectives.iter().filter(|objective| !objective.met || !objective.always) {
            let verdict = if objective.met { "" } else { " **missed**" };
            rows += &format!(
                "| {name} | {} | {} | {:.2}{verdict} |\n",
                objective.name, objective.limit, objective.value
            );
        }
        if let (Some(server), Some(floor_us)) = (&self.server, floor_us) {
            rows += &format!(
                "| {name} | server time a packet, in floors | - | {:.2} |\n",
                server.us_per_packet / floor_us
            );
        }
        let doubts = if self.warnings.is_empty() { "none".to_owned() } else { self.warnings.join("; ") };
        rows + &format!(
            "| {name} | the bench, in percent of a processor; doubts | 70 | {:.1}; {doubts} |",
            self.bench.cpu_percent
        )
    }

    /// Whether every objective is met.
    pub fn is_met(&self) -> bool {
        self.objectives.iter().all(|objective| objective.met)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scenario = &self.config.scenario;
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        let groups: Vec<String> =
            scenario.groups.iter().map(|group| format!("{} {}", group.count, group.name)).collect();
        let rooms = if scenario.rooms > 1 { format!("{} rooms of ", scenario.rooms) } else { String::new() };
        writeln!(
            f,
            "{}: {rooms}{}, {:.1} s measured{interrupted}\n",
            scenario.name,
            groups.join(", "),
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
        row("  view to media", times(&self.joins.first_frame_ms))?;
        row("  to everything", times(&self.joins.complete_ms))?;
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
        for (name, media) in [("video", &self.video), ("audio", &self.audio)] {
            let Some(media) = media else { continue };
            row(name, media.line())?;
            row("  frames", media.frames_line())?;
            row("  verified", media.verified_line())?;
        }
        if self.av_offset_ms.count > 0 {
            row("picture to sound", times(&self.av_offset_ms))?;
        }
        let events = &self.events;
        row(
            "events",
            format!(
                "{} received, {} missed, {} repeated, {} differing, {} members behind",
                events.received, events.missed, events.repeated, events.differing, events.behind
            ),
        )?;
        if events.event_ms.count > 0 {
            row("  to everybody", times(&events.event_ms))?;
            row("  reply", times(&events.reply_ms))?;
        }
        let feedback = &self.feedback;
        row(
            "feedback",
            format!(
                "{} transport-wide, {} nacked, {} key frames asked for, {} pauses, {} misdirected, {} unknown, {} undecryptable, {} complaints",
                feedback.transport_feedback,
                feedback.nacked,
                feedback.key_frames_asked,
                feedback.pauses,
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
            row(
                "  a member",
                format!("{:.2} ms to join, {:.0} KiB", server.join_cpu_ms, server.kib_per_member),
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
        if let Some(percent) = self.stolen_percent {
            row("taken by the host", format!("{percent:.1} % of all processors' time"))?;
        }
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
            "{} whole, {} incomplete, longest gap {:.0} ms, {} freezes; {} of {} streams whole",
            self.frames,
            self.frames_incomplete,
            self.longest_gap_ms,
            self.freezes,
            self.streams_whole,
            self.streams
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
pub(crate) mod tests;
