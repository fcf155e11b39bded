//! What participants say, and what they may do.

use std::time::Instant;

use super::keys::Reply;
use super::rate::Class;
use super::{Carrier, Close, ConnectionId, Output, Refusal, Room};
use crate::protocol::{
    Action, ChatLine, ClientMessage, Do, Done, ErrorCode, EventBody, LeaveReason, NewToken, Refused, Rights,
    ServerMessage, Step,
};

/// What an action came to.
pub(super) enum Outcome {
    /// It is done; the seq of its event, when it changed something.
    Done(Option<u64>),
    /// The reply comes when the recorder has answered.
    Later,
}

impl Room {
    /// A message came on a WebSocket, read by [`crate::protocol::parse`].
    pub fn handle(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        message: Result<ClientMessage, Refused>,
    ) {
        let Some(id) = self.connections.get(&connection).cloned() else { return };
        let to = Carrier::WebSocket(connection);
        let limit = self.config.limits.bad_frames;
        let Some(session) = self.members.get_mut(&id).and_then(|member| member.session.as_mut()) else {
            return;
        };
        session.former_secret = None;
        session.bad_frames = match &message {
            Err(refused) if refused.code == ErrorCode::BadJson => session.bad_frames.saturating_add(1),
            _ => 0,
        };
        let hopeless = session.bad_frames >= limit;
        self.take(now, &id, to, message);
        if hopeless {
            self.outputs.push_back(Output::Close { connection, why: Close::Protocol });
            self.disconnect(now, connection);
        }
    }

