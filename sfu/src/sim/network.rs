//! A seeded network: what is put in comes out later, or not at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// What a line does to datagrams, in one direction.
#[derive(Clone, Debug)]
pub struct Line {
    /// The least time a datagram takes.
    pub delay: Duration,
    /// Added to `delay`, evenly drawn from zero to this. Order is kept but for `reorder`.
    pub jitter: Duration,
    /// Probability of losing a datagram, 0 to 1.
    pub loss: f64,
    /// Probability that a datagram overtakes those sent shortly before, 0 to 1.
    pub reorder: f64,
    /// Probability of delivering a datagram twice, 0 to 1.
    pub duplicate: f64,
    /// Bits per second; `None` is without bound.
    pub rate_bps: Option<u64>,
    /// What waits for the line is dropped beyond this delay.
    pub queue: Duration,
}

impl Default for Line {
    /// A good line: 10 ms, nothing lost.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            rate_bps: None,
            queue: Duration::from_millis(300),
        }
    }
}

/// A datagram that arrives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Contents.
    pub datagram: Bytes,
}

/// All lines of a simulation. Each sending address has one of its own, and so has each direction of it.
pub struct Network {
    rng: ChaCha20Rng,
    /// Each line has dice of its own, made from this.
    apart: Option<u64>,
    lines: Vec<(SocketAddr, Line, LineState)>,
    /// Addresses that send over another one's line.
    shared: Vec<(SocketAddr, SocketAddr)>,
    transit: BinaryHeap<Reverse<InTransit>>,
    counter: u64,
    /// Datagrams lost, whether on the line or in its queue.
    pub lost: u64,
}

struct LineState {
    /// When the line has sent what was given to it.
    free_at: Option<Instant>,
    /// When the last one arrives: later ones do not overtake it.
    last_arrival: Option<Instant>,
    dice: Option<ChaCha20Rng>,
}

#[derive(PartialEq, Eq)]
struct InTransit {
    at: Instant,
    number: u64,
    delivery: Delivery,
}

impl Ord for InTransit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for InTransit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Network {
    /// A network without lines: what is sent over an address without one arrives at once.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha20Rng::seed_from_u64(seed),
            apart: None,
            lines: Vec::new(),
            shared: Vec::new(),
            transit: BinaryHeap::new(),
            counter: 0,
            lost: 0,
        }
    }

    /// The same with dice of its own for each line: what one does depends on nothing that is sent over others.
    pub fn of_independent_lines(seed: u64) -> Self {
        Self { apart: Some(seed), ..Self::new(seed) }
    }

    /// Sets the line from `from` to `to`.
    pub fn set_line(&mut self, from: SocketAddr, line: Line) {
        match self.lines.iter_mut().find(|(address, ..)| *address == from) {
            Some((_, known, _)) => *known = line,
            None => {
                let number = self.lines.len() as u64;
                let dice = self.apart.map(|seed| ChaCha20Rng::seed_from_u64(seed << 32 | number));
                self.lines.push((from, line, LineState { free_at: None, last_arrival: None, dice }));
            }
        }
    }

    /// From now on what is sent over `from` goes over the line of `other`: several ends behind one bottleneck.
    pub fn share_line(&mut self, from: SocketAddr, other: SocketAddr) {
        self.shared.push((from, other));
    }

    /// How long what is sent now over `over` has to wait for its line.
    pub fn backlog(&self, now: Instant, over: SocketAddr) -> Duration {
        let line = self.lines.iter().find(|(address, ..)| *address == over);
        let free_at = line.and_then(|(_, _, state)| state.free_at);
        free_at.map_or(Duration::ZERO, |free| free.saturating_duration_since(now))
    }

    /// Sends a datagram over the line of `over`: the sender's for the way up, the receiver's for the way down, marked by the caller as it likes.
    pub fn send(&mut self, now: Instant, over: SocketAddr, delivery: Delivery) {
        let over = self.shared.iter().find(|(from, _)| *from == over).map_or(over, |&(_, other)| other);
        let Some((_, line, state)) = self.lines.iter_mut().find(|(address, ..)| *address == over) else {
            self.push(now, delivery);
            return;
        };
        // Every draw is made every time, so that one parameter's change leaves the others' dice as they were.
        let dice = state.dice.as_mut().unwrap_or(&mut self.rng);
        let (loss, reorder, duplicate, jitter) =
            (dice.random::<f64>(), dice.random::<f64>(), dice.random::<f64>(), dice.random::<f64>());
        let start = state.free_at.map_or(now, |free| free.max(now));
        if start.duration_since(now) > line.queue || loss < line.loss {
            self.lost += 1;
            return;
        }
        let bits = (delivery.datagram.len() as u64 + IP_UDP_BYTES) * 8;
        let sending = line
            .rate_bps
            .map_or(Duration::ZERO, |rate| Duration::from_nanos(bits * 1_000_000_000 / rate.max(1)));
        state.free_at = Some(start + sending);
        let mut at = start + sending + line.delay + line.jitter.mul_f64(jitter);
        if reorder >= line.reorder {
            at = state.last_arrival.map_or(at, |last| at.max(last));
            state.last_arrival = Some(at);
        } else {
            at -= line.delay.min(at.duration_since(now)) / 2;
        }
        if duplicate < line.duplicate {
            self.push(at, delivery.clone());
        }
        self.push(at, delivery);
    }

    /// When the next datagram arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transit.peek().map(|Reverse(next)| next.at)
    }

    /// Takes the next datagram that has arrived.
    pub fn poll(&mut self, now: Instant) -> Option<Delivery> {
        if self.poll_timeout()? > now {
            return None;
        }
        self.transit.pop().map(|Reverse(next)| next.delivery)
    }

    fn push(&mut self, at: Instant, delivery: Delivery) {
        self.counter += 1;
        self.transit.push(Reverse(InTransit { at, number: self.counter, delivery }));
    }
}

