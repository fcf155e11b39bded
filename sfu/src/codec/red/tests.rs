use super::*;

fn blocks(payload: &[u8]) -> Option<Vec<(u8, u16, &[u8])>> {
    let red = RedPayload::parse(payload)?;
    let all = red.earlier().chain([&red.primary]);
    Some(all.map(|block| (block.payload_type, block.ticks, &payload[block.at.clone()])).collect())
}

#[test]
fn blocks_are_found_by_their_headers() {
    // Ticks 960 = 0b00_0011_1100_0000 and 1920, lengths 2 and 1.
    let payload =
        [0x80 | 111, 0x1e, 0x00, 2, 0x80 | 111, 0x0f, 0x00, 1, 111, b'a', b'b', b'c', b'd', b'e', b'f'];
    let expected: [(u8, u16, &[u8]); 3] = [(111, 1920, b"ab"), (111, 960, b"c"), (111, 0, b"def")];
    assert_eq!(blocks(&payload).unwrap(), expected);
    assert_eq!(blocks(&[111, b'x']).unwrap(), [(111, 0, &b"x"[..])]);
    assert_eq!(blocks(&[111]).unwrap(), [(111, 0, &b""[..])]);
}

#[test]
fn every_bit_of_age_and_length_counts() {
    let mut payload = vec![0x80 | 127, 0xff, 0xff, 0xff, 0];
    payload.resize(5 + 1023, 7);
    let red = RedPayload::parse(&payload).unwrap();
    let block = red.earlier().next().unwrap();
    assert_eq!((block.payload_type, block.ticks, block.at.clone()), (127, 16_383, 5..1028));
    assert_eq!(red.primary, RedBlock { payload_type: 0, ticks: 0, at: 1028..1028 });
}

#[test]
fn what_is_shorter_than_it_says_is_refused() {
    let whole = [0x80 | 111, 0x0f, 0x00, 2, 111, b'a', b'b'];
    assert!(blocks(&whole).is_some());
    for len in 0..whole.len() {
        assert_eq!(blocks(&whole[..len]), None, "{len} bytes");
    }
    assert_eq!(blocks(&[0x80 | 111; 4]), None, "no primary block");
}

#[test]
fn more_blocks_than_anybody_sends_are_refused() {
    let payload = |repeated| [[0x80 | 111, 0, 0, 0].repeat(repeated), vec![111]].concat();
    assert_eq!(blocks(&payload(MAX_REPEATED)).unwrap().len(), MAX_REPEATED + 1);
    assert_eq!(blocks(&payload(MAX_REPEATED + 1)), None);
}

#[test]
fn what_is_written_is_read_alike() {
    let earlier = EarlierPayload::new(960, &Bytes::from_static(b"before"), 3).unwrap();
    let mut out = b"header".to_vec();
    earlier.write(&mut out, 111, b"now");
    let expected: [(u8, u16, &[u8]); 2] = [(111, 960, b"before"), (111, 0, b"now")];
    assert_eq!(blocks(&out[6..]).unwrap(), expected);
}

#[test]
fn what_the_header_has_no_room_for_is_not_sent_along() {
    let payload = |len| Bytes::from(vec![1; len]);
    let fits = |ticks, len, primary| EarlierPayload::new(ticks, &payload(len), primary).is_some();
    assert!(fits(16_383, 1023, 77) && fits(1, 1, 0));
    // A comfort-noise packet of Opus comes 400 ms after the one before it.
    assert!(!fits(19_200, 1, 0));
    assert!(!fits(0, 1, 0), "the same instant is no earlier one");
    assert!(!fits(0_u32.wrapping_sub(960), 1, 0), "a later one is none either");
    assert!(!fits(960, 0, 1) && !fits(960, 1024, 0) && !fits(960, 1023, 78));
}
