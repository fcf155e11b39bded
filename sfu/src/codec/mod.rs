//! Codecs by name, and what the core reads of their payloads.

mod av1;
mod bits;
pub mod dependency;
mod h264;
mod layer;
mod picture;
pub mod red;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use dependency::FrameDependency;
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

/// What the core reads of one packet's payload, once for all viewers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PayloadInfo {
    /// A decoder can begin here.
    pub starts_keyframe: bool,
    /// The packet begins a frame, which is one spatial layer of a picture; as far as VP8, VP9 or the dependency descriptor tell.
    pub starts_frame: bool,
    /// The packet ends a frame; as far as VP9 or the dependency descriptor tell.
    pub ends_frame: bool,
    /// No other frame needs this one.
    pub discardable: bool,
    /// The layer it belongs to: the base, where nothing tells.
    pub layer: Layer,
    /// How VP8 and VP9 let a viewer go up.
    pub rise: Rise,
    /// The payload tells the sizes of the spatial layers (see [`vp9::Vp9Descriptor::scalability`]).
    pub tells_sizes: bool,
    /// Width and height in pixels, where a key frame tells them.
    pub dimensions: Option<(u16, u16)>,
    /// The running numbers of its picture, for VP8 and VP9.
    pub numbers: Option<PictureNumbers>,
    /// What the dependency descriptor says; then it has the last word on all of the above but the numbers.
    pub dependency: Option<FrameDependency>,
}

/// Where a viewer of fewer layers may go up, by the codec's own payload descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rise {
    /// To the frame's temporal layer, from the one below it: it needs the base layer only (VP8's Y bit).
    pub own_temporal: bool,
    /// To any temporal layer above the frame's (VP9's U bit).
    pub above_temporal: bool,
    /// To the frame's spatial layer, from the one below it: it needs no other picture (VP9 without the P bit).
    pub own_spatial: bool,
}

impl PayloadInfo {
    /// Reads a payload of any contents.
    #[inline]
    pub fn inspect(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::Opus => Self::default(),
            Codec::Vp8 => vp8::Vp8Descriptor::parse(payload).map_or(Self::default(), Self::from),
            Codec::Vp9 => vp9::Vp9Descriptor::parse(payload).map_or(Self::default(), Self::from),
            Codec::H264 => {
                let starts_keyframe = h264::starts_keyframe(payload);
                let dimensions = if starts_keyframe { h264::dimensions(payload) } else { None };
                Self { starts_keyframe, dimensions, ..Self::default() }
            }
            Codec::Av1 => Self { starts_keyframe: av1::starts_keyframe(payload), ..Self::default() },
        }
    }

    /// With what the packet's dependency descriptor says, which also holds for an encrypted payload.
    #[inline]
    pub fn with_dependency(self, frame: FrameDependency) -> Self {
        let starts_keyframe =
            frame.structure && frame.starts_frame && frame.references.is_empty() && frame.layer.spatial == 0;
        Self {
            starts_keyframe,
            starts_frame: frame.starts_frame,
            ends_frame: frame.ends_frame,
            discardable: frame.discardable,
            layer: frame.layer,
            rise: Rise::default(),
            dimensions: frame.dimensions.or(self.dimensions).filter(|_| starts_keyframe),
            dependency: Some(frame),
            ..self
        }
    }
}

impl From<vp8::Vp8Descriptor> for PayloadInfo {
    #[inline]
    fn from(descriptor: vp8::Vp8Descriptor) -> Self {
        Self {
            starts_keyframe: descriptor.starts_keyframe,
            starts_frame: descriptor.starts_frame,
            discardable: descriptor.discardable,
            layer: Layer { spatial: 0, temporal: descriptor.temporal.unwrap_or(0) },
            rise: Rise { own_temporal: descriptor.layer_sync, ..Rise::default() },
            dimensions: descriptor.dimensions,
            numbers: Some(descriptor.numbers),
            ..Self::default()
        }
    }
}

impl From<vp9::Vp9Descriptor> for PayloadInfo {
    #[inline]
    fn from(descriptor: vp9::Vp9Descriptor) -> Self {
        let scalability = descriptor.scalability.and_then(|scalability| scalability.resolutions);
        let starts_keyframe = descriptor.starts_keyframe();
        Self {
            starts_keyframe,
            starts_frame: descriptor.starts_frame,
            ends_frame: descriptor.ends_frame,
            layer: descriptor.layer.unwrap_or(Layer::BASE),
            rise: Rise {
                own_temporal: false,
                above_temporal: descriptor.switching_up,
                own_spatial: !descriptor.inter_picture,
            },
            tells_sizes: scalability.is_some(),
            dimensions: scalability.map(|[base, ..]| base).filter(|_| starts_keyframe),
            numbers: Some(descriptor.numbers),
            ..Self::default()
        }
    }
}
