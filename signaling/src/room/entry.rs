//! Coming in, coming back, leaving.

use std::time::Instant;

use super::http::HttpSession;
use super::member::{Member, Session};
use super::rate::Buckets;
use super::{Admission, Carrier, Close, ConnectionId, Entry, Output, Refusal, Room, millis};
use crate::protocol::{
    ErrorCode, EventBody, LeaveReason, Participant, Resume, RoomInfo, ServerMessage, SessionInfo, VERSION,
    Welcome, WelcomeLimits, You,
};
use crate::token::same;

impl Room {
    /// A WebSocket whose token has been checked says hello. It is welcomed, or refused and closed.
    pub fn connect(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        admission: Admission,
        resume: Option<&Resume>,
    ) {
        self.handle_timeout(now);
        if let Err((refusal, why)) = self.admit(now, &admission) {
            self.refuse(Carrier::WebSocket(connection), None, refusal);
            self.outputs.push_back(Output::Close { connection, why });
            return;
        }
        let known = self.identities.get(&admission.identity).cloned();
        let valid_for = admission.valid_for;
        match (known, resume) {
            (Some(id), Some(resume)) if self.may_resume(&id, resume) => {
                self.resume(now, connection, &id, admission, resume.after);
                self.expire_after(now, &id, valid_for);
            }
            _ => {
                let id = self.take_place(now, admission);
                self.open_session(&id, Some(connection), None);
                self.expire_after(now, &id, valid_for);
                let seq = self.log.last_seq();
                self.welcome(now, connection, &id, false, seq, true);
            }
        }
    }

    /// Makes somebody who was admitted a participant who is about to open a session. Their id.
    pub(super) fn take_place(&mut self, now: Instant, admission: Admission) -> String {
        match self.identities.get(&admission.identity).cloned() {
            Some(id) => self.come_back(now, id, admission),
            None => self.enter(now, admission),
        }
    }

    /// A WebSocket is gone. Its session stays for the grace time.
    pub fn disconnect(&mut self, now: Instant, connection: ConnectionId) {
        let Some(id) = self.connections.remove(&connection) else { return };
        let ends_at = now + self.config.limits.grace;
        let session = self.members.get_mut(&id).and_then(|member| member.session.as_mut());
        if let Some(session) = session.filter(|session| session.connection == Some(connection)) {
            session.connection = None;
            session.ends_at = Some(ends_at);
            self.graces.insert((ends_at, id));
        }
    }

    /// The client says that it leaves.
    pub(super) fn leave(&mut self, now: Instant, id: &str) {
        self.depart(now, id, Some(id), LeaveReason::Left, Close::Left);
    }

    /// The session was not resumed in time.
    pub(super) fn grace_is_over(&mut self, now: Instant, id: &str) {
        self.depart(now, id, None, LeaveReason::Timeout, Close::Left);
    }

    /// Ends a participant's session and says so in the log.
    pub(super) fn depart(
        &mut self,
        now: Instant,
        id: &str,
        by: Option<&str>,
        reason: LeaveReason,
        why: Close,
    ) {
        if self.members.get(id).is_none_or(|member| member.session.is_none()) {
            return;
        }
        self.drop_media(now, id);
        self.hands.retain(|hand| hand != id);
        // Who goes by will needs no news; who is removed hears it.
        if reason != LeaveReason::Kicked {
            self.end_session(now, id, why);
        }
        self.append(now, by, EventBody::Left { participant: id.to_owned(), reason });
        if reason == LeaveReason::Kicked {
            if let Some(to) = self.members.get(id).and_then(Member::web_socket) {
                self.refuse(to, None, Refusal::new(ErrorCode::Kicked, "You were removed from the room."));
            }
            self.end_session(now, id, why);
        }
        self.forget_the_longest_gone();
        if self.present() == 0 {
            self.stop_recording(now, None);
        }
    }

    /// Closes every session without a word in the log.
    pub(super) fn close_everybody(&mut self, now: Instant, why: Close) {
        let present: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.session.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in present {
            self.leave_core(&id);
            self.end_session(now, &id, why);
        }
    }

    pub(super) fn admit(&mut self, now: Instant, admission: &Admission) -> Result<(), (Refusal, Close)> {
        if self.ended {
            return Err((Refusal::new(ErrorCode::RoomEnded, "The room has ended."), Close::Ended));
        }
        self.kicked.retain(|_, until| *until > now);
        if self.kicked.contains_key(&admission.identity) {
            let refusal =
                Refusal::new(ErrorCode::Kicked, "You were removed from this room a short time ago.");
            return Err((refusal, Close::Kicked));
        }
        let here = self
            .identities
            .get(&admission.identity)
            .and_then(|id| self.members.get(id))
            .is_some_and(|member| member.session.is_some());
        if !here && self.present() >= self.config.limits.room_size {
            return Err((Refusal::new(ErrorCode::RoomFull, "The room is full."), Close::Protocol));
        }
        Ok(())
    }

    fn may_resume(&self, id: &str, resume: &Resume) -> bool {
        let Some(session) = self.members.get(id).and_then(|member| member.session.as_ref()) else {
            return false;
        };
        let former = session.former_secret.as_deref().is_some_and(|secret| same(secret, &resume.secret));
        session.id == resume.session && (same(&session.secret, &resume.secret) || former)
    }

