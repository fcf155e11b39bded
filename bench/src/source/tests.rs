use super::*;

fn config() -> VideoConfig {
    VideoConfig { publisher: 1, bitrate_bps: 1_500_000, fps: 30, width: 1280, height: 720, seed: 7 }
}

/// Every packet of `seconds`, in order, with the time it left.
fn run(source: &mut VideoSource, start: Instant, seconds: u64) -> Vec<(Duration, SourcePacket)> {
    let mut out = Vec::new();
    loop {
        let now = source.poll_timeout();
        if now >= start + Duration::from_secs(seconds) {
            return out;
        }
        while let Some(packet) = source.poll(now) {
            out.push((now - start, packet));
        }
    }
}

fn mark_of(packet: &SourcePacket) -> Mark {
    let descriptor = Vp8Descriptor::parse(&packet.payload).expect("a descriptor");
    Mark::open(&packet.payload[descriptor.len..]).expect("a mark")
}

#[test]
fn frames_have_the_packets_and_sizes_of_a_browser() {
    let start = Instant::now();
    let packets = run(&mut VideoSource::new(config(), start), start, 8);
    let marks: Vec<Mark> = packets.iter().map(|(_, packet)| mark_of(packet)).collect();
    for frame in 1..200 {
        let sizes: Vec<usize> = packets
            .iter()
            .zip(&marks)
            .filter(|(_, mark)| mark.frame == frame)
            .map(|((_, packet), _)| packet.payload.len())
            .collect();
        assert!(sizes.is_sorted(), "the smaller first: {sizes:?}");
        assert!(sizes.last().unwrap() - sizes.first().unwrap() <= 1, "{sizes:?}");
        assert!((4..=7).contains(&sizes.len()), "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= 1200));
    }
    assert!(marks.iter().enumerate().all(|(at, mark)| mark.number == at as u64 + 1));
}

#[test]
fn the_bitrate_is_the_one_asked_for() {
    let start = Instant::now();
    let packets = run(&mut VideoSource::new(config(), start), start, 20);
    let bits: usize = packets.iter().map(|(_, packet)| packet.payload.len() * 8).sum();
    let rate = bits as f64 / 20.0;
    assert!((1_450_000.0..1_600_000.0).contains(&rate), "{rate}");
}

#[test]
fn the_packets_of_a_picture_leave_soon_after_one_another() {
    let start = Instant::now();
    let packets = run(&mut VideoSource::new(config(), start), start, 5);
    let mut previous = Duration::ZERO;
    for (at, packet) in &packets {
        assert!(*at >= previous);
        previous = *at;
        assert_eq!(*at, packet.due - start);
    }
    let mut spreads: Vec<Duration> = (1..140)
        .map(|frame| {
            let mut of_it = packets.iter().filter(|(_, packet)| mark_of(packet).frame == frame);
            let first = of_it.next().expect("a picture has packets").0;
            assert!(first >= Duration::from_millis(33) * frame, "before its time");
            of_it.next_back().map_or(Duration::ZERO, |(last, _)| *last - first)
        })
        .collect();
    spreads.sort();
    assert!(spreads[70] > Duration::ZERO && spreads[70] < Duration::from_micros(300), "{:?}", spreads[70]);
    assert!(spreads[138] < Duration::from_millis(33), "{:?}", spreads[138]);
}

#[test]
fn key_frames_begin_the_stream_and_come_when_asked_and_every_ten_seconds() {
    let start = Instant::now();
    let mut source = VideoSource::new(config(), start);
    let mut packets = run(&mut source, start, 5);
    source.request_key_frame(start + Duration::from_secs(5));
    packets.extend(run(&mut source, start, 16));
    let mut keys: Vec<u32> = packets
        .iter()
        .map(|(_, packet)| mark_of(packet))
        .filter(|mark| mark.key && mark.index == 0)
        .map(|mark| mark.frame)
        .collect();
    keys.dedup();
    assert_eq!(keys, [0, 150, 450]);
    for (_, packet) in packets.iter().filter(|(_, packet)| mark_of(packet).index == 0) {
        let frame = &packet.payload[DESCRIPTOR_LEN..];
        assert_eq!(frame[0] & 1 == 0, mark_of(packet).key);
        if mark_of(packet).key {
            assert_eq!(frame[3..6], [0x9d, 0x01, 0x2a]);
            assert_eq!(u16::from_le_bytes([frame[6], frame[7]]), 1280);
            assert_eq!(u16::from_le_bytes([frame[8], frame[9]]), 720);
        }
    }
}

#[test]
fn requests_in_a_burst_make_one_key_frame() {
    let start = Instant::now();
    let mut keys = 0;
    let mut source = VideoSource::new(config(), start);
    for step in 0..1000 {
        let now = start + Duration::from_millis(step);
        source.request_key_frame(now);
        while let Some(packet) = source.poll(now) {
            keys += u32::from(mark_of(&packet).key && mark_of(&packet).index == 0);
        }
    }
    assert!((2..=4).contains(&keys), "{keys}");
}

#[test]
fn picture_ids_and_timestamps_go_up_by_a_frame() {
    let start = Instant::now();
    let packets = run(&mut VideoSource::new(config(), start), start, 3);
    let first = Vp8Descriptor::parse(&packets[0].1.payload).unwrap().picture_id;
    let first_timestamp = packets[0].1.timestamp;
    for (_, packet) in &packets {
        let (mark, descriptor) = (mark_of(packet), Vp8Descriptor::parse(&packet.payload).unwrap());
        assert_eq!(descriptor.picture_id, first.wrapping_add(mark.frame as u16) & 0x7fff);
        assert_eq!(descriptor.tl0_picture_index, mark.frame as u8);
        assert_eq!(packet.timestamp, first_timestamp.wrapping_add(mark.frame * 3000));
        assert_eq!(packet.marker, mark.index + 1 == mark.count);
    }
}

#[test]
fn audio_has_fifty_packets_a_second_of_varying_size() {
    let start = Instant::now();
    let mut source = AudioSource::new(2, 3, start);
    let mut sizes = Vec::new();
    for step in 0..2000 {
        while let Some(packet) = source.poll(start + Duration::from_millis(step)) {
            let mark = Mark::open(&packet.payload).expect("a mark");
            assert_eq!((mark.kind, mark.publisher), (MediaKind::Audio, 2));
            sizes.push(packet.payload.len());
        }
    }
    assert_eq!(sizes.len(), 100);
    assert!(sizes.iter().all(|size| (60..=160).contains(size)));
    assert!(sizes.iter().max() > sizes.iter().min());
}
