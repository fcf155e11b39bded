//! Layers chosen at random over a line that delays packets, and what a decoder would say of the outcome.
#![expect(
    clippy::disallowed_methods,
    reason = "virtual time starts at any instant; only differences are seen"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::codec::{Layer, PayloadInfo, PictureNumbers};
use crate::config::Limits;
use crate::egress::Target;
use crate::id::{ParticipantId, Rid, Ssrc};
use crate::rtp::{ExtensionValues, RtpHeader};
use crate::sdp::{Fingerprint, Flow, IceCredentials};
use crate::shard::publication::{PublicationState, Received};
use crate::sim::{LayerMark, LayeredSource, PlainContext, PlainTransport, Scheme};
use crate::transport::TransportParameters;

/// Pictures of the encodings are this far apart, so that a frame's number tells the encoding.
const APART: u32 = 100_000;
const PARTS: u8 = 2;
const EXTENSIONS: Extensions = Extensions {
    mid: None,
    rid: None,
    repaired_rid: None,
    transport_cc: None,
    audio_level: None,
    dependency: Some(5),
    playout_delay: None,
    abs_send_time: None,
};

/// A publication and one slot that shows it.
struct Line {
    scheme: Scheme,
    now: Instant,
    publication: PublicationState,
    sources: Vec<LayeredSource>,
    sequences: Vec<u16>,
    wants_key: Vec<bool>,
    slot: Slot,
    transport: PlainTransport,
    downlink: Downlink,
    /// Packets held up: when they come, their encoding.
    late: Vec<(u32, u8, Received)>,
    pictures: u32,
    /// For how many pictures packets are held up at most.
    held_up: u32,
    received: BTreeMap<u64, Seen>,
    highest: u64,
    /// From which picture on which target.
    targets: Vec<(u32, Target)>,
}

/// A packet at the viewer's end.
#[derive(Clone, PartialEq, Debug)]
struct Seen {
    mark: Option<LayerMark>,
    marker: bool,
    numbers: Option<PictureNumbers>,
    frame_number: Option<u16>,
}

impl Line {
    fn new(scheme: Scheme, encodings: u8) -> Self {
        let now = Instant::now() + Duration::from_secs(1000);
        let format = PayloadFormat {
            codec: scheme.codec,
            payload_type: 96,
            rtx_payload_type: None,
            red_payload_type: None,
            parameters: String::new(),
            nack: true,
            pli: true,
            transport_cc: false,
            remb: false,
        };
        let ids: Vec<Rid> =
            (0..encodings).filter(|_| encodings > 1).map(|n| Rid::new(&[b'a' + n]).unwrap()).collect();
        let line = |flow| MediaLine {
            mid: Mid::new(b"0").unwrap(),
            kind: Kind::Video,
            flow,
            codecs: vec![format.clone()],
            extensions: EXTENSIONS,
        };
        let id = PublicationId { participant: ParticipantId(1), index: 0 };
        let up = line(Flow::Receive { rids: ids.clone(), ssrcs: Vec::new() });
        let identity = SlotIdentity { ssrc: Ssrc(7), rtx_ssrc: None, stream: "s".to_owned() };
        let start = SlotStart { sequence: 65_000, rtx_sequence: 0, rtp_time: 0 };
        let mut slot = Slot::new(&line(Flow::Send(identity.clone())), identity, start, now);
        slot.mid_acknowledged = true;
        assert!(slot.fill(id, 0, &format));
        let ice = || IceCredentials { ufrag: String::new(), pwd: String::new() };
        let parameters = TransportParameters {
            local: ice(),
            remote: ice(),
            remote_fingerprint: Fingerprint([0; 32]),
            dtls_role: crate::sdp::DtlsRole::Server,
        };
        Self {
            scheme,
            now,
            publication: PublicationState::new(id, &up, format.clone(), &ids, &Limits::default()),
            sources: (0..encodings)
                .map(|n| LayeredSource::new(scheme, 720 >> n, u32::from(n) * APART))
                .collect(),
            sequences: vec![65_100; usize::from(encodings)],
            wants_key: vec![true; usize::from(encodings)],
            slot,
            transport: PlainTransport::new(&PlainContext::default(), now, parameters),
            downlink: Downlink::new(),
            late: Vec::new(),
            pictures: 0,
            held_up: 0,
            received: BTreeMap::new(),
            highest: 0,
            targets: Vec::new(),
        }
    }

