//! A published track on its way in: its encodings, what was received of each, what must be asked for.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::{Codec, PayloadInfo};
use crate::config::Limits;
use crate::egress::{SourceClock, SourceHistory, SourcePacket};
use crate::id::{Mid, PublicationId, Rid, Ssrc};
use crate::ingress::{Arrival, NackGenerator, ReceiveStream};
use crate::keyframe::KeyframeRequester;
use crate::rtp::AudioLevel;
use crate::sdp::{Extensions, MediaLine, PayloadFormat};
use crate::sink::Publication;

/// A publication of one participant.
pub(super) struct PublicationState {
    pub(super) info: Publication,
    pub(super) format: PayloadFormat,
    pub(super) extensions: Extensions,
    pub(super) encodings: Vec<Encoding>,
    /// Who gets it: participant's index, slot's index.
    pub(super) subscribers: Vec<(usize, usize)>,
}

/// One RTP stream of a publication.
pub(super) struct Encoding {
    pub(super) ssrc: Option<Ssrc>,
    pub(super) repair_ssrc: Option<Ssrc>,
    pub(super) stream: ReceiveStream,
    pub(super) nacks: NackGenerator,
    pub(super) history: SourceHistory,
    pub(super) clock: SourceClock,
    pub(super) keyframes: KeyframeRequester,
    /// Of the last key frame, in pixels.
    height: Option<u16>,
    last_packet: Option<Instant>,
    /// The highest sequence number that came.
    highest: u64,
}

/// A packet's fields as read from its header, and its payload.
pub(super) struct Received {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) audio_level: Option<AudioLevel>,
    pub(super) payload: Bytes,
    /// It came in the retransmission stream.
    pub(super) repaired: bool,
}

/// What taking a packet changed beyond the packet itself.
pub(super) struct Taken {
    pub(super) packet: SourcePacket,
    /// The choice of encodings may have to be made anew: a picture's size became known, or an encoding came to life.
    pub(super) reconsider: bool,
}

impl PublicationState {
    pub(super) fn new(
        id: PublicationId,
        line: &MediaLine,
        format: PayloadFormat,
        rids: &[Rid],
        limits: &Limits,
    ) -> Self {
        let names: Vec<Option<Rid>> =
            if rids.is_empty() { vec![None] } else { rids.iter().copied().map(Some).collect() };
        let encodings = names.iter().map(|_| Encoding::new(format.codec, limits)).collect();
        Self {
            info: Publication { id, mid: line.mid, codec: format.codec, encodings: names },
            format,
            extensions: line.extensions,
            encodings,
            subscribers: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> PublicationId {
        self.info.id
    }

    pub(super) fn mid(&self) -> Mid {
        self.info.mid
    }

    pub(super) fn encoding_named(&self, rid: Rid) -> Option<u8> {
        let index = self.info.encodings.iter().position(|&name| name == Some(rid))?;
        u8::try_from(index).ok()
    }

    pub(super) fn encoding(&self, index: u8) -> Option<&Encoding> {
        self.encodings.get(usize::from(index))
    }

    pub(super) fn encoding_mut(&mut self, index: u8) -> Option<&mut Encoding> {
        self.encodings.get_mut(usize::from(index))
    }

    /// Takes a packet of one encoding; `None` when it is a duplicate, too old, or what came has no place.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, index: u8, received: Received) -> Option<Taken> {
        let codec = self.info.codec;
        let encoding = self.encodings.get_mut(usize::from(index))?;
        let Arrival::New { sequence } = encoding.stream.on_packet(now, received.sequence, received.timestamp)
        else {
            return None;
        };
        encoding.nacks.on_packet(now, sequence);
        encoding.highest = encoding.highest.max(sequence);
        let info = PayloadInfo::inspect(codec, &received.payload);
        let mut reconsider = encoding.last_packet.is_none_or(|last| now.duration_since(last) > SILENCE);
        encoding.last_packet = Some(now);
        if info.starts_keyframe {
            encoding.keyframes.on_keyframe(now);
            if let Some((_, height)) = info.dimensions
                && encoding.height != Some(height)
            {
                encoding.height = Some(height);
                reconsider = true;
            }
        }
        encoding.clock.on_packet(received.timestamp, now);
        let packet = SourcePacket {
            encoding: index,
            sequence,
            timestamp: received.timestamp,
            marker: received.marker,
            arrival: now,
            audio_level: received.audio_level,
            info,
            payload: received.payload,
        };
        encoding.history.insert(packet.clone());
        Some(Taken { packet, reconsider })
    }

    /// The encoding for a picture shown `max_height` pixels high: the smallest one at least as tall among those that send, the tallest if none is.
    pub(super) fn encoding_for(&self, now: Instant, max_height: u16) -> u8 {
        let sending = |encoding: &Encoding| {
            encoding.last_packet.is_some_and(|last| now.duration_since(last) <= SILENCE)
        };
        let any = self.encodings.iter().any(sending);
        let candidates = || {
            self.encodings
                .iter()
                .enumerate()
                .filter(move |(_, encoding)| !any || sending(encoding))
                // Before its first key frame the order of the offer tells which is larger.
                .map(|(index, encoding)| (encoding.height.unwrap_or(0), index))
        };
        let enough = candidates().filter(|&(height, _)| height >= max_height).min();
        // Of equal heights the one offered first, hence the smallest index.
        let tallest = || candidates().max_by_key(|&(height, index)| (height, std::cmp::Reverse(index)));
        enough.or_else(tallest).map_or(0, |(_, index)| index as u8)
    }
}

impl Encoding {
    /// The packets after `sequence` that came before it did, in their order.
    pub(super) fn overtaking(&self, sequence: u64) -> Vec<SourcePacket> {
        (sequence + 1..=self.highest).filter_map(|later| self.history.lookup(later).cloned()).collect()
    }

    fn new(codec: Codec, limits: &Limits) -> Self {
        Self {
            ssrc: None,
            repair_ssrc: None,
            stream: ReceiveStream::new(codec.clock_rate()),
            nacks: NackGenerator::default(),
            history: SourceHistory::new(limits.history_packets),
            clock: SourceClock::new(codec.clock_rate()),
            keyframes: KeyframeRequester::new(limits.keyframe_interval),
            height: None,
            last_packet: None,
            highest: 0,
        }
    }
}

/// An encoding that sent nothing for so long is not counted on.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);
