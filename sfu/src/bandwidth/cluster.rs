//! What a probe showed.

use crate::bandwidth::{Bitrate, Probe, ProbeId};

/// The probes under way, the newest first; beyond [`MOST`] the oldest goes. Most of the time there is none, and no memory for any.
#[derive(Clone, Debug, Default)]
pub(super) struct Clusters(Vec<Cluster>);

/// What a probe found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Finding {
    /// The rate asked for.
    pub(super) probed: Bitrate,
    /// The rate the line carried.
    pub(super) carried: Bitrate,
    /// It filled the line, perhaps together with others: what was carried may be theirs.
    pub(super) filled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cluster {
    probe: Probe,
    began_us: i64,
    /// Of datagrams that were sent for the probe.
    own_bytes: u64,
    sent: Passed,
    arrived: Passed,
    /// Arrivals since it was last judged.
    fresh: bool,
    /// What was found then.
    found: Bitrate,
}

/// Datagrams that passed a point.
#[derive(Clone, Copy, Default, Debug)]
struct Passed {
    packets: usize,
    bytes: u64,
    first: Option<(i64, u32)>,
    last: Option<(i64, u32)>,
}

impl Clusters {
    /// A probe begins.
    pub(super) fn begin(&mut self, probe: Probe, now_us: i64) {
        self.0.truncate(MOST - 1);
        let (sent, arrived) = (Passed::default(), Passed::default());
        let newest = Cluster {
            probe,
            began_us: now_us,
            own_bytes: 0,
            sent,
            arrived,
            fresh: false,
            found: Bitrate::ZERO,
        };
        self.0.insert(0, newest);
    }

    /// A datagram left, part of a probe or not. While a probe is being sent, whatever leaves in between adds to the rate it tries: the answer is what
    /// the datagram counts for.
    pub(super) fn on_sent(&mut self, id: Option<ProbeId>, now_us: i64, bytes: u32) -> Option<ProbeId> {
        let cluster = match id {
            Some(id) => self.find(id)?,
            None => self.0.iter_mut().find(|cluster| cluster.is_being_sent(now_us))?,
        };
        cluster.sent.add(now_us, bytes);
        if id.is_some() {
            cluster.own_bytes = cluster.own_bytes.saturating_add(bytes.into());
        }
        Some(cluster.probe.id)
    }

    /// A datagram of it arrived, by the receiver's clock.
    pub(super) fn on_arrival(&mut self, id: ProbeId, at_us: i64, bytes: u32) {
        if let Some(cluster) = self.find(id) {
            cluster.arrived.add(at_us, bytes);
            cluster.fresh = true;
        }
    }

    /// Of a probe that showed more than before, the oldest first.
    pub(super) fn next_finding(&mut self) -> Option<Finding> {
        self.0.iter_mut().rev().find_map(|cluster| {
            let fresh = std::mem::take(&mut cluster.fresh);
            let finding = fresh.then(|| cluster.finding()).flatten()?;
            let more = finding.carried > cluster.found * 1.05;
            cluster.found = cluster.found.max(finding.carried);
            more.then_some(finding)
        })
    }

    /// Lets go of all.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Lets go of those whose time is over.
    pub(super) fn expire(&mut self, now_us: i64) {
        self.0.retain(|cluster| now_us.saturating_sub(cluster.began_us) <= LIFE_US);
        if self.0.is_empty() {
            self.clear();
        }
    }

    fn find(&mut self, id: ProbeId) -> Option<&mut Cluster> {
        self.0.iter_mut().find(|cluster| cluster.probe.id == id)
    }
}

impl Cluster {
    fn is_being_sent(&self, now_us: i64) -> bool {
        let complete = self.own_bytes >= self.probe.bytes as u64;
        // A probe that nobody goes on sending is over too.
        let gap_us = self.sent.last.map(|(last, _)| now_us.saturating_sub(last));
        !complete && gap_us.is_some_and(|gap_us| gap_us <= MAX_GAP_US)
    }