const IP_UDP_BYTES: u64 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn run(line: Line, datagrams: u64, every: Duration) -> (Vec<(Duration, u64)>, u64) {
        let origin = Instant::now();
        let mut network = Network::new(7);
        network.set_line(address(1), line);
        for number in 0..datagrams {
            let datagram = Bytes::copy_from_slice(&[&number.to_be_bytes()[..], &[0; 992]].concat());
            let delivery = Delivery { from: address(1), to: address(2), datagram };
            network.send(origin + every * number as u32, address(1), delivery);
        }
        let mut arrived = Vec::new();
        while let Some(at) = network.poll_timeout() {
            while let Some(delivery) = network.poll(at) {
                let number = u64::from_be_bytes(delivery.datagram[..8].try_into().unwrap());
                arrived.push((at - origin, number));
            }
        }
        (arrived, network.lost)
    }

    #[test]
    fn a_good_line_delays_and_keeps_order() {
        let (arrived, lost) = run(Line::default(), 100, Duration::from_millis(1));
        let expected: Vec<_> = (0..100).map(|n| (Duration::from_millis(10 + n), n)).collect();
        assert_eq!((arrived, lost), (expected, 0));
    }

    #[test]
    fn loss_duplication_and_reordering_are_as_frequent_as_asked() {
        let line = Line { loss: 0.1, duplicate: 0.05, reorder: 0.02, ..Line::default() };
        let (arrived, lost) = run(line, 20_000, Duration::from_millis(1));
        assert!((1800..2200).contains(&lost), "{lost}");
        let extra = arrived.len() as u64 + lost - 20_000;
        assert!((800..1000).contains(&extra), "{extra}");
        let behind = arrived.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
        assert!((300..450).contains(&behind), "{behind}");
    }

    #[test]
    fn a_narrow_line_queues_and_then_drops() {
        // 1028 bytes every millisecond are 8.2 Mbit/s; half of it passes.
        let line = Line { rate_bps: Some(4_112_000), ..Line::default() };
        let (arrived, lost) = run(line, 2000, Duration::from_millis(1));
        let waited = arrived.iter().map(|&(at, n)| at - Duration::from_millis(n + 12)).max();
        assert!(waited.is_some_and(|waited| waited <= Duration::from_millis(300)), "{waited:?}");
        assert!((840..860).contains(&lost), "{lost}");
    }
}
