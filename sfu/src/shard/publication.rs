//! A published track on its way in: its encodings, what was received of each, what must be asked for.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bandwidth::{Bitrate, Rung};
use crate::codec::dependency::{DependencyError, DependencyReader};
use crate::codec::red::EarlierPayload;
use crate::codec::vp9::Vp9Descriptor;
use crate::codec::{Codec, FrameDependency, Kind, Layer, PayloadInfo};
use crate::config::Limits;
use crate::egress::{SourceClock, SourceHistory, SourcePacket, Target};
use crate::id::{Mid, PublicationId, Rid, ShardIndex, Ssrc};
use crate::ingress::{Arrival, LayerRates, NackGenerator, RateMeter, ReceiveStream};
use crate::keyframe::KeyframeRequester;
use crate::report::{EncodingReport, PublicationReport};
use crate::rtp::AudioLevel;
use crate::sdp::{Extensions, MediaLine, PayloadFormat};
use crate::shard::saving::Saving;
use crate::sink::Publication;
use onset::Onset;

/// A publication of one participant.
pub(super) struct PublicationState {
    pub(super) info: Publication,
    pub(super) format: PayloadFormat,
    pub(super) extensions: Extensions,
    pub(super) encodings: Vec<Encoding>,
    /// Who gets it: participant's index, slot's index.
    pub(super) subscribers: Vec<(usize, usize)>,
    pub(super) saving: Saving,
    /// Until then the rest of a picture is not worth waiting for: it was, in vain.
    pub(super) comes_apart: Option<Instant>,
    /// Encodings that other shards need, a bit for each.
    pub(super) needed_elsewhere: Vec<(ShardIndex, u64)>,
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
    pub(super) rates: LayerRates,
    dependencies: DependencyReader,
    /// Packets that wait for the structure that their descriptors mean, in the order of their arrival.
    held: VecDeque<Held>,
    structure_came: bool,
    /// Packets that came inside another one and were not handed on yet.
    healed: VecDeque<SourcePacket>,
    spatial: [SpatialLayer; SPATIAL_LAYERS],
    onset: Onset,
    /// The highest sequence number that came.
    highest: u64,
    /// The first packet of the last key frame, and its timestamp.
    last_key: Option<(u64, u32)>,
    /// Of all its layers together.
    rate: RateMeter,
}

/// A packet's fields as read from its header, and its payload.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) audio_level: Option<AudioLevel>,
    /// The dependency descriptor; empty when there is none.
    pub(super) descriptor: Bytes,
    pub(super) payload: Bytes,
    /// It came in the retransmission stream.
    pub(super) repaired: bool,
}

/// One spatial layer of an encoding.
#[derive(Clone, Copy, Default)]
struct SpatialLayer {
    /// Of the last key frame, in pixels.
    height: Option<u16>,
    last_packet: Option<Instant>,
}

struct Held {
    now: Instant,
    sequence: u64,
    received: Received,
}

/// Layers that a viewer can be sent, and what they are and take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LayerChoice {
    pub(super) target: Target,
    /// In pixels; 0 when not known.
    pub(super) height: u16,
    /// Pictures per second.
    pub(super) fps: u16,
    /// Of the last seconds it was sent, with all layers below.
    pub(super) bitrate: Bitrate,
    /// The most that this was of late.
    pub(super) highest: Bitrate,
}

impl LayerChoice {
    pub(super) fn rung(&self) -> Rung {
        Rung { height: self.height, bitrate: self.bitrate, highest: self.highest }
    }
}

