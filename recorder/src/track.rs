//! One publication on its way to disk: which encoding is recorded, and when a new file starts.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use simmer_sfu::codec::{Codec, Kind};
use simmer_sfu::id::PublicationId;
use simmer_sfu::sink::{Publication, SinkPacket};

use crate::assembler::{Assembled, Assembler, Frame};
use crate::journal::{Journal, Opened, Record};
use crate::opus;
use crate::segment::{Sample, Segment};

/// Records one publication.
pub(crate) struct Track {
    publication: PublicationId,
    codec: Codec,
    encodings: Vec<Encoding>,
    current: Option<usize>,
    segment: Option<Open>,
    parts: u32,
    part_started: Option<Instant>,
}

/// One simulcast stream.
struct Encoding {
    assembler: Assembler,
    clock: Unwrapper,
    last_packet: Option<Instant>,
    last_key: Option<Instant>,
    asked: Option<Instant>,
    /// Of the last key frame, in pixels.
    area: Option<u32>,
}

/// The file being written, and where it stands.
struct Open {
    segment: Segment,
    last: i64,
    last_arrival: Instant,
    end: i64,
    /// Estimate of a video frame's duration.
    interval: u32,
    broken: bool,
}

/// What a track works with.
pub(crate) struct Context<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) journal: &'a mut Journal,
    pub(crate) base: Instant,
    /// Number of the session's next file.
    pub(crate) next_file: &'a mut u32,
}

impl Context<'_> {
    fn micros(&self, at: Instant) -> i64 {
        session_micros(self.base, at)
    }
}

/// Microseconds of session time; 0 before its start.
pub(crate) fn session_micros(base: Instant, at: Instant) -> i64 {
    i64::try_from(at.saturating_duration_since(base).as_micros()).unwrap_or(i64::MAX)
}

impl Track {
    /// `None` when the codec is not recorded.
    pub(crate) fn new(publication: &Publication) -> Option<Self> {
        let encodings: Option<Vec<Encoding>> = publication
            .encodings
            .iter()
            .take(MAX_ENCODINGS)
            .map(|_| {
                Some(Encoding {
                    assembler: Assembler::new(publication.codec)?,
                    clock: Unwrapper::default(),
                    last_packet: None,
                    last_key: None,
                    asked: None,
                    area: None,
                })
            })
            .collect();
        Some(Self {
            publication: publication.id,
            codec: publication.codec,
            encodings: encodings?,
            current: None,
            segment: None,
            parts: 0,
            part_started: None,
        })
    }

    /// Takes one packet.
    pub(crate) fn handle_packet(
        &mut self,
        packet: SinkPacket,
        now: Instant,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        let index = usize::from(packet.encoding);
        let Some(encoding) = self.encodings.get_mut(index) else { return Ok(()) };
        encoding.last_packet = Some(now);
        let mut out = Vec::new();
        encoding.assembler.handle_packet(packet, now, &mut out);
        self.handle_assembled(index, out, now, context)
    }

    /// Gives up on what is late, and writes what has waited for a second.
    pub(crate) fn handle_timeout(&mut self, now: Instant, context: &mut Context<'_>) -> io::Result<()> {
        for index in 0..self.encodings.len() {
            let mut out = Vec::new();
            if let Some(encoding) = self.encodings.get_mut(index) {
                encoding.assembler.handle_timeout(now, &mut out);
            }
            self.handle_assembled(index, out, now, context)?;
        }
        let now_us = context.micros(now);
        if let Some(open) = &mut self.segment
            && open.segment.pending_since().is_some_and(|since| now_us.saturating_sub(since) >= 1_000_000)
        {
            open.segment.flush(context.journal)?;
        }
        Ok(())
    }

    /// Journals a sender report.
    pub(crate) fn handle_report(
        &mut self,
        encoding: u8,
        rtp_time: u32,
        ntp: u64,
        now: Instant,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        let Some(state) = self.encodings.get_mut(usize::from(encoding)) else { return Ok(()) };
        let rtp = state.clock.unwrap(rtp_time);
        let arrival_us = context.micros(now);
        context.journal.append(&Record::Report {
            publication: self.publication,
            encoding,
            rtp,
            ntp,
            arrival_us,
        })
    }

    /// Writes all that is left and makes it survive a power loss.
    pub(crate) fn close(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.segment.take() {
            Some(mut open) => {
                open.segment.flush(context.journal)?;
                open.segment.sync()
            }
            None => Ok(()),
        }
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.segment.as_mut().map_or(Ok(()), |open| open.segment.sync())
    }

