//! Synthetic media: packets shaped, sized and paced as a browser's, with a [`Mark`] in each.
//!
//! Video looks like VP8 to whatever parses it: a payload descriptor with a 15-bit picture id and a temporal layer
//! 0 index (RFC 7741 section 4.2), a frame header that says key or delta frame (RFC 6386 section 9.1). Nothing in
//! it can be decoded to a picture.

mod pace;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::Clock;
use crate::mark::Mark;
use pace::Pace;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// VP8-shaped packets.
    Video,
    /// Opus-sized packets.
    Audio,
}

impl MediaKind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Video => 0,
            Self::Audio => 1,
        }
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Video),
            1 => Some(Self::Audio),
            _ => None,
        }
    }
}

/// One packet that is due, without its RTP header.
#[derive(Clone, Debug)]
pub struct SourcePacket {
    /// The RTP payload.
    pub payload: Bytes,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The RTP marker bit.
    pub marker: bool,
    /// When it should have been sent.
    pub due: Instant,
    /// Its number in the stream, from 1.
    pub number: u64,
}

/// What a video source produces.
#[derive(Clone, Copy, Debug)]
pub struct VideoConfig {
    /// The publisher's number, put in every mark.
    pub publisher: u32,
    /// Payload bits per second, on average; at least 50 000.
    pub bitrate_bps: u32,
    /// Frames per second, 1 to 120.
    pub fps: u32,
    /// Picture width told in key frames, up to 16383.
    pub width: u16,
    /// Picture height told in key frames, up to 16383.
    pub height: u16,
    /// Seeds the sizes, the first picture id and the first timestamp.
    pub seed: u64,
}

/// A stream of VP8-shaped packets.
///
/// Frames are split into packets whose sizes differ by one byte at most, the smaller ones first, and leave one soon
/// after the other, as Chromium's do. There is a key frame at the beginning, after
/// [`VideoSource::request_key_frame`] and every 10 s.
#[derive(Debug)]
pub struct VideoSource {
    config: VideoConfig,
    start: Instant,
    rng: ChaCha8Rng,
    queue: VecDeque<Planned>,
    frame: u32,
    number: u64,
    first_picture_id: u16,
    first_timestamp: u32,
    key_wanted: bool,
    last_key_frame: Option<Instant>,
    debt: i64,
    pace: Pace,
}

impl VideoSource {
    /// A source whose first frame is due at `start`.
    pub fn new(config: VideoConfig, start: Instant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        Self {
            config,
            start,
            queue: VecDeque::new(),
            frame: 0,
            number: 0,
            first_picture_id: rng.random::<u16>() & PICTURE_ID_MASK,
            first_timestamp: rng.random(),
            rng,
            key_wanted: true,
            last_key_frame: None,
            debt: 0,
            pace: Pace::new(config.seed),
        }
    }

    /// Makes the next frame a key frame; requests closer than 300 ms to the last key frame are ignored.
    pub fn request_key_frame(&mut self, now: Instant) {
        if self.last_key_frame.is_none_or(|at| now.saturating_duration_since(at) >= KEY_FRAME_SPACING) {
            self.key_wanted = true;
        }
    }

    /// When [`VideoSource::poll`] has a packet next.
    pub fn poll_timeout(&self) -> Instant {
        self.queue.front().map_or_else(|| self.frame_due(), |packet| packet.due)
    }

    /// The next packet that is due at `now`, marked as sent now; none when it is too early.
    pub fn poll(&mut self, now: Instant) -> Option<SourcePacket> {
        if self.queue.is_empty() && self.frame_due() <= now {
            self.plan_frame(now);
        }
        if self.queue.front()?.due > now {
            return None;
        }
        let planned = self.queue.pop_front()?;
        self.number += 1;
        Some(SourcePacket {
            payload: self.build(&planned, now),
            timestamp: planned.timestamp,
            marker: planned.index + 1 == planned.count,
            due: planned.due,
            number: self.number,
        })
    }

    fn frame_due(&self) -> Instant {
        self.start + Duration::from_nanos(u64::from(self.frame) * 1_000_000_000 / u64::from(self.config.fps))
    }

    fn plan_frame(&mut self, now: Instant) {
        let frame_due = self.frame_due();
        let due_again =
            self.last_key_frame.is_none_or(|at| now.saturating_duration_since(at) >= KEY_FRAME_INTERVAL);
        let key = self.key_wanted || due_again;
        let size = self.frame_size(key);
        if key {
            self.key_wanted = false;
            self.last_key_frame = Some(now);
        }
        let count = size.div_ceil(MAX_PACKET).max(1);
        let (base, longer) = (size / count, size % count);
        let ticks = u64::from(self.frame) * VIDEO_CLOCK / u64::from(self.config.fps);
        let timestamp = self.first_timestamp.wrapping_add(ticks as u32);
        let mut due = frame_due;
        for index in 0..count {
            let len = base + usize::from(index >= count - longer);
            if index > 0 {
                due += self.pace.gap();
            }
            self.queue.push_back(Planned {
                due,
                timestamp,
                frame: self.frame,
                key,
                index: index as u16,
                count: count as u16,
                len,
            });
        }
        self.frame = self.frame.wrapping_add(1);
    }