    fn aim(&mut self, encoding: u8, spatial: u8, temporal: u8) {
        let target = Target { encoding, layer: Layer { spatial, temporal } };
        self.targets.push((self.pictures, target));
        self.slot.selector.set_target(Some(target));
    }

    /// A picture of each encoding; each packet is late with this probability.
    fn picture(&mut self, rng: &mut ChaCha20Rng, late: f64) {
        if let Some(encoding) = self.slot.selector.wanted_keyframe() {
            self.wants_key[usize::from(encoding)] = true;
        }
        for at in 0..self.sources.len() {
            let key = std::mem::take(&mut self.wants_key[at]);
            for frame in self.sources[at].picture(key, PARTS) {
                for part in 0..PARTS {
                    let received = Received {
                        sequence: self.sequences[at],
                        timestamp: self.pictures * 3000,
                        marker: frame.ends_picture && part + 1 == PARTS,
                        audio_level: None,
                        descriptor: self.sources[at].descriptor(&frame, part).into(),
                        payload: self.sources[at].payload(&frame, part, 100).into(),
                        repaired: false,
                    };
                    self.sequences[at] = self.sequences[at].wrapping_add(1);
                    if rng.random_bool(late) {
                        self.held_up = 4;
                        let until = self.pictures + rng.random_range(0..4);
                        self.late.push((until, at as u8, received));
                    } else {
                        self.take(at as u8, received);
                    }
                }
            }
        }
        let pictures = self.pictures;
        let (come, stay) = std::mem::take(&mut self.late).into_iter().partition(|(at, ..)| *at <= pictures);
        self.late = stay;
        let come: Vec<(u32, u8, Received)> = come;
        come.into_iter().for_each(|(_, encoding, received)| self.take(encoding, received));
        self.pictures += 1;
        self.now += Duration::from_millis(33);
    }

    /// As the shard does it: to the slot, what overtook a beginning after it, and what waited for it.
    fn take(&mut self, encoding: u8, received: Received) {
        let Some(taken) = self.publication.take(self.now, encoding, received) else { return };
        let mut next = taken.packet;
        while let Some(packet) = next {
            if self.forward(&packet) {
                for packet in self.publication.encoding(encoding).unwrap().overtaking(packet.sequence) {
                    self.forward(&packet);
                }
            }
            next = self.publication.release(encoding);
        }
        let outbox = std::mem::take(&mut self.downlink.outbox);
        let sent = outbox.runs().flat_map(|run| run.contents.chunks(run.segment_size));
        sent.for_each(|datagram| self.see(datagram));
    }

    /// Whether the packet began what the slot shows from now on.
    fn forward(&mut self, packet: &SourcePacket) -> bool {
        let Some(munged) = self.slot.select(packet, self.now) else { return false };
        self.slot.send(self.now, packet, munged.sent, &mut self.transport, &mut self.downlink);
        munged.switched
    }

    fn see(&mut self, datagram: &[u8]) {
        let header = RtpHeader::parse(datagram).unwrap();
        let values = ExtensionValues::read(datagram, &header, &EXTENSIONS);
        let payload = &datagram[header.header_len..header.payload_end];
        let descriptor = values.dependency.map(|place| &datagram[place.range()]);
        let ahead = header.sequence.wrapping_sub(self.highest as u16) as i16;
        let number = if self.highest == 0 {
            65_536 + u64::from(header.sequence)
        } else {
            self.highest.wrapping_add_signed(ahead.into())
        };
        self.highest = self.highest.max(number);
        let seen = Seen {
            mark: LayerMark::read(payload),
            marker: header.marker,
            numbers: PayloadInfo::inspect(self.scheme.codec, payload).numbers,
            frame_number: descriptor.map(|bytes| u16::from_be_bytes([bytes[1], bytes[2]])),
        };
        assert!(payload.is_empty() == seen.mark.is_none(), "a payload that nobody made");
        assert_eq!(self.received.insert(number, seen), None, "a number twice");
    }

    fn encoding_of(&self, mark: &LayerMark) -> u8 {
        (mark.frame / u32::from(self.scheme.spatial) / APART) as u8
    }

    fn picture_of(&self, mark: &LayerMark) -> u32 {
        mark.frame / u32::from(self.scheme.spatial) % APART
    }

