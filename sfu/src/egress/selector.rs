//! Which encoding of a publication a slot carries.

/// Target is what is being moved to, current what flows. Only a key frame moves current; the wish behind the target is the view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LayerSelector {
    target: Option<u8>,
    current: Option<u8>,
}

/// What to do with a source packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// It belongs to what flows.
    Forward,
    /// It begins what flows from now on.
    Switch,
    /// It is not for this slot now.
    Drop,
}

impl LayerSelector {
    /// For sound: the first packet begins it, all others follow.
    pub fn passthrough() -> Self {
        Self { target: Some(0), current: None }
    }

    /// Sets the encoding to move to; `None` stops at once. Whether that is a change.
    pub fn set_target(&mut self, target: Option<u8>) -> bool {
        let changed = self.target != target;
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
        changed
    }

    /// Decides on one packet.
    #[inline]
    pub fn select(&mut self, encoding: u8, starts_keyframe: bool) -> Selection {
        if self.current == Some(encoding) {
            Selection::Forward
        } else if self.target == Some(encoding) && starts_keyframe {
            self.current = self.target;
            Selection::Switch
        } else {
            Selection::Drop
        }
    }

    /// The encoding whose key frame is waited for.
    pub fn wanted_keyframe(&self) -> Option<u8> {
        self.target.filter(|_| self.target != self.current)
    }

    /// The encoding that flows, or, before anything does, the one waited for.
    pub fn shown_or_wanted(&self) -> Option<u8> {
        self.current.or(self.target)
    }
}