/// What taking a packet changed beyond the packet itself.
pub(super) struct Taken {
    /// `None` when it waits for what its dependency descriptor means: see [`PublicationState::release`].
    pub(super) packet: Option<SourcePacket>,
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
        let info = Publication { id, mid: line.mid, codec: format.codec, encodings: names };
        Self::known(info, format, line.extensions, limits)
    }

    /// One that was agreed on already.
    pub(super) fn known(
        info: Publication,
        format: PayloadFormat,
        extensions: Extensions,
        limits: &Limits,
    ) -> Self {
        let mut encodings: Vec<_> =
            info.encodings.iter().map(|_| Encoding::new(info.codec, limits)).collect();
        if let [only] = &mut encodings[..] {
            only.onset = Onset::Only;
        }
        Self {
            info,
            format,
            extensions,
            saving: Saving::new(encodings.len()),
            encodings,
            subscribers: Vec::new(),
            comes_apart: None,
            needed_elsewhere: Vec::new(),
        }
    }

    /// Its publisher is reached another way from now on. What was lost meanwhile is not worth waiting for, if it was more than a picture or two.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.info.codec.kind() == Kind::Audio {
            return;
        }
        for encoding in &mut self.encodings {
            let last = encoding.spatial.iter().filter_map(|layer| layer.last_packet).max();
            if last.is_some_and(|last| (LONG_GAP..SILENCE).contains(&now.duration_since(last))) {
                encoding.keyframes.request(now);
            }
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
        let Ok(dependency) = encoding.read_dependency(codec, &received.descriptor) else {
            encoding.hold(Held { now, sequence, received });
            return Some(Taken { packet: None, reconsider: false, round_trip });
        };
        let held = Held { now, sequence, received };
        let (packet, reconsider) = encoding.complete(index, codec, held, dependency);
        Some(Taken { packet: Some(packet), reconsider, round_trip })
    }

    /// The next of the packets that waited for what has come by now, or came with it. To be asked after each packet that was taken.
    #[inline]
    pub(super) fn release(&mut self, index: u8) -> Option<SourcePacket> {
        let codec = self.info.codec;
        let encoding = self.encodings.get_mut(usize::from(index))?;
        if let Some(packet) = encoding.healed.pop_front() {
            return Some(packet);
        }
        while encoding.structure_came {
            let Some(held) = encoding.held.pop_front() else {
                encoding.structure_came = false;
                break;
            };
            if let Ok(dependency) = encoding.read_dependency(codec, &held.received.descriptor) {
                return Some(encoding.complete(index, codec, held, dependency).0);
            }
        }
        None
    }

    /// What can be had of it, each with all below it, from the least to the best: the layers that are sent, the encodings that would be if they were
    /// asked for; all encodings where there are none of either.
    pub(super) fn ladder(&self, now: Instant) -> Vec<LayerChoice> {
        let any = (0..self.encodings.len()).any(|at| self.counts(now, at));
        let mut choices = Vec::new();
        for (at, encoding) in self.encodings.iter().enumerate() {
            if any && !self.counts(now, at) {
                continue;
            }
            let presumed = self.presumed(at, encoding);
            if !encoding.is_sending(now) {
                choices.push(presumed);
                continue;
            }
            let known = choices.len();
            encoding.choices(now, at as u8, &mut choices);
            if encoding.height().is_none() {
                // What told it was lost: of no height it would pass for the smallest.
                choices[known..].iter_mut().for_each(|choice| choice.height = presumed.height);
            }
        }
        let lowest = choices.iter().map(|choice| choice.height).min();
        // A larger picture that stutters is no better than a smaller one that moves.
        choices.retain(|choice| {
            choice.fps >= FLUENT
                || choice.target.layer.temporal == Layer::ALL.temporal
                    && !self.is_starved(now, choice.target.encoding)
                || Some(choice.height) == lowest
        });
        // Where heights are equal, or not known before the first key frames, the one offered first is the better one.
        choices.sort_by_key(|choice| (choice.height, Reverse(choice.target.encoding), choice.target.layer));
        choices
    }

    /// Whether an encoding hardly moves though another does: its publisher cannot make it or send it. It is still wished for.
    pub(super) fn is_starved(&self, now: Instant, index: u8) -> bool {
        let fps = |encoding: &Encoding| {
            let known = encoding.is_sending(now) && encoding.rates.is_settled(now);
            known.then(|| encoding.rates.pictures_per_second(now, Layer::ALL.temporal))
        };
        let stutters = self.encoding(index).and_then(fps).is_some_and(|fps| fps < STARVED);
        let wanted = self.saving.wanted().get(usize::from(index)).copied().unwrap_or(true);
        stutters
            && wanted
            && !self.saving.is_resuming(now, usize::from(index))
            && self.encodings.iter().filter_map(fps).any(|fps| fps >= FLUENT)
    }

    /// What an encoding that does not send may be expected to be: what it was, or if it never sent, so much above the next one known as steps between
    /// encodings are. One of no height and no cost would never be asked for, nor the line probed for it.
    fn presumed(&self, at: usize, encoding: &Encoding) -> LayerChoice {
        let mut choice = encoding.as_known(at as u8);
        let known =
            |steps: usize, lower: &Encoding| Some((steps as u32 + 1, lower.height()?, lower.rate.rate()));
        let mut lower = self.encodings.iter().skip(at + 1).enumerate();
        if encoding.height().is_none()
            && let Some((steps, height, rate)) = lower.find_map(|(steps, lower)| known(steps, lower))
        {
            choice.height = height.saturating_mul(2_u16.saturating_pow(steps));
            choice.bitrate = rate * STEP_COSTS.powi(steps as i32);
            choice.highest = choice.bitrate;
        }
        choice
    }

    /// Of a ladder's choices the one to show now when `wished` is what the line has room for: that one if it is sent, else the best below it that is, else
    /// the least above. Where one of those below is `shown` already, another one is taken when it moves.
    pub(super) fn nearest_sending(
        &self,
        now: Instant,
        ladder: &[LayerChoice],
        wished: usize,
        shown: Option<u8>,
    ) -> Option<Target> {
        let (below, above) = ladder.split_at_checked(wished + 1)?;
        let waits = below.iter().any(|choice| Some(choice.target.encoding) == shown);
        let sent = |choice: &&LayerChoice| {
            let at = choice.target.encoding;
            self.encoding(at).is_some_and(|encoding| {
                encoding.is_sending(now) && (!waits || shown == Some(at) || encoding.onset.is_steady())
            })
        };
        let nearest = below.iter().rev().find(sent).or_else(|| above.iter().find(sent));
        nearest.or(ladder.get(wished)).map(|choice| choice.target)
    }

    /// What all its encodings that send take together.
    pub(super) fn bitrate(&self, now: Instant) -> Bitrate {
        self.encodings
            .iter()
            .filter(|encoding| encoding.is_sending(now))
            .map(|encoding| encoding.rate.rate())
            .sum()
    }

    /// What one encoding takes now, and the most that this was of late.
    pub(super) fn pace(&self, encoding: u8) -> Option<(Bitrate, Bitrate)> {
        self.encoding(encoding).map(|encoding| (encoding.rate.rate(), encoding.rate.highest()))
    }

    /// The first encoding that sends: what a recording takes.
    pub(super) fn first_sending(&self, now: Instant) -> Option<usize> {
        self.encodings.iter().position(|encoding| encoding.is_sending(now))
    }

    /// How it is just now.
    pub(super) fn report(&self, now: Instant) -> PublicationReport {
        let report = |(at, encoding): (usize, &Encoding)| EncodingReport {
            height: encoding.height(),
            bitrate: encoding.rate.rate(),
            sends: encoding.is_sending(now),
            wanted: self.saving.wanted().get(at).copied().unwrap_or(true),
        };
        let encodings = self.encodings.iter().enumerate().map(report).collect();
        PublicationReport { publication: self.id(), encodings }
    }

    /// Whether an encoding can be chosen: it sends, or would.
    fn counts(&self, now: Instant, at: usize) -> bool {
        self.encodings.get(at).is_some_and(|encoding| encoding.is_sending(now))
            || self.saving.may_come(now, at)
    }

    /// Whether there is a choice for its viewers that changes when something falls silent.
    pub(super) fn has_layers(&self) -> bool {
        let has_spatial =
            |encoding: &Encoding| encoding.spatial.iter().skip(1).any(|layer| layer.last_packet.is_some());
        self.encodings.len() > 1 || self.encodings.iter().any(has_spatial)
    }
}

