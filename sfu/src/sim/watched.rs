//! What a simulated client received in a slot, what it misses there and asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::id::{Mid, Ssrc};
use crate::ingress::ReceiveStream;
use crate::rtp::Extender16;
use crate::sim::mark::Mark;
use crate::sim::svc::LayerMark;
use crate::sim::voice::Report;

/// What a slot received.
pub struct Watched {
    /// The slot's m-line.
    pub mid: Mid,
    /// Marks by extended sequence number, repaired ones included.
    pub received: BTreeMap<u64, Mark>,
    /// When each number came first.
    pub arrivals: BTreeMap<u64, Instant>,
    /// RTP timestamps by extended sequence number.
    pub timestamps: BTreeMap<u64, u32>,
    /// The same for layered video.
    pub layers: BTreeMap<u64, LayerMark>,
    /// Numbers that came with nothing in them.
    pub empty: BTreeSet<u64>,
    /// Numbers that came twice with different contents: a fault.
    pub contradictions: u64,
    /// When the first complete key frame began to arrive.
    pub first_key: Option<Instant>,
    /// The playout delays that packets told, in units of 10 ms, by extended sequence number.
    pub told: BTreeMap<u64, u16>,
    /// Repairs that came, needed or not.
    pub repairs_received: u64,
    /// The sender reports about it.
    pub reports: Vec<Report>,
    pub(super) ssrc: Ssrc,
    pub(super) rtx_ssrc: Ssrc,
    pub(super) extender: Extender16,
    pub(super) stream: ReceiveStream,
    missing: BTreeMap<u64, Missing>,
    /// Something was given up: since when a key frame is waited for, and when it was asked for last.
    wants_key: Option<Option<Instant>>,
}

#[derive(Clone, Copy)]
struct Missing {
    since: Instant,
    asked: Option<Instant>,
}

impl Watched {
    pub(super) fn new(mid: Mid, ssrc: Ssrc, rtx_ssrc: Ssrc) -> Self {
        Self {
            mid,
            received: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            layers: BTreeMap::new(),
            empty: BTreeSet::new(),
            timestamps: BTreeMap::new(),
            contradictions: 0,
            first_key: None,
            told: BTreeMap::new(),
            repairs_received: 0,
            reports: Vec::new(),
            ssrc,
            rtx_ssrc,
            extender: Extender16::default(),
            stream: ReceiveStream::new(90_000),
            missing: BTreeMap::new(),
            wants_key: None,
        }
    }

    /// Numbers between the first and the last that never came.
    pub fn gaps(&self) -> u64 {
        let (Some(first), Some(last)) = (self.timestamps.keys().next(), self.timestamps.keys().last()) else {
            return 0;
        };
        last - first + 1 - self.timestamps.len() as u64
    }

    /// A packet came, or a repaired one.
    pub(super) fn take(&mut self, now: Instant, number: u64, timestamp: u32, payload: &[u8]) {
        let (mark, layers) = (Mark::read(payload), LayerMark::read(payload));
        if mark.is_none() && layers.is_none() && !payload.is_empty() {
            self.contradictions += 1;
            return;
        }
        let (first, last) = (self.timestamps.keys().next().copied(), self.timestamps.keys().last().copied());
        if let (Some(first), Some(last)) = (first, last) {
            // The very first to arrive may have overtaken its predecessors.
            for lost in (last + 1..number).chain(number + 1..first) {
                self.missing.insert(lost, Missing { since: now, asked: None });
            }
        }
        self.missing.remove(&number);
        let begins_key = mark.is_some_and(|mark| mark.key && mark.part == 0)
            || layers.as_ref().is_some_and(|layers| layers.key && layers.part == 0);
        if begins_key {
            self.wants_key = None;
        } else if first.is_none() {
            // What came before it is unknown: nothing can be decoded.
            self.wants_key = Some(None);
        }
        if mark.is_some_and(|mark| mark.key) {
            self.first_key.get_or_insert(now);
        }
        self.arrivals.entry(number).or_insert(now);
        self.timestamps.insert(number, timestamp);
        let former = match (mark, layers) {
            (Some(mark), _) => self.received.insert(number, mark).is_some_and(|former| former != mark),
            (None, Some(mark)) => {
                self.layers.insert(number, mark.clone()).is_some_and(|former| former != mark)
            }
            (None, None) => {
                self.empty.insert(number);
                false
            }
        };
        self.contradictions += u64::from(former);
    }

    /// Whether a key frame is asked for now: what is missing for long is not waited for.
    pub(super) fn asks_for_key(&mut self, now: Instant) -> bool {
        let before = self.missing.len();
        self.missing.retain(|_, missing| now.duration_since(missing.since) < GIVE_UP);
        if self.missing.len() < before {
            self.wants_key.get_or_insert(None);
        }
        let Some(asked) = &mut self.wants_key else { return false };
        let due = asked.is_none_or(|at| now.duration_since(at) >= ASK_KEY_AGAIN);
        if due {
            *asked = Some(now);
        }
        due
    }

    /// What is asked for now.
    pub(super) fn asks_for(&mut self, now: Instant) -> Vec<u64> {
        let mut wanted = Vec::new();
        for (&number, missing) in &mut self.missing {
            if missing.asked.is_none_or(|at| now.duration_since(at) >= ASK_AGAIN) {
                missing.asked = Some(now);
                wanted.push(number);
            }
        }
        wanted
    }
}

/// What libwebrtc takes a round trip for that it does not know, and a turn of its clock.
const ASK_AGAIN: Duration = Duration::from_millis(110);
/// What has not come by then is not waited for: a browser asks for a key frame.
const GIVE_UP: Duration = Duration::from_millis(800);
const ASK_KEY_AGAIN: Duration = Duration::from_millis(300);
