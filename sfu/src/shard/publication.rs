//! A published track on its way in: its encodings, what was received of each, what must be asked for.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bandwidth::Bitrate;
use crate::codec::dependency::{DependencyError, DependencyReader};
use crate::codec::vp9::Vp9Descriptor;
use crate::codec::{Codec, FrameDependency, Layer, PayloadInfo};
use crate::config::Limits;
use crate::egress::{SourceClock, SourceHistory, SourcePacket, Target};
use crate::id::{Mid, PublicationId, Rid, Ssrc};
use crate::ingress::{Arrival, LayerRates, NackGenerator, ReceiveStream};
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
    pub(super) rates: LayerRates,
    dependencies: DependencyReader,
    /// Packets that wait for the structure that their descriptors mean, in the order of their arrival.
    held: VecDeque<Held>,
    structure_came: bool,
    spatial: [SpatialLayer; SPATIAL_LAYERS],
    /// The highest sequence number that came.
    highest: u64,
}

/// A packet's fields as read from its header, and its payload.
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
    /// Of the last second, with all layers below.
    pub(super) bitrate: Bitrate,
}

/// What taking a packet changed beyond the packet itself.
pub(super) struct Taken {
    /// `None` when it waits for what its dependency descriptor means: see [`PublicationState::release`].
    pub(super) packet: Option<SourcePacket>,
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
        let Ok(dependency) = encoding.read_dependency(codec, &received.descriptor) else {
            encoding.hold(Held { now, sequence, received });
            return Some(Taken { packet: None, reconsider: false });
        };
        let held = Held { now, sequence, received };
        let (packet, reconsider) = encoding.complete(index, codec, held, dependency);
        Some(Taken { packet: Some(packet), reconsider })
    }

    /// The next of the packets that waited for what has come by now. To be asked after each packet that was taken.
    #[inline]
    pub(super) fn release(&mut self, index: u8) -> Option<SourcePacket> {
        let codec = self.info.codec;
        let encoding = self.encodings.get_mut(usize::from(index))?;
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

    /// What a picture shown `max_height` pixels high takes: the smallest encoding or spatial layer at least as tall among those that send, the tallest if
    /// none is, with all its pictures.
    pub(super) fn target_for(&self, now: Instant, max_height: u16) -> Target {
        let candidates = || self.sending(now).map(|(encoding, spatial, height)| (height, encoding, spatial));
        let enough = candidates().filter(|&(height, ..)| height >= max_height).min();
        // Of equal heights the one offered first, hence the smallest index; of unknown ones within an encoding the highest layer.
        let tallest =
            || candidates().max_by_key(|&(height, encoding, spatial)| (height, Reverse(encoding), spatial));
        let (_, encoding, spatial) = enough.or_else(tallest).unwrap_or_default();
        Target { encoding, layer: Layer { spatial, temporal: Layer::ALL.temporal } }
    }

    /// All that a viewer can be sent at present, each with all below it, in ascending order of height and pictures per second.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the choice by bandwidth"))]
    pub(super) fn layers(&self, now: Instant) -> Vec<LayerChoice> {
        let mut choices = Vec::new();
        for (index, spatial, height) in self.sending(now) {
            let Some(encoding) = self.encoding(index) else { continue };
            for temporal in 0..=encoding.rates.highest_temporal(now, spatial) {
                let layer = Layer { spatial, temporal };
                choices.push(LayerChoice {
                    target: Target { encoding: index, layer },
                    height,
                    fps: encoding.rates.pictures_per_second(now, temporal),
                    bitrate: encoding.rates.bitrate_up_to(now, layer),
                });
            }
        }
        choices.sort_by_key(|choice| (choice.height, choice.target.layer, choice.target.encoding));
        choices
    }

    /// The encodings and spatial layers that send, each with its height or 0. All encodings when none does.
    fn sending(&self, now: Instant) -> impl Iterator<Item = (u8, u8, u16)> {
        let any = self.encodings.iter().any(|encoding| encoding.is_sending(now));
        (0..).zip(&self.encodings).filter(move |(_, encoding)| !any || encoding.is_sending(now)).flat_map(
            move |(index, encoding)| {
                let layers = (0..).zip(&encoding.spatial);
                layers
                    .filter(move |&(spatial, layer)| {
                        layer.is_sending(now) || spatial == 0 && !encoding.is_sending(now)
                    })
                    // Before its first key frame the order of the offer tells which is larger.
                    .map(move |(spatial, layer)| (index, spatial, layer.height.unwrap_or(0)))
            },
        )
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
    /// The packets after `sequence` that came before it did, in their order.
    pub(super) fn overtaking(&self, sequence: u64) -> Vec<SourcePacket> {
        (sequence + 1..=self.highest).filter_map(|later| self.history.lookup(later).cloned()).collect()
    }

    fn is_sending(&self, now: Instant) -> bool {
        self.spatial.iter().any(|layer| layer.is_sending(now))
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
        if info.starts_keyframe {
            self.keyframes.on_keyframe(now);
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
            payload: received.payload,
        };
        self.history.insert(packet.clone());
        (packet, reconsider)
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
                *size = structure.resolution(spatial).filter(|_| sent);
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
            history: SourceHistory::new(limits.history_packets),
            clock: SourceClock::new(codec.clock_rate()),
            keyframes: KeyframeRequester::new(limits.keyframe_interval),
            rates: LayerRates::default(),
            dependencies: DependencyReader::default(),
            held: VecDeque::new(),
            structure_came: false,
            spatial: [SpatialLayer::default(); SPATIAL_LAYERS],
            highest: 0,
        }
    }
}

/// An encoding that sent nothing for so long is not counted on.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);
/// As many as dependency descriptors can tell. Those above are never chosen.
const SPATIAL_LAYERS: usize = 4;
/// A large key frame's packets, all before its beginning is repaired.
const MAX_HELD: usize = 256;

#[cfg(test)]
mod tests;
