//! Sessions end with their tokens, unless a new one comes in time.

use std::time::{Duration, Instant};

use super::{Admission, Carrier, Close, ConnectionId, Refusal, Room, millis};
use crate::protocol::{Done, ErrorCode, Expiring, LeaveReason, ServerMessage};

/// When a session ends for want of a newer token.
#[derive(Clone, Copy)]
pub(super) struct Expiry {
    ends_at: Instant,
    /// When something is to be done next: to say that the end comes, or to end.
    due_at: Instant,
}

impl Room {
    /// A client's new token, checked; `None` when it is not valid. Its rights count from now on; name and role stay.
    pub fn renew(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        request: u64,
        admission: Option<Admission>,
    ) {
        self.handle_timeout(now);
        let Some(id) = self.connections.get(&connection).cloned() else { return };
        let to = Carrier::WebSocket(connection);
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Some(session) = &mut member.session {
            session.former_secret = None;
            session.bad_frames = 0;
        }
        if let Err(retry) = member.buckets.take_any(now) {
            self.refuse(to, Some(request), Refusal::rate(retry));
            return;
        }
        let Some(admission) = admission.filter(|new| new.identity == member.identity) else {
            let refusal = Refusal::new(ErrorCode::BadToken, "The token is not one for this session.");
            self.refuse(to, Some(request), refusal);
            return;
        };
        member.rights = admission.rights;
        self.expire_after(now, &id, admission.valid_for);
        self.send(to, &ServerMessage::Done(Done { re: request, seq: None }));
    }

    /// From now on the session is good for so long.
    pub(super) fn expire_after(&mut self, now: Instant, id: &str, valid_for: Duration) {
        self.forget_expiry(id);
        let Some(session) = self.members.get_mut(id).and_then(|member| member.session.as_mut()) else {
            return;
        };
        let ends_at = now + valid_for;
        let due_at = ends_at - self.config.limits.token_notice.min(valid_for / 2);
        session.expiry = Some(Expiry { ends_at, due_at });
        self.expiries.insert((due_at, id.to_owned()));
    }

    /// Whatever was to happen when the session's token expires does not.
    pub(super) fn forget_expiry(&mut self, id: &str) {
        let session = self.members.get_mut(id).and_then(|member| member.session.as_mut());
        if let Some(expiry) = session.and_then(|session| session.expiry.take()) {
            self.expiries.remove(&(expiry.due_at, id.to_owned()));
        }
    }

    /// The token expires soon, or has.
    pub(super) fn expiry_is_due(&mut self, now: Instant, id: &str) {
        let Some(member) = self.members.get_mut(id) else { return };
        let to = member.web_socket();
        let Some(expiry) = member.session.as_mut().and_then(|session| session.expiry.as_mut()) else {
            return;
        };
        if expiry.ends_at > now {
            expiry.due_at = expiry.ends_at;
            self.expiries.insert((expiry.ends_at, id.to_owned()));
            let in_ms = millis(expiry.ends_at - now);
            if let Some(to) = to {
                self.send(to, &ServerMessage::Expiring(Expiring { in_ms }));
            }
            return;
        }
        if let Some(to) = to {
            let text = "Your token has expired, and no newer one came.";
            self.refuse(to, None, Refusal::new(ErrorCode::TokenExpired, text));
        }
        self.depart(now, id, None, LeaveReason::Expired, Close::Expired);
    }
}
