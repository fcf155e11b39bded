//! From what the members counted to a report.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::client::{ThreadResult, latency_histogram};
use crate::connection::WireCounts;
use crate::events::Heard;
use crate::measure::ProcessUsage;
use crate::member::Member;
use crate::options::RunOptions;
use crate::publisher::PublisherCounts;
use crate::report::{
    BenchCost, Events, Feedback, Joins, Media, Percentiles, PublisherReport, Report, RunConfig, Sample,
    ServerCost,
};
use crate::scenario::Scenario;
use crate::source::MediaKind;
use crate::stolen::{self, Stolen};
use crate::subscriber::{Delivery, SubscriberCounts};
use crate::verify::StreamCounts;

/// When a member got where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Milestones {
    /// Who it is.
    pub member: Option<Member>,
    /// It began to open its WebSocket.
    pub began: Option<Instant>,
    /// Nobody in its room was sending by then.
    pub alone: bool,
    /// Its offer was sent.
    pub offered: Option<Instant>,
    /// Its first view was sent.
    pub viewed: Option<Instant>,
    /// Its transport was connected.
    pub connected: Option<Instant>,
    /// Its first key frame was whole, or its first sound there.
    pub media: Option<Instant>,
    /// Everything it should see and hear was there.
    pub complete: Option<Instant>,
    /// It did not come, or did not stay.
    pub failed: bool,
}

/// What the processes had used, and the host had taken, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The server's, if its process is known.
    pub server: Option<ProcessUsage>,
    /// The bench's.
    pub bench: ProcessUsage,
    /// The host's, if the system tells.
    pub stolen: Option<Stolen>,
}

