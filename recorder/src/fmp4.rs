//! The fragmented MP4 writer: one Opus track (ISO/IEC 14496-12, "Encapsulation of Opus in ISO BMFF").
//!
//! All functions are pure. The header reserves room for the segment index, so that finishing a file is writing the
//! header again.

use std::io;

use mp4_atom::{
    Audio, Codec, Dinf, Dops, Dref, Encode, Ftyp, Hdlr, Mdhd, Mdia, Mehd, Mfhd, Minf, Moof, Moov, Mvex, Mvhd,
    Opus, SegmentReference, Sidx, Stbl, Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, Url,
};

use crate::segment::{Indexed, Sample};

/// Everything before the first fragment. `complete` holds the fragments and the duration in ticks of a finished file.
pub(crate) fn header(complete: Option<(&[Indexed], i64)>) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(INDEX_ROOM + 1024);
    let brands = vec![b"iso6".into(), b"cmfc".into(), b"mp41".into()];
    encode(&Ftyp { major_brand: b"iso6".into(), minor_version: 0, compatible_brands: brands }, &mut out)?;
    let duration = complete.map_or(0, |(_, duration)| unsigned(duration));
    encode(&movie(duration), &mut out)?;
    let index_at = out.len();
    if let Some((fragments, duration)) = complete.filter(|(fragments, _)| !fragments.is_empty()) {
        let index = index(fragments, duration);
        // A box of many references is long, but its length does not depend on where it points.
        let mut measured = Vec::new();
        encode(&index, &mut measured)?;
        let first_offset = (INDEX_ROOM - measured.len()) as u64;
        encode(&Sidx { first_offset, ..index }, &mut out)?;
    }
    let free = INDEX_ROOM - (out.len() - index_at);
    out.extend_from_slice(&u32::try_from(free).map_err(io::Error::other)?.to_be_bytes());
    out.extend_from_slice(b"free");
    out.resize(index_at + INDEX_ROOM, 0);
    Ok(out)
}

/// One fragment: `moof` and `mdat`. `sequence` counts the file's fragments from 1.
pub(crate) fn fragment(sequence: u32, samples: &[Sample]) -> io::Result<Vec<u8>> {
    let start = samples.first().map_or(0, |first| unsigned(first.time));
    let uniform = samples.first().map(|first| first.duration);
    let uniform = uniform.filter(|&duration| samples.iter().all(|sample| sample.duration == duration));
    let entries: Vec<TrunEntry> = samples
        .iter()
        .map(|sample| TrunEntry {
            duration: uniform.is_none().then_some(sample.duration),
            size: u32::try_from(sample.data.len()).ok(),
            flags: None,
            cts: None,
        })
        .collect();
    let moof = |data_offset| Moof {
        mfhd: Mfhd { sequence_number: sequence },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: TRACK,
                default_base_is_moof: true,
                default_sample_duration: uniform,
                default_sample_flags: Some(SYNC_SAMPLE),
                ..Default::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: start }),
            trun: vec![Trun { data_offset: Some(data_offset), entries: entries.clone() }],
            ..Default::default()
        }],
    };
    let mut measured = Vec::new();
    encode(&moof(0), &mut measured)?;
    let data_offset = i32::try_from(measured.len() + MDAT_HEADER).map_err(io::Error::other)?;
    let size: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut out = Vec::with_capacity(measured.len() + MDAT_HEADER + size);
    encode(&moof(data_offset), &mut out)?;
    out.extend_from_slice(&u32::try_from(size + MDAT_HEADER).map_err(io::Error::other)?.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in samples {
        out.extend_from_slice(&sample.data);
    }
    Ok(out)
}

