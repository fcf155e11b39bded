//! What the wishes of a view come to: roles are filled, what is not there is left out.

use std::time::Instant;

use crate::codec::Kind;
use crate::id::{Mid, ParticipantId, PublicationId};
use crate::shard::Shard;
use crate::shard::mirror::Crossing;
use crate::shard::publication::{LayerChoice, PublicationState};
use crate::shard::viewing::MAX_VIDEO_SLOTS;
use crate::transport::Transport;
use crate::view::{Role, VideoSource, VideoWish};

/// A picture that somebody is to see, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Picture {
    pub(super) publication: PublicationId,
    /// The role it has for the viewer, and the wish for that role it serves, from 0.
    pub(super) role: Option<(Role, u16)>,
    pub(super) max_height: u16,
    pub(super) max_fps: Option<u8>,
    pub(super) priority: u8,
}

impl Picture {
    /// Leaves out of a ladder what has more pictures a second than are wished, where the same is to be had with fewer.
    pub(super) fn thin(&self, ladder: &mut Vec<LayerChoice>) {
        let Some(max_fps) = self.max_fps.map(u16::from) else { return };
        let most = max_fps + max_fps / 5 + 1;
        let same = |a: &LayerChoice, b: &LayerChoice| {
            a.target.encoding == b.target.encoding && a.target.layer.spatial == b.target.layer.spatial
        };
        let slowest =
            |choice: &LayerChoice| !ladder.iter().any(|other| same(other, choice) && other.fps < choice.fps);
        let kept: Vec<LayerChoice> =
            ladder.iter().filter(|choice| choice.fps <= most || slowest(choice)).copied().collect();
        *ladder = kept;
    }
}

impl<T: Transport> Shard<T> {
    /// What a participant's view comes to now: each picture once, in the order of the wishes. What no number of slots could serve is not
    /// looked at: in a room of hundreds this runs for everybody.
    pub(super) fn pictures(&self, index: usize) -> Vec<Picture> {
        let wishes = &self.participants[index].view.video;
        let mut screens = (0..).zip(self.of_role(index, Role::Screen));
        let mut cameras = (0..).zip(self.of_role(index, Role::Speaker));
        let screen = |id: &PublicationId| self.rooms[self.participants[index].room].screens.contains(id);
        let mut pictures: Vec<Picture> = Vec::new();
        for wish in wishes {
            if pictures.len() == MAX_VIDEO_SLOTS {
                break;
            }
            let (found, usual) = match wish.source {
                VideoSource::Role(role) => {
                    let (found, usual) = match role {
                        Role::Screen => (screens.next(), VideoWish::USUAL_SCREEN),
                        Role::Speaker => (cameras.next(), VideoWish::USUAL_SPEAKER),
                    };
                    (found.map(|(rank, id)| (id, Some((role, rank)))), usual)
                }
                VideoSource::Publication(id) => {
                    let usual = if screen(&id) { VideoWish::USUAL_SCREEN } else { VideoWish::USUAL };
                    (Some((id, None)).filter(|_| self.is_visible(index, id, Kind::Video)), usual)
                }
            };
            let Some((publication, role)) = found else { continue };
            if pictures.iter().all(|known| known.publication != publication) {
                let VideoWish { max_height, max_fps, .. } = *wish;
                let priority = wish.priority.unwrap_or(usual);
                pictures.push(Picture { publication, role, max_height, max_fps, priority });
            }
        }
        pictures
    }

    /// Who has a role for this viewer, the first first: as many as the view wishes, none of those that it names.
    fn of_role(&self, index: usize, role: Role) -> Vec<PublicationId> {
        let viewer = &self.participants[index];
        let wishes = viewer.view.video.iter();
        let wanted = wishes.clone().filter(|wish| wish.source == VideoSource::Role(role)).count();
        if wanted == 0 {
            return Vec::new();
        }
        let mut named: Vec<PublicationId> = wishes
            .filter_map(|wish| match wish.source {
                VideoSource::Publication(id) => Some(id),
                VideoSource::Role(_) => None,
            })
            .collect();
        named.sort_unstable();
        let room = &self.rooms[viewer.room];
        let mut found: Vec<PublicationId> = Vec::new();
        let mut take = |id: PublicationId| {
            let fits = named.binary_search(&id).is_err()
                && !found.contains(&id)
                && self.is_visible(index, id, Kind::Video);
            if fits {
                found.push(id);
            }
            found.len() == wanted.min(MAX_VIDEO_SLOTS)
        };
        let _enough = match role {
            Role::Screen => room.screens.iter().rev().any(|&screen| take(screen)),
            Role::Speaker => {
                let spoke = room.speakers.spoke().iter().map(|sound| sound.participant);
                let joined = room.members.iter().map(|&member| self.participants[member].id);
                spoke.chain(joined).filter_map(|speaker| self.camera_of(speaker)).any(take)
            }
        };
        found
    }

