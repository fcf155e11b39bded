use proptest::prelude::*;

use super::*;

const WHOSE: PublicationId = PublicationId { participant: ParticipantId(u64::MAX - 1), index: 7 };

fn records() -> Vec<Record> {
    let opened = Opened {
        file: 3,
        publication: WHOSE,
        part: 2,
        encoding: 1,
        codec: Codec::Vp8,
        picture: (1280, 720),
        origin: -5,
    };
    let fragment = Fragment {
        file: 3,
        offset: 1 << 40,
        length: 77,
        crc32: 0xdead_beef,
        start: 90_000,
        end: 180_000,
        key: true,
        arrival_us: 12,
    };
    vec![
        Record::Opened(opened),
        Record::Opened(Opened { codec: Codec::Opus, ..opened }),
        Record::Fragment(fragment),
        Record::Fragment(Fragment { key: false, ..fragment }),
        Record::Report { publication: WHOSE, encoding: 2, rtp: -1, ntp: u64::MAX, arrival_us: 1 },
        Record::Gap { file: 3, from: 1, to: 2 },
        Record::Switch { publication: WHOSE, from: 0, to: 2, at_us: 9 },
        Record::Overflow { at_us: 4, packets: 5, events: 6 },
        Record::End { at_us: 8 },
    ]
}

fn journal() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(records().iter().flat_map(Record::encode));
    bytes
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(&journal()), records());
}

#[test]
fn a_torn_tail_costs_the_last_record_only() {
    let whole = journal();
    let mut ends = vec![MAGIC.len()];
    for record in records() {
        ends.push(ends[ends.len() - 1] + record.encode().len());
    }
    for cut in 0..whole.len() {
        let complete = ends.iter().skip(1).filter(|&&end| end <= cut).count();
        assert_eq!(read(&whole[..cut]), &records()[..complete], "{cut}");
    }
}

#[test]
fn a_hole_costs_the_records_it_touches_only() {
    let whole = journal();
    for from in 0..whole.len() {
        for length in [1, 8, 100] {
            let to = (from + length).min(whole.len());
            if whole[from..to].iter().all(|&byte| byte == 0) {
                continue;
            }
            let mut damaged = whole.clone();
            damaged[from..to].fill(0);
            let mut at = MAGIC.len();
            let mut expected = records();
            expected.retain(|record| {
                let start = at;
                at += record.encode().len();
                damaged[start..at] == whole[start..at]
            });
            assert_eq!(read(&damaged), expected, "{from}..{to}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for record in read(&bytes) {
            prop_assert!(!record.encode().is_empty());
        }
    }

    #[test]
    fn a_mutated_journal_is_read_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = journal();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert!(read(&bytes).iter().all(|record| records().contains(record)));
    }
}
