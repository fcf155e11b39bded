//! Who speaks in a room, and who of them leads.

use std::time::{Duration, Instant};

use crate::audio::activity::{Activity, FRAME, Spans};
use crate::id::PublicationId;

/// One who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speaker {
    /// Whose sound.
    pub publication: PublicationId,
    /// How loud, in decibels below overload (RFC 6464): from 0, the loudest, to 127. Smoothed over their speech.
    pub level: u8,
}

/// What a level said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// They began to make a sound that may become speech.
    Onset,
    /// Nothing new.
    Same,
}

/// The voices of a room, told the time and fed with levels.
///
/// Who leads stays through pauses, and until somebody is ahead over three spans of time at once (Volfin and Cohen 2012, section 4); who
/// only coughs is never among the speakers. A packet costs a search among the voices and no allocation, but for a voice's first.
#[derive(Debug, Default)]
pub struct Speakers {
    /// The instant that frames are counted from.
    origin: Option<Instant>,
    /// In the order of their ids.
    voices: Vec<Voice>,
    /// Those who made a sound, the latest onset first.
    recent: Vec<PublicationId>,
    /// Those who led, or at least spoke, the last one first.
    spoke: Vec<PublicationId>,
    /// As told last, who leads first.
    told: Vec<Speaker>,
    /// When to look again.
    due: Option<Instant>,
    polled: Option<Instant>,
}

#[derive(Debug)]
struct Voice {
    id: PublicationId,
    activity: Activity,
    /// The frames in which it began to sound, and sounded last.
    sounded: Option<(u64, u64)>,
}

impl Speakers {
    /// The most that are told at once.
    pub const MOST: usize = 8;
    /// Looked at no more often than this.
    pub const INTERVAL: Duration = Duration::from_millis(300);

    /// Takes one packet's level: from 0, the loudest, to 127.
    #[inline]
    pub fn on_level(&mut self, now: Instant, id: PublicationId, level: u8) -> Heard {
        let origin = *self.origin.get_or_insert(now);
        let frame = frame(origin, now);
        let at = match self.voices.binary_search_by_key(&id, |voice| voice.id) {
            Ok(at) => at,
            Err(at) => {
                self.voices.insert(at, Voice { id, activity: Activity::new(frame), sounded: None });
                at
            }
        };
        let voice = &mut self.voices[at];
        voice.activity.on_level(frame, level);
        let spans = voice.activity.spans(frame);
        if spans.long > 0 && self.due.is_none() {
            self.due = Some(self.polled.map_or(now, |polled| (polled + Self::INTERVAL).max(now)));
        }
        if !spans.sounds() {
            return Heard::Same;
        }
        match &mut voice.sounded {
            Some((_, last)) if frame.saturating_sub(*last) <= PAUSE => {
                *last = frame;
                Heard::Same
            }
            sounded => {
                *sounded = Some((frame, frame));
                remember(&mut self.recent, id);
                Heard::Onset
            }
        }
    }

    /// A sound is gone.
    pub fn forget(&mut self, now: Instant, id: PublicationId) {
        self.voices.retain(|voice| voice.id != id);
        self.recent.retain(|&known| known != id);
        self.spoke.retain(|&known| known != id);
        if self.told.iter().any(|speaker| speaker.publication == id) {
            self.due = Some(now);
            self.polled = None;
        }
    }

    /// Who speaks, who leads first, if that is no longer what was told last; nobody may be among them. When it is not due, nothing.
    pub fn poll(&mut self, now: Instant) -> Option<&[Speaker]> {
        let origin = self.origin?;
        self.due.filter(|&due| due <= now)?;
        self.polled = Some(now);
        let frame = frame(origin, now);
        let speaking = self.speaking(frame);
        self.due = self
            .voices
            .iter()
            .any(|voice| voice.activity.spans(frame).long > 0 || voice.is_recent(frame, LISTED))
            .then_some(now + Self::INTERVAL);
        let same = speaking.iter().map(|speaker| speaker.publication);
        if same.eq(self.told.iter().map(|speaker| speaker.publication)) {
            return None;
        }
        self.told = speaking;
        for speaker in self.told.iter().rev() {
            remember(&mut self.spoke, speaker.publication);
        }
        Some(&self.told)
    }

    /// When [`poll`](Self::poll) is due; `None` while it is silent.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Those who spoke, who led last first: as [`poll`](Self::poll) told, and in silence those it told before.
    pub fn spoke(&self) -> &[PublicationId] {
        &self.spoke
    }

