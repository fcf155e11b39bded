//! What a participant wants to see and hear, and what fills each of their slots.

use crate::id::{Mid, PublicationId};

/// All that a participant wishes, whole each time, at most [`View::MAX_WISHES`] of a kind. The shard keeps trying to make it true with the slots offered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// Which pictures, in order of importance: when there are fewer slots than wishes, the first ones are shown.
    pub video: Vec<VideoWish>,
    /// Which sound.
    pub audio: AudioWish,
}

impl View {
    /// The most pictures, and the most sounds, that a view may name; a longer one is cut.
    pub const MAX_WISHES: usize = 512;

    /// Without the wishes beyond [`MAX_WISHES`](Self::MAX_WISHES).
    pub(crate) fn cut(mut self) -> Self {
        self.video.truncate(Self::MAX_WISHES);
        if let AudioWish::Only(publications) = &mut self.audio {
            publications.truncate(Self::MAX_WISHES);
        }
        self
    }
}

/// One picture in a [`View`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VideoWish {
    /// Which publication. One that does not exist (yet) is kept and served when it appears.
    pub publication: PublicationId,
    /// The height in pixels the picture is shown at; the smallest encoding at least as tall is chosen.
    pub max_height: u16,
}

/// Which sound a participant hears.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AudioWish {
    /// Everybody else in the room, as far as there are slots.
    #[default]
    All,
    /// These publications only.
    Only(Vec<PublicationId>),
}

/// What one receive slot (an m-line that the client receives on) carries now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotAssignment {
    /// The slot's m-line.
    pub mid: Mid,
    /// What it carries; `None` when it is empty.
    pub publication: Option<PublicationId>,
    /// The line has no room for it now: nothing is sent until it has.
    pub paused: bool,
}
