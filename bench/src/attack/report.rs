//! What came of the attacks: for machines as JSON, for people as a table.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::generator::Volley;
use super::honest::Welfare;
use crate::args::AttackArgs;
use crate::measure::ProcessUsage;
use crate::stolen;

/// The report of all attacks. `schema` changes when a field changes its meaning or goes; new fields may come at any time.
#[derive(Clone, Debug, Serialize)]
pub struct AttackReport {
    /// 1.
    pub schema: u32,
    /// `simmer-bench attack`.
    pub tool: &'static str,
    /// The bench's version.
    pub version: &'static str,
    /// Honest subscribers.
    pub subscribers: u32,
    /// Everything followed from it.
    pub seed: u64,
    /// The attacks in their order; the first two are the quiet times they are measured against.
    pub attacks: Vec<Row>,
}

/// One attack.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// Its name.
    pub attack: &'static str,
    /// Seconds it took.
    pub seconds: f64,
    /// Datagrams or messages that the attacker sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that a flood was to be; nothing where an attack is as long as it takes.
    pub due: u64,
    /// Datagrams that came back to it, media it was shown included.
    pub replies: u64,
    /// Their bytes.
    pub reply_bytes: u64,
    /// What the honest subscribers lost, in percent.
    pub loss_percent: f64,
    /// Packets that came to them with wrong contents, of somebody else, or out of their sequence.
    pub wrong: u64,
    /// Key frames that the honest publisher was asked for.
    pub key_frame_requests: u64,
    /// As many of them as there may be.
    pub key_frames_allowed: u64,
    /// Newcomers that got a picture.
    pub joined: u64,
    /// The median of their join time, in milliseconds.
    pub join_p50_ms: f64,
    /// The 95th percentile of their join time, in milliseconds.
    pub join_p95_ms: f64,
    /// The server's processor time, in percent of one processor.
    pub server_cpu_percent: Option<f64>,
    /// The server's resident memory before, in MiB.
    pub rss_before_mib: Option<f64>,
    /// The server's resident memory after everybody left, in MiB.
    pub rss_after_mib: Option<f64>,
    /// The most that may lie between the two, in MiB.
    pub growth_limit_mib: f64,
    /// The share of all processors' time that the host of this virtual machine gave to others meanwhile, in percent.
    pub stolen_percent: Option<f64>,
    /// Panics in the server's log.
    pub panics: u64,
    /// Promises that were not kept.
    pub broken: Vec<String>,
    /// What makes the row prove less than it says.
    pub doubts: Vec<String>,
    /// What is worth telling besides.
    pub notes: Vec<String>,
}

impl Row {
    /// What the attacker and the honest ones saw.
    pub fn new(attack: &'static str, took: Duration, volley: Volley, welfare: &Welfare) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let mut broken = volley.broken;
        broken.extend(welfare.lost.iter().cloned());
        Self {
            attack,
            seconds: took.as_secs_f64(),
            sent: volley.sent,
            sent_bytes: volley.sent_bytes,
            due: volley.due,
            replies: volley.replies,
            reply_bytes: volley.reply_bytes,
            loss_percent: welfare.loss_percent,
            wrong: welfare.wrong,
            key_frame_requests: welfare.key_frame_requests,
            key_frames_allowed: welfare.key_frames_allowed,
            joined: welfare.joins.len() as u64,
            join_p50_ms: ms(welfare.join(0.5)),
            join_p95_ms: ms(welfare.join(0.95)),
            broken,
            notes: volley.notes,
            ..Self::default()
        }
    }

    /// What the server's process cost before, at the end of the attack, and when everybody had left.
    pub fn server(
        &mut self,
        took: Duration,
        before: ProcessUsage,
        during: ProcessUsage,
        after: ProcessUsage,
    ) {
        let cpu_us = during.cpu_us.saturating_sub(before.cpu_us) as f64;
        self.server_cpu_percent = Some(cpu_us / 1e4 / took.as_secs_f64().max(1e-6));
        self.rss_before_mib = Some(before.rss_kib as f64 / 1024.0);
        self.rss_after_mib = Some(after.rss_kib as f64 / 1024.0);
    }

