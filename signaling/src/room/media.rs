//! Offers and views go to the core; what it says comes back.

use std::collections::BTreeMap;
use std::time::Instant;

use simmer_sfu::audio::Speaker as CoreSpeaker;
use simmer_sfu::codec::Kind as CoreKind;
use simmer_sfu::id::{Mid, ParticipantId, PublicationId};
use simmer_sfu::message::{Command, Data, DisconnectReason, Event as CoreEvent};
use simmer_sfu::sdp::{Offer as Description, OfferError};
use simmer_sfu::sink::Publication as CorePublication;
use simmer_sfu::view::{
    AudioWish as CoreAudioWish, Role as CoreRole, VideoWish as CoreVideoWish, View as CoreView,
};

use super::member::{Media, Member};
use super::rate::Class;
use super::{Carrier, Output, Refusal, Room};
use crate::protocol::{
    Answer, AudioWish, CHANNEL, Encodings, ErrorCode, EventBody, FailedSlot, Kind, Media as MediaMessage,
    MediaState, Offer, PictureRole, Publication, PublicationState, Refused, Rights, ServerMessage, Slot,
    SlotFailure, Slots, SlotsWanted, Source, Speaker, Speakers, VideoWish, View, parse,
};

impl Room {
    pub(super) fn offer(&mut self, now: Instant, id: &str, from: Carrier, offer: Offer) {
        let Some(member) = self.members.get_mut(id) else { return };
        let rights = member.rights;
        let judged = member.buckets.take(Class::Offer, now).map_err(Refusal::rate);
        if let Err(refusal) = judged.and_then(|()| judge(&offer.sdp, &self.core_limits(), rights)) {
            self.refuse(from, Some(offer.id), refusal);
            return;
        }
        let connected = self.members.get_mut(id).is_some_and(|member| member.media().is_some());
        if offer.fresh || !connected {
            self.drop_media(now, id);
            self.join_core(id);
        }
        let Some(media) = self.members.get_mut(id).and_then(Member::media) else { return };
        let sources: BTreeMap<_, _> =
            offer.tracks.into_iter().map(|track| (track.mid, track.source)).collect();
        media.sources.extend(sources);
        media.answer = None;
        let participant = media.core;
        let screens = media.sources.iter().filter(|(_, source)| **source == Source::Screen);
        let mids: Vec<Mid> = screens.filter_map(|(mid, _)| Mid::new(mid.as_bytes()).ok()).collect();
        if media.has_screens || !mids.is_empty() {
            media.has_screens = !mids.is_empty();
            self.outputs.push_back(Output::Core(Command::SetScreens { participant, mids }));
        }
        let command = Command::Offer { participant, request: offer.id, sdp: offer.sdp };
        self.outputs.push_back(Output::Core(command));
    }

    /// The core's limits of what a client may say.
    pub(super) fn core_limits(&self) -> simmer_sfu::Limits {
        simmer_sfu::Limits { offer_bytes: self.config.limits.offer_bytes, ..Default::default() }
    }

    pub(super) fn set_view(&mut self, now: Instant, id: &str, from: Carrier, view: &View) {
        let limit = self.config.limits.view_wishes;
        let Some(member) = self.members.get_mut(id) else { return };
        let judged = match member.buckets.take(Class::View, now) {
            Err(retry) => Err(Refusal::rate(retry)),
            Ok(()) if !member.rights.subscribe => {
                Err(Refusal::new(ErrorCode::NotAllowed, "Your token does not allow to see and hear others."))
            }
            Ok(()) => core_view(view, limit),
        };
        match judged {
            Err(refusal) => self.refuse(from, None, refusal),
            Ok(view) => {
                let Some(session) = member.session.as_mut() else { return };
                session.view = Some(view.clone());
                if let Some(media) = &session.media {
                    let command = Command::SetView { participant: media.core, view };
                    self.outputs.push_back(Output::Core(command));
                }
            }
        }
    }