impl SpatialLayer {
    fn is_sending(&self, now: Instant) -> bool {
        self.last_packet.is_some_and(|last| now.duration_since(last) <= SILENCE)
    }
}

impl Encoding {
    /// Whether nothing later has come.
    pub(super) fn is_newest(&self, sequence: u64) -> bool {
        sequence >= self.highest
    }

    /// The packets after `sequence` that came before it did, in their order.
    pub(super) fn overtaking(&self, sequence: u64) -> Vec<SourcePacket> {
        (sequence + 1..=self.highest).filter_map(|later| self.history.lookup(later).cloned()).collect()
    }

    /// When to ask the publisher for a key frame, if one is wanted: not before its stream has a name to be asked by.
    pub(super) fn asks_at(&self) -> Option<Instant> {
        self.ssrc.and(self.keyframes.poll_timeout())
    }

    fn is_sending(&self, now: Instant) -> bool {
        self.spatial.iter().any(|layer| layer.is_sending(now))
    }

    /// Of its largest layer.
    fn height(&self) -> Option<u16> {
        self.spatial.iter().filter_map(|layer| layer.height).max()
    }

    /// Appends what can be had of it while it sends.
    fn choices(&self, now: Instant, index: u8, choices: &mut Vec<LayerChoice>) {
        // A second is short for a rate: the layers' shares of it are applied to one that is steadier.
        let total = self.rates.bitrate_up_to(now, Layer::ALL).as_bps() as f64;
        for (spatial, layer) in (0..).zip(&self.spatial) {
            if !layer.is_sending(now) {
                continue;
            }
            let highest = self.rates.highest_temporal(now, spatial);
            for temporal in 0..=highest {
                let shown = Layer { spatial, temporal };
                // One that has just fallen silent, or just begun, costs what it did.
                let share = if total > 0.0 {
                    self.rates.bitrate_up_to(now, shown).as_bps() as f64 / total
                } else {
                    1.0
                };
                // The best of them is all there is, also what comes next.
                let temporal = if temporal == highest { Layer::ALL.temporal } else { temporal };
                choices.push(LayerChoice {
                    target: Target { encoding: index, layer: Layer { spatial, temporal } },
                    height: layer.height.unwrap_or(0),
                    fps: self.rates.pictures_per_second(now, temporal),
                    bitrate: self.rate.rate() * share,
                    highest: self.rate.highest() * share,
                });
            }
        }
    }

