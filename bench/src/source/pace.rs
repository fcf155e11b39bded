//! How far apart a browser sends the packets of one picture.

use std::time::Duration;

/// Replays the gaps of a recording, over and over.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    at: usize,
}

impl Pace {
    /// Begins anywhere in the recording, by `seed`.
    pub(super) fn new(seed: u64) -> Self {
        // A remainder below the number of gaps.
        Self { at: (seed % GAPS_US.len() as u64) as usize }
    }

    /// From a packet of a picture to the next one of it.
    pub(super) fn gap(&mut self) -> Duration {
        let gap = GAPS_US.get(self.at).copied().unwrap_or_default();
        self.at = (self.at + 1) % GAPS_US.len();
        Duration::from_micros(gap.into())
    }
}

/// In microseconds, from the loopback interface: the largest picture, 1280 x 720 at 30 a second and 1.1 Mbit/s, of Chromium 156's fake camera as VP8
/// simulcast, a few seconds after the beginning. Half of its pictures are out within 73 us, 95 of 100 within 0.5 ms.
const GAPS_US: [u16; 400] = [
    64, 58, 37, 21, 18, 55, 10, 8, 7, 55, 9, 9, 7, 57, 10, 8, 56, 10, 8, 7, 24, 26, 8, 115, 58, 50, 45, 41,
    8, 7, 7, 57, 10, 8, 8, 10, 13, 39, 9, 59, 85, 37, 18, 109, 35, 32, 59, 11, 7, 7, 25, 59, 11, 9, 59, 11,
    8, 9, 95, 23, 15, 53, 28, 9, 7, 7, 54, 9, 8, 7, 11, 78, 9, 56, 11, 8, 30, 28, 30, 29, 19, 49, 36, 40, 8,
    18, 8, 40, 8, 9, 58, 9, 11, 7, 12, 100, 11, 14, 8, 43, 9, 9, 8, 49, 8, 8, 80, 64, 21, 38, 21, 49, 8, 51,
    10, 9, 8, 45, 9, 9, 32, 17, 9, 8, 52, 8, 8, 27, 9, 7, 9, 71, 24, 9, 27, 15, 7, 7, 9, 29, 9, 9, 10, 32,
    23, 22, 22, 24, 27, 53, 10, 8, 49, 10, 10, 20, 16, 15, 20, 80, 20, 22, 60, 11, 9, 16, 46, 10, 8, 302,
    165, 187, 27, 31, 78, 9, 51, 10, 17, 21, 50, 12, 11, 170, 38, 21, 23, 22, 99, 31, 22, 21, 53, 9, 10, 21,
    119, 58, 28, 47, 9, 8, 8, 11, 8, 7, 46, 9, 7, 92, 24, 21, 31, 9, 7, 8, 9, 109, 10, 7, 7, 108, 47, 26, 20,
    56, 8, 7, 146, 64, 691, 52, 14, 42, 10, 8, 98, 63, 45, 11, 208, 16, 8, 62, 9, 9, 10, 11, 26, 8, 8, 136,
    9, 7, 7, 41, 8, 17, 20, 29, 8, 16, 7, 9, 47, 11, 36, 8, 8, 55, 11, 8, 54, 10, 8, 8, 75, 10, 8, 7, 41, 9,
    8, 7, 37, 9, 14, 55, 10, 9, 8, 9, 78, 29, 48, 19, 22, 22, 87, 24, 22, 95, 11, 8, 7, 9, 12, 49, 10, 8, 94,
    11, 8, 8, 26, 15, 8, 47, 9, 8, 7, 15, 46, 9, 8, 24, 7, 8, 8, 88, 14, 8, 8, 47, 10, 7, 10, 13, 12, 8, 8,
    8, 2688, 2693, 3245, 2056, 218, 103, 102, 44, 9, 15, 9, 11, 265, 40, 11, 55, 10, 9, 7, 59, 230, 12, 42,
    11, 9, 15, 9, 20, 10, 25, 8, 75, 42, 24, 21, 23, 65, 10, 8, 9, 7, 7, 7, 9, 41, 28, 9, 24, 7, 8, 6, 202,
    40, 32, 14, 57, 32, 27,
];
