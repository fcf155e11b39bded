//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): members that publish or watch by one offer over HTTP, at any server.
//!
//! [`endpoints`] says where they come in and what of a scenario can be played there, [`session`] is one member's session from POST
//! to DELETE, [`http`] one request, [`tls`] what a server must prove for it, [`answer`] makes of what servers answer what the stack here takes, or says why it cannot.

pub mod answer;
pub mod endpoints;
pub mod http;
mod member;
pub mod session;
pub mod tls;
