//! Sessions without a WebSocket: what WHIP (RFC 9725) and WHEP ask of a room, and its replies.
//!
//! Such a session is an ordinary one whose offer comes over HTTP. It ends with its transport, since nobody is there to offer anew.

use std::time::{Duration, Instant};

use simmer_sfu::id::ParticipantId;
use simmer_sfu::message::Command;
use simmer_sfu::sdp::{Fragment, IceCredentials, Offer as Description, OfferError};

use super::media::offer_refusal;
use super::member::Member;
use super::rate::Class;
use super::{Admission, Close, Output, Refusal, Room};
use crate::protocol::{ErrorCode, LeaveReason, Rights};
use crate::token::same;

/// A request that waits for its reply. Chosen by the caller, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// What somebody wants of a room over HTTP.
#[derive(Clone, Debug)]
pub enum HttpRequest {
    /// To enter, with an offer.
    Open {
        /// Who, by their token.
        admission: Admission,
        /// What for.
        purpose: Purpose,
        /// The offer's SDP.
        offer: String,
    },
    /// To tell candidates, which changes nothing, or to restart ICE.
    Patch {
        /// The session's id.
        session: String,
        /// Whose it is, by their token.
        identity: String,
        /// Which ICE session is meant.
        expects: Expects,
        /// What is told, as in RFC 8840 section 9.
        fragment: String,
    },
    /// To leave.
    Close {
        /// The session's id.
        session: String,
        /// Whose it is, by their token.
        identity: String,
    },
}

/// What a session over HTTP is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Sending media: WHIP.
    Publish,
    /// Receiving it: WHEP.
    Watch {
        /// The one publication to see or hear, with its owner's sound; else what the room shows.
        publication: Option<String>,
    },
}

/// The condition of a request (RFC 9110 section 13.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expects {
    /// `*`.
    Any,
    /// One of these entity tags, with their quotes.
    Tags(Vec<String>),
}

/// How a room replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpReply {
    /// The session is open.
    Opened {
        /// Its id, which only its owner knows.
        session: String,
        /// The entity tag of its ICE session.
        tag: String,
        /// The answer's SDP.
        answer: String,
    },
    /// ICE has restarted.
    Restarted {
        /// The new entity tag.
        tag: String,
        /// The fragment with our credentials.
        fragment: String,
    },
    /// There is nothing more to say.
    Done,
    /// The request was about another ICE session than there is now.
    Outdated,
    /// It is not done.
    Refused {
        /// Why, as in section 6 of the protocol.
        code: ErrorCode,
        /// Why, for a person to read.
        message: String,
        /// When to try again, if that is known.
        retry: Option<Duration>,
    },
}

/// The part of a session that HTTP needs.
pub(super) struct HttpSession {
    pub(super) purpose: Purpose,
    /// As the client told them last.
    client: IceCredentials,
    /// ICE sessions so far.
    generation: u32,
    /// The request that waits for the core's answer, and the credentials it brought.
    waiting: Option<(RequestId, IceCredentials)>,
}

impl HttpSession {
    fn tag(&self) -> String {
        format!("\"{}\"", self.generation)
    }
}

impl Room {
    /// A request came over HTTP whose token has been checked. It is replied to once, now or when the core has answered.
    pub fn handle_http(&mut self, now: Instant, request: RequestId, what: HttpRequest) {
        self.handle_timeout(now);
        let refused = match what {
            HttpRequest::Open { admission, purpose, offer } => {
                self.open_over_http(now, request, admission, purpose, offer)
            }
            HttpRequest::Patch { session, identity, expects, fragment } => {
                self.patch_over_http(now, request, (&session, &identity), &expects, fragment)
            }
            HttpRequest::Close { session, identity } => {
                self.close_over_http(now, request, (&session, &identity))
            }
        };
        if let Err(refusal) = refused {
            self.refuse_request(request, refusal);
        }
    }