    /// Takes one message of a participant, from either carrier.
    pub(super) fn take(
        &mut self,
        now: Instant,
        id: &str,
        from: Carrier,
        message: Result<ClientMessage, Refused>,
    ) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Err(retry) = member.buckets.take_any(now) {
            let re = match &message {
                Ok(ClientMessage::Do(Do { id, .. })) => Some(*id),
                Ok(ClientMessage::Offer(offer)) => Some(offer.id),
                Ok(ClientMessage::Token(token)) => Some(token.id),
                Ok(_) => None,
                Err(refused) => refused.re,
            };
            self.refuse(from, re, Refusal::rate(retry));
            return;
        }
        let message = match message {
            Ok(message) => message,
            Err(Refused { code, re, message }) => {
                self.refuse(from, re, Refusal::new(code, message));
                return;
            }
        };
        match (message, from) {
            (ClientMessage::Do(request), _) => self.act(now, id, from, request),
            (ClientMessage::View { view }, _) => self.set_view(now, id, from, &view),
            (ClientMessage::Ping {}, _) => self.send(from, &ServerMessage::Pong {}),
            (ClientMessage::Offer(offer), Carrier::WebSocket(_)) => self.offer(now, id, from, offer),
            // What is checked comes to `renew`.
            (ClientMessage::Token(NewToken { id, .. }), Carrier::WebSocket(_)) => {
                self.refuse(from, Some(id), Refusal::new(ErrorCode::BadToken, "The token was not checked."));
            }
            (ClientMessage::Leave {}, Carrier::WebSocket(_)) => self.leave(now, id),
            (ClientMessage::Hello(_), Carrier::WebSocket(_)) => {
                self.refuse(from, None, Refusal::new(ErrorCode::Invalid, "The session is open already."));
            }
            (_, Carrier::Channel(..)) => {
                self.refuse(
                    from,
                    None,
                    Refusal::new(ErrorCode::Invalid, "This goes over the WebSocket only."),
                );
            }
        }
    }

    fn act(&mut self, now: Instant, id: &str, from: Carrier, request: Do) {
        let Do { id: re, key, action } = request;
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(key) = &key {
            let chars = key.chars().count();
            if chars == 0 || chars > self.config.limits.key_chars {
                let text = format!("`key` has 1 to {} characters.", self.config.limits.key_chars);
                self.refuse(from, Some(re), Refusal::new(ErrorCode::Invalid, text));
                return;
            }
            if let Some(reply) = member.keys.reply(key).cloned() {
                self.counts.repeated += 1;
                self.reply(from, re, reply);
                return;
            }
            if self.recording.retried(id, key, from, re) {
                return;
            }
        }
        let class = if matches!(action, Action::Chat { .. }) { Class::Chat } else { Class::State };
        if let Err(retry) = member.buckets.take(class, now) {
            self.refuse(from, Some(re), Refusal::rate(retry));
            return;
        }
        let rights = member.rights;
        let outcome = if self.ended {
            Err(Refusal::new(ErrorCode::RoomEnded, "The room has ended."))
        } else if !allowed(&action, rights) {
            Err(Refusal::new(ErrorCode::NotAllowed, "Your token does not allow this."))
        } else if matches!(action, Action::RecordStart {}) {
            self.start_recording(now, id, from, re, key.clone())
        } else {
            self.perform(now, id, rights, action).map(Outcome::Done)
        };
        let reply = match outcome {
            Ok(Outcome::Later) => return,
            Ok(Outcome::Done(seq)) => Reply::Done(seq),
            Err(refusal) => Reply::Refused(refusal),
        };
        self.settle(id, from, re, key, reply);
        if self.ended {
            self.close_everybody(now, Close::Ended);
        }
    }

    /// Remembers a reply by its key, unless it may be another one in a moment, and sends it.
    pub(super) fn settle(&mut self, id: &str, to: Carrier, re: u64, key: Option<String>, reply: Reply) {
        let passing =
            matches!(&reply, Reply::Refused(refusal) if refusal.code == ErrorCode::RecorderUnavailable);
        if let Some((member, key)) = self.members.get_mut(id).zip(key)
            && !passing
        {
            member.keys.remember(key, reply.clone(), self.config.limits.keys);
        }
        self.reply(to, re, reply);
    }

    fn reply(&mut self, to: Carrier, re: u64, reply: Reply) {
        match reply {
            Reply::Done(seq) => self.send(to, &ServerMessage::Done(Done { re, seq })),
            Reply::Refused(refusal) => self.refuse(to, Some(re), refusal),
        }
    }

    /// Does what the token allows. The seq of the event, when it changed something.
    fn perform(
        &mut self,
        now: Instant,
        id: &str,
        rights: Rights,
        action: Action,
    ) -> Result<Option<u64>, Refusal> {
        let body = match action {
            Action::Chat { text } => {
                self.require_chars("text", &text, self.config.limits.chat_chars)?;
                let line = ChatLine {
                    seq: self.log.last_seq() + 1,
                    at: self.clock(now),
                    by: Some(id.to_owned()),
                    text: text.clone(),
                };
                self.chat.push(line);
                EventBody::Chat { text }
            }
            Action::Hand { raised } => {
                if self.hands.iter().any(|hand| hand == id) == raised {
                    return Ok(None);
                }
                if raised {
                    self.hands.push(id.to_owned());
                } else {
                    self.hands.retain(|hand| hand != id);
                }
                EventBody::Hand { raised }
            }
            Action::StepsSet { steps } => {
                self.require_steps(&steps)?;
                self.steps.set(steps.clone());
                EventBody::StepsSet { steps }
            }
            Action::StepStart { step } => {
                if !self.steps.start(step).map_err(|_| no_such_step())? {
                    return Ok(None);
                }
                EventBody::StepStarted { step }
            }
            Action::StepTick { step, done } => {
                if !self.steps.tick(id, step, done).map_err(|_| no_such_step())? {
                    return Ok(None);
                }
                EventBody::StepTicked { step, done }
            }
            Action::Mute { publication, muted } => {
                if !self.mute(id, rights, &publication, muted)? {
                    return Ok(None);
                }
                EventBody::Muted { publication, muted }
            }
            Action::RecordStart {} | Action::RecordStop {} => {
                return match self.stop_recording(now, Some(id)) {
                    Some(seq) => Ok(Some(seq)),
                    None => Err(Refusal::new(ErrorCode::NotRecording, "The room is not being recorded.")),
                };
            }
            Action::Kick { participant } => return self.kick(now, id, &participant),
            Action::End {} => {
                self.stop_recording(now, Some(id));
                let seq = self.append(now, Some(id), EventBody::Ended {});
                self.ended = true;
                return Ok(Some(seq));
            }
        };
        Ok(Some(self.append(now, Some(id), body)))
    }

    fn mute(&mut self, id: &str, rights: Rights, publication: &str, muted: bool) -> Result<bool, Refusal> {
        let found = self.publications.iter_mut().find(|known| known.publication.id == publication);
        let Some(known) = found else {
            return Err(Refusal::new(ErrorCode::NotFound, "There is no such publication."));
        };
        let may = known.publication.participant == id || (rights.administer && muted);
        if !may {
            let text = "Only its owner can unmute a publication, and only a host can mute another's.";
            return Err(Refusal::new(ErrorCode::NotAllowed, text));
        }
        Ok(std::mem::replace(&mut known.muted, muted) != muted)
    }

    fn kick(&mut self, now: Instant, id: &str, target: &str) -> Result<Option<u64>, Refusal> {
        let Some(member) = self.members.get(target) else {
            return Err(Refusal::new(ErrorCode::NotFound, "There is no such participant."));
        };
        self.kicked.insert(member.identity.clone(), now + self.config.limits.kicked);
        let before = self.log.last_seq();
        self.depart(now, target, Some(id), LeaveReason::Kicked, Close::Kicked);
        let entries = self.log.after(before).unwrap_or_default();
        let left = entries.iter().find(|entry| matches!(entry.event.body, EventBody::Left { .. }));
        Ok(left.map(|entry| entry.event.seq))
    }

    fn require_steps(&self, steps: &[Step]) -> Result<(), Refusal> {
        let limit = self.config.limits.steps;
        if steps.is_empty() || steps.len() > limit {
            return Err(Refusal::new(ErrorCode::Invalid, format!("`steps` has 1 to {limit} steps.")));
        }
        steps
            .iter()
            .try_for_each(|step| self.require_chars("title", &step.title, self.config.limits.title_chars))
    }

    fn require_chars(&self, field: &str, text: &str, limit: usize) -> Result<(), Refusal> {
        if text.is_empty() || text.chars().count() > limit {
            return Err(Refusal::new(ErrorCode::Invalid, format!("`{field}` has 1 to {limit} characters.")));
        }
        Ok(())
    }
}

/// The one place where a token's rights meet an action. What depends on more than rights is checked by the action itself.
fn allowed(action: &Action, rights: Rights) -> bool {
    match action {
        Action::Chat { .. } | Action::Hand { .. } | Action::StepTick { .. } => rights.send,
        Action::StepsSet { .. } | Action::StepStart { .. } | Action::Kick { .. } | Action::End {} => {
            rights.administer
        }
        Action::RecordStart {} | Action::RecordStop {} => rights.record,
        Action::Mute { .. } => true,
    }
}

fn no_such_step() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "There is no such step.")
}
