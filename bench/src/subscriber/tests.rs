use super::slot::{NACK_AFTER, NACK_AGAIN, NACK_TRIES, SLOT_SETTLES};
use super::*;
use crate::source::{VideoConfig, VideoSource};

/// A subscriber with one video slot, and the packets of two seconds.
fn bed() -> (Subscriber, Vec<rtp::Packet>, Instant, Arc<Flows>) {
    let now = Instant::now();
    let flows = Arc::new(Flows::new(1, false));
    flows.open_window();
    let mut subscriber = Subscriber::new((1, 0), 30, flows.clone());
    subscriber.negotiated(&[MediaSection {
        kind: Some(MediaKind::Video),
        mid: "0".into(),
        ssrc: Some(7),
        rtx_ssrc: Some(8),
        ..MediaSection::default()
    }]);
    subscriber.start(now);
    let config =
        VideoConfig { publisher: 0, bitrate_bps: 500_000, fps: 30, width: 640, height: 360, seed: 1 };
    let mut source = VideoSource::new(config, now);
    let mut packets = Vec::new();
    while source.poll_timeout() < now + Duration::from_secs(2) {
        let due = source.poll_timeout();
        while let Some(packet) = source.poll(due) {
            flows.flow(0, MediaKind::Video).expect("its flow").sent(packet.number);
            packets.push(rtp::Packet {
                header: rtp::Header {
                    ssrc: 7,
                    sequence_number: packets.len() as u16,
                    timestamp: packet.timestamp,
                    marker: packet.marker,
                    ..rtp::Header::default()
                },
                payload: packet.payload,
            });
        }
    }
    (subscriber, packets, now, flows)
}

#[test]
fn a_gap_is_asked_for_until_it_is_filled_or_given_up() {
    let (mut subscriber, packets, now, _) = bed();
    let mut meters = Meters::new();
    for at in [0, 1, 4] {
        subscriber.handle_rtp(now, &packets[at], &mut meters);
    }
    let slot = &mut subscriber.slots[0];
    assert!(slot.due_nacks(now).is_empty(), "they may just be late");
    assert_eq!(slot.due_nacks(now + NACK_AFTER), [2, 3]);
    let mut again = packets[2].clone();
    again.header.ssrc = 8;
    let mut payload = 2u16.to_be_bytes().to_vec();
    payload.extend_from_slice(&packets[2].payload);
    again.payload = payload.into();
    subscriber.handle_rtp(now, &again, &mut meters);
    let slot = &mut subscriber.slots[0];
    let mut asked = 1;
    let mut at = now + NACK_AFTER;
    while slot.next_nack().is_some() {
        at += NACK_AGAIN;
        let due = slot.due_nacks(at);
        asked += due.len();
        assert!(due.iter().all(|number| *number == 3));
    }
    assert_eq!(asked, usize::from(NACK_TRIES));
    assert!(slot.is_blind());
    assert_eq!(subscriber.streams().0.recovered, 1);
}

#[test]
fn the_first_whole_key_frame_is_noticed_and_ages_are_measured() {
    let (mut subscriber, packets, now, flows) = bed();
    let mut meters = Meters::new();
    subscriber.set_slots(now, &[("0".into(), Some(0))]);
    for packet in &packets {
        subscriber.handle_rtp(now + Duration::from_secs(3), packet, &mut meters);
    }
    let late = now + Duration::from_secs(3);
    assert_eq!((subscriber.first_media(), subscriber.complete()), (Some(late), Some(late)));
    let latency = &meters.latency;
    assert_eq!(latency.len(), packets.len() as u64);
    assert_eq!(
        subscriber.streams().0.measured,
        flows.flow(0, MediaKind::Video).expect("its flow").measured()
    );
    assert!(latency.max() <= 3_010_000 && latency.min() >= 990_000, "{} {}", latency.min(), latency.max());
}