    /// The reply that told of a new session found nobody: whoever asked for it has gone.
    pub fn abandon(&mut self, now: Instant, session: &str) {
        let is_it = |member: &Member| member.session.as_ref().is_some_and(|known| known.id == session);
        let Some(id) = self.members.iter().find(|(_, member)| is_it(member)).map(|(id, _)| id.clone()) else {
            return;
        };
        self.leave(now, &id);
    }

    fn open_over_http(
        &mut self,
        now: Instant,
        request: RequestId,
        admission: Admission,
        purpose: Purpose,
        offer: String,
    ) -> Result<(), Refusal> {
        self.admit(now, &admission).map_err(|(refusal, _)| refusal)?;
        let client = self.judge_over_http(&offer, &purpose, admission.rights)?;
        let view = match &purpose {
            Purpose::Publish => None,
            Purpose::Watch { publication } => Some(self.stage(publication.as_deref())?),
        };
        if let Some(member) = self.identities.get(&admission.identity).and_then(|id| self.members.get_mut(id))
        {
            member.buckets.take(Class::Offer, now).map_err(Refusal::rate)?;
        }
        let id = self.take_place(now, admission);
        let waiting = Some((request, client.clone()));
        let http = HttpSession { purpose, client, generation: 0, waiting };
        self.open_session(&id, None, Some(http));
        if let Some(session) = self.members.get_mut(&id).and_then(|member| member.session.as_mut()) {
            session.view = view;
        }
        self.join_core(&id);
        self.command(&id, |participant| Command::Offer { participant, request: request.0, sdp: offer });
        Ok(())
    }

    fn patch_over_http(
        &mut self,
        now: Instant,
        request: RequestId,
        whose: (&str, &str),
        expects: &Expects,
        fragment: String,
    ) -> Result<(), Refusal> {
        let id = self.owner(whose)?;
        let told = Fragment::parse(&fragment, &self.core_limits()).map_err(|error| offer_refusal(&error))?;
        let Some(member) = self.members.get_mut(&id) else { return Err(no_such_session()) };
        let Some(http) = member.session.as_mut().and_then(|session| session.http.as_mut()) else {
            return Err(no_such_session());
        };
        if let Expects::Tags(tags) = expects
            && !tags.contains(&http.tag())
        {
            self.outputs.push_back(Output::Reply { request, reply: HttpReply::Outdated });
            return Ok(());
        }
        let Some(client) = told.ice().filter(|client| **client != http.client) else {
            self.outputs.push_back(Output::Reply { request, reply: HttpReply::Done });
            return Ok(());
        };
        member.buckets.take(Class::Offer, now).map_err(Refusal::rate)?;
        if http.waiting.is_some() {
            return Err(Refusal::rate(Duration::from_secs(1)));
        }
        http.waiting = Some((request, client.clone()));
        self.command(&id, |participant| Command::RestartIce { participant, request: request.0, fragment });
        Ok(())
    }

    fn close_over_http(
        &mut self,
        now: Instant,
        request: RequestId,
        whose: (&str, &str),
    ) -> Result<(), Refusal> {
        let id = self.owner(whose)?;
        self.leave(now, &id);
        self.outputs.push_back(Output::Reply { request, reply: HttpReply::Done });
        Ok(())
    }

    /// The core's answer to what came over HTTP. Whether it was for such a session.
    pub(super) fn answered_over_http(
        &mut self,
        now: Instant,
        id: &str,
        request: u64,
        answer: &Result<String, OfferError>,
    ) -> bool {
        let Some(session) = self.members.get_mut(id).and_then(|member| member.session.as_mut()) else {
            return false;
        };
        let Some(http) = session.http.as_mut() else { return false };
        let Some((request, client)) = http.waiting.take_if(|(waiting, _)| waiting.0 == request) else {
            return true;
        };
        let opens = http.generation == 0;
        match answer {
            Ok(text) => {
                http.client = client;
                http.generation += 1;
                let (tag, text) = (http.tag(), text.clone());
                let reply = if opens {
                    HttpReply::Opened { session: session.id.clone(), tag, answer: text }
                } else {
                    HttpReply::Restarted { tag, fragment: text }
                };
                self.outputs.push_back(Output::Reply { request, reply });
            }
            Err(error) => {
                self.refuse_request(request, offer_refusal(error));
                if opens {
                    self.leave(now, id);
                }
            }
        }
        true
    }

