//! What leaves for a viewer at once: the packets of a picture, or one of sound.

use std::time::Instant;

use crate::scenario::Video;
use crate::source::{AudioSource, SourcePacket, VideoConfig, VideoSource};

/// So many packets of one size, as one send wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burst {
    pub(super) packets: usize,
    /// Of each, sealed.
    pub(super) octets: usize,
}

/// The pictures of [`SECONDS`], as the bench's publishers make them.
pub(super) fn pictures() -> Vec<Burst> {
    let start = Instant::now();
    let Video { bitrate, fps } = VIDEO;
    let config = VideoConfig { publisher: 0, bitrate_bps: bitrate, fps, width: 1280, height: 720, seed: 1 };
    let mut source = VideoSource::new(config, start);
    let mut picture = Burst { packets: 0, octets: 0 };
    let mut pictures = Vec::new();
    while pictures.len() < SECONDS * fps as usize {
        let Some(packet) = source.poll(source.poll_timeout()) else { break };
        let octets = sealed(&packet).next_multiple_of(SIZE_STEP);
        picture = Burst { packets: picture.packets + 1, octets: picture.octets.max(octets) };
        if packet.marker {
            pictures.push(std::mem::replace(&mut picture, Burst { packets: 0, octets: 0 }));
        }
    }
    pictures
}

/// The sounds of [`SECONDS`].
pub(super) fn sounds() -> Vec<Burst> {
    let mut source = AudioSource::new(0, 1, Instant::now());
    let packets = std::iter::from_fn(|| source.poll(source.poll_timeout()));
    packets.take(SECONDS * SOUNDS_PER_S).map(|packet| Burst { packets: 1, octets: sealed(&packet) }).collect()
}

fn sealed(packet: &SourcePacket) -> usize {
    HEADER + packet.payload.len() + TAG
}

/// Long enough for a key frame to weigh what it does.
pub(super) const SECONDS: usize = 10;
/// Of the scenario `broadcast`.
pub(super) const VIDEO: Video = Video { bitrate: 1_500_000, fps: 30 };
const SOUNDS_PER_S: usize = 50;
/// Of RTP, with the m-line and the transport-wide number as extensions.
pub(super) const HEADER: usize = 24;
/// Of AES-GCM.
pub(super) const TAG: usize = 16;
/// The packets of a picture differ by an octet, and those of one send may not: they are padded to a multiple of this.
const SIZE_STEP: usize = 16;