    /// What it was when it sent last.
    fn as_known(&self, index: u8) -> LayerChoice {
        let spatial = self.spatial.iter().rposition(|layer| layer.height.is_some()).unwrap_or(0) as u8;
        LayerChoice {
            target: Target { encoding: index, layer: Layer { spatial, temporal: Layer::ALL.temporal } },
            height: self.height().unwrap_or(0),
            fps: u16::MAX,
            bitrate: self.rate.rate(),
            highest: self.rate.highest(),
        }
    }

    /// The packets from the last key frame on, if a viewer who comes now is served with them better than with a key frame of their own: all of
    /// them are there, and they are neither old nor many. For one who has seen something of it, not many more than the key frame itself. Not `passing`,
    /// a packet that goes to everybody right now.
    pub(super) fn since_keyframe(
        &self,
        now: Instant,
        has_begun: bool,
        passing: Option<u64>,
    ) -> Option<Vec<SourcePacket>> {
        let (first, key) = self.last_key?;
        let began = self.history.lookup(first).filter(|_| passing != Some(first))?.arrival;
        if now.saturating_duration_since(began) > RUN_AGE {
            return None;
        }
        let numbers = (first..=self.highest).filter(|&sequence| passing != Some(sequence));
        let run: Option<Vec<_>> = numbers.map(|sequence| self.history.lookup(sequence).cloned()).collect();
        run.filter(|run| {
            let octets = |of: &mut dyn Iterator<Item = &SourcePacket>| {
                of.map(|packet| packet.payload.len()).sum::<usize>()
            };
            let own = octets(&mut run.iter().filter(|packet| packet.timestamp == key));
            octets(&mut run.iter()) <= if has_begun { own * 2 } else { RUN_BYTES }
        })
    }