    /// Whether every promise was kept.
    pub fn is_met(&self) -> bool {
        self.broken.is_empty()
    }

    fn verdict(&self) -> &'static str {
        match (self.broken.is_empty(), self.doubts.is_empty()) {
            (false, _) => "BROKEN",
            (true, false) => "kept, in doubt",
            (true, true) => "kept",
        }
    }

    fn judge(&mut self, join_factor: f64, quiet_p95_ms: f64) {
        if (self.sent as f64) < MIN_SENT * self.due as f64 {
            self.doubts.push(format!("of {} datagrams only {} could be sent", self.due, self.sent));
        }
        self.doubts.extend(stolen::doubt(self.stolen_percent));
        let mut promise = |kept: bool, broken: String| {
            if !kept {
                self.broken.push(broken);
            }
        };
        promise(self.loss_percent <= MAX_LOSS_PERCENT, format!("{:.2} % were lost", self.loss_percent));
        promise(self.wrong == 0, format!("{} packets were wrong", self.wrong));
        let (asked, allowed) = (self.key_frame_requests, self.key_frames_allowed);
        promise(asked <= allowed, format!("{asked} key frames were asked for, {allowed} would be well"));
        promise(self.panics == 0, format!("{} panics", self.panics));
        let limit = quiet_p95_ms * join_factor;
        promise(
            self.join_p95_ms <= limit,
            format!("joining took {:.0} ms, {limit:.0} ms would be well", self.join_p95_ms),
        );
        if let (Some(before), Some(after)) = (self.rss_before_mib, self.rss_after_mib) {
            promise(after - before <= self.growth_limit_mib, format!("{:.1} MiB were kept", after - before));
        }
    }
}

impl AttackReport {
    /// Without attacks.
    pub fn new(args: &AttackArgs) -> Self {
        Self {
            schema: 1,
            tool: "simmer-bench attack",
            version: env!("CARGO_PKG_VERSION"),
            subscribers: args.subscribers,
            seed: args.seed,
            attacks: Vec::new(),
        }
    }

    /// Adds an attack.
    pub fn add(&mut self, row: Row) {
        self.attacks.push(row);
    }

    /// Whether every promise was kept.
    pub fn is_met(&self) -> bool {
        self.attacks.iter().all(Row::is_met)
    }

    /// Measures every attack against the quiet times, of whose join time the 95th percentile may become `join_factor` times as long.
    pub fn judge(&mut self, join_factor: f64) {
        let quiet = self.attacks.iter().take(QUIET).map(|row| row.join_p95_ms).fold(0.0, f64::max);
        self.attacks.iter_mut().for_each(|row| row.judge(join_factor, quiet));
    }
}

impl fmt::Display for AttackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "attack: {} honest subscribers, seed {}\n", self.subscribers, self.seed)?;
        writeln!(
            f,
            "  {:<28}{:>9}{:>9}{:>9}{:>8}{:>6}{:>10}{:>10}{:>9}{:>10}  verdict",
            "attack",
            "seconds",
            "sent",
            "replies",
            "loss %",
            "keys",
            "join p50",
            "join p95",
            "server %",
            "MiB after"
        )?;
        let optional =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        for row in &self.attacks {
            writeln!(
                f,
                "  {:<28}{:>9.1}{:>9}{:>9}{:>8.3}{:>6}{:>10.0}{:>10.0}{:>9}{:>10}  {}",
                row.attack,
                row.seconds,
                row.sent,
                row.replies,
                row.loss_percent,
                row.key_frame_requests,
                row.join_p50_ms,
                row.join_p95_ms,
                optional(row.server_cpu_percent),
                optional(row.rss_after_mib),
                row.verdict()
            )?;
        }
        writeln!(f)?;
        for row in &self.attacks {
            for broken in &row.broken {
                writeln!(f, "  BROKEN {}: {broken}", row.attack)?;
            }
            for doubt in &row.doubts {
                writeln!(f, "  DOUBT {}: {doubt}", row.attack)?;
            }
            for note in &row.notes {
                writeln!(f, "  {}: {note}", row.attack)?;
            }
        }
        Ok(())
    }
}