    /// The core tells something. What concerns a media connection of the past is ignored.
    pub fn handle_core(&mut self, now: Instant, event: CoreEvent) {
        match event {
            CoreEvent::Answered { participant, request, answer } => {
                self.answered(now, participant, request, answer)
            }
            CoreEvent::Connected { participant, .. } => {
                self.transport(participant, MediaMessage { state: MediaState::Connected, reason: None });
            }
            CoreEvent::Disconnected { participant, reason } => {
                if self.lost_over_http(now, participant, reason == DisconnectReason::Closed) {
                    return;
                }
                let reason = Some(reason_name(reason).to_owned());
                self.transport(participant, MediaMessage { state: MediaState::Lost, reason });
            }
            CoreEvent::Published { publication, .. } => self.published(now, &publication),
            CoreEvent::Unpublished { publication, .. } => self.unpublished(now, &publication.to_string()),
            CoreEvent::Slots { participant, slots } => {
                let slots = slots.iter().map(|slot| Slot {
                    mid: slot.mid.to_string(),
                    publication: slot.publication.map(|publication| publication.to_string()),
                    role: slot.role.map(|(role, _)| match role {
                        CoreRole::Speaker => PictureRole::Speaker,
                        CoreRole::Screen => PictureRole::Screen,
                    }),
                    rank: slot.role.map_or(0, |(_, rank)| rank),
                    paused: slot.paused,
                    failed: slot.undecodable.map(|publication| FailedSlot {
                        publication: publication.to_string(),
                        reason: SlotFailure::UnsupportedCodec,
                    }),
                });
                let message = ServerMessage::Slots(Slots { slots: slots.collect() });
                self.room_message(participant, message, |media| &mut media.slots);
            }
            CoreEvent::SlotsWanted { participant, audio, video } => {
                let message = ServerMessage::SlotsWanted(SlotsWanted { audio, video });
                self.room_message(participant, message, |media| &mut media.slots_wanted);
            }
            CoreEvent::EncodingsWanted { participant, publication, mid, wanted } => {
                let (mid, publication) = (mid.to_string(), publication.to_string());
                let message = ServerMessage::Encodings(Encodings { mid: mid.clone(), publication, wanted });
                self.room_message(participant, message, |media| media.encodings.entry(mid).or_default());
            }
            CoreEvent::Speakers { speakers, .. } => {
                let speaker = |speaker: &CoreSpeaker| Speaker {
                    publication: speaker.publication.to_string(),
                    level: speaker.level,
                };
                self.speakers = Speakers { speakers: speakers.iter().map(speaker).collect() };
                self.tell_all(&ServerMessage::Speakers(self.speakers.clone()));
            }
            CoreEvent::ChannelOpened { participant, channel, label } => {
                if let Some((_, media)) = self.media_of(participant)
                    && label == CHANNEL
                {
                    media.channel = Some(channel);
                    media.held_after = None;
                }
            }
            CoreEvent::ChannelClosed { participant, channel } => {
                if let Some((_, media)) = self.media_of(participant)
                    && media.channel == Some(channel)
                {
                    media.channel = None;
                }
            }
            CoreEvent::Data { participant, channel, data } => {
                let Some((id, media)) = self.media_of(participant) else { return };
                if media.channel != Some(channel) {
                    return;
                }
                self.counts.channel_messages += 1;
                let message = match data {
                    Data::Text(text) => parse(&text),
                    Data::Binary(_) => Err(Refused::binary()),
                };
                self.take(now, &id, Carrier::Channel(participant, channel), message);
            }
            CoreEvent::BufferedHigh { participant, channel } => self.hold_back(participant, channel),
            CoreEvent::BufferedLow { participant, channel } => self.go_on(participant, channel),
            CoreEvent::DataDropped { participant, channel, .. } => {
                let Some((id, media)) = self.media_of(participant) else { return };
                if media.channel == Some(channel)
                    && let Some(session) =
                        self.members.get_mut(&id).and_then(|member| member.session.as_mut())
                {
                    session.missed = true;
                }
            }
            _ => {}
        }
    }

    /// Ends a participant's media connection, and says in the log what is no longer published.
    pub(super) fn drop_media(&mut self, now: Instant, id: &str) {
        if !self.leave_core(id) {
            return;
        }
        let theirs: Vec<String> = self
            .publications
            .iter()
            .filter(|known| known.publication.participant == id)
            .map(|known| known.publication.id.clone())
            .collect();
        for publication in theirs {
            self.unpublished(now, &publication);
        }
    }

