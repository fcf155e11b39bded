//! What a room shows to who only watches, and cannot say what they want to see.

use simmer_sfu::id::PublicationId;
use simmer_sfu::message::Command;
use simmer_sfu::view::{AudioWish, VideoWish, View};

use super::http::Purpose;
use super::member::Session;
use super::{Output, Refusal, Room};
use crate::protocol::{ErrorCode, Kind, Publication, Source};

impl Room {
    /// The view of who watches `publication`, or what the room shows.
    ///
    /// What it shows are screens, the newest first, then cameras, the oldest first, as many as there are slots; the sound is that of the
    /// pictures' owners, in their order, then everybody's.
    pub(super) fn stage(&self, publication: Option<&str>) -> Result<View, Refusal> {
        match publication {
            None => Ok(view(&self.pictures(), &self.sounds(&self.pictures(), true))),
            Some(id) => {
                let named = self.publications().find(|known| known.id == id);
                let named =
                    named.ok_or(Refusal::new(ErrorCode::NotFound, "There is no such publication."))?;
                Ok(match named.kind {
                    Kind::Audio => view(&[], &[named]),
                    Kind::Video => view(&[named], &self.sounds(&[named], false)),
                })
            }
        }
    }

    /// Shows everybody who watches what there is now. One named publication that has ended leaves its place empty.
    pub(super) fn restage(&mut self) {
        let watches =
            |session: &Session| matches!(&session.http, Some(http) if http.purpose != Purpose::Publish);
        let watching = |room: &Self| {
            let sessions =
                room.members.iter().filter_map(|(id, member)| Some((id, member.session.as_ref()?)));
            sessions.filter(|(_, session)| watches(session)).map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        let ids = watching(self);
        if ids.is_empty() {
            return;
        }
        let shown = self.stage(None).unwrap_or_default();
        for id in ids {
            let session = self.members.get(&id).and_then(|member| member.session.as_ref());
            let view = match session.and_then(|session| session.http.as_ref()).map(|http| &http.purpose) {
                Some(Purpose::Watch { publication: Some(publication) }) => self
                    .stage(Some(publication))
                    .unwrap_or(View { video: Vec::new(), audio: AudioWish::Only(Vec::new()) }),
                _ => shown.clone(),
            };
            let Some(session) = self.members.get_mut(&id).and_then(|member| member.session.as_mut()) else {
                continue;
            };
            if session.view.as_ref() == Some(&view) {
                continue;
            }
            session.view = Some(view.clone());
            if let Some(media) = &session.media {
                let command = Command::SetView { participant: media.core, view };
                self.outputs.push_back(Output::Core(command));
            }
        }
    }

    fn publications(&self) -> impl DoubleEndedIterator<Item = &Publication> {
        self.publications.iter().map(|known| &known.publication)
    }

    fn pictures(&self) -> Vec<&Publication> {
        let screens = self.publications().rev().filter(|known| known.source == Source::Screen);
        let cameras = self.publications().filter(|known| known.source == Source::Camera);
        screens.chain(cameras).take(PICTURES).collect()
    }

    /// The sounds that go with pictures; and everybody else's, if wanted.
    fn sounds<'a>(&'a self, pictures: &[&'a Publication], all: bool) -> Vec<&'a Publication> {
        let mut sounds: Vec<&Publication> = Vec::new();
        let of_room = || self.publications().filter(|known| known.kind == Kind::Audio);
        for picture in pictures {
            let of_owner = || of_room().filter(|sound| sound.participant == picture.participant);
            let own = |sound: &&Publication| {
                (sound.source == Source::ScreenAudio) == (picture.source == Source::Screen)
            };
            sounds.extend(of_owner().filter(own));
            sounds.extend(of_owner().filter(|sound| !own(sound)));
        }
        if all {
            sounds.extend(of_room());
        }
        sounds
    }
}

/// The view of these; what is named twice counts once.
fn view(pictures: &[&Publication], sounds: &[&Publication]) -> View {
    let id = |publication: &&Publication| publication.id.parse::<PublicationId>().ok();
    let video = pictures.iter().filter_map(id).map(|publication| VideoWish::new(publication, TALLEST));
    let mut audio: Vec<PublicationId> = Vec::new();
    for sound in sounds.iter().filter_map(id) {
        if audio.len() < SOUNDS && !audio.contains(&sound) {
            audio.push(sound);
        }
    }
    View { video: video.collect(), audio: AudioWish::Only(audio) }
}

/// More than a player without a person to choose has places for.
const PICTURES: usize = 16;
const SOUNDS: usize = 16;
/// The largest encoding there is.
const TALLEST: u16 = 4320;