    /// What was received, in stretches of one encoding each.
    fn stretches(&self) -> Vec<Vec<(u64, &Seen, &LayerMark)>> {
        let mut stretches: Vec<Vec<(u64, &Seen, &LayerMark)>> = Vec::new();
        for (&number, seen) in &self.received {
            let Some(mark) = &seen.mark else { continue };
            match stretches.last_mut() {
                Some(last) if self.encoding_of(last[0].2) == self.encoding_of(mark) => {
                    last.push((number, seen, mark))
                }
                _ => stretches.push(vec![(number, seen, mark)]),
            }
        }
        stretches
    }

    /// What was held up when the slot went on to another encoding does not come any more.
    fn is_cut(&self, went_on: bool, last_picture: u32, mark: &LayerMark) -> bool {
        went_on && self.picture_of(mark) + 5 > last_picture
    }

    /// Every frame that the viewer got is whole and finds all it needs; nothing is of a layer that was not to be shown.
    fn check_decodable(&self) {
        let stretches = self.stretches();
        for (at, stretch) in stretches.iter().enumerate() {
            assert!(stretch[0].2.key && stretch[0].2.part == 0, "a switch in the middle: {:?}", stretch[0]);
            let last_picture = self.picture_of(stretch[stretch.len() - 1].2);
            let first_picture = self.picture_of(stretch[0].2);
            let mut parts: BTreeMap<u32, BTreeSet<u8>> = BTreeMap::new();
            for (_, _, mark) in stretch {
                parts.entry(mark.frame).or_default().insert(mark.part);
            }
            for (number, _, mark) in stretch {
                let cut = self.is_cut(at + 1 < stretches.len(), last_picture, mark);
                let whole =
                    |frame: &u32| parts.get(frame).is_some_and(|parts| parts.len() == usize::from(PARTS));
                assert!(cut || whole(&mark.frame), "{number}: a part is missing of {mark:?}");
                assert!(cut || mark.references.iter().all(whole), "{number}: cannot be decoded: {mark:?}");
                // A key picture that was held up may be of a time before its target.
                let held_up = if self.picture_of(mark) < first_picture + 5 { 4 } else { 0 };
                assert!(self.is_wanted(mark, held_up), "{number}: {mark:?} in spite of its target");
            }
        }
    }

    /// Whether the last target of its encoding that was set before its picture, or one of some more pictures, includes a packet. A picture wholly held up
    /// comes as what was wanted before its successors.
    fn is_wanted(&self, mark: &LayerMark, held_up: u32) -> bool {
        let (encoding, picture) = (self.encoding_of(mark), self.picture_of(mark));
        let of_encoding = || self.targets.iter().rev().filter(move |(_, target)| target.encoding == encoding);
        let last = of_encoding().find(|(from, _)| *from + self.held_up <= picture);
        let later = of_encoding().filter(|(from, _)| {
            (picture + 1..=picture + self.held_up + held_up).contains(&(from + self.held_up))
        });
        last.into_iter().chain(later).any(|(_, target)| target.layer.includes(mark.layer))
    }

    /// Numbers have no hole, unless of a packet that was held up when the slot went on to another encoding.
    fn check_numbers(&self) {
        let beginnings: Vec<u64> = self.stretches().iter().skip(1).map(|stretch| stretch[0].0).collect();
        let (first, last) = (self.received.keys().next().unwrap(), self.received.keys().last().unwrap());
        for number in *first..*last {
            let cut = beginnings.iter().any(|&beginning| number < beginning && number + 60 > beginning);
            assert!(cut || self.received.contains_key(&number), "{number} is missing");
        }
        let mut highest_frame = None;
        let stretches = self.stretches();
        for (at, stretch) in stretches.iter().enumerate() {
            let last_picture = self.picture_of(stretch[stretch.len() - 1].2);
            let begin = &stretch[0];
            if let (Some(highest), Some(number)) = (highest_frame, begin.1.frame_number) {
                assert_eq!(number, u16::wrapping_add(highest, 1), "frame numbers go on");
            }
            for pair in stretch.windows(2) {
                let [(_, before, earlier), (number, after, later)] = pair else { unreachable!() };
                if let (Some(before), Some(after)) = (before.frame_number, after.frame_number) {
                    assert_eq!(after.wrapping_sub(before), (later.frame - earlier.frame) as u16, "{number}");
                }
                let picture =
                    |seen: &Seen| seen.numbers.and_then(|numbers| numbers.picture_id).map(|id| id.value);
                let step = self.picture_of(later) - self.picture_of(earlier);
                if let (Some(before), Some(after)) = (picture(before), picture(after)) {
                    let sent = after.wrapping_sub(before) & 0x7fff;
                    // VP8's close up, but for pictures that came too late to be left out.
                    let least = u32::from(step > 0);
                    let most = if self.held_up > 0 { step } else { least };
                    let close = self.scheme.codec == Codec::Vp8 && (least..=most).contains(&sent.into());
                    assert!(
                        close || self.scheme.codec != Codec::Vp8 && u32::from(sent) == step,
                        "{number}: {sent} for {step} pictures"
                    );
                }
                let tl0 = |seen: &Seen| seen.numbers.and_then(|numbers| numbers.tl0_pic_idx);
                if let (Some(before), Some(after)) = (tl0(before), tl0(after)) {
                    let bases = u8::from(step > 0 && later.layer.temporal == 0);
                    let cut = self.is_cut(at + 1 < stretches.len(), last_picture, later);
                    assert!(cut || after.wrapping_sub(before) == bases, "{number}: TL0PICIDX");
                }
            }
            highest_frame = stretch.last().and_then(|(_, seen, _)| seen.frame_number);
        }
    }