fn movie(duration: u64) -> Moov {
    let opus = Opus {
        audio: Audio {
            data_reference_index: 1,
            channel_count: 2,
            sample_size: 16,
            sample_rate: 48_000u16.into(),
        },
        dops: Dops { output_channel_count: 2, pre_skip: 0, input_sample_rate: TIMESCALE, output_gain: 0 },
        btrt: None,
    };
    let minf = Minf {
        smhd: Some(Default::default()),
        dinf: Dinf { dref: Dref { urls: vec![Url::default()] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![Codec::from(opus)] },
            stco: Some(Default::default()),
            ..Default::default()
        },
        ..Default::default()
    };
    Moov {
        mvhd: Mvhd {
            creation_time: 0,
            modification_time: 0,
            timescale: TIMESCALE,
            duration: 0,
            rate: 1u16.into(),
            volume: 1u8.into(),
            matrix: Default::default(),
            next_track_id: TRACK + 1,
        },
        mvex: Some(Mvex {
            mehd: Some(Mehd { fragment_duration: duration }),
            trex: vec![Trex { track_id: TRACK, default_sample_description_index: 1, ..Default::default() }],
        }),
        trak: vec![Trak {
            tkhd: Tkhd {
                track_id: TRACK,
                enabled: true,
                in_movie: true,
                volume: 1u8.into(),
                ..Default::default()
            },
            mdia: Mdia {
                mdhd: Mdhd { timescale: TIMESCALE, language: "und".into(), ..Default::default() },
                hdlr: Hdlr { handler: b"soun".into(), name: "simmer".into() },
                minf,
            },
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The segment index. Where there are more fragments than room, one reference covers several.
fn index(fragments: &[Indexed], duration: i64) -> Sidx {
    let per_reference = fragments.len().div_ceil(MAX_REFERENCES).max(1);
    let starts = fragments.iter().step_by(per_reference).map(|fragment| fragment.start);
    let ends = starts.clone().skip(1).chain([duration]);
    let references = fragments
        .chunks(per_reference)
        .zip(starts.zip(ends))
        .map(|(chunk, (start, end))| SegmentReference {
            reference_type: false,
            referenced_size: chunk
                .iter()
                .map(|fragment| fragment.length)
                .fold(0, u32::saturating_add)
                .min(u32::MAX >> 1),
            subsegment_duration: u32::try_from(end.saturating_sub(start)).unwrap_or(0),
            starts_with_sap: true,
            sap_type: 1,
            sap_delta_time: 0,
        })
        .collect();
    Sidx {
        reference_id: TRACK,
        timescale: TIMESCALE,
        earliest_presentation_time: fragments.first().map_or(0, |first| unsigned(first.start)),
        first_offset: 0,
        references,
    }
}

fn encode(item: &impl Encode, out: &mut Vec<u8>) -> io::Result<()> {
    item.encode(out).map_err(io::Error::other)
}

fn unsigned(ticks: i64) -> u64 {
    u64::try_from(ticks).unwrap_or(0)
}

const TRACK: u32 = 1;
const TIMESCALE: u32 = 48_000;
const MDAT_HEADER: usize = 8;
/// `sample_depends_on` = 2: on no other sample.
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// Reserved between `moov` and the first fragment for `sidx` and the `free` box behind it.
const INDEX_ROOM: usize = 16 << 10;
/// References of 12 bytes that fit, with 40 bytes of header at most and the `free` box's 8.
const MAX_REFERENCES: usize = (INDEX_ROOM - 48) / 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_keeps_its_length_however_many_fragments_there_are() {
        let live = header(None).unwrap().len();
        for count in [0, 1, MAX_REFERENCES, MAX_REFERENCES + 1, 20_000] {
            let fragments: Vec<Indexed> = (0..count as i64)
                .map(|at| Indexed { offset: live as u64, length: 5000, start: at * 48_000, key: true })
                .collect();
            let bytes = header(Some((&fragments, count as i64 * 48_000))).unwrap();
            assert_eq!(bytes.len(), live, "{count}");
        }
    }

    #[test]
    fn an_index_covers_every_byte_and_tick_once() {
        let fragments: Vec<Indexed> =
            (0..5000).map(|at| Indexed { offset: 0, length: 100, start: at * 48_000, key: true }).collect();
        let index = index(&fragments, 5000 * 48_000 + 5);
        assert!(index.references.len() <= MAX_REFERENCES);
        assert_eq!(index.references.iter().map(|one| u64::from(one.referenced_size)).sum::<u64>(), 500_000);
        assert_eq!(
            index.references.iter().map(|one| u64::from(one.subsegment_duration)).sum::<u64>(),
            240_000_005
        );
    }
}
