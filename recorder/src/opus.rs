//! Opus packets (RFC 6716 section 3): how long they last, and silence.

/// Ticks of the 48 kHz clock that a packet lasts; `None` when it is not Opus.
pub(crate) fn duration(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame: u32 = match config {
        0..12 => *[480, 960, 1920, 2880].get(usize::from(config & 3))?,
        12..16 => *[480, 960].get(usize::from(config & 1))?,
        _ => *[120, 240, 480, 960].get(usize::from(config & 3))?,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    let ticks = frame.checked_mul(frames)?;
    (1..=MAX_TICKS).contains(&ticks).then_some(ticks)
}

/// 20 ms of nothing, fullband, mono.
pub(crate) const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];
/// What [`SILENCE`] lasts.
pub(crate) const SILENCE_TICKS: u32 = 960;
/// 120 ms, the longest packet.
const MAX_TICKS: u32 = 5760;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_lasts_what_its_first_byte_says() {
        for (packet, ticks) in [
            (SILENCE, Some(SILENCE_TICKS)),
            (&[0xfc, 1][..], Some(960)),
            (&[0x78, 1], Some(960)),
            (&[0x18, 1], Some(2880)),
            (&[0x80, 1], Some(120)),
            (&[0xf9, 1], Some(1920)),
            (&[0xfb, 3], Some(2880)),
            (&[0xfb, 7], None),
            (&[0xfb, 0], None),
            (&[0xfb], None),
            (&[], None),
        ] {
            assert_eq!(duration(packet), ticks, "{packet:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..8)) {
            prop_assert!(duration(&bytes).is_none_or(|ticks| ticks <= MAX_TICKS));
        }
    }
}