    /// A session over HTTP ends with its transport. Whether it was one.
    pub(super) fn lost_over_http(&mut self, now: Instant, participant: ParticipantId, closed: bool) -> bool {
        let Some(id) = self.cores.get(&participant).cloned() else { return false };
        let session = self.members.get(&id).and_then(|member| member.session.as_ref());
        if session.is_none_or(|session| session.http.is_none()) {
            return false;
        }
        if closed {
            self.leave(now, &id);
        } else {
            self.depart(now, &id, None, LeaveReason::Timeout, Close::Left);
        }
        true
    }

    /// Who waited for a session that has ended in the meantime.
    pub(super) fn release(&mut self, http: Option<HttpSession>, why: Close) {
        let Some((request, _)) = http.and_then(|http| http.waiting) else { return };
        let refusal = match why {
            Close::Kicked => Refusal::new(ErrorCode::Kicked, "You were removed from the room."),
            Close::Ended => Refusal::new(ErrorCode::RoomEnded, "The room has ended."),
            _ => no_such_session(),
        };
        self.refuse_request(request, refusal);
    }

    /// Whether an offer is one, and one that the token and the purpose allow. The client's credentials.
    fn judge_over_http(
        &self,
        sdp: &str,
        purpose: &Purpose,
        rights: Rights,
    ) -> Result<IceCredentials, Refusal> {
        let may = match purpose {
            Purpose::Publish => rights.publish,
            Purpose::Watch { .. } => rights.subscribe,
        };
        if !may {
            return Err(Refusal::new(ErrorCode::NotAllowed, "Your token does not allow this."));
        }
        let offer = Description::parse(sdp, &self.core_limits()).map_err(|error| offer_refusal(&error))?;
        let unsupported = |text: &'static str| Err(Refusal::new(ErrorCode::UnsupportedOffer, text));
        match purpose {
            Purpose::Publish if offer.only_receives_somewhere() => {
                unsupported("An offer to publish has no m-lines that only receive.")
            }
            Purpose::Publish if !offer.sends_media() => unsupported("The offer sends nothing."),
            Purpose::Watch { .. } if offer.sends_media() => {
                unsupported("An offer to watch has m-lines that only receive.")
            }
            Purpose::Watch { .. } if !offer.receives_media() => unsupported("The offer receives nothing."),
            _ => Ok(offer.ice().clone()),
        }
    }

    /// Whose session it is: the id alone is not enough.
    fn owner(&self, (session, identity): (&str, &str)) -> Result<String, Refusal> {
        let id = self.identities.get(identity).ok_or_else(no_such_session)?;
        let known = self.members.get(id).and_then(|member| member.session.as_ref());
        known
            .filter(|known| known.http.is_some() && same(&known.id, session))
            .map(|_| id.clone())
            .ok_or_else(no_such_session)
    }

    fn command(&mut self, id: &str, command: impl FnOnce(ParticipantId) -> Command) {
        let Some(media) = self.members.get_mut(id).and_then(Member::media) else { return };
        let command = command(media.core);
        self.outputs.push_back(Output::Core(command));
    }

    fn refuse_request(&mut self, request: RequestId, refusal: Refusal) {
        let Refusal { code, message, retry } = refusal;
        let reply = HttpReply::Refused { code, message: message.into_owned(), retry };
        self.outputs.push_back(Output::Reply { request, reply });
    }
}

fn no_such_session() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "There is no such session.")
}
