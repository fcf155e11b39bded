//! What a link did in a stretch of time, for charts.

use std::time::Duration;

use serde::Serialize;

/// Counted from one [`super::Link::take_window`] to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Bytes given to the link.
    pub bytes_in: u64,
    /// Bytes handed out, repetitions included.
    pub bytes_out: u64,
    /// Packets lost by chance, in bursts and in pauses.
    pub lost: u64,
    /// Packets dropped because too much was waiting.
    pub dropped: u64,
    /// How long each packet that got through waited for the line, its own sending included.
    pub waits: Vec<Duration>,
}

/// A [`Window`] in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WindowSummary {
    /// See [`Window::bytes_in`].
    pub bytes_in: u64,
    /// See [`Window::bytes_out`].
    pub bytes_out: u64,
    /// Packets that were not lost or dropped.
    pub packets: usize,
    /// See [`Window::lost`].
    pub lost: u64,
    /// See [`Window::dropped`].
    pub dropped: u64,
    /// The wait, in milliseconds, that 95 % of the packets did not exceed.
    pub queue_p95_ms: f64,
    /// The longest wait, in milliseconds.
    pub queue_max_ms: f64,
}

impl Window {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.waits.extend(other.waits);
        self
    }

    /// In figures.
    pub fn summary(mut self) -> WindowSummary {
        self.waits.sort_unstable();
        let rank = (self.waits.len() * 95).div_ceil(100).saturating_sub(1);
        let ms = |wait: Option<&Duration>| wait.map_or(0.0, |wait| wait.as_secs_f64() * 1000.0);
        WindowSummary {
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            packets: self.waits.len(),
            lost: self.lost,
            dropped: self.dropped,
            queue_p95_ms: ms(self.waits.get(rank)),
            queue_max_ms: ms(self.waits.last()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p95_is_a_wait_that_one_in_twenty_exceeds() {
        let waits = (1..=100).rev().map(Duration::from_millis).collect();
        let window = Window { waits, lost: 2, ..Window::default() };
        let summary = window.and(Window { lost: 1, ..Window::default() }).summary();
        assert_eq!((summary.queue_p95_ms, summary.queue_max_ms), (95.0, 100.0));
        assert_eq!((summary.packets, summary.lost), (100, 3));
        assert_eq!(Window::default().summary(), WindowSummary::default());
    }
}
