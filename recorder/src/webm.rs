//! The WebM writer: one VP8 track in one segment (RFC 8794, RFC 9559, the WebM container guidelines).
//!
//! All functions are pure. The header has the same length with and without the index, so that finishing a file is
//! appending the Cues and writing the header again.

use crate::segment::{Indexed, Sample};

/// What the header says once the file is complete.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Complete {
    /// Of the whole file, in bytes.
    pub(crate) file_length: u64,
    /// Where the Cues start.
    pub(crate) cues_at: u64,
    pub(crate) duration_ms: u64,
}

/// Everything before the first cluster. Without `complete` it is good for a live file: unknown size, no duration.
pub(crate) fn header((width, height): (u16, u16), complete: Option<Complete>) -> Vec<u8> {
    let mut out = element(
        EBML,
        &[
            element(0x4286, &[1]),
            element(0x42f7, &[1]),
            element(0x42f2, &[4]),
            element(0x42f3, &[8]),
            element(0x4282, b"webm"),
            element(0x4287, &[4]),
            element(0x4285, &[2]),
        ]
        .concat(),
    );
    out.extend_from_slice(&SEGMENT.to_be_bytes());
    let size_at = out.len();
    out.extend_from_slice(&UNKNOWN_SIZE.to_be_bytes());
    let body_at = out.len();

    let duration = match complete {
        Some(complete) => element(0x4489, &(complete.duration_ms as f64).to_be_bytes()),
        None => void(11),
    };
    let name = concat!("simmer ", env!("CARGO_PKG_VERSION")).as_bytes();
    let info = element(
        INFO,
        &[element(0x2ad7b1, &unsigned(1_000_000)), duration, element(0x4d80, name), element(0x5741, name)]
            .concat(),
    );
    let video = element(
        0xe0,
        &[element(0xb0, &unsigned(width.into())), element(0xba, &unsigned(height.into()))].concat(),
    );
    let track = element(
        0xae,
        &[
            element(0xd7, &[TRACK]),
            element(0x73c5, &[1]),
            element(0x83, &[1]),
            element(0x9c, &[0]),
            element(0x86, b"V_VP8"),
            video,
        ]
        .concat(),
    );
    let tracks = element(TRACKS, &track);

    let info_at = SEEK_ROOM;
    let tracks_at = info_at + info.len();
    let seek = match complete {
        Some(complete) => {
            let cues_at = complete.cues_at.saturating_sub(body_at as u64);
            let mut seek = element(
                SEEK_HEAD,
                &[
                    seek_entry(INFO, info_at as u64),
                    seek_entry(TRACKS, tracks_at as u64),
                    seek_entry(CUES, cues_at),
                ]
                .concat(),
            );
            let rest = void(SEEK_ROOM.saturating_sub(seek.len()));
            seek.extend_from_slice(&rest);
            seek
        }
        None => void(SEEK_ROOM),
    };
    out.extend_from_slice(&seek);
    out.extend_from_slice(&info);
    out.extend_from_slice(&tracks);
    if let (Some(complete), Some(size)) = (complete, out.get_mut(size_at..body_at)) {
        size.copy_from_slice(
            &(EIGHT_BYTES | complete.file_length.saturating_sub(body_at as u64)).to_be_bytes(),
        );
    }
    out
}

/// One fragment: a cluster of known size, on the file's clock of milliseconds.
pub(crate) fn cluster(samples: &[Sample]) -> Vec<u8> {
    let start = samples.first().map_or(0, |first| millis(first.time));
    let size: usize = samples.iter().map(|sample| sample.data.len() + 16).sum();
    let mut body = Vec::with_capacity(size + 16);
    body.extend_from_slice(&element(0xe7, &unsigned(start)));
    for sample in samples {
        let offset = i16::try_from(millis(sample.time).saturating_sub(start)).unwrap_or(i16::MAX);
        body.push(0xa3);
        body.extend_from_slice(&vint(sample.data.len() as u64 + 4));
        body.push(0x80 | TRACK);
        body.extend_from_slice(&offset.to_be_bytes());
        body.push(if sample.key { 0x80 } else { 0 });
        body.extend_from_slice(&sample.data);
    }
    element(CLUSTER, &body)
}

