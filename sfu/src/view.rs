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
    /// Which picture.
    pub source: VideoSource,
    /// The height in pixels the picture is shown at; the smallest encoding at least as tall is chosen.
    pub max_height: u16,
    /// How many pictures a second are enough, as far as there are temporal layers to leave out; `None` for as many as there are.
    pub max_fps: Option<u8>,
    /// Where the line is narrow, a higher one is served first. `None` for the usual one: [`VideoWish::USUAL`] of a camera that is named,
    /// [`VideoWish::USUAL_SPEAKER`], [`VideoWish::USUAL_SCREEN`].
    pub priority: Option<u8>,
}

impl VideoWish {
    /// The priority of a camera that is named.
    pub const USUAL: u8 = 4;
    /// The priority of who speaks.
    pub const USUAL_SPEAKER: u8 = 5;
    /// The priority of a screen.
    pub const USUAL_SCREEN: u8 = 6;

    /// A picture at this height, of the usual priority and with all its frames.
    pub fn new(source: impl Into<VideoSource>, max_height: u16) -> Self {
        Self { source: source.into(), max_height, max_fps: None, priority: None }
    }
}

/// What a [`VideoWish`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VideoSource {
    /// This publication. One that does not exist (yet) is kept and served when it appears.
    Publication(PublicationId),
    /// Whatever has this role just now, and is neither named by another wish of the view nor one's own. The first wish for a role gets the first that
    /// has it, the second the second; there may be nothing.
    Role(Role),
}

impl From<PublicationId> for VideoSource {
    fn from(publication: PublicationId) -> Self {
        Self::Publication(publication)
    }
}

impl From<Role> for VideoSource {
    fn from(role: Role) -> Self {
        Self::Role(role)
    }
}

/// What a picture is in a room, for a while.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// The camera of who speaks, or spoke last; before anybody did, of who joined first.
    Speaker,
    /// A screen (see [`Command::SetScreens`](crate::message::Command::SetScreens)); the newest first.
    Screen,
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
    /// The role it is shown for, and the how-manieth wish for that role it serves, from 0; `None` when the view names it.
    pub role: Option<(Role, u16)>,
    /// The line has no room for it now: nothing is sent until it has.
    pub paused: bool,
    /// What it would carry, had the client offered the codec; it is empty then.
    pub undecodable: Option<PublicationId>,
}
