//! How many bits per second each layer of an encoding takes.

use std::time::{Duration, Instant};

use crate::bandwidth::Bitrate;
use crate::codec::Layer;

/// Bytes and pictures of one encoding by layer, over the last second.
#[derive(Clone, Debug)]
pub struct LayerRates {
    origin: Option<Instant>,
    /// One more than the window has, for the one that is being filled.
    slices: [Slice; SLICES + 1],
    /// Of the picture counted last.
    timestamp: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Counts slices since `origin`.
    number: u64,
    /// By spatial and temporal layer.
    bytes: [[u32; LAYERS]; LAYERS],
    /// By temporal layer.
    pictures: [u16; LAYERS],
}

impl Default for LayerRates {
    fn default() -> Self {
        Self { origin: None, slices: [Slice::default(); SLICES + 1], timestamp: None }
    }
}

impl LayerRates {
    /// Counts a packet of `bytes`. Layers above 3 count as 3.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, layer: Layer, timestamp: u32, bytes: usize) {
        let origin = *self.origin.get_or_insert(now);
        let number = slice_number(origin, now);
        let slice = &mut self.slices[(number % (SLICES as u64 + 1)) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        let (spatial, temporal) = (place(layer.spatial), place(layer.temporal));
        let counted = &mut slice.bytes[spatial][temporal];
        *counted = counted.saturating_add(bytes as u32);
        if self.timestamp.is_none_or(|last| (1..1 << 31).contains(&timestamp.wrapping_sub(last))) {
            self.timestamp = Some(timestamp);
            slice.pictures[temporal] = slice.pictures[temporal].saturating_add(1);
        }
    }

    /// The rate of everything up to a layer; zero before the first tenth of a second.
    pub fn bitrate_up_to(&self, now: Instant, layer: Layer) -> Bitrate {
        let (time, slices) = self.window(now);
        let (spatial, temporal) = (place(layer.spatial), place(layer.temporal));
        let bytes: u64 = slices
            .flat_map(|slice| slice.bytes.iter().take(spatial + 1))
            .flat_map(|bytes| bytes.iter().take(temporal + 1))
            .map(|&bytes| u64::from(bytes))
            .sum();
        Bitrate::of(bytes as usize, time)
    }

    /// Pictures per second up to a temporal layer, rounded; zero before the first tenth of a second.
    pub fn pictures_per_second(&self, now: Instant, temporal: u8) -> u16 {
        let (time, slices) = self.window(now);
        let pictures: u64 = slices
            .flat_map(|slice| slice.pictures.iter().take(place(temporal) + 1))
            .map(|&pictures| u64::from(pictures))
            .sum();
        let millis = time.as_millis().max(1) as u64;
        u16::try_from((pictures * 1000 + millis / 2) / millis).unwrap_or(u16::MAX)
    }

    /// Whether there has been a whole second to count pictures in.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.origin.is_some_and(|origin| slice_number(origin, now) >= SLICES as u64)
    }

    /// The highest temporal layer that a spatial layer or one below it had in the last second.
    pub fn highest_temporal(&self, now: Instant, spatial: u8) -> u8 {
        let (_, slices) = self.window(now);
        let highest = |slice: &Slice| {
            let layers = slice.bytes.iter().take(place(spatial) + 1);
            layers.filter_map(|bytes| bytes.iter().rposition(|&bytes| bytes > 0)).max()
        };
        slices.filter_map(highest).max().unwrap_or(0) as u8
    }

    /// The whole slices of the last second, and how long they are together.
    fn window(&self, now: Instant) -> (Duration, impl Iterator<Item = &Slice>) {
        let current = self.origin.map_or(0, |origin| slice_number(origin, now));
        let first = current.saturating_sub(SLICES as u64);
        let whole = self.slices.iter().filter(move |slice| (first..current).contains(&slice.number));
        (SLICE * (current - first) as u32, whole)
    }
}

fn slice_number(origin: Instant, now: Instant) -> u64 {
    (now.saturating_duration_since(origin).as_millis() / SLICE.as_millis()) as u64
}

fn place(layer: u8) -> usize {
    usize::from(layer).min(LAYERS - 1)
}

const LAYERS: usize = 4;
const SLICES: usize = 10;
const SLICE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn rates_are_of_the_last_second_and_cumulative() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let layer = |spatial, temporal| Layer { spatial, temporal };
        let mut rates = LayerRates::default();
        assert_eq!(rates.bitrate_up_to(origin, Layer::ALL), Bitrate::ZERO);
        // 50 pictures per second, every second one in the upper temporal layer: 100 bytes at the lower size, 300 at the upper.
        for picture in 0..100 {
            let temporal = (picture % 2) as u8;
            rates.on_packet(at(picture * 20), layer(0, temporal), picture as u32 * 1800, 100);
            rates.on_packet(at(picture * 20), layer(1, temporal), picture as u32 * 1800, 300);
        }
        let now = at(2000);
        let expected =
            [(0, 0, 25 * 100), (0, 1, 50 * 100), (1, 0, 25 * 400), (1, 1, 50 * 400), (7, 7, 50 * 400)];
        for (spatial, temporal, bytes) in expected {
            let rate = rates.bitrate_up_to(now, layer(spatial, temporal));
            assert_eq!(rate, Bitrate::bps(8 * bytes), "{spatial} {temporal}");
        }
        assert_eq!((rates.pictures_per_second(now, 0), rates.pictures_per_second(now, 1)), (25, 50));
        assert_eq!(rates.highest_temporal(now, 0), 1);
        assert_eq!(rates.bitrate_up_to(at(2500), Layer::ALL), Bitrate::bps(8 * 25 * 400));
        assert_eq!(rates.bitrate_up_to(at(3100), Layer::ALL), Bitrate::ZERO, "long silent");
        // In the first second the time is what has passed.
        let mut young = LayerRates::default();
        (0..10).for_each(|n| young.on_packet(at(n * 20), Layer::BASE, n as u32, 250));
        assert_eq!(young.bitrate_up_to(at(210), Layer::BASE), Bitrate::bps(8 * 12_500));
    }
}
