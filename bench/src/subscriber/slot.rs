//! One of a subscriber's slots: the stream that comes there, and what is missing of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use rtcp::reception_report::ReceptionReport;

use crate::clock::Clock;
use crate::connection::WireSequence;
use crate::sdp::MediaSection;
use crate::source::{AUDIO_CLOCK, MediaKind, VIDEO_CLOCK};
use crate::verify::{Seen, SeenWindow, StreamVerifier};

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) mid: String,
    pub(super) kind: MediaKind,
    /// None until the first packet, where the server does not announce it.
    pub(super) ssrc: Option<u32>,
    pub(super) content: Option<u32>,
    pub(super) content_since: Option<Instant>,
    pub(super) verifier: StreamVerifier,
    /// Whether the server has a stream for what it sends again.
    pub(super) has_rtx: bool,
    pub(super) sequence: WireSequence,
    pub(super) seen: SeenWindow,
    missing: BTreeMap<u64, Missing>,
    pub(super) whole: bool,
    /// The publisher shown since the window began, and what was measured before.
    pub(super) window: Option<(u32, u64)>,
    /// Whether packets are not opened.
    pub(super) sealed: bool,
    /// The highest number and the count of packets at the window's beginning, of one that is sealed.
    pub(super) sealed_window: (u64, u64),
    /// The same at its end.
    pub(super) sealed_end: Option<(u64, u64)>,
    /// The last sender report: its time in microseconds, and the RTP timestamp at that time.
    pub(super) clock: Option<(i64, u32)>,
    /// What that clock shows more than the publisher's.
    pub(super) offset_us: Option<i64>,
    pub(super) report: ReportState,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    next: Instant,
    tries: u8,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReportState {
    pub(super) first: Option<u64>,
    pub(super) received: u64,
    expected_before: u64,
    received_before: u64,
    jitter: f64,
    transit: Option<f64>,
    pub(super) last_sender_report: Option<(u32, Instant)>,
    pub(super) gave_up: bool,
}

impl Slot {
    /// An empty one for that section of the answer.
    pub(super) fn new(kind: MediaKind, section: &MediaSection, fps: u32) -> Self {
        Self {
            mid: section.mid.clone(),
            kind,
            ssrc: section.ssrc,
            content: None,
            content_since: None,
            verifier: StreamVerifier::new(kind, fps),
            has_rtx: section.rtx_ssrc.is_some() || section.rtx_payload_type.is_some(),
            sequence: WireSequence::default(),
            seen: SeenWindow::default(),
            missing: BTreeMap::new(),
            whole: false,
            window: None,
            sealed: false,
            sealed_window: (0, 0),
            sealed_end: None,
            clock: None,
            offset_us: None,
            report: ReportState::default(),
        }
    }

    /// Notes a packet; whether it had been asked for.
    pub(super) fn note_arrival(
        &mut self,
        now: Instant,
        sequence_number: u16,
        timestamp: u32,
        retransmitted: bool,
    ) -> bool {
        let before = self.sequence.highest();
        let number = self.sequence.extend(sequence_number);
        let asked = self.missing.remove(&number).is_some_and(|missing| missing.tries > 0);
        if self.seen.insert(number) == Seen::Before {
            return asked;
        }
        let clock = self.clock_rate() as f64;
        let report = &mut self.report;
        report.first.get_or_insert(number);
        report.received += 1;
        if !retransmitted {
            // RFC 3550 section 6.4.1, interarrival jitter.
            let transit = Clock::nanos(now) as f64 * 1e-9 * clock - f64::from(timestamp);
            if let Some(last) = report.transit.replace(transit) {
                report.jitter += ((transit - last).abs().min(clock) - report.jitter) / 16.0;
            }
        }
        if let (MediaKind::Video, Some(before)) = (self.kind, before)
            && number > before + 1
        {
            // Of a longer gap only the newest packets are asked for; the rest counts as lost.
            let first = (before + 1).max(number.saturating_sub(MAX_MISSING));
            report_gap(&mut self.missing, first..number, now);
        }
        asked
    }

    /// The highest number and the count of packets until now.
    pub(super) fn sealed_so_far(&self) -> (u64, u64) {
        (self.sequence.highest().unwrap_or_default(), self.report.received)
    }

    pub(super) fn clock_rate(&self) -> i64 {
        match self.kind {
            MediaKind::Video => VIDEO_CLOCK.cast_signed(),
            MediaKind::Audio => AUDIO_CLOCK.cast_signed(),
        }
    }

    /// When something is to be asked for.
    pub(super) fn next_nack(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.next).min()
    }

    /// The numbers to ask for now; what was asked for often enough is given up.
    pub(super) fn due_nacks(&mut self, now: Instant) -> Vec<u16> {
        if self.missing.is_empty() {
            return Vec::new();
        }
        let before = self.missing.len();
        self.missing.retain(|_, missing| missing.tries < NACK_TRIES || missing.next > now);
        self.report.gave_up |= self.missing.len() < before;
        let mut numbers = Vec::new();
        for (number, missing) in self.missing.iter_mut().filter(|(_, missing)| missing.next <= now) {
            missing.tries += 1;
            missing.next = now + NACK_AGAIN;
            numbers.push(*number as u16);
        }
        numbers
    }

    /// Whether a decoder could not go on: nothing whole yet, or something given up.
    pub(super) fn is_blind(&self) -> bool {
        !self.whole || self.report.gave_up
    }

    pub(super) fn is_misdirected(&self, now: Instant, publisher: u32) -> bool {
        let settled = |since: &Instant| now.saturating_duration_since(*since) >= SLOT_SETTLES;
        self.content_since.as_ref().is_some_and(settled) && self.content != Some(publisher)
    }

    /// What to report of it, if anything came.
    pub(super) fn reception(&mut self, now: Instant) -> Option<ReceptionReport> {
        let highest = self.sequence.highest()?;
        let report = &mut self.report;
        let expected = highest + 1 - report.first?;
        let lost = expected.saturating_sub(report.received);
        let expected_now = expected.saturating_sub(report.expected_before);
        let lost_now = expected_now.saturating_sub(report.received - report.received_before);
        report.expected_before = expected;
        report.received_before = report.received;
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let (last_sender_report, delay) = report.last_sender_report.map_or((0, 0), |(report, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            (report, delay as u32)
        });
        Some(ReceptionReport {
            ssrc: self.ssrc?,
            fraction_lost: fraction,
            total_lost: u32::try_from(lost).unwrap_or(u32::MAX).min(0x7f_ffff),
            last_sequence_number: highest as u32 & 0xffff | ((highest >> 16) as u32).wrapping_sub(1) << 16,
            jitter: report.jitter as u32,
            last_sender_report,
            delay,
        })
    }
}

fn report_gap(missing: &mut BTreeMap<u64, Missing>, gap: Range<u64>, now: Instant) {
    for number in gap {
        missing.insert(number, Missing { next: now + NACK_AFTER, tries: 0 });
        // The oldest go first, and count as lost.
        if missing.len() > MAX_MISSING as usize {
            missing.pop_first();
        }
    }
}

/// How long a packet may be overtaken before it is asked for.
pub(super) const NACK_AFTER: Duration = Duration::from_millis(10);
pub(super) const NACK_AGAIN: Duration = Duration::from_millis(100);
pub(super) const NACK_TRIES: u8 = 8;
/// How long after a change of content the one before may still come.
pub(super) const SLOT_SETTLES: Duration = Duration::from_secs(1);
const MAX_MISSING: u64 = 512;