    fn finding(&self) -> Option<Finding> {
        let packets = self.probe.packets.max(self.sent.packets) as f64;
        let enough = self.arrived.packets as f64 >= packets * ENOUGH
            && self.arrived.bytes as f64 >= (self.sent.bytes as f64).min(self.probe.bytes as f64) * ENOUGH
            && self.own_bytes as f64 >= self.probe.bytes as f64 * ENOUGH;
        if !enough {
            return None;
        }
        // The last datagram leaves at the end of the time sent, the first arrives at the beginning of the time arrived.
        let sent = self.sent.rate(self.sent.last)?;
        let arrived = self.arrived.rate(self.arrived.first)?;
        if arrived > sent * MAX_RATIO {
            // The line let go in one piece what it had held up: no measure of its rate.
            return None;
        }
        // What was asked for arrived: that media came on top, and slower, says nothing.
        let filled = arrived < sent * FULL && arrived * BELOW_FULL < self.probe.bitrate;
        let carried = if filled { arrived * BELOW_FULL } else { sent.min(arrived) };
        Some(Finding { probed: self.probe.bitrate, carried: carried.min(self.probe.bitrate), filled })
    }
}

impl Passed {
    fn add(&mut self, at_us: i64, bytes: u32) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.into());
        if self.first.is_none_or(|(first, _)| at_us < first) {
            self.first = Some((at_us, bytes));
        }
        if self.last.is_none_or(|(last, _)| at_us >= last) {
            self.last = Some((at_us, bytes));
        }
    }

    fn rate(&self, uncounted: Option<(i64, u32)>) -> Option<Bitrate> {
        let (first, _) = self.first?;
        let (last, _) = self.last?;
        let span_us = last.saturating_sub(first);
        let bytes = self.bytes.saturating_sub(uncounted?.1.into());
        // All at once is as good as any rate; the probe's own bounds it.
        let span_us = u64::try_from(span_us).ok().filter(|&span| span <= MAX_SPAN_US)?.max(1);
        bytes.saturating_mul(8_000_000).checked_div(span_us).map(Bitrate::bps)
    }
}

/// Findings of older ones are of the past.
const MOST: usize = 4;
/// Part of a probe that has to arrive.
const ENOUGH: f64 = 0.8;
/// What arrives slower than so much of the rate sent has filled the line.
const FULL: f64 = 0.9;
const BELOW_FULL: f64 = 0.95;
const MAX_RATIO: f64 = 2.0;
const MAX_SPAN_US: u64 = 1_000_000;
const MAX_GAP_US: i64 = 50_000;
const LIFE_US: i64 = 3_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Probe = Probe { id: ProbeId(7), bitrate: Bitrate::kbps(2000), bytes: 5000, packets: 5 };

    /// Five datagrams of 1000 bytes, sent every 4 ms (2 Mbit/s), that arrive so many microseconds apart.
    fn probe(gap_us: i64, arriving: &[i64]) -> Option<Bitrate> {
        let mut clusters = Clusters::default();
        clusters.begin(PROBE, 0);
        for packet in 0..5 {
            clusters.on_sent(Some(PROBE.id), packet * 4000, 1000);
        }
        for packet in arriving {
            clusters.on_arrival(PROBE.id, 1_000_000 + packet * gap_us, 1000);
        }
        clusters.next_finding().map(|finding| finding.carried)
    }

    #[test]
    fn what_arrives_as_sent_is_the_rate_sent() {
        assert_eq!(probe(4000, &[0, 1, 2, 3, 4]), Some(Bitrate::kbps(2000)));
        assert_eq!(probe(3000, &[4, 3, 2, 1, 0]), Some(Bitrate::kbps(2000)), "never more than sent");
    }

    #[test]
    fn what_arrives_slower_is_the_line() {
        assert_eq!(probe(8000, &[0, 1, 2, 3, 4]), Some(Bitrate::kbps(950)));
    }

    #[test]
    fn too_little_or_too_odd_is_no_result() {
        assert_eq!(probe(4000, &[0, 1, 4]), None);
        assert_eq!(probe(0, &[0, 1, 2, 3, 4]), None, "let go at once");
        assert_eq!(probe(400_000, &[0, 1, 2, 3, 4]), None, "for too long");
        assert!(probe(4000, &[0, 1, 2, 4]).is_some());
    }
}