#[test]
fn what_was_kept_for_a_newcomer_counts_and_has_no_age() {
    let second = Duration::from_secs(1);
    for (connected, shown) in [(0, 1), (1, 0)] {
        let (mut subscriber, packets, now, _) = bed();
        let since = now + second;
        subscriber.start(now + second * connected);
        subscriber.set_slots(now + second * shown, &[("0".into(), Some(0))]);
        let mut meters = Meters::new();
        for packet in &packets {
            subscriber.handle_rtp(now + second * 3, packet, &mut meters);
        }
        assert_eq!(meters.packets, packets.len() as u64, "all of them were forwarded");
        let sent_later = |packet: &&rtp::Packet| {
            let descriptor = crate::source::Vp8Descriptor::parse(&packet.payload).expect("a picture's");
            let mark = Mark::open(&packet.payload[descriptor.len..]).expect("its mark");
            mark.sent_ns >= Clock::nanos(since)
        };
        let aged = packets.iter().filter(sent_later).count() as u64;
        assert!(0 < aged && aged < meters.packets, "{aged} of {}", meters.packets);
        assert_eq!((meters.latency.len(), meters.recent.len()), (aged, aged));
    }
}

#[test]
fn packets_that_are_not_opened_count_while_the_window_is_open() {
    let (mut subscriber, ..) = bed();
    let mut meters = Meters::new();
    let mut sequence_numbers = 0..;
    let mut come = |meters: &mut Meters, count: usize| {
        for sequence_number in sequence_numbers.by_ref().take(count) {
            let header = SealedHeader { ssrc: 7, payload_type: 0, sequence_number, transport_number: None };
            subscriber.handle_sealed(Instant::now(), header, meters);
            subscriber.handle_sealed(Instant::now(), header, meters);
        }
    };
    come(&mut meters, 2);
    meters.open_window();
    come(&mut meters, 5);
    meters.close_window();
    come(&mut meters, 3);
    assert_eq!(meters.packets, 5, "each once");
}

#[test]
fn packets_of_another_publisher_are_misdirected() {
    let (mut subscriber, packets, now, _) = bed();
    subscriber.set_slots(now, &[("0".into(), Some(3))]);
    subscriber.handle_rtp(now, &packets[0], &mut Meters::new());
    assert_eq!(subscriber.counts().misdirected, 0, "the slot may still be changing");
    subscriber.handle_rtp(now + SLOT_SETTLES, &packets[1], &mut Meters::new());
    assert_eq!(subscriber.counts().misdirected, 1);
}

#[test]
fn reports_say_what_was_lost_since_the_last_one() {
    let (mut subscriber, packets, now, _) = bed();
    for at in [0, 1, 2, 3, 5, 7] {
        subscriber.handle_rtp(now, &packets[at], &mut Meters::new());
    }
    let report = subscriber.slots[0].reception(now).expect("a report");
    assert_eq!((report.fraction_lost, report.total_lost, report.last_sequence_number), (64, 2, 7));
    for packet in &packets[8..12] {
        subscriber.handle_rtp(now, packet, &mut Meters::new());
    }
    let report = subscriber.slots[0].reception(now).expect("a report");
    assert_eq!((report.fraction_lost, report.total_lost, report.last_sequence_number), (0, 2, 11));
}

#[test]
fn only_slots_that_show_the_same_publisher_throughout_are_measured() {
    let (mut subscriber, packets, now, flows) = bed();
    subscriber.set_slots(now, &[("0".into(), Some(0))]);
    subscriber.open_window();
    let (last, others) = packets.split_last().expect("packets");
    for packet in others.iter().filter(|packet| packet.header.sequence_number != 40) {
        subscriber.handle_rtp(now, packet, &mut Meters::new());
    }
    let sent = flows.flow(0, MediaKind::Video).expect("its flow").measured();
    let (video, audio) = subscriber.delivery();
    assert_eq!((video.expected, video.received), (sent, sent - 2));
    assert_eq!((video.streams, video.whole, audio), (1, 1, Delivery::default()));
    subscriber.set_slots(now, &[("0".into(), None)]);
    subscriber.set_slots(now, &[("0".into(), Some(0))]);
    assert_eq!(subscriber.delivery().0.expected, 0, "it was somebody else's for a while");
    // After that the server's clock may stand elsewhere.
    let mut later = last.clone();
    later.header.timestamp = later.header.timestamp.wrapping_add(4711);
    subscriber.handle_rtp(now, &later, &mut Meters::new());
    assert_eq!(subscriber.streams().0.timestamp_breaks, 0);
}

/// A sender report that says that `rtp_time` was `ms` after some second.
fn report(ssrc: u32, ms: u64, rtp_time: u32) -> Box<dyn rtcp::Packet> {
    let ntp_time = (4_000_000_000 << 32) + (ms << 32) / 1000;
    Box::new(SenderReport { ssrc, ntp_time, rtp_time, ..SenderReport::default() })
}

