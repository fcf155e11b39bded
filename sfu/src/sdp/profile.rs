//! Which decoder can decode which stream, as far as format parameters tell.

use super::PayloadFormat;
use super::formats::parameter;
use crate::codec::Codec;

/// How far the decoder of `offered` is above what `published` needs: 0 for the same profile, `None` when it cannot decode it. Both are of one codec.
pub(super) fn distance(published: &PayloadFormat, offered: &PayloadFormat) -> Option<u8> {
    let number = |format: &PayloadFormat, name: &str| {
        parameter(&format.parameters, name).and_then(|value| value.parse::<u8>().ok()).unwrap_or(0)
    };
    let same = |name: &str| (number(published, name) == number(offered, name)).then_some(0);
    match published.codec {
        Codec::Opus | Codec::Vp8 => Some(0),
        Codec::Vp9 => same("profile-id"),
        Codec::Av1 => same("profile"),
        Codec::H264 => {
            same("packetization-mode")?;
            let id = |format| parameter(format, "profile-level-id").and_then(|id| id.get(..4));
            match (H264Profile::of(published), H264Profile::of(offered)) {
                (Some(published), Some(offered)) if published == offered => Some(0),
                (Some(published), Some(offered)) => offered.distance_above(published),
                // One that we do not know may still be the same.
                _ => (id(&published.parameters) == id(&offered.parameters)).then_some(0),
            }
        }
    }
}

/// The profiles of RFC 6184 section 8.1, table 5, that browsers know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
}

impl H264Profile {
    /// `None` for one that is not in the list. Without a parameter it is Baseline.
    fn of(format: &PayloadFormat) -> Option<Self> {
        let Some(id) = parameter(&format.parameters, "profile-level-id") else { return Some(Self::Baseline) };
        let byte = |at: usize| u8::from_str_radix(id.get(at..at + 2)?, 16).ok();
        let (profile, constraints) = (byte(0)?, byte(2)?);
        match (profile, constraints) {
            (0x42, set) if set & 0x40 != 0 => Some(Self::ConstrainedBaseline),
            (0x4d, set) if set & 0x80 != 0 => Some(Self::ConstrainedBaseline),
            (0x58, set) if set & 0xc0 == 0xc0 => Some(Self::ConstrainedBaseline),
            (0x42, _) => Some(Self::Baseline),
            (0x58, set) if set & 0x80 != 0 => Some(Self::Baseline),
            (0x4d, _) => Some(Self::Main),
            (0x64, 0x0c) => Some(Self::ConstrainedHigh),
            (0x64, _) => Some(Self::High),
            _ => None,
        }
    }

    /// Constrained Baseline is part of all, Main of the High ones; Baseline has tools that no other has.
    fn distance_above(self, published: Self) -> Option<u8> {
        match (published, self) {
            (Self::ConstrainedBaseline, Self::Baseline)
            | (Self::Main, Self::High)
            | (Self::ConstrainedHigh, Self::High) => Some(1),
            (Self::ConstrainedBaseline, Self::Main) => Some(2),
            (Self::ConstrainedBaseline, Self::ConstrainedHigh) => Some(3),
            (Self::ConstrainedBaseline, Self::High) => Some(4),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(payload_type: u8, codec: Codec, parameters: &str) -> PayloadFormat {
        PayloadFormat {
            codec,
            payload_type,
            rtx_payload_type: None,
            red_payload_type: None,
            parameters: parameters.to_owned(),
            nack: true,
            pli: true,
            transport_cc: false,
            remb: false,
        }
    }

    fn h264(payload_type: u8, profile_level_id: &str) -> PayloadFormat {
        let parameters = format!("packetization-mode=1;profile-level-id={profile_level_id}");
        format(payload_type, Codec::H264, &parameters)
    }

    #[test]
    fn a_stream_goes_to_the_decoder_of_its_profile_or_of_one_that_includes_it() {
        let all = [h264(1, "42001f"), h264(2, "4d001f"), h264(3, "64001f"), h264(4, "42e01f")];
        let chosen =
            |stream: &str, of: &[PayloadFormat]| h264(0, stream).among(of).map(|format| format.payload_type);
        assert_eq!(chosen("42e034", &all), Some(4), "whatever the level");
        assert_eq!(chosen("42e034", &all[..3]), Some(1));
        assert_eq!(chosen("42e034", &all[1..3]), Some(2));
        assert_eq!(chosen("4d001f", &[h264(1, "42e01f"), h264(2, "640c1f"), h264(3, "64001f")]), Some(3));
        assert_eq!(chosen("64001f", &all[..2]), None);
        assert_eq!(chosen("42001f", &all[1..]), None, "its tools are not in the others");
        assert_eq!(chosen("f4001f", &[h264(8, "7a001f"), h264(9, "F4001f")]), None);
        assert_eq!(
            chosen("f4001f", &[h264(8, "7a001f"), h264(9, "f40020")]),
            Some(9),
            "not known, but the same"
        );
    }

    #[test]
    fn other_codecs_need_the_same_profile() {
        let vp9 =
            [format(1, Codec::Vp8, ""), format(2, Codec::Vp9, "profile-id=2"), format(3, Codec::Vp9, "")];
        let chosen = format(0, Codec::Vp9, "profile-id=0").among(&vp9).map(|format| format.payload_type);
        assert_eq!(chosen, Some(3));
        assert_eq!(format(0, Codec::Av1, "profile=0").among(&vp9), None);
    }
}
