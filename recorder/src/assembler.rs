//! Makes frames of RTP packets: in order, whole, or not at all.
//!
//! A hole is given 500 ms to be repaired. After that an audio packet is just missing; a video stream is dropped up
//! to its next key frame, because everything before that one would decode to a broken picture.

use std::time::Instant;

use bytes::Bytes;
use simmer_sfu::codec::Codec;
use simmer_sfu::sink::SinkPacket;

use crate::reorder::{Ordered, ReorderBuffer};
use crate::vp8::FrameBuilder;

/// One encoded picture, or one packet of sound.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// Its RTP timestamp.
    pub rtp_time: u32,
    /// When its first packet arrived.
    pub arrival: Instant,
    /// Whether decoding can start here.
    pub key: bool,
    /// Width and height in pixels; key frames of video only.
    pub picture: Option<(u16, u16)>,
    /// The encoded bytes.
    pub data: Bytes,
}

/// What an [`Assembler`] puts out.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Assembled {
    /// The next frame.
    Frame(Frame),
    /// Frames are missing here. Of video, the next one is a key frame.
    Lost,
}

/// Assembles one encoding of a publication.
pub struct Assembler {
    reorder: ReorderBuffer,
    depacketizer: Depacketizer,
}

enum Depacketizer {
    Vp8(FrameBuilder),
    Opus,
}

impl Assembler {
    /// `None` for a codec that is not recorded.
    pub fn new(codec: Codec) -> Option<Self> {
        let depacketizer = match codec {
            Codec::Vp8 => Depacketizer::Vp8(FrameBuilder::default()),
            Codec::Opus => Depacketizer::Opus,
            _ => return None,
        };
        Some(Self { reorder: ReorderBuffer::default(), depacketizer })
    }

    /// Takes a packet and appends what can be said now to `out`.
    pub fn handle_packet(&mut self, packet: SinkPacket, now: Instant, out: &mut Vec<Assembled>) {
        self.reorder.push(packet);
        self.handle_timeout(now, out);
    }

    /// Gives up on holes that are too old. To be called every few 10 ms while no packet comes.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Assembled>) {
        while let Some(ordered) = self.reorder.poll(now) {
            match (&mut self.depacketizer, ordered) {
                (Depacketizer::Vp8(builder), ordered) => builder.push(ordered, out),
                (Depacketizer::Opus, Ordered::Lost) => out.push(Assembled::Lost),
                (Depacketizer::Opus, Ordered::Packet(packet)) if packet.payload.is_empty() => {}
                (Depacketizer::Opus, Ordered::Packet(packet)) => out.push(Assembled::Frame(Frame {
                    rtp_time: packet.rtp_time,
                    arrival: packet.arrival,
                    key: true,
                    picture: None,
                    data: packet.payload,
                })),
            }
        }
    }

    /// Whether nothing can come out before a key frame comes in.
    pub fn needs_key(&self) -> bool {
        match &self.depacketizer {
            Depacketizer::Vp8(builder) => builder.needs_key(),
            Depacketizer::Opus => false,
        }
    }
}

#[cfg(test)]
mod tests;
