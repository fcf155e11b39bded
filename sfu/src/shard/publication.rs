//! A published track on its way in: its encodings, what was received of each, what must be asked for.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bandwidth::{Bitrate, Rung};
use crate::codec::{Codec, PayloadInfo};
use crate::config::Limits;
use crate::egress::{SourceClock, SourceHistory, SourcePacket};
use crate::id::{Mid, PublicationId, Rid, Ssrc};
use crate::ingress::{Arrival, NackGenerator, RateMeter, ReceiveStream};
use crate::keyframe::KeyframeRequester;
use crate::report::{EncodingReport, PublicationReport};
use crate::rtp::AudioLevel;
use crate::sdp::{Extensions, MediaLine, PayloadFormat};
use crate::shard::saving::Saving;
use crate::sink::Publication;

/// A publication of one participant.
pub(super) struct PublicationState {
    pub(super) info: Publication,
    pub(super) format: PayloadFormat,
    pub(super) extensions: Extensions,
    pub(super) encodings: Vec<Encoding>,
    /// Who gets it: participant's index, slot's index.
    pub(super) subscribers: Vec<(usize, usize)>,
    pub(super) saving: Saving,
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
    /// The first packet of the last key frame, and its timestamp.
    last_key: Option<(u64, u32)>,
    rate: RateMeter,
}

/// An encoding as something to choose: how good it is and what it costs.
pub(super) type Offered = (u8, Rung);

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
    /// The time from our request to this repair.
    pub(super) round_trip: Option<Duration>,
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
        let encodings: Vec<_> = names.iter().map(|_| Encoding::new(format.codec, limits)).collect();
        Self {
            info: Publication { id, mid: line.mid, codec: format.codec, encodings: names },
            format,
            extensions: line.extensions,
            saving: Saving::new(encodings.len()),
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
        let round_trip = encoding.nacks.on_packet(now, sequence, received.repaired);
        encoding.highest = encoding.highest.max(sequence);
        let info = PayloadInfo::inspect(codec, &received.payload);
        let mut reconsider = encoding.last_packet.is_none_or(|last| now.duration_since(last) > SILENCE);
        encoding.last_packet = Some(now);
        if info.starts_keyframe {
            encoding.keyframes.on_keyframe(now);
            // Parameter sets and the picture they are for begin one key frame, not two.
            if encoding.last_key.is_none_or(|(last, time)| sequence > last && time != received.timestamp) {
                encoding.last_key = Some((sequence, received.timestamp));
            }
            if let Some((_, height)) = info.dimensions
                && encoding.height != Some(height)
            {
                encoding.height = Some(height);
                reconsider = true;
            }
        }
        encoding.clock.on_packet(received.timestamp, now);
        encoding.rate.on_packet(now, received.payload.len());
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
        Some(Taken { packet, reconsider, round_trip })
    }

    /// What can be had of it, from the least to the best: the encodings that send, or would if they were asked to; all of them where none does.
    pub(super) fn ladder(&self, now: Instant) -> Vec<Offered> {
        let counted = |&at: &usize| self.sends(now, at) || self.saving.may_come(now, at);
        let any = (0..self.encodings.len()).any(|at| counted(&at));
        let mut ladder: Vec<Offered> = (0..self.encodings.len())
            .filter(|at| !any || counted(at))
            .map(|at| {
                let encoding = &self.encodings[at];
                let rung = Rung { height: encoding.height.unwrap_or(0), bitrate: encoding.rate.rate() };
                (at as u8, rung)
            })
            .collect();
        // Where heights are equal, or not known before the first key frames, the one offered first is the better one.
        ladder.sort_by_key(|&(at, rung)| (rung.height, std::cmp::Reverse(at)));
        ladder
    }

    /// Of a ladder's rungs the one to show now when `wished` is what the line has room for: that one if it sends, else the best below it that does,
    /// else the least above.
    pub(super) fn nearest_sending(&self, now: Instant, ladder: &[Offered], wished: usize) -> Option<u8> {
        let sends = |&&(at, _): &&Offered| self.sends(now, usize::from(at));
        let (below, above) = ladder.split_at_checked(wished + 1)?;
        let nearest = below.iter().rev().find(sends).or_else(|| above.iter().find(sends));
        nearest.or(ladder.get(wished)).map(|&(at, _)| at)
    }

    /// What all its encodings that send take together.
    pub(super) fn bitrate(&self, now: Instant) -> Bitrate {
        let sending = (0..self.encodings.len()).filter(|&at| self.sends(now, at));
        sending.map(|at| self.encodings[at].rate.rate()).sum()
    }

    /// How it is just now.
    pub(super) fn report(&self, now: Instant) -> PublicationReport {
        let report = |(at, encoding): (usize, &Encoding)| EncodingReport {
            height: encoding.height,
            bitrate: encoding.rate.rate(),
            sends: self.sends(now, at),
            wanted: self.saving.wanted().get(at).copied().unwrap_or(true),
        };
        let encodings = self.encodings.iter().enumerate().map(report).collect();
        PublicationReport { publication: self.id(), encodings }
    }

    fn sends(&self, now: Instant, at: usize) -> bool {
        let last = self.encodings.get(at).and_then(|encoding| encoding.last_packet);
        last.is_some_and(|last| now.saturating_duration_since(last) <= SILENCE)
    }

    /// The first encoding that sends: what a recording takes.
    pub(super) fn first_sending(&self, now: Instant) -> Option<usize> {
        (0..self.encodings.len()).find(|&at| self.sends(now, at))
    }
}

impl Encoding {
    /// The packets after `sequence` that came before it did, in their order.
    pub(super) fn overtaking(&self, sequence: u64) -> Vec<SourcePacket> {
        (sequence + 1..=self.highest).filter_map(|later| self.history.lookup(later).cloned()).collect()
    }

    /// The packets from the last key frame on, if a viewer who comes now is served with them better than with a key frame of their own: all of
    /// them are there, and they are neither old nor many.
    pub(super) fn since_keyframe(&self, now: Instant) -> Option<Vec<SourcePacket>> {
        let (first, _) = self.last_key?;
        let began = self.history.lookup(first)?.arrival;
        if now.saturating_duration_since(began) > RUN_AGE {
            return None;
        }
        let run: Option<Vec<_>> =
            (first..=self.highest).map(|sequence| self.history.lookup(sequence).cloned()).collect();
        run.filter(|run| run.iter().map(|packet| packet.payload.len()).sum::<usize>() <= RUN_BYTES)
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
            last_key: None,
            rate: RateMeter::default(),
        }
    }
}

/// An encoding that sent nothing for so long is not counted on.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);
/// Older than this the run since a key frame is not worth its burst.
const RUN_AGE: Duration = Duration::from_millis(1200);
const RUN_BYTES: usize = 256 * 1024;