    /// The packet with the highest number.
    pub(super) fn latest(&self) -> Option<&SourcePacket> {
        self.history.lookup(self.highest)
    }

    /// What a dependency descriptor says; `Ok(None)` without one, or with one that says nothing to be relied on. An error when it means a structure that has
    /// not come: H.264 and AV1 have nothing else to tell layers by.
    #[inline]
    fn read_dependency(
        &mut self,
        codec: Codec,
        descriptor: &[u8],
    ) -> Result<Option<FrameDependency>, DependencyError> {
        if descriptor.is_empty() {
            return Ok(None);
        }
        match self.dependencies.read(descriptor) {
            Ok(frame) => Ok(Some(frame)),
            Err(error)
                if matches!(codec, Codec::H264 | Codec::Av1) && error == DependencyError::UnknownTemplate =>
            {
                Err(error)
            }
            Err(_) => Ok(None),
        }
    }

    fn hold(&mut self, held: Held) {
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(held);
    }

    /// Makes of a packet what its viewers get, and notes what it tells; whether the choice of layers may have to be made anew.
    #[inline]
    fn complete(
        &mut self,
        index: u8,
        codec: Codec,
        Held { now, sequence, received }: Held,
        dependency: Option<FrameDependency>,
    ) -> (SourcePacket, bool) {
        self.highest = self.highest.max(sequence);
        let mut info = PayloadInfo::inspect(codec, &received.payload);
        if let Some(frame) = dependency {
            info = info.with_dependency(frame);
            self.structure_came |= frame.structure;
        }
        info.ends_frame |= received.marker;
        self.rates.on_packet(now, info.layer, received.timestamp, received.payload.len());
        let mut reconsider = self.on_life(now, info.layer.spatial);
        if reconsider && self.spatial.iter().filter(|layer| layer.is_sending(now)).count() == 1 {
            self.onset.begin(now, received.timestamp);
        }
        reconsider |= self.onset.on_packet(now, received.timestamp);
        // Of a sound's packets the headers are a large part.
        let headers = if codec.kind() == Kind::Audio { HEADERS } else { 0 };
        self.rate.on_packet(now, received.payload.len() + headers);
        if info.starts_keyframe {
            self.keyframes.on_keyframe(now);
            // Parameter sets and the picture they are for begin one key frame, not two.
            if self.last_key.is_none_or(|(last, time)| sequence > last && time != received.timestamp) {
                self.last_key = Some((sequence, received.timestamp));
            }
        }
        if info.starts_keyframe || info.tells_sizes {
            reconsider |= self.on_sizes(now, &info, &received.payload);
        }
        self.clock.on_packet(received.timestamp, now);
        let packet = SourcePacket {
            encoding: index,
            sequence,
            timestamp: received.timestamp,
            marker: received.marker,
            arrival: now,
            audio_level: received.audio_level,
            info,
            descriptor: received.descriptor,
            earlier: self.earlier(codec, sequence, received.timestamp, received.payload.len()),
            payload: received.payload,
        };
        self.history.insert(packet.clone());
        (packet, reconsider)
    }

