//! Codecs by name, and what the core reads of their payloads.

pub mod av1;
pub mod h264;
pub mod vp8;
pub mod vp9;

use std::time::Duration;

pub use vp8::{PictureId, Vp8Descriptor, Vp8Ids};

/// Audio or video.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// What a publication's payload is encoded with. Everything else is refused in the answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184, packetization mode 1.
    H264,
    /// The AV1 RTP specification of the Alliance for Open Media.
    Av1,
}

impl Codec {
    /// Audio or video.
    pub fn kind(self) -> Kind {
        match self {
            Self::Opus => Kind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => Kind::Video,
        }
    }

    /// RTP clock rate in hertz.
    pub fn clock_rate(self) -> u32 {
        match self.kind() {
            Kind::Audio => 48_000,
            Kind::Video => 90_000,
        }
    }

    /// The encoding name as in `a=rtpmap`, without the clock rate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
        }
    }

    /// Finds a codec by its encoding name, in any case (RFC 8866 section 6.6).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Opus, Self::Vp8, Self::Vp9, Self::H264, Self::Av1]
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// How long `ticks` of the RTP clock last.
    pub fn duration(self, ticks: u32) -> Duration {
        Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / u64::from(self.clock_rate()))
    }
}

/// What the core reads of a payload, once for all who get it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PayloadInfo {
    /// A decoder can start with this packet. True of every packet of sound.
    pub starts_keyframe: bool,
    /// Width and height in pixels, on the first packet of a VP8 key frame.
    pub dimensions: Option<(u16, u16)>,
    /// The VP8 descriptor.
    pub vp8: Option<Vp8Descriptor>,
}

impl PayloadInfo {
    /// Reads a payload. One that is malformed starts nothing.
    #[inline]
    pub fn inspect(codec: Codec, payload: &[u8]) -> Self {
        let starts_keyframe = match codec {
            Codec::Opus => true,
            Codec::Vp8 => {
                let vp8 = Vp8Descriptor::parse(payload);
                return Self {
                    starts_keyframe: vp8.is_some_and(|vp8| vp8.keyframe),
                    dimensions: vp8.and_then(|vp8| vp8.dimensions),
                    vp8,
                };
            }
            Codec::Vp9 => vp9::is_keyframe_start(payload),
            Codec::H264 => h264::is_keyframe_start(payload),
            Codec::Av1 => av1::is_keyframe_start(payload),
        };
        Self { starts_keyframe, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
                PayloadInfo::inspect(codec, &payload);
            }
        }
    }
}