    /// Delta frames vary by an eighth; a key frame is four times as large and is paid back over the next second.
    fn frame_size(&mut self, key: bool) -> usize {
        let mean = i64::from(self.config.bitrate_bps / 8 / self.config.fps);
        let varied = mean + self.rng.random_range(-mean / 8..=mean / 8);
        let size = if key {
            varied * 4
        } else {
            let instalment = (self.debt / i64::from(self.config.fps)).clamp(0, mean / 4);
            varied - instalment
        };
        self.debt = (self.debt + size - mean).max(0);
        usize::try_from(size).unwrap_or(0).max(MIN_PACKET)
    }

    fn build(&self, planned: &Planned, now: Instant) -> Bytes {
        let mut payload = BytesMut::with_capacity(DESCRIPTOR_LEN + planned.len);
        let picture_id = self.first_picture_id.wrapping_add(planned.frame as u16) & PICTURE_ID_MASK;
        let [high, low] = picture_id.to_be_bytes();
        let begins = u8::from(planned.index == 0) << 4;
        // X; then I, L and T: picture id with M, temporal layer 0 index, layer 0 without sync.
        payload.extend_from_slice(&[0x80 | begins, 0xe0, 0x80 | high, low, planned.frame as u8, 0]);
        let media_at = payload.len();
        if planned.index == 0 {
            let first_partition = 0x0400u32;
            let tag = u32::from(!planned.key) | 1 << 4 | first_partition << 5;
            payload.extend_from_slice(&tag.to_le_bytes()[..3]);
            if planned.key {
                payload.extend_from_slice(&[0x9d, 0x01, 0x2a]);
                payload.extend_from_slice(&self.config.width.to_le_bytes());
                payload.extend_from_slice(&self.config.height.to_le_bytes());
            }
        }
        payload.resize(media_at + planned.len, planned.frame as u8 ^ planned.index as u8);
        let mark = Mark {
            publisher: self.config.publisher,
            kind: MediaKind::Video,
            key: planned.key,
            frame: planned.frame,
            index: planned.index,
            count: planned.count,
            number: self.number,
            sent_ns: Clock::nanos(now),
        };
        let sealed = mark.seal(payload.get_mut(media_at..).unwrap_or_default());
        debug_assert!(sealed.is_ok(), "a packet has room for its mark");
        payload.freeze()
    }
}

/// A stream of Opus-sized packets: 50 a second, 60 to 160 bytes.
#[derive(Debug)]
pub struct AudioSource {
    publisher: u32,
    start: Instant,
    rng: ChaCha8Rng,
    first_timestamp: u32,
    number: u64,
}

impl AudioSource {
    /// A source whose first packet is due at `start`.
    pub fn new(publisher: u32, seed: u64, start: Instant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self { publisher, start, first_timestamp: rng.random(), rng, number: 0 }
    }

    /// When [`AudioSource::poll`] has a packet next.
    pub fn poll_timeout(&self) -> Instant {
        self.start + AUDIO_FRAME * u32::try_from(self.number).unwrap_or(u32::MAX)
    }

    /// The next packet that is due at `now`.
    pub fn poll(&mut self, now: Instant) -> Option<SourcePacket> {
        let due = self.poll_timeout();
        if due > now {
            return None;
        }
        let frame = self.number as u32;
        self.number += 1;
        let mut payload = BytesMut::zeroed(self.rng.random_range(60..=160));
        if let Some(first) = payload.first_mut() {
            // CELT full band, 20 ms, one frame (RFC 6716 section 3.1).
            *first = 0xf8;
        }
        let mark = Mark {
            publisher: self.publisher,
            kind: MediaKind::Audio,
            key: true,
            frame,
            index: 0,
            count: 1,
            number: self.number,
            sent_ns: Clock::nanos(now),
        };
        let sealed = mark.seal(&mut payload);
        debug_assert!(sealed.is_ok(), "a packet has room for its mark");
        Some(SourcePacket {
            payload: payload.freeze(),
            timestamp: self.first_timestamp.wrapping_add(frame.wrapping_mul(960)),
            marker: false,
            due,
            number: self.number,
        })
    }
}

/// What a VP8 payload descriptor says, as far as it is checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// The 15-bit picture id.
    pub picture_id: u16,
    /// The temporal layer 0 index.
    pub tl0_picture_index: u8,
    /// Bytes the descriptor takes.
    pub len: usize,
}

impl Vp8Descriptor {
    /// Reads the descriptor (RFC 7741 section 4.2); none when picture id or layer index are missing, since every
    /// packet of [`VideoSource`] has both.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [first, extended, id_high, id_low, tl0_picture_index, _, ..] = *payload else { return None };
        if first & 0x80 == 0 || extended & 0xe0 != 0xe0 || id_high & 0x80 == 0 {
            return None;
        }
        let picture_id = u16::from_be_bytes([id_high & 0x7f, id_low]);
        Some(Self { picture_id, tl0_picture_index, len: DESCRIPTOR_LEN })
    }
}

/// Ticks of the video RTP clock in a second.
pub const VIDEO_CLOCK: u64 = 90_000;
/// Ticks of the audio RTP clock in a second.
pub const AUDIO_CLOCK: u64 = 48_000;

#[derive(Debug)]
struct Planned {
    due: Instant,
    timestamp: u32,
    frame: u32,
    key: bool,
    index: u16,
    count: u16,
    len: usize,
}

const DESCRIPTOR_LEN: usize = 6;
const MAX_PACKET: usize = 1130;
const MIN_PACKET: usize = 10 + Mark::LEN;
const PICTURE_ID_MASK: u16 = 0x7fff;
const KEY_FRAME_INTERVAL: Duration = Duration::from_secs(10);
const KEY_FRAME_SPACING: Duration = Duration::from_millis(300);
const AUDIO_FRAME: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