const MAX_LOSS_PERCENT: f64 = 1.0;
/// The share of a flood that has to be sent if it is to count as one.
const MIN_SENT: f64 = 0.9;
/// The first rows are without an attack on the server.
const QUIET: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(attack: &'static str, join_p95_ms: f64) -> Row {
        Row {
            attack,
            join_p95_ms,
            rss_before_mib: Some(50.0),
            rss_after_mib: Some(52.0),
            growth_limit_mib: 4.0,
            key_frame_requests: 9,
            key_frames_allowed: 9,
            sent: 90,
            due: 100,
            ..Row::default()
        }
    }

    fn judged(change: fn(&mut Row)) -> Vec<String> {
        let mut attacked = row("stun", 120.0);
        change(&mut attacked);
        let attacks = vec![row("none", 80.0), row("elsewhere", 100.0), attacked];
        let mut report = AttackReport { schema: 1, tool: "", version: "", subscribers: 50, seed: 1, attacks };
        report.judge(1.2);
        assert_eq!(report.is_met(), report.attacks[2].is_met(), "{report}");
        assert_eq!(report.to_string().contains("BROKEN"), !report.is_met());
        report.attacks[2].broken.clone()
    }

    #[test]
    fn an_attack_is_judged_by_the_worse_of_the_quiet_times() {
        assert!(judged(|_| {}).is_empty());
        assert_eq!(judged(|row| row.join_p95_ms = 121.0), ["joining took 121 ms, 120 ms would be well"]);
        assert_eq!(judged(|row| row.loss_percent = 1.5), ["1.50 % were lost"]);
        assert_eq!(judged(|row| row.wrong = 1), ["1 packets were wrong"]);
        assert_eq!(
            judged(|row| row.key_frame_requests = 10),
            ["10 key frames were asked for, 9 would be well"]
        );
        assert_eq!(judged(|row| row.panics = 2), ["2 panics"]);
        assert_eq!(judged(|row| row.rss_after_mib = Some(54.5)), ["4.5 MiB were kept"]);
        assert_eq!(judged(|row| row.broken.push("replies".into())), ["replies"]);
    }

    #[test]
    fn a_flood_that_could_not_be_sent_is_in_doubt() {
        let mut flood = row("stun", 0.0);
        flood.judge(1.2, 100.0);
        assert_eq!((flood.doubts.len(), flood.verdict()), (0, "kept"));
        flood.sent -= 1;
        flood.judge(1.2, 100.0);
        assert_eq!(flood.doubts, ["of 100 datagrams only 89 could be sent"]);
        assert_eq!((flood.is_met(), flood.verdict()), (true, "kept, in doubt"));
        flood.panics = 1;
        flood.judge(1.2, 100.0);
        assert_eq!(flood.verdict(), "BROKEN");
    }

    #[test]
    fn a_row_is_in_doubt_when_the_host_took_processors_meanwhile() {
        let judged = |stolen_percent, join_p95_ms| {
            let mut row = Row { stolen_percent, ..row("stun", join_p95_ms) };
            row.judge(1.2, 100.0);
            (row.verdict(), row.doubts)
        };
        let doubts: Vec<String> = stolen::doubt(Some(6.0)).into_iter().collect();
        assert_eq!(judged(Some(0.9), 120.0), ("kept", Vec::new()));
        assert_eq!(judged(Some(6.0), 120.0), ("kept, in doubt", doubts.clone()));
        assert_eq!(judged(Some(6.0), 121.0), ("BROKEN", doubts), "it is no excuse");
    }
}