    /// The last packet of each picture says so, and no other, but where a layer joined in the middle of the picture.
    fn check_markers(&self) {
        let stretches = self.stretches();
        for (at, stretch) in stretches.iter().enumerate() {
            let last_picture = self.picture_of(stretch[stretch.len() - 1].2);
            let pictures =
                stretch.chunk_by(|(_, _, one), (_, _, other)| self.picture_of(one) == self.picture_of(other));
            for packets in pictures {
                let (_, seen, mark) = packets.last().unwrap();
                let cut = self.is_cut(at + 1 < stretches.len(), last_picture, mark);
                assert!(cut || seen.marker, "the end of a picture that is not told: {mark:?}");
                let markers = packets.iter().filter(|(_, seen, _)| seen.marker).count();
                let joins = |mark: &&LayerMark| {
                    let own = |&reference: &u32| reference + u32::from(self.scheme.spatial) > mark.frame;
                    mark.layer.spatial > 0 && mark.part == 0 && mark.references.iter().all(own)
                };
                let joined = packets.iter().map(|(_, _, mark)| *mark).filter(joins).count();
                assert!(markers <= 1 + joined, "{markers} ends of a picture: {mark:?}");
            }
        }
    }

    /// The highest layer shown among the last pictures.
    fn reached(&self) -> Layer {
        let last = self.received.values().rev().filter_map(|seen| seen.mark.as_ref()).take(40);
        last.fold(Layer::BASE, |reached, mark| Layer {
            spatial: reached.spatial.max(mark.layer.spatial),
            temporal: reached.temporal.max(mark.layer.temporal),
        })
    }
}

fn schemes() -> impl Strategy<Value = (Scheme, u8)> {
    let scheme =
        |codec, spatial, key_mode, dependency| Scheme { codec, spatial, temporal: 3, key_mode, dependency };
    prop_oneof![
        Just((scheme(Codec::Vp8, 1, false, false), 1)),
        Just((scheme(Codec::Vp8, 1, false, false), 3)),
        Just((scheme(Codec::Vp8, 1, false, true), 2)),
        Just((scheme(Codec::H264, 1, false, true), 2)),
        (any::<bool>(), any::<bool>())
            .prop_map(move |(key, dependency)| (scheme(Codec::Vp9, 3, key, dependency), 1)),
        Just((scheme(Codec::Vp9, 2, false, false), 2)),
        any::<bool>().prop_map(move |key| (scheme(Codec::Av1, 3, key, true), 1)),
        Just((scheme(Codec::Av1, 2, true, true), 2)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn all_that_is_shown_can_be_decoded_and_the_target_is_reached(
        (scheme, encodings) in schemes(), seed: u64, late in prop_oneof![Just(0.0), 0.0..0.2]
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut line = Line::new(scheme, encodings);
        for _ in 0..12 {
            let encoding = rng.random_range(0..encodings);
            line.aim(encoding, rng.random_range(0..scheme.spatial), rng.random_range(0..scheme.temporal));
            for _ in 0..rng.random_range(1..30) {
                line.picture(&mut rng, late);
            }
        }
        line.aim(0, scheme.spatial - 1, scheme.temporal - 1);
        for _ in 0..40 {
            line.picture(&mut rng, 0.0);
        }
        line.check_decodable();
        line.check_numbers();
        line.check_markers();
        prop_assert_eq!(line.reached(), Layer { spatial: scheme.spatial - 1, temporal: scheme.temporal - 1 });
        prop_assert_eq!(line.slot.selector.wanted_keyframe(), None);
    }
}
