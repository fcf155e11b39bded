//! The drivers around rooms: one task per room with a bounded inbox, one queue per WebSocket, one feed of what core and recorder tell.
//!
//! A WebSocket's reader waits when its room's inbox is full, which slows that client alone. A room never waits for a client: what a WebSocket's
//! queue cannot take closes that WebSocket. A room that panics takes down its own sessions and nothing else.

mod feed;
mod outbox;
mod rooms;
mod task;

pub use feed::{Feed, FeedReceiver, feed};
pub(crate) use outbox::{Outbox, Outgoing, OutgoingReceiver, outbox};
pub(crate) use rooms::{OpenError, RoomHandle};
pub use rooms::{Rooms, RoomsConfig};
pub(crate) use task::Input;
