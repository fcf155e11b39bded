//! What a run must achieve, from a scenario and from the command line, and whether it did.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::report::{Media, Report};

/// The limits of a run; what is none is not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Loss, in percent of the packets that should have arrived.
    #[arg(long = "max-loss", value_name = "PERCENT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_loss_percent: Option<f64>,
    /// The 95th percentile of the time to the first picture or sound.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_join_p95_ms: Option<f64>,
    /// The median of the packets' ages on arrival.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_p50_ms: Option<f64>,
    /// The 99th percentile of the packets' ages on arrival.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_p99_ms: Option<f64>,
    /// Freezes seen by all members together.
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_freezes: Option<f64>,
    /// The largest distance between a publisher's picture and sound.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_av_offset_ms: Option<f64>,
    /// Pictures that the server began to hold back; 0 where the scenario has no link with a rate.
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pauses: Option<f64>,
    /// Events that a member missed, got twice or got different from others.
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events_amiss: Option<f64>,
    /// The 99th percentile of the time from an action to the event at each member.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_event_p99_ms: Option<f64>,
    /// The server's processor time for each packet that arrived; needs --server-pid.
    #[arg(long, value_name = "US")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_us_per_packet: Option<f64>,
    /// The server's processor time, in percent of one processor; needs --server-pid.
    #[arg(long, value_name = "PERCENT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu_percent: Option<f64>,
    /// The server's processor time for each member that joined; needs --server-pid.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_join_cpu_ms: Option<f64>,
    /// The server's memory for each member; needs --server-pid.
    #[arg(long, value_name = "KIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_kib_per_member: Option<f64>,
}

impl Limits {
    /// These limits, and the others' where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            max_loss_percent: self.max_loss_percent.or(other.max_loss_percent),
            max_join_p95_ms: self.max_join_p95_ms.or(other.max_join_p95_ms),
            max_latency_p50_ms: self.max_latency_p50_ms.or(other.max_latency_p50_ms),
            max_latency_p99_ms: self.max_latency_p99_ms.or(other.max_latency_p99_ms),
            max_freezes: self.max_freezes.or(other.max_freezes),
            max_av_offset_ms: self.max_av_offset_ms.or(other.max_av_offset_ms),
            max_pauses: self.max_pauses.or(other.max_pauses),
            max_events_amiss: self.max_events_amiss.or(other.max_events_amiss),
            max_event_p99_ms: self.max_event_p99_ms.or(other.max_event_p99_ms),
            max_us_per_packet: self.max_us_per_packet.or(other.max_us_per_packet),
            max_cpu_percent: self.max_cpu_percent.or(other.max_cpu_percent),
            max_join_cpu_ms: self.max_join_cpu_ms.or(other.max_join_cpu_ms),
            max_kib_per_member: self.max_kib_per_member.or(other.max_kib_per_member),
        }
    }

    /// The first limit of what only Simmer's own protocol tells, by its name.
    pub fn of_session(&self) -> Option<&'static str> {
        let named = [
            ("max_pauses", self.max_pauses),
            ("max_events_amiss", self.max_events_amiss),
            ("max_event_p99_ms", self.max_event_p99_ms),
        ];
        named.into_iter().find_map(|(name, limit)| limit.map(|_| name))
    }

    /// These limits without such.
    #[must_use]
    pub fn of_media(self) -> Self {
        Self { max_pauses: None, max_events_amiss: None, max_event_p99_ms: None, ..self }
    }

    /// Every limit with what the run came to. A run that verifies nothing is a failed one, whatever was asked
    /// for: the first five always hold.
    pub fn judge(&self, report: &Report) -> Vec<Objective> {
        let media = || report.video.iter().chain(&report.audio);
        let sum = |of: fn(&Media) -> u64| media().map(of).sum::<u64>() as f64;
        let breaks = sum(|media| {
            media.sequence_breaks + media.picture_id_breaks + media.timestamp_breaks + media.marker_errors
        });
        let joins = &report.joins;
        let missing = joins.wanted.saturating_sub(joins.joined).max(joins.failed);
        let mut objectives = vec![
            Objective::always("members that did not join or stay", missing as f64),
            Objective::always(
                "streams that never were whole",
                sum(|media| media.streams - media.streams_whole),
            ),
            Objective::always("corrupt packets", sum(|media| media.corrupt)),
            Objective::always("breaks in sequence", breaks),
            Objective::always("misdirected packets", report.feedback.misdirected as f64),
        ];
        // Loss is of what was sent: where lines are wide, all of it must be.
        let narrow = report.config.scenario.link.is_some_and(|link| link.rate.is_some());
        // Over HTTP nobody is told of it.
        let told = report.config.whip.is_none() && report.config.whep.is_none();
        if told && !narrow && self.max_pauses.is_none() {
            objectives.push(Objective::always("pictures held back", report.feedback.pauses as f64));
        }
        // What was to be judged and could not be measured is missed.
        let server =
            |of: fn(&crate::report::ServerCost) -> f64| report.server.as_ref().map_or(f64::INFINITY, of);
        let judged = [
            (
                "loss in percent",
                self.max_loss_percent,
                media().map(|media| media.loss_percent).fold(0.0, f64::max),
            ),
            ("join time p95 in ms", self.max_join_p95_ms, joins.join_ms.p95),
            ("latency p50 in ms", self.max_latency_p50_ms, report.latency_us.p50 / 1000.0),
            ("latency p99 in ms", self.max_latency_p99_ms, report.latency_us.p99 / 1000.0),
            ("freezes", self.max_freezes, sum(|media| media.freezes)),
            ("distance of picture and sound in ms", self.max_av_offset_ms, report.av_offset_ms.max),
            ("pictures held back", self.max_pauses, report.feedback.pauses as f64),
            ("events amiss", self.max_events_amiss, report.events.amiss() as f64),
            ("event p99 in ms", self.max_event_p99_ms, report.events.event_ms.p99),
            ("server time a packet in us", self.max_us_per_packet, server(|server| server.us_per_packet)),
            ("server in percent of a processor", self.max_cpu_percent, server(|server| server.cpu_percent)),
            ("server time a join in ms", self.max_join_cpu_ms, server(|server| server.join_cpu_ms)),
            (
                "server memory a member in KiB",
                self.max_kib_per_member,
                server(|server| server.kib_per_member),
            ),
        ];
        let judged = judged
            .into_iter()
            .filter_map(|(name, limit, value)| Some(Objective::at_most(name, value, limit?)));
        objectives.extend(judged);
        objectives
    }
}

/// Something that was to be achieved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Objective {
    /// What.
    pub name: &'static str,
    /// The most it may be, or the least.
    pub limit: f64,
    /// What it was.
    pub value: f64,
    /// Whether that is met.
    pub met: bool,
    /// Whether it holds in every run, asked for or not.
    #[serde(skip)]
    pub always: bool,
}

impl Objective {
    /// `value` must be at most `limit`.
    pub fn at_most(name: &'static str, value: f64, limit: f64) -> Self {
        Self { name, limit, value, met: value <= limit, always: false }
    }

    /// `value` must be at least `limit`.
    pub fn at_least(name: &'static str, value: f64, limit: f64) -> Self {
        Self { name, limit, value, met: value >= limit, always: false }
    }

    fn always(name: &'static str, value: f64) -> Self {
        Self { always: true, ..Self::at_most(name, value, 0.0) }
    }
}
