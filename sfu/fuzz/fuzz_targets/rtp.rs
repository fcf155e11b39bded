#![no_main]
//! Any bytes as an RTP packet: the parts lie inside, and what is written from them is read alike.

use libfuzzer_sys::fuzz_target;
use simmer_sfu::rtp::{EgressHeader, ExtensionValues, LONGEST_DELAY, RtpHeader, write_header};
use simmer_sfu::sdp::Extensions;

const IDS: Extensions = Extensions {
    mid: Some(1),
    rid: Some(2),
    repaired_rid: Some(3),
    transport_cc: Some(4),
    audio_level: Some(5),
    dependency: Some(7),
    playout_delay: Some(8),
    abs_send_time: Some(6),
};

fuzz_target!(|data: &[u8]| {
    let Some(header) = RtpHeader::parse(data) else { return };
    let payload = &data[header.header_len..header.payload_end];
    let values = ExtensionValues::read(data, &header, &IDS);
    let descriptor = values.dependency.map(|place| &data[place.range()]);
    let egress = EgressHeader {
        payload_type: header.payload_type,
        marker: header.marker,
        sequence: header.sequence,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        mid: values.mid.map(|mid| (1, mid)),
        padding: false,
        transport_cc: values.transport_cc.map(|number| (4, number)),
        audio_level: values.audio_level.map(|level| (5, level)),
        dependency: descriptor.map(|descriptor| (7, descriptor, 0xabcd)),
        playout_delay: values.playout_delay.map(|least| (8, least)),
    };
    let mut written = Vec::new();
    let length = write_header(&mut written, &egress);
    assert_eq!(length, written.len());
    written.extend_from_slice(payload);
    let again = RtpHeader::parse(&written).expect("what was written");
    assert_eq!(again.header_len, length);
    assert_eq!(
        (again.sequence, again.timestamp, again.ssrc),
        (header.sequence, header.timestamp, header.ssrc)
    );
    let read = ExtensionValues::read(&written, &again, &IDS);
    assert_eq!(
        (read.mid, read.transport_cc, read.audio_level),
        (values.mid, values.transport_cc, values.audio_level)
    );
    assert_eq!(read.playout_delay, values.playout_delay.map(|least| least.min(LONGEST_DELAY)));
    if let Some(descriptor) = descriptor.filter(|descriptor| descriptor.len() >= 3) {
        let again = &written[read.dependency.expect("it was written").range()];
        assert_eq!(
            (again[0], &again[1..3], &again[3..]),
            (descriptor[0], &[0xab, 0xcd][..], &descriptor[3..])
        );
    }
});