    /// Those who made a sound last, the latest onset first; as many as there can be slots, and some.
    pub fn recent(&self) -> &[PublicationId] {
        &self.recent
    }

    /// Those of them who make a sound now, or pause within one.
    pub fn sounding(&self, now: Instant) -> impl Iterator<Item = PublicationId> {
        self.recent.iter().copied().filter(move |&id| self.is_sounding(now, id))
    }

    /// Whether they make a sound, or pause within one.
    pub fn is_sounding(&self, now: Instant, id: PublicationId) -> bool {
        let Some(origin) = self.origin else { return false };
        self.voice(id).is_some_and(|voice| voice.is_recent(frame(origin, now), PAUSE))
    }

    /// Since when they are silent, for choosing between them: the longest silent sorts first. `None` while what they say must not be
    /// cut: they make a sound, or began less than two seconds ago.
    pub fn silence(&self, now: Instant, id: PublicationId) -> Option<Silence> {
        let Some((origin, voice)) = self.origin.zip(self.voice(id)) else { return Some(Silence(None)) };
        let frame = frame(origin, now);
        match voice.sounded {
            Some((_, last)) if frame.saturating_sub(last) <= PAUSE => None,
            Some((began, _)) if frame.saturating_sub(began) < KEPT => None,
            Some((_, last)) => Some(Silence(Some(last))),
            None => Some(Silence(None)),
        }
    }

    fn voice(&self, id: PublicationId) -> Option<&Voice> {
        let at = self.voices.binary_search_by_key(&id, |voice| voice.id).ok()?;
        self.voices.get(at)
    }

    /// Those told before keep their order, those who are new come after them; then who leads goes first.
    fn speaking(&self, frame: u64) -> Vec<Speaker> {
        let stay = self.told.iter().filter_map(|speaker| self.voice(speaker.publication));
        let stay = stay.filter(|voice| voice.is_recent(frame, LISTED));
        let known = |id| self.told.iter().any(|speaker| speaker.publication == id);
        let mut new: Vec<(&Voice, Spans)> = (self.voices.iter())
            .filter(|voice| !known(voice.id) && voice.is_recent(frame, PAUSE))
            .map(|voice| (voice, voice.activity.spans(frame)))
            .filter(|(_, spans)| spans.speaks())
            .collect();
        new.sort_by_key(|(_, spans)| std::cmp::Reverse(spans.long));
        let mut speaking: Vec<&Voice> = stay.chain(new.into_iter().map(|(voice, _)| voice)).collect();
        if let Some(leader) = self.leader(&speaking, frame) {
            speaking[..=leader].rotate_right(1);
        }
        speaking.truncate(Self::MOST);
        let speaker = |voice: &Voice| Speaker { publication: voice.id, level: voice.activity.level() };
        speaking.into_iter().map(speaker).collect()
    }

    /// Where the one stands who leads now.
    fn leader(&self, speaking: &[&Voice], frame: u64) -> Option<usize> {
        let spans: Vec<Spans> = speaking.iter().map(|voice| voice.activity.spans(frame)).collect();
        let former = self.told.first()?.publication;
        if speaking.first()?.id != former {
            // Who led is silent or gone: whoever says most.
            return (0..spans.len()).max_by_key(|&at| (spans[at].medium, std::cmp::Reverse(at)));
        }
        let ahead = (1..spans.len()).filter(|&at| spans[at].leads(spans[0]));
        ahead.max_by_key(|&at| (spans[at].medium, std::cmp::Reverse(at)))
    }
}

impl Voice {
    fn is_recent(&self, frame: u64, within: u64) -> bool {
        self.sounded.is_some_and(|(_, last)| frame.saturating_sub(last) <= within)
    }
}

/// How long somebody is silent: who never made a sound sorts before all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Silence(Option<u64>);

/// Puts an id before all others.
fn remember(ids: &mut Vec<PublicationId>, id: PublicationId) {
    ids.retain(|&known| known != id);
    ids.truncate(RECENT - 1);
    ids.insert(0, id);
}

fn frame(origin: Instant, now: Instant) -> u64 {
    let passed = now.saturating_duration_since(origin).as_millis() / FRAME.as_millis();
    u64::try_from(passed).unwrap_or(u64::MAX)
}

/// In frames: a gap within speech.
const PAUSE: u64 = 25;
/// In frames: who is silent for longer speaks no more.
const LISTED: u64 = 50;
/// In frames: who began to speak is heard for so long.
const KEPT: u64 = 100;
/// Twice as many as anybody has slots.
const RECENT: usize = 32;

#[cfg(test)]
mod tests;
