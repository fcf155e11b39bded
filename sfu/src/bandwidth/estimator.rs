//! What a subscriber's line carries, as far as its feedback tells.

use std::time::{Duration, Instant};

use crate::bandwidth::{Bitrate, Probe, ProbeId};
use crate::rtcp::TransportFeedback;

/// The send-side bandwidth estimator of one subscriber's line.
///
/// [`poll_probe`](Self::poll_probe) and [`estimate`](Self::estimate) are asked again after every other call that changes it.
#[derive(Clone, Debug)]
pub struct BandwidthEstimator {
    estimate: Bitrate,
    demand: Bitrate,
    round_trip: Option<Duration>,
}

/// What the delay of a line says of its use (draft-ietf-rmcat-gcc-02 section 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Usage {
    /// A queue drains.
    Underuse,
    /// The queue stays as it is.
    #[default]
    Normal,
    /// A queue grows.
    Overuse,
}

/// What the estimator knows, for charts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EstimatorReport {
    /// What may be sent.
    pub estimate: Bitrate,
    /// What arrives, once that is known.
    pub acknowledged: Option<Bitrate>,
    /// The part lost lately, 0 to 1.
    pub loss: f64,
    /// The slope of the delay, in milliseconds of queue per second.
    pub trend: f64,
    /// What is concluded from it.
    pub usage: Usage,
    /// To the subscriber and back.
    pub round_trip: Option<Duration>,
}

impl BandwidthEstimator {
    /// Knows nothing but the rate to begin with.
    pub fn new(_now: Instant) -> Self {
        Self { estimate: Bitrate::kbps(600), demand: Bitrate::ZERO, round_trip: None }
    }

    /// A datagram with this transport-wide number (extended, one more each) goes to the network now. `bytes`: its UDP payload. `probe`: what it
    /// is part of.
    pub fn on_sent(&mut self, _now: Instant, _sequence: u64, _bytes: usize, _probe: Option<ProbeId>) {}

    /// The receiver tells when datagrams arrived.
    pub fn on_feedback(&mut self, _now: Instant, _feedback: &TransportFeedback<'_>) {}

    /// A receiver report: the part lost since the last one, in 1/256, and the round trip where it gives one.
    pub fn on_report(&mut self, _now: Instant, _fraction_lost: u8, round_trip: Option<Duration>) {
        self.round_trip = round_trip.or(self.round_trip);
    }

    /// The receiver's own estimate, heeded only where it sends no transport-wide feedback.
    pub fn on_remb(&mut self, _now: Instant, _limit: Bitrate) {}

    /// What would be sent if the line carried everything; probes go no further than a little above it.
    pub fn set_demand(&mut self, _now: Instant, demand: Bitrate) {
        self.demand = demand;
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What may be sent, all datagrams together.
    pub fn estimate(&self) -> Bitrate {
        self.estimate
    }

    /// A probe to send now.
    pub fn poll_probe(&mut self, _now: Instant) -> Option<Probe> {
        None
    }

    /// To the subscriber and back, once that is known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What it knows, for charts.
    pub fn report(&self) -> EstimatorReport {
        EstimatorReport {
            estimate: self.estimate,
            acknowledged: None,
            loss: 0.0,
            trend: 0.0,
            usage: Usage::Normal,
            round_trip: self.round_trip,
        }
    }
}