/// The Cues: one point for each fragment that starts with a key frame. `header_length` as of [`header`].
pub(crate) fn cues(fragments: &[Indexed]) -> Vec<u8> {
    let points: Vec<Vec<u8>> = fragments
        .iter()
        .filter(|fragment| fragment.key)
        .map(|fragment| {
            let position = fragment.offset.saturating_sub(SEGMENT_BODY_AT);
            let place = [element(0xf7, &[TRACK]), element(0xf1, &unsigned(position))].concat();
            element(0xbb, &[element(0xb3, &unsigned(millis(fragment.start))), element(0xb7, &place)].concat())
        })
        .collect();
    element(CUES, &points.concat())
}

/// Milliseconds of `ticks` at 90 kHz.
fn millis(ticks: i64) -> u64 {
    u64::try_from(ticks).unwrap_or(0) / 90
}

fn seek_entry(id: u32, position: u64) -> Vec<u8> {
    element(0x4dbb, &[element(0x53ab, &id.to_be_bytes()), element(0x53ac, &position.to_be_bytes())].concat())
}

/// An element of an id that carries its own length marker (RFC 8794 section 5).
fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 12);
    out.extend(id.to_be_bytes().into_iter().skip_while(|&byte| byte == 0));
    out.extend_from_slice(&vint(body.len() as u64));
    out.extend_from_slice(body);
    out
}

/// A size in as few bytes as it takes (RFC 8794 section 4).
fn vint(value: u64) -> Vec<u8> {
    let width: u32 = (1..8).find(|width| value < (1 << (7 * width)) - 1).unwrap_or(8);
    let marked = value | 1 << (7 * width);
    marked.to_be_bytes().into_iter().skip(8 - width as usize).collect()
}

/// An unsigned integer in as few bytes as it takes.
fn unsigned(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take(7).take_while(|&&byte| byte == 0).count();
    bytes.into_iter().skip(skip).collect()
}

/// `length` bytes, from 2 to 128, that readers skip.
fn void(length: usize) -> Vec<u8> {
    element(0xec, &vec![0; length.saturating_sub(2)])
}

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114d_9b74;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const CUES: u32 = 0x1c53_bb6b;
const UNKNOWN_SIZE: u64 = 0x01ff_ffff_ffff_ffff;
const EIGHT_BYTES: u64 = 1 << 56;
/// Room for the SeekHead.
const SEEK_ROOM: usize = 96;
/// Length of the EBML header and the segment's id and size: positions inside the segment count from here.
const SEGMENT_BODY_AT: u64 = 48;
const TRACK: u8 = 1;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_size_is_never_the_reserved_one() {
        for (value, bytes) in [
            (0, &[0x80][..]),
            (126, &[0xfe]),
            (127, &[0x40, 0x7f]),
            (16_382, &[0x7f, 0xfe]),
            (16_383, &[0x20, 0x3f, 0xff]),
        ] {
            assert_eq!(vint(value), bytes, "{value}");
        }
    }

    #[test]
    fn the_header_keeps_its_length_when_the_index_is_known() {
        let complete = Complete { file_length: 1 << 40, cues_at: 1 << 39, duration_ms: 86_400_000 };
        let live = header((1920, 1080), None);
        assert_eq!(live.len(), header((1920, 1080), Some(complete)).len());
        let segment = live.windows(4).position(|window| window == SEGMENT.to_be_bytes()).unwrap();
        assert_eq!(segment as u64 + 12, SEGMENT_BODY_AT);
    }

    #[test]
    fn a_cluster_holds_its_blocks() {
        let sample = Sample { time: 90 * 300, duration: 0, key: true, data: Bytes::from_static(&[7; 3]) };
        let later = Sample { time: 90 * 333, key: false, ..sample.clone() };
        let expected = [
            &[0x1f, 0x43, 0xb6, 0x75, 0x80 | 22, 0xe7, 0x82, 0x01, 0x2c][..],
            &[0xa3, 0x87, 0x81, 0, 0, 0x80, 7, 7, 7],
            &[0xa3, 0x87, 0x81, 0, 33, 0, 7, 7, 7],
        ];
        assert_eq!(cluster(&[sample, later]), expected.concat());
    }
}