    fn camera_of(&self, owner: ParticipantId) -> Option<PublicationId> {
        let owner = &self.participants[*self.by_id.get(&owner)?];
        let screens = &self.rooms[owner.room].screens;
        let videos = owner.publications.iter().filter(|video| video.info.codec.kind() == Kind::Video);
        videos.map(PublicationState::id).find(|id| !screens.contains(id))
    }

    /// Shows those who see speakers who speaks now.
    pub(super) fn follow_speakers(&mut self, now: Instant, room: usize) {
        for at in 0..self.rooms[room].members.len() {
            let index = self.rooms[room].members[at];
            let participant = &self.participants[index];
            let follows =
                participant.view.video.iter().any(|wish| wish.source == VideoSource::Role(Role::Speaker));
            if follows && self.pictures(index) != participant.pictures {
                self.current = Some(index);
                self.reconcile(now, index);
            }
        }
    }

    /// Takes note of which of a participant's m-lines carry a screen.
    pub(super) fn set_screens(&mut self, now: Instant, id: ParticipantId, mids: Vec<Mid>) {
        let Some(&index) = self.by_id.get(&id) else { return };
        self.current = Some(index);
        let participant = &mut self.participants[index];
        participant.screens = mids;
        let room = participant.room;
        if participant.mirror_of.is_none() && participant.published_ever() > 0 {
            let mids = participant.screens.clone();
            self.cross(room, || Crossing::Screens(id, mids.clone()));
        }
        let before = self.rooms[room].screens.clone();
        let participant = &self.participants[index];
        let videos = participant.publications.iter().filter(|video| video.info.codec.kind() == Kind::Video);
        for video in videos {
            let screens = &mut self.rooms[room].screens;
            let known = screens.contains(&video.id());
            match (known, participant.screens.contains(&video.mid())) {
                (false, true) => screens.push(video.id()),
                (true, false) => screens.retain(|&screen| screen != video.id()),
                _ => {}
            }
        }
        if self.rooms[room].screens != before {
            self.reconcile_room(now, room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandwidth::Bitrate;
    use crate::codec::Layer;
    use crate::egress::Target;

    fn choice(encoding: u8, temporal: u8, height: u16, fps: u16) -> LayerChoice {
        let layer = Layer { spatial: 0, temporal };
        LayerChoice {
            target: Target { encoding, layer },
            height,
            fps,
            bitrate: Bitrate::ZERO,
            highest: Bitrate::ZERO,
        }
    }

    #[test]
    fn a_ladder_is_thinned_as_far_as_its_layers_allow() {
        let whole =
            [choice(1, 0, 360, 8), choice(1, 1, 360, 15), choice(1, 2, 360, 30), choice(0, 0, 720, 30)];
        let thinned = |max_fps| {
            let publication = PublicationId { participant: ParticipantId(1), index: 0 };
            let picture = Picture { publication, role: None, max_height: 720, max_fps, priority: 0 };
            let mut ladder = whole.to_vec();
            picture.thin(&mut ladder);
            ladder.iter().map(|choice| (choice.height, choice.fps)).collect::<Vec<_>>()
        };
        assert_eq!(thinned(None), [(360, 8), (360, 15), (360, 30), (720, 30)]);
        assert_eq!(thinned(Some(30)), thinned(None));
        assert_eq!(thinned(Some(15)), [(360, 8), (360, 15), (720, 30)], "one without layers is as it is");
        assert_eq!(thinned(Some(1)), [(360, 8), (720, 30)], "the slowest is left");
    }
}