impl Usage {
    /// The server's, if its process is known, the bench's, and the host's.
    ///
    /// # Errors
    /// The server's process is gone.
    pub fn now(server: Option<u32>) -> Result<Self> {
        Ok(Self {
            server: server.map(ProcessUsage::of).transpose()?,
            bench: ProcessUsage::of_this_process()?,
            stolen: Stolen::now(),
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

impl Window {
    /// The share of all processors' time that the host took meanwhile, in percent; none if the system does not tell.
    pub fn stolen_percent(&self) -> Option<f64> {
        stolen::percent_between(self.before.stolen, self.after.stolen)
    }
}

/// How far a run had come at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// Members that had begun to come.
    pub members: usize,
    /// What the processes had used.
    pub usage: Usage,
    /// Packets that had come to them.
    pub received: u64,
}

/// The time in which members came whose joins are counted by cost.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    /// Before the first of them began.
    pub from: Passed,
    /// When all of them saw and heard everything.
    pub until: Passed,
}

impl Coming {
    /// What the server's process used in it less what it forwarded, at `us_per_packet`, in microseconds; none if its process is
    /// not known.
    fn joining_us(&self, us_per_packet: f64) -> Option<f64> {
        let used = self.until.usage.server?.cpu_us.saturating_sub(self.from.usage.server?.cpu_us);
        let forwarded = self.until.received.saturating_sub(self.from.received);
        Some((used as f64 - forwarded as f64 * us_per_packet).max(0.0))
    }
}

/// Everything a run left behind.
#[derive(Debug)]
pub struct Findings {
    /// What was played.
    pub scenario: Scenario,
    /// How it was run.
    pub options: RunOptions,
    /// The room, or the beginning of the rooms' names.
    pub room: String,
    /// Client threads.
    pub threads: usize,
    /// When everybody had left.
    pub ended: Instant,
    /// Members by number.
    pub milestones: BTreeMap<usize, Milestones>,
    /// Why members did not come or did not stay.
    pub failures: Vec<String>,
    /// What the threads counted.
    pub results: Vec<ThreadResult>,
    /// The joins whose cost is told.
    pub coming: Option<Coming>,
    /// The window, unless the run ended before it.
    pub window: Option<Window>,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// `slots` messages that came.
    pub slot_updates: u64,
    /// Pictures that the server began to hold back.
    pub pauses: u64,
    /// Refusals and media losses.
    pub complaints: u64,
    /// Why sessions over HTTP could not be ended.
    pub unended: Vec<String>,
    /// What members were told of their rooms.
    pub events: Heard,
    /// What was seen second by second.
    pub samples: Vec<Sample>,
}

impl Findings {
    /// The report.
    pub fn report(self) -> Report {
        let sums = Sums::of(&self.results);
        let (sends_video, sends_audio) = self.scenario.sending();
        let video = (sends_video > 0).then(|| media(MediaKind::Video, &sums));
        let audio = (sends_audio > 0).then(|| media(MediaKind::Audio, &sums));
        let server = self.server_cost(sums.packets);
        let mut report = Report {
            schema: 2,
            tool: "simmer-bench",
            version: env!("CARGO_PKG_VERSION"),
            config: RunConfig {
                url: self.options.address().to_owned(),
                whip: self.options.whip.clone(),
                whep: self.options.whep.clone(),
                room: self.room.clone(),
                threads: self.threads,
                media_port: self.options.media_port,
                seed: self.options.seed,
                scenario: self.scenario.clone(),
            },
            interrupted: self.interrupted,
            window_s: self.window.map_or(0.0, |window| window.length.as_secs_f64()),
            stolen_percent: self.window.and_then(|window| window.stolen_percent()),
            joins: self.joins(),
            video,
            audio,
            latency_us: Percentiles::of(&sums.latency, 1.0),
            av_offset_ms: Percentiles::of(&sums.av_offset, 0.001),
            events: Events {
                received: self.events.received,
                missed: self.events.missed,
                repeated: self.events.repeated,
                differing: self.events.differing,
                behind: self.events.behind,
                event_ms: Percentiles::of(&self.events.event_us, 0.001),
                reply_ms: Percentiles::of(&self.events.reply_us, 0.001),
            },
            publishers: PublisherReport {
                packets: sums.publishers.packets,
                late: sums.publishers.late,
                key_frame_requests: sums.publishers.key_frame_requests,
                nacked: sums.publishers.nacked,
                retransmitted: sums.publishers.retransmitted,
            },
            feedback: Feedback {
                nacked: sums.subscribers.nacked,
                key_frames_asked: sums.subscribers.key_frames_asked,
                transport_feedback: sums.subscribers.feedback,
                padding: sums.subscribers.padding,
                unknown_ssrc: sums.subscribers.unknown,
                misdirected: sums.subscribers.misdirected,
                undecryptable: sums.wire.rtp.saturating_sub(sums.wire.opened + sums.wire.duplicates),
                slot_updates: self.slot_updates,
                pauses: self.pauses,
                complaints: self.complaints,
            },
            server,
            bench: self.bench_cost(),
            samples: self.samples.clone(),
            objectives: Vec::new(),
            warnings: Vec::new(),
        };
        report.objectives = self.options.limits.or(self.scenario.objectives).judge(&report);
        report.warnings = warnings(&report);
        report.warnings.extend(unended(&self.unended));
        report
    }

    /// How the members came that see or hear something, or all where nobody does.
    fn joins(&self) -> Joins {
        let watches = |milestones: &&Milestones| {
            let group = milestones.member.and_then(|member| self.scenario.groups.get(member.group));
            group.is_some_and(|group| self.scenario.slots(group) != (0, 0))
        };
        let watched = self.milestones.values().any(|milestones| watches(&milestones));
        let members = || self.milestones.values().filter(move |milestones| !watched || watches(milestones));
        let there = |milestones: &Milestones| if watched { milestones.media } else { milestones.connected };
        // Who came just before the end could not be there by then.
        let had_time = |milestones: &&Milestones| {
            let time = milestones.began.map(|began| self.ended.saturating_duration_since(began));
            there(milestones).is_some() || milestones.failed || time.is_some_and(|time| time > JOIN_PATIENCE)
        };
        let times = |from: fn(&Milestones) -> Option<Instant>,
                     to: &dyn Fn(&Milestones) -> Option<Instant>| {
            let times = members()
                .filter(|milestones| !(watched && milestones.alone))
                .filter_map(|at| Some(to(at)?.saturating_duration_since(from(at)?).as_micros()))
                .map(|micros| u64::try_from(micros).unwrap_or(u64::MAX));
            Percentiles::of(&histogram(times), 0.001)
        };
        Joins {
            wanted: members().filter(had_time).count() as u64,
            joined: members().filter(|milestones| there(milestones).is_some()).count() as u64,
            failed: self.failures.len() as u64,
            join_ms: times(|at| at.began, &there),
            connect_ms: times(|at| at.offered, &|at| at.connected),
            first_frame_ms: times(|at| at.viewed, &|at| at.media),
            complete_ms: times(|at| at.began, &|at| at.complete),
            failures: self.failures.iter().take(FAILURES_TOLD).cloned().collect(),
        }
    }

    fn server_cost(&self, packets: u64) -> Option<ServerCost> {
        let window = self.window?;
        let (before, after) = (window.before.server?, window.after.server?);
        let cpu_us = after.cpu_us.saturating_sub(before.cpu_us) as f64;
        let seconds = window.length.as_secs_f64().max(1e-6);
        let us_per_packet = if packets > 0 { cpu_us / packets as f64 } else { 0.0 };
        let coming = self.coming?;
        let start = coming.from.usage.server?;
        let came = self.milestones.range(coming.from.members..coming.until.members);
        let joined = (came.filter(|(_, at)| at.connected.is_some()).count() as f64).max(1.0);
        Some(ServerCost {
            pid: self.options.server_pid?,
            cpu_s: cpu_us / 1e6,
            cpu_percent: cpu_us / 1e4 / seconds,
            us_per_packet,
            packets_per_s: packets as f64 / seconds,
            join_cpu_ms: coming.joining_us(us_per_packet)? / 1000.0 / joined,
            kib_per_member: after.rss_kib.saturating_sub(start.rss_kib) as f64 / joined,
            rss_before_kib: start.rss_kib,
            rss_after_kib: after.rss_kib,
            peak_rss_kib: after.peak_rss_kib,
        })
    }

    fn bench_cost(&self) -> BenchCost {
        let processors = crate::measure::processors();
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
}

fn media(kind: MediaKind, sums: &Sums) -> Media {
    let (counts, delivery) = match kind {
        MediaKind::Video => (&sums.video, &sums.delivery.0),
        MediaKind::Audio => (&sums.audio, &sums.delivery.1),
    };
    let Delivery { expected, received, streams, whole } = *delivery;
    Media {
        expected,
        received,
        loss_percent: expected.saturating_sub(received) as f64 * 100.0 / (expected as f64).max(1.0),
        recovered: counts.recovered,
        streams_whole: whole,
        streams,
        frames: counts.frames,
        frames_incomplete: counts.frames_incomplete,
        longest_gap_ms: counts.longest_gap_us as f64 / 1000.0,
        freezes: counts.freezes,
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

/// All threads' counts together.
pub(crate) struct Sums {
    pub(crate) video: StreamCounts,
    pub(crate) audio: StreamCounts,
    pub(crate) publishers: PublisherCounts,
    pub(crate) subscribers: SubscriberCounts,
    pub(crate) wire: WireCounts,
    pub(crate) delivery: (Delivery, Delivery),
    pub(crate) latency: Histogram<u64>,
    pub(crate) av_offset: Histogram<u64>,
    pub(crate) packets: u64,
}

impl Sums {
    pub(crate) fn of(results: &[ThreadResult]) -> Self {
        let mut sums = Self {
            video: StreamCounts::default(),
            audio: StreamCounts::default(),
            publishers: PublisherCounts::default(),
            subscribers: SubscriberCounts::default(),
            wire: WireCounts::default(),
            delivery: (Delivery::default(), Delivery::default()),
            latency: latency_histogram(),
            av_offset: latency_histogram(),
            packets: 0,
        };
        for result in results {
            let added = sums.latency.add(&result.latency).and(sums.av_offset.add(&result.av_offset));
            debug_assert!(added.is_ok(), "all threads' histograms have the same bounds");
            sums.packets += result.packets;
            for client in &result.clients {
                if let Some(counts) = &client.publisher {
                    sums.publishers.add(counts);
                }
                if let Some(seen) = &client.subscriber {
                    sums.video.add(&seen.video);
                    sums.audio.add(&seen.audio);
                    sums.subscribers.add(&seen.counts);
                    sums.wire.add(&client.wire);
                    sums.delivery.0.add(&seen.delivery.0);
                    sums.delivery.1.add(&seen.delivery.1);
                }
            }
        }
        sums
    }
}

fn warnings(report: &Report) -> Vec<String> {
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
    warnings.extend(stolen::doubt(report.stolen_percent));
    if report.publishers.late * 100 > report.publishers.packets {
        warnings.push("more than 1 % of the packets left more than 20 ms late".to_owned());
    }
    let told = report.joins.failures.len() as u64;
    if report.joins.failed > told {
        warnings.push(format!("{} more failures are not listed", report.joins.failed - told));
    }
    if report.window_s == 0.0 {
        warnings.push("the run ended before anything was measured".to_owned());
    }
    warnings
}

/// A server that keeps sessions whose members are gone soon has no room for others.
fn unended(told: &[String]) -> Option<String> {
    let first = told.first()?;
    Some(format!("sessions that could not be ended: {}, the first since {first}", told.len()))
}

fn histogram(values: impl Iterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = latency_histogram();
    values.for_each(|value| histogram.saturating_record(value));
    histogram
}

/// When a client thread has no time to spare.
pub(crate) const BUSY_PERCENT: f64 = 85.0;
const FAILURES_TOLD: usize = 10;
/// Who had less time before the end need not have come.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
