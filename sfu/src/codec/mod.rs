//! Codecs by name, and what the core reads of their payloads.

mod bits;
pub mod dependency;
mod keyframe;
mod layer;
mod picture;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use layer::Layer;
pub use picture::{PictureId, PictureIds, PictureNumbers};

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

/// What the core reads of one payload, once for all viewers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PayloadInfo {
    /// A decoder can begin here.
    pub starts_keyframe: bool,
    /// Width and height in pixels, where a key frame tells them.
    pub dimensions: Option<(u16, u16)>,
    /// The running numbers of its picture, for VP8 and VP9.
    pub numbers: Option<PictureNumbers>,
}

impl PayloadInfo {
    /// Reads a payload of any contents.
    #[inline]
    pub fn inspect(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::Opus => Self::default(),
            Codec::Vp8 => {
                let vp8 = vp8::Vp8Descriptor::parse(payload);
                Self {
                    starts_keyframe: vp8.is_some_and(|descriptor| descriptor.starts_keyframe),
                    dimensions: vp8.and_then(|descriptor| descriptor.dimensions),
                    numbers: vp8.map(|descriptor| descriptor.numbers),
                }
            }
            Codec::Vp9 => Self { starts_keyframe: keyframe::vp9(payload), ..Self::default() },
            Codec::H264 => Self { starts_keyframe: keyframe::h264(payload), ..Self::default() },
            Codec::Av1 => Self { starts_keyframe: keyframe::av1(payload), ..Self::default() },
        }
    }
}