    /// The encoding that should send a key frame now, if one should. Asking counts: the next is a second away.
    pub(crate) fn wants_key(&mut self, now: Instant) -> Option<u8> {
        if self.codec.kind() == Kind::Audio {
            return None;
        }
        let wanted = self.best(now)?;
        let recorded = self.current == Some(wanted);
        let encoding = self.encodings.get_mut(wanted)?;
        let old = encoding.last_key.is_none_or(|at| now.saturating_duration_since(at) >= KEY_INTERVAL);
        let quiet = encoding.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_INTERVAL);
        if !(quiet && (old || !recorded || encoding.assembler.needs_key())) {
            return None;
        }
        encoding.asked = Some(now);
        u8::try_from(wanted).ok()
    }

    /// The encoding with the largest picture among those that send; by the order of the offer while a size is unknown.
    fn best(&self, now: Instant) -> Option<usize> {
        let sends = |index: &usize| self.sends(*index, now);
        let area = |index: usize| self.encodings.get(index).and_then(|encoding| encoding.area);
        let candidates = || (0..self.encodings.len()).filter(sends);
        if candidates().all(|index| area(index).is_some()) {
            candidates().rev().max_by_key(|&index| area(index))
        } else {
            candidates().next()
        }
    }

    fn sends(&self, index: usize, now: Instant) -> bool {
        let last = self.encodings.get(index).and_then(|encoding| encoding.last_packet);
        last.is_some_and(|at| now.saturating_duration_since(at) < SILENT)
    }

    fn handle_assembled(
        &mut self,
        index: usize,
        assembled: Vec<Assembled>,
        now: Instant,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        for one in assembled {
            match one {
                Assembled::Lost => {
                    if let Some(open) = self.segment.as_mut().filter(|_| self.current == Some(index)) {
                        open.broken = true;
                    }
                }
                Assembled::Frame(frame) => {
                    let Some(encoding) = self.encodings.get_mut(index) else { continue };
                    let time = encoding.clock.unwrap(frame.rtp_time);
                    match self.codec {
                        Codec::Opus => self.audio(index, time, frame, context)?,
                        _ => self.video(index, time, frame, now, context)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn video(
        &mut self,
        index: usize,
        time: i64,
        frame: Frame,
        now: Instant,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if let Some((width, height)) = frame.picture
            && let Some(encoding) = self.encodings.get_mut(index)
        {
            encoding.area = Some(u32::from(width) * u32::from(height));
            encoding.last_key = Some(now);
        }
        if self.current != Some(index) && !(frame.key && self.should_switch(index, now)) {
            return Ok(());
        }
        let fits = self.current == Some(index)
            && self.segment.as_ref().is_some_and(|open| {
                let same_picture =
                    frame.picture.is_none_or(|picture| picture == open.segment.opened().picture);
                same_picture && open.follows(time, frame.arrival, self.codec)
            });
        let fits = fits || (frame.key && self.start_part(index, time, &frame, context)?);
        if !fits {
            // A time that cannot be: the frames up to the next key frame hang in the air.
            self.segment.iter_mut().for_each(|open| open.broken = true);
            if let Some(encoding) = self.encodings.get_mut(index) {
                encoding.last_key = None;
            }
            return Ok(());
        }
        let Some(open) = &mut self.segment else { return Ok(()) };
        if open.broken && !frame.key {
            return Ok(());
        }
        let origin = open.segment.opened().origin;
        let relative = time.saturating_sub(origin);
        if std::mem::take(&mut open.broken) {
            open.segment.gap(open.end, relative, context.journal)?;
        } else if relative > open.last {
            open.interval = u32::try_from(relative - open.last).unwrap_or(u32::MAX).min(MAX_FRAME_TICKS);
        }
        let sample = Sample { time: relative, duration: open.interval, key: frame.key, data: frame.data };
        open.advance(&sample, frame.arrival);
        let arrival_us = context.micros(frame.arrival);
        open.segment.push(sample, arrival_us, context.journal)
    }

    /// Whether a key frame of another encoding than the recorded one is better than what there is.
    fn should_switch(&self, index: usize, now: Instant) -> bool {
        match self.current {
            Some(current) if self.sends(current, now) => self.best(now) == Some(index),
            _ => true,
        }
    }

    fn audio(&mut self, index: usize, time: i64, frame: Frame, context: &mut Context<'_>) -> io::Result<()> {
        let Some(duration) = opus::duration(&frame.data) else { return Ok(()) };
        let late = self.segment.as_ref().is_some_and(|open| {
            let behind = open.segment.opened().origin.saturating_add(open.end).saturating_sub(time);
            (1..=SHORT_HOLE).contains(&behind)
        });
        if late {
            return Ok(());
        }
        let fits = self.segment.as_ref().is_some_and(|open| open.follows(time, frame.arrival, self.codec));
        if !fits && !self.start_part(index, time, &frame, context)? {
            return Ok(());
        }
        let Some(open) = &mut self.segment else { return Ok(()) };
        let relative = time.saturating_sub(open.segment.opened().origin);
        let arrival_us = context.micros(frame.arrival);
        let hole = relative.saturating_sub(open.end);
        if hole > SHORT_HOLE {
            open.segment.gap(open.end, relative, context.journal)?;
        } else {
            while open.end < relative {
                let left = u32::try_from(relative - open.end).unwrap_or(u32::MAX);
                let silence = Sample {
                    time: open.end,
                    duration: left.min(opus::SILENCE_TICKS),
                    key: true,
                    data: bytes::Bytes::from_static(opus::SILENCE),
                };
                open.advance(&silence, frame.arrival);
                open.segment.push(silence, arrival_us, context.journal)?;
            }
        }
        let sample = Sample { time: relative, duration, key: true, data: frame.data };
        open.advance(&sample, frame.arrival);
        open.segment.push(sample, arrival_us, context.journal)
    }

    /// Starts a new file at `frame`. False when that would be too many.
    fn start_part(
        &mut self,
        index: usize,
        origin: i64,
        frame: &Frame,
        context: &mut Context<'_>,
    ) -> io::Result<bool> {
        let recent =
            self.part_started.is_some_and(|at| frame.arrival.saturating_duration_since(at) < PART_INTERVAL);
        if self.parts >= MAX_PARTS || (recent && self.current == Some(index)) {
            return Ok(false);
        }
        self.close(context)?;
        let encoding = u8::try_from(index).unwrap_or(u8::MAX);
        if let Some(from) = self.current.filter(|&current| current != index) {
            let from = u8::try_from(from).unwrap_or(u8::MAX);
            let at_us = context.micros(frame.arrival);
            context.journal.append(&Record::Switch {
                publication: self.publication,
                from,
                to: encoding,
                at_us,
            })?;
        }
        let opened = Opened {
            file: *context.next_file,
            publication: self.publication,
            part: self.parts,
            encoding,
            codec: self.codec,
            picture: frame.picture.unwrap_or_default(),
            origin,
        };
        *context.next_file = context.next_file.wrapping_add(1);
        let segment = Segment::create(context.dir, opened, context.journal)?;
        self.segment = Some(Open {
            segment,
            last: -1,
            last_arrival: frame.arrival,
            end: 0,
            interval: FIRST_INTERVAL,
            broken: false,
        });
        self.parts += 1;
        self.part_started = Some(frame.arrival);
        self.current = Some(index);
        Ok(true)
    }
}

impl Open {
    /// Whether a sample at `time` can be the next one: later, and by about as much as its arrival is.
    fn follows(&self, time: i64, arrival: Instant, codec: Codec) -> bool {
        let relative = time.saturating_sub(self.segment.opened().origin);
        let rate = f64::from(codec.clock_rate());
        let media = relative.saturating_sub(self.last) as f64 / rate;
        let waited = arrival.saturating_duration_since(self.last_arrival).as_secs_f64();
        relative > self.last && (self.last < 0 || (media - waited).abs() < MAX_JUMP)
    }

    fn advance(&mut self, sample: &Sample, arrival: Instant) {
        self.last = sample.time;
        self.last_arrival = arrival;
        self.end = sample.time.saturating_add(sample.duration.into());
    }
}

/// Makes 64-bit times of 32-bit ones.
#[derive(Default)]
pub(crate) struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    pub(crate) fn unwrap(&mut self, time: u32) -> i64 {
        let unwrapped = match self.last {
            // The low 32 bits of the last time; the difference is the shorter way around.
            Some(last) => last.saturating_add(i64::from(time.wrapping_sub(last as u32) as i32)),
            None => i64::from(time),
        };
        self.last = Some(unwrapped);
        unwrapped
    }
}

/// More encodings than any offer has.
const MAX_ENCODINGS: usize = 8;
/// An encoding without a packet for so long is taken to be off.
const SILENT: Duration = Duration::from_millis(1500);
const KEY_INTERVAL: Duration = Duration::from_secs(4);
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// A publisher whose time jumps about gets no more than this many files, this far apart.
const MAX_PARTS: u32 = 1000;
const PART_INTERVAL: Duration = Duration::from_secs(1);
/// Seconds by which the RTP clock may run ahead of, or fall behind, arrival from one frame to the next.
const MAX_JUMP: f64 = 10.0;
/// A second of the 48 kHz clock: longer holes stay holes.
const SHORT_HOLE: i64 = 48_000;
/// Two seconds of the 90 kHz clock.
const MAX_FRAME_TICKS: u32 = 180_000;
/// A 30th of a second of the 90 kHz clock.
const FIRST_INTERVAL: u32 = 3000;

#[cfg(test)]
mod tests;