#[test]
fn picture_and_sound_are_as_far_apart_as_sender_reports_say() {
    use crate::source::{AudioSource, SourcePacket};
    let now = Instant::now();
    Clock::nanos(now);
    let flows = Arc::new(Flows::new(1, true));
    flows.open_window();
    let mut subscriber = Subscriber::new((1, 1), 30, flows.clone());
    let section = |kind, mid: &str, ssrc| MediaSection {
        kind: Some(kind),
        mid: mid.into(),
        ssrc: Some(ssrc),
        ..MediaSection::default()
    };
    subscriber.negotiated(&[section(MediaKind::Video, "0", 7), section(MediaKind::Audio, "1", 9)]);
    subscriber.set_slots(now, &[("0".into(), Some(0)), ("1".into(), Some(0))]);
    let config =
        VideoConfig { publisher: 0, bitrate_bps: 500_000, fps: 30, width: 640, height: 360, seed: 1 };
    let video = VideoSource::new(config, now).poll(now).expect("the first frame");
    let audio = AudioSource::new(0, 1, now).poll(now).expect("the first sound");
    let rtp = |ssrc, packet: &SourcePacket| rtp::Packet {
        header: rtp::Header {
            ssrc,
            timestamp: packet.timestamp,
            marker: packet.marker,
            ..rtp::Header::default()
        },
        payload: packet.payload.clone(),
    };
    flows.flow(0, MediaKind::Video).expect("its flow").sent(1);
    flows.flow(0, MediaKind::Audio).expect("its flow").sent(1);
    // The picture's report is of a second later, the sound's of 40 ms earlier than it should be.
    let reports = [report(7, 1000, video.timestamp.wrapping_add(90_000)), report(9, 40, audio.timestamp)];
    subscriber.handle_rtcp(now, &reports);
    let mut meters = Meters::new();
    subscriber.handle_rtp(now, &rtp(9, &audio), &mut meters);
    subscriber.handle_rtp(now, &rtp(7, &video), &mut meters);
    assert_eq!(meters.av_offset.len(), 1);
    assert!(meters.av_offset.max().abs_diff(40_000) <= 50, "{}", meters.av_offset.max());
}

#[test]
fn what_was_asked_for_and_comes_as_it_was_is_recovered() {
    let (mut subscriber, packets, now, _) = bed();
    subscriber.slots[0].has_rtx = false;
    let mut meters = Meters::new();
    for at in [0, 1, 3] {
        subscriber.handle_rtp(now, &packets[at], &mut meters);
    }
    assert_eq!(subscriber.slots[0].due_nacks(now + NACK_AFTER), [2]);
    subscriber.handle_rtp(now + NACK_AGAIN, &packets[2], &mut meters);
    // This one was late, and nobody had asked.
    for at in [5, 4] {
        subscriber.handle_rtp(now + NACK_AGAIN, &packets[at], &mut meters);
    }
    let counts = subscriber.streams().0;
    assert_eq!((counts.recovered, counts.reordered, counts.measured), (1, 1, 6));
}

#[test]
fn a_stream_that_was_not_announced_is_followed_from_its_first_packet() {
    let (_, packets, now, flows) = bed();
    let mut subscriber = Subscriber::new((1, 0), 30, flows);
    let offer =
        "m=video 9 UDP/TLS/RTP/SAVPF 0 97\r\na=mid:0\r\na=rtpmap:0 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n";
    let section = MediaSection { kind: Some(MediaKind::Video), mid: "0".into(), ..MediaSection::default() };
    subscriber.negotiated_by_answer(offer, &[section]);
    subscriber.start(now);
    let mut meters = Meters::new();
    for packet in &packets {
        subscriber.handle_rtp(now, packet, &mut meters);
    }
    assert_eq!((subscriber.counts().unknown, subscriber.slots[0].ssrc), (0, Some(7)));
    assert_eq!(subscriber.streams().0.measured, packets.len() as u64);
    let mut other = packets[0].clone();
    other.header.ssrc = 9;
    subscriber.handle_rtp(now, &other, &mut meters);
    assert_eq!(subscriber.counts().unknown, 1, "the slot has its stream");
}