    fn resume(&mut self, now: Instant, connection: ConnectionId, id: &str, admission: Admission, after: u64) {
        let secret = self.hex::<32>("");
        let Some(member) = self.members.get_mut(id) else { return };
        member.rights = admission.rights;
        let Some(session) = member.session.as_mut() else { return };
        if let Some(older) = session.connection.replace(connection) {
            self.connections.remove(&older);
            self.outputs.push_back(Output::Close { connection: older, why: Close::TakenOver });
        }
        if let Some(ends_at) = session.ends_at.take() {
            self.graces.remove(&(ends_at, id.to_owned()));
        }
        session.former_secret = Some(std::mem::replace(&mut session.secret, secret));
        session.bad_frames = 0;
        let missed = std::mem::take(&mut session.missed);
        self.connections.insert(connection, id.to_owned());

        let held = if missed { None } else { self.log.after(after) };
        let size = |entries: &Vec<Entry>| entries.iter().map(|entry| entry.text.len()).sum::<usize>();
        let held = held.filter(|entries| size(entries) <= self.config.limits.resume_bytes);
        let seq = if held.is_some() { after } else { self.log.last_seq() };
        self.welcome(now, connection, id, true, seq, held.is_none());
        match held {
            Some(entries) => {
                self.counts.resumed += 1;
                self.send_again(Carrier::WebSocket(connection), entries);
            }
            None => self.counts.resumed_anew += 1,
        }
        self.repeat_media(id);
    }

    /// Somebody the room knows starts a new session, and ends the one they may have.
    fn come_back(&mut self, now: Instant, id: String, admission: Admission) -> String {
        self.drop_media(now, &id);
        let replaced = self.end_session(now, &id, Close::Replaced);
        let Some(member) = self.members.get_mut(&id) else { return id };
        let changed = member.info.name != admission.name || member.info.role != admission.role;
        member.info.name = admission.name;
        member.info.role = admission.role;
        member.rights = admission.rights;
        member.left_at = None;
        let participant = member.info.clone();
        if !replaced || changed {
            self.append(now, Some(&id), EventBody::Joined { participant });
        }
        id
    }

    fn enter(&mut self, now: Instant, admission: Admission) -> String {
        let Admission { identity, name, role, rights, .. } = admission;
        let id = self.hex::<8>("p");
        let info = Participant { id: id.clone(), name, role };
        let member = Member {
            identity: identity.clone(),
            info: info.clone(),
            rights,
            keys: super::keys::KeyRing::default(),
            buckets: Buckets::new(&self.config.limits.rates, now),
            session: None,
            left_at: None,
        };
        self.identities.insert(identity, id.clone());
        self.members.insert(id.clone(), member);
        self.append(now, Some(&id), EventBody::Joined { participant: info });
        id
    }

    /// Gives a participant a session: on a WebSocket, or opened over HTTP.
    pub(super) fn open_session(
        &mut self,
        id: &str,
        connection: Option<ConnectionId>,
        http: Option<HttpSession>,
    ) {
        let session = Session {
            id: self.hex::<16>("s"),
            secret: self.hex::<32>(""),
            former_secret: None,
            connection,
            ends_at: None,
            expiry: None,
            missed: false,
            bad_frames: 0,
            view: None,
            http,
            media: None,
        };
        if let Some(member) = self.members.get_mut(id) {
            member.session = Some(Box::new(session));
        }
        self.empty_since = None;
        if let Some(connection) = connection {
            self.connections.insert(connection, id.to_owned());
        }
    }

    fn welcome(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        id: &str,
        resumed: bool,
        seq: u64,
        snapshot: bool,
    ) {
        let Some((member, session)) =
            self.members.get(id).and_then(|member| Some((member, member.session.as_ref()?)))
        else {
            return;
        };
        let limits = &self.config.limits;
        let welcome = Welcome {
            protocol: VERSION,
            session: SessionInfo {
                id: session.id.clone(),
                secret: session.secret.clone(),
                resumed,
                grace_ms: millis(limits.grace),
            },
            you: You {
                id: member.info.id.clone(),
                name: member.info.name.clone(),
                role: member.info.role,
                may: member.rights,
            },
            room: RoomInfo {
                id: self.config.id.clone(),
                clock: self.clock(now),
                started_at: self.config.started_at,
            },
            limits: WelcomeLimits {
                message_bytes: limits.message_bytes,
                offer_bytes: limits.offer_bytes,
                chat_chars: limits.chat_chars,
            },
            seq,
            snapshot: snapshot.then(|| self.snapshot()),
        };
        self.send(Carrier::WebSocket(connection), &ServerMessage::Welcome(Box::new(welcome)));
        if !self.speakers.speakers.is_empty() {
            self.send(Carrier::WebSocket(connection), &ServerMessage::Speakers(self.speakers.clone()));
        }
    }

    /// Ends the session, if there is one, and closes its WebSocket. The core and the log are told by the caller.
    fn end_session(&mut self, now: Instant, id: &str, why: Close) -> bool {
        self.forget_expiry(id);
        let Some(member) = self.members.get_mut(id) else { return false };
        let Some(session) = member.session.take() else { return false };
        member.left_at = Some(now);
        if let Some(connection) = session.connection {
            self.connections.remove(&connection);
            self.outputs.push_back(Output::Close { connection, why });
        }
        if let Some(ends_at) = session.ends_at {
            self.graces.remove(&(ends_at, id.to_owned()));
        }
        if self.present() == 0 {
            self.empty_since = Some(now);
        }
        self.release(session.http, why);
        true
    }

    fn forget_the_longest_gone(&mut self) {
        let gone = || self.members.iter().filter(|(_, member)| member.session.is_none());
        if gone().count() <= self.config.limits.remembered {
            return;
        }
        let Some(id) = gone().min_by_key(|(_, member)| member.left_at).map(|(id, _)| id.clone()) else {
            return;
        };
        if let Some(member) = self.members.remove(&id) {
            self.identities.remove(&member.identity);
            self.steps.forget(&id);
        }
    }
}