    /// Ends a participant's media connection without a word in the log. Whether there was one.
    pub(super) fn leave_core(&mut self, id: &str) -> bool {
        let session = self.members.get_mut(id).and_then(|member| member.session.as_mut());
        let Some(media) = session.and_then(|session| session.media.take()) else { return false };
        self.cores.remove(&media.core);
        self.outputs.push_back(Output::Core(Command::Leave { participant: media.core }));
        true
    }

    /// What a client that has resumed may have missed, besides events.
    pub(super) fn repeat_media(&mut self, id: &str) {
        let Some(member) = self.members.get_mut(id) else { return };
        let Some(to) = member.web_socket() else { return };
        let Some(media) = member.media() else { return };
        let answer = media.answer.take();
        let latest: Vec<_> = media.latest().collect();
        for message in [answer, media.transport.clone()].into_iter().flatten().chain(latest) {
            self.send(to, &message);
        }
    }

    pub(super) fn join_core(&mut self, id: &str) {
        let participant = ParticipantId((u64::from(self.config.number) << 32) | u64::from(self.next_core));
        self.next_core = self.next_core.wrapping_add(1);
        let room = self.core_id();
        let Some(session) = self.members.get_mut(id).and_then(|member| member.session.as_mut()) else {
            return;
        };
        session.media = Some(Media::new(participant));
        self.cores.insert(participant, id.to_owned());
        self.outputs.push_back(Output::Core(Command::Join { room, participant }));
        if let Some(view) = session.view.clone() {
            self.outputs.push_back(Output::Core(Command::SetView { participant, view }));
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        request: u64,
        answer: Result<String, OfferError>,
    ) {
        let Some(id) = self.cores.get(&participant).cloned() else { return };
        if self.answered_over_http(now, &id, request, &answer) {
            return;
        }
        let Some((id, media)) = self.media_of(participant) else { return };
        match answer {
            Ok(sdp) => {
                let message = ServerMessage::Answer(Answer { re: request, sdp });
                media.answer = Some(message.clone());
                if let Some(to) = self.members.get(&id).and_then(Member::web_socket) {
                    if let Some(media) = self.members.get_mut(&id).and_then(Member::media) {
                        media.answer = None;
                    }
                    self.send(to, &message);
                }
            }
            Err(error) => {
                if let Some(to) = self.members.get(&id).and_then(Member::web_socket) {
                    self.refuse(to, Some(request), offer_refusal(&error));
                }
            }
        }
    }

    fn transport(&mut self, participant: ParticipantId, message: MediaMessage) {
        let Some((id, media)) = self.media_of(participant) else { return };
        if message.state == MediaState::Lost {
            media.channel = None;
        }
        let message = ServerMessage::Media(message);
        media.transport = Some(message.clone());
        if let Some(to) = self.members.get(&id).and_then(Member::web_socket) {
            self.send(to, &message);
        }
    }

    fn room_message(
        &mut self,
        participant: ParticipantId,
        message: ServerMessage,
        kept: impl FnOnce(&mut Media) -> &mut Option<ServerMessage>,
    ) {
        let Some((id, media)) = self.media_of(participant) else { return };
        *kept(media) = Some(message.clone());
        if let Some(to) = self.members.get(&id).and_then(Member::carrier) {
            self.send(to, &message);
        }
    }

    fn published(&mut self, now: Instant, publication: &CorePublication) {
        let Some((id, media)) = self.media_of(publication.id.participant) else { return };
        let kind = match publication.codec.kind() {
            CoreKind::Audio => Kind::Audio,
            CoreKind::Video => Kind::Video,
        };
        let usual = if kind == Kind::Audio { Source::Microphone } else { Source::Camera };
        let named = media.sources.get(publication.mid.as_str()).copied();
        let publication = Publication {
            id: publication.id.to_string(),
            participant: id.clone(),
            kind,
            source: named.filter(|source| source.kind() == kind).unwrap_or(usual),
            simulcast: publication.encodings.len() > 1,
            mid: publication.mid.to_string(),
        };
        self.publications.push(PublicationState { publication: publication.clone(), muted: false });
        self.append(now, Some(&id), EventBody::Published { publication });
        self.restage();
    }

    fn unpublished(&mut self, now: Instant, publication: &str) {
        let Some(at) = self.publications.iter().position(|known| known.publication.id == publication) else {
            return;
        };
        let owner = self.publications.remove(at).publication.participant;
        self.append(now, Some(&owner), EventBody::Unpublished { publication: publication.to_owned() });
        self.restage();
    }

    pub(super) fn media_of(&mut self, participant: ParticipantId) -> Option<(String, &mut Media)> {
        let id = self.cores.get(&participant)?.clone();
        let media = self.members.get_mut(&id)?.media()?;
        Some((id, media))
    }
}

/// Whether an offer is one, and one that the token allows.
fn judge(sdp: &str, limits: &simmer_sfu::Limits, rights: Rights) -> Result<(), Refusal> {
    let offer = Description::parse(sdp, limits).map_err(|error| offer_refusal(&error))?;
    if offer.sends_media() && !rights.publish {
        return Err(Refusal::new(ErrorCode::NotAllowed, "Your token does not allow to send media."));
    }
    if offer.receives_media() && !rights.subscribe {
        return Err(Refusal::new(ErrorCode::NotAllowed, "Your token does not allow to receive media."));
    }
    Ok(())
}

pub(super) fn offer_refusal(error: &OfferError) -> Refusal {
    let code = match error {
        OfferError::TooLarge { .. } | OfferError::TooManyLines { .. } => ErrorCode::OfferTooLarge,
        OfferError::Malformed { .. } => ErrorCode::BadOffer,
        _ => ErrorCode::UnsupportedOffer,
    };
    Refusal::new(code, error.to_string())
}

fn core_view(view: &View, limit: usize) -> Result<CoreView, Refusal> {
    let publication = |text: &String| {
        text.parse::<PublicationId>()
            .map_err(|_| Refusal::new(ErrorCode::Invalid, "`publication` is no publication's id."))
    };
    let too_many = || Refusal::new(ErrorCode::Invalid, format!("A view names at most {limit} publications."));
    if view.video.len() > limit {
        return Err(too_many());
    }
    let mut video = Vec::with_capacity(view.video.len());
    for wish in &view.video {
        let invalid = |what| Err(Refusal::new(ErrorCode::Invalid, what));
        if !(1..=4320).contains(&wish.max_height) {
            return invalid("`max_height` is 1 to 4320.");
        }
        if wish.max_fps.is_some_and(|max_fps| !(1..=120).contains(&max_fps)) {
            return invalid("`max_fps` is 1 to 120.");
        }
        if wish.priority.is_some_and(|priority| priority > 10) {
            return invalid("`priority` is 0 to 10.");
        }
        let source = match (&wish.publication, wish.role) {
            (Some(text), None) => publication(text)?.into(),
            (None, Some(PictureRole::Speaker)) => CoreRole::Speaker.into(),
            (None, Some(PictureRole::Screen)) => CoreRole::Screen.into(),
            _ => return invalid("A picture is of a `publication` or of a `role`, one of the two."),
        };
        let VideoWish { max_height, max_fps, priority, .. } = *wish;
        video.push(CoreVideoWish { source, max_height, max_fps, priority });
    }
    let audio = match &view.audio {
        AudioWish::All => CoreAudioWish::All,
        AudioWish::Only(publications) if publications.len() > limit => return Err(too_many()),
        AudioWish::Only(publications) => {
            CoreAudioWish::Only(publications.iter().map(publication).collect::<Result<_, _>>()?)
        }
    };
    Ok(CoreView { video, audio })
}

fn reason_name(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::ConsentExpired => "consent_expired",
        DisconnectReason::Closed => "closed",
        DisconnectReason::HandshakeFailed => "handshake_failed",
        DisconnectReason::FingerprintMismatch => "fingerprint_mismatch",
        _ => "lost",
    }
}