    /// What the packet before this one carried, for audio.
    #[inline]
    fn earlier(&self, codec: Codec, sequence: u64, timestamp: u32, len: usize) -> Option<EarlierPayload> {
        if codec.kind() != Kind::Audio {
            return None;
        }
        let before = self.history.lookup(sequence.checked_sub(1)?)?;
        EarlierPayload::new(timestamp.wrapping_sub(before.timestamp), &before.payload, len)
    }

    /// A spatial layer sends; whether it was silent.
    #[inline]
    fn on_life(&mut self, now: Instant, spatial: u8) -> bool {
        let Some(layer) = self.spatial.get_mut(usize::from(spatial)) else { return false };
        let silent = !layer.is_sending(now);
        layer.last_packet = Some(now);
        silent
    }

    /// A key frame tells what layers there are: they are counted on before their first packets come. Whether that is news.
    fn on_sizes(&mut self, now: Instant, info: &PayloadInfo, payload: &[u8]) -> bool {
        let mut sizes = [None; SPATIAL_LAYERS];
        sizes[0] = info.dimensions;
        let told =
            Vp9Descriptor::parse(payload).filter(|_| info.tells_sizes).and_then(|told| told.scalability);
        if let Some(structure) = self.dependencies.structure().filter(|_| info.dependency.is_some()) {
            let active = self.dependencies.active_layers();
            for (spatial, size) in (0..).zip(&mut sizes) {
                let sent = (0..8).any(|temporal| active.contains(Layer { spatial, temporal }));
                // A structure need not tell sizes: for H.264 the parameter sets do.
                *size = structure.resolution(spatial).or(*size).filter(|_| sent);
            }
        } else if let Some((layers, told)) =
            told.and_then(|told| Some((told.spatial_layers, told.resolutions?)))
        {
            let told = told.into_iter().take(layers.into()).map(Some);
            sizes.iter_mut().zip(told).for_each(|(size, told)| *size = told);
        }
        let mut news = false;
        for (spatial, size) in (0..).zip(sizes) {
            let Some((_, height)) = size else { continue };
            news |= self.on_life(now, spatial);
            let known = &mut self.spatial[usize::from(spatial)].height;
            news |= known.replace(height) != Some(height);
        }
        news
    }

    fn new(codec: Codec, limits: &Limits) -> Self {
        Self {
            ssrc: None,
            repair_ssrc: None,
            stream: ReceiveStream::new(codec.clock_rate()),
            nacks: NackGenerator::default(),
            history: SourceHistory::new(limits.history_bytes),
            clock: SourceClock::new(codec.clock_rate()),
            keyframes: KeyframeRequester::new(limits.keyframe_interval),
            rates: LayerRates::default(),
            dependencies: DependencyReader::default(),
            held: VecDeque::new(),
            structure_came: false,
            healed: VecDeque::new(),
            spatial: [SpatialLayer::default(); SPATIAL_LAYERS],
            onset: Onset::default(),
            highest: 0,
            last_key: None,
            rate: RateMeter::default(),
        }
    }
}

mod onset;
mod redundancy;

/// An encoding that sent nothing for so long is not counted on.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);
/// Of IP, UDP, RTP with its extensions and SRTP, in bytes.
const HEADERS: usize = 60;
/// Several pictures.
const LONG_GAP: Duration = Duration::from_millis(200);
/// Fewer pictures a second stutter.
const FLUENT: u16 = 13;
/// Fewer are no choice of the publisher's, where other encodings have more.
const STARVED: u16 = 7;
/// Twice the height is four times the pixels, in which there is less to see each.
const STEP_COSTS: f64 = 3.0;
/// Older than this the run since a key frame is not worth its burst.
const RUN_AGE: Duration = Duration::from_millis(1200);
const RUN_BYTES: usize = 256 * 1024;
/// As many as dependency descriptors can tell. Those above are never chosen.
const SPATIAL_LAYERS: usize = 4;
/// A large key frame's packets, all before its beginning is repaired.
const MAX_HELD: usize = 256;

#[cfg(test)]
mod tests;
