//! A rate over the last moments, by any clock.

use crate::bandwidth::Bitrate;

/// Bytes by the time they passed, over a sliding window of 400 ms.
#[derive(Clone, Debug)]
pub(super) struct Throughput {
    buckets: [u32; BUCKETS as usize],
    /// The newest bucket, by its number since time zero, and the latest time.
    newest: Option<(i64, i64)>,
    /// Since when it is counted.
    since: i64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS as usize], newest: None, since: 0 }
    }
}

impl Throughput {
    /// So many bytes passed. What is older than the window is not counted.
    pub(super) fn add(&mut self, at_us: i64, bytes: u32) {
        let bucket = at_us.div_euclid(BUCKET_US);
        let Some((newest, latest)) = self.newest else {
            *self = Self { newest: Some((bucket, at_us)), since: at_us, ..Self::default() };
            // What came first opens the window: its bytes passed before it.
            return;
        };
        if bucket > newest {
            let passed = bucket.saturating_sub(newest).min(BUCKETS);
            for empty in 0..passed {
                *self.bucket_mut(bucket.saturating_sub(empty)) = 0;
            }
        } else if newest.saturating_sub(bucket) >= BUCKETS {
            return;
        }
        self.newest = Some((bucket.max(newest), at_us.max(latest)));
        let bucket = self.bucket_mut(bucket);
        *bucket = bucket.saturating_add(bytes);
    }

    /// The rate over the window before the latest time; `None` before there is enough of it.
    pub(super) fn rate(&self) -> Option<Bitrate> {
        self.rate_at(self.newest?.1)
    }

    /// The rate over the window before `at_us`, which is not before the latest time.
    pub(super) fn rate_at(&self, at_us: i64) -> Option<Bitrate> {
        let (newest, _) = self.newest?;
        let last = at_us.div_euclid(BUCKET_US).max(newest);
        let first = last.saturating_sub(BUCKETS - 1);
        let bytes: u64 = (first.max(newest.saturating_sub(BUCKETS - 1))..=newest)
            .map(|bucket| u64::from(self.buckets[bucket.rem_euclid(BUCKETS) as usize]))
            .sum();
        let start = first.saturating_mul(BUCKET_US).max(self.since);
        let span = at_us.saturating_sub(start);
        (span >= MIN_SPAN_US).then(|| {
            let bits = bytes.saturating_mul(8).saturating_mul(1_000_000);
            Bitrate::bps(bits.checked_div(span.unsigned_abs()).unwrap_or(0))
        })
    }

    fn bucket_mut(&mut self, bucket: i64) -> &mut u32 {
        // The remainder is within the array.
        &mut self.buckets[bucket.rem_euclid(BUCKETS) as usize]
    }
}

/// Of the window: twelve frames.
const BUCKETS: i64 = 40;
const BUCKET_US: i64 = 10_000;
const MIN_SPAN_US: i64 = 150_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_and_its_end() {
        let mut throughput = Throughput::default();
        for packet in 0..1000 {
            throughput.add(packet * 1000, 125);
            if packet < 150 {
                assert_eq!(throughput.rate(), None);
            }
        }
        let rate = throughput.rate().unwrap().as_bps();
        assert!((990_000..1_010_000).contains(&rate), "{rate}");
        let half = throughput.rate_at(999_000 + 200_000).unwrap().as_bps();
        assert!((470_000..530_000).contains(&half), "{half}");
        assert_eq!(throughput.rate_at(999_000 + 800_000), Some(Bitrate::ZERO));
        // Late ones count in their own time, if that is not over.
        throughput.add(990_000, 5000);
        assert_eq!(throughput.rate().unwrap().as_bps() / 100_000, (rate + 100_000) / 100_000);
        throughput.add(0, 1_000_000);
        assert!(throughput.rate().unwrap().as_bps() < 1_200_000);
    }

    #[test]
    fn any_times_are_survived() {
        let mut throughput = Throughput::default();
        for at in [0, i64::MAX, i64::MIN, -1, 5, i64::MAX - 1] {
            throughput.add(at, u32::MAX);
            throughput.rate();
            throughput.rate_at(i64::MAX);
        }
    }
}
