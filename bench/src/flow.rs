//! What each publisher has sent, as the run's subscribers are measured against it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::source::MediaKind;

/// One stream of one publisher: how much was sent, and which part of it is measured.
#[derive(Debug)]
pub struct Flow {
    sent: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
}

impl Flow {
    fn new() -> Self {
        Self { sent: AtomicU64::new(0), first: AtomicU64::new(u64::MAX), last: AtomicU64::new(u64::MAX) }
    }

    /// Tells that the packet `number` was sent.
    pub fn sent(&self, number: u64) {
        self.sent.store(number, Ordering::Relaxed);
    }

    /// Whether the packet `number` is one that is measured.
    pub fn measures(&self, number: u64) -> bool {
        number > self.first.load(Ordering::Relaxed) && number <= self.last.load(Ordering::Relaxed)
    }

    /// How many packets are measured; those sent so far while the window is open.
    pub fn measured(&self) -> u64 {
        let last = self.last.load(Ordering::Relaxed).min(self.sent.load(Ordering::Relaxed));
        last.saturating_sub(self.first.load(Ordering::Relaxed))
    }

    /// Packets sent since the run began.
    pub fn total(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The streams of all publishers.
#[derive(Debug)]
pub struct Flows {
    video: Vec<Flow>,
    audio: Vec<Flow>,
}

impl Flows {
    /// Streams for `publishers`, each with video, and with audio if asked for.
    pub fn new(publishers: u32, audio: bool) -> Self {
        let flows = |count: u32| (0..count).map(|_| Flow::new()).collect();
        Self { video: flows(publishers), audio: flows(if audio { publishers } else { 0 }) }
    }

    /// The stream of `kind` of the publisher with that number.
    pub fn flow(&self, publisher: u32, kind: MediaKind) -> Option<&Flow> {
        let flows = match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        };
        flows.get(usize::try_from(publisher).ok()?)
    }

    /// Measures what is sent from now on, also when a window was closed before.
    pub fn open_window(&self) {
        for flow in self.iter() {
            flow.first.store(flow.total(), Ordering::Relaxed);
            flow.last.store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// Measures nothing of what is sent from now on.
    pub fn close_window(&self) {
        for flow in self.iter() {
            flow.last.store(flow.total(), Ordering::Relaxed);
        }
    }

    /// All streams, video first.
    pub fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.video.iter().chain(&self.audio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_was_sent_between_its_ends() {
        let flows = Flows::new(1, true);
        let flow = flows.flow(0, MediaKind::Video).expect("the publisher's video");
        flow.sent(10);
        assert!(!flow.measures(5) && flow.measured() == 0);
        flows.open_window();
        flow.sent(25);
        assert_eq!(flow.measured(), 15);
        flows.close_window();
        flow.sent(40);
        assert_eq!(flow.measured(), 15);
        assert_eq!([10, 11, 25, 26].map(|number| flow.measures(number)), [false, true, true, false]);
        flows.open_window();
        flow.sent(43);
        assert_eq!((flow.measured(), flow.measures(26), flow.measures(41)), (3, false, true));
        assert!(flows.flow(0, MediaKind::Audio).is_some() && flows.flow(1, MediaKind::Video).is_none());
    }
}
