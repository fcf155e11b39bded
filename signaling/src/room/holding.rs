//! A data channel that does not keep up is not fed; when it has drained, it goes on from the log.

use simmer_sfu::id::ParticipantId;
use simmer_sfu::transport::ChannelId;

use super::member::{Media, Member};
use super::{Carrier, Entry, Room};
use crate::protocol::ServerMessage;

impl Room {
    /// Half of what may wait on a channel does: what comes from now on waits in the log.
    pub(super) fn hold_back(&mut self, participant: ParticipantId, channel: ChannelId) {
        let seq = self.log.last_seq();
        if let Some((_, media)) = self.media_of(participant)
            && media.channel == Some(channel)
        {
            media.held_after.get_or_insert(seq);
        }
    }

    /// A channel has drained. Whoever lives on it gets what was held back, and the latest of what has only a latest.
    pub(super) fn go_on(&mut self, participant: ParticipantId, channel: ChannelId) {
        let Some((id, media)) = self.media_of(participant) else { return };
        if media.channel != Some(channel) {
            return;
        }
        let Some(after) = media.held_after.take() else { return };
        let latest: Vec<_> = media.latest().collect();
        if self.members.get(&id).and_then(Member::web_socket).is_some() {
            return;
        }
        let held = self.log.after(after);
        let size = |entries: &Vec<Entry>| entries.iter().map(|entry| entry.text.len()).sum::<usize>();
        let to = Carrier::Channel(participant, channel);
        match held.filter(|entries| size(entries) <= self.config.limits.resume_bytes) {
            Some(entries) => self.send_again(to, entries),
            None => {
                if let Some(session) = self.members.get_mut(&id).and_then(|member| member.session.as_mut()) {
                    session.missed = true;
                }
            }
        }
        for message in latest {
            self.send(to, &message);
        }
        self.send(to, &ServerMessage::Speakers(self.speakers.clone()));
    }
}

impl Media {
    /// What was last told of the slots, their number and the encodings worth sending.
    pub(super) fn latest(&self) -> impl Iterator<Item = ServerMessage> {
        let slots = [self.slots.clone(), self.slots_wanted.clone()];
        slots.into_iter().chain(self.encodings.values().cloned()).flatten()
    }
}
