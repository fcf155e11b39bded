//! Virtual users for a Simmer server, or any that speaks WHIP and WHEP: they publish media that says what it is, subscribe to it, and verify what
//! arrives.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`mark`], [`source`], [`flow`] | media with its own account of itself, and what was sent of it |
//! | [`verify`] | the check of one received stream |
//! | [`connection`], [`tap`], [`sealed`], [`sdp`] | a peer connection on a socket of its own |
//! | [`arrivals`] | transport-wide feedback |
//! | [`publisher`], [`subscriber`], [`routes`], [`client`] | what clients do, and the threads that drive them |
//! | [`scenario`], [`options`], [`objectives`] | what is played, how, and what must be achieved |
//! | [`signaling`], [`wish`] | sessions with the server: Simmer's own protocol; WHIP and WHEP |
//! | [`member`], [`load`] | a member's life, and the run they make |
//! | [`ramp`] | the search for the saturation point |
//! | [`events`] | whether all members of a room are told the same |
//! | [`measure`], [`stolen`], [`findings`], [`report`], [`html`] | what it cost, what the host took meanwhile, what it comes to, and how it looks |
//! | [`floor`] | what the machine itself charges for sending and sealing |
//! | [`attack`] | attacks while an honest call runs |
//! | [`link`], [`relay`], [`links`] | an emulated network, pure, as a UDP relay, and before each media address of a run |

pub mod args;
pub mod arrivals;
pub mod attack;
pub mod client;
pub mod clock;
pub mod connection;
pub mod events;
pub mod findings;
pub mod floor;
pub mod flow;
pub mod html;
pub mod link;
pub mod links;
pub mod load;
pub mod mark;
pub mod measure;
pub mod member;
pub mod objectives;
pub mod options;
pub mod publisher;
pub mod ramp;
pub mod relay;
pub mod report;
pub mod routes;
pub mod scenario;
pub mod sdp;
pub mod sealed;
pub mod signaling;
pub mod source;
pub mod stolen;
pub mod subscriber;
pub mod tap;
pub mod verify;
pub mod wish;
