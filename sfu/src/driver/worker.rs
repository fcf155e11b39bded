//! One worker's turn: what came in, what is due, what goes out.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::Poll;

use super::backlog::{Backlog, Fate};
use super::door::{Arrival, Door, Handed, Inbox, Told};
use super::heard::is_check;
use super::placement::{Entry, Handled, Placement};
use super::routes::Routes;
use super::socket::{MediaSocket, Sent};
use super::together::Headers;
use crate::counters::WorkerCounters;
use crate::id::ShardIndex;
use crate::message::{DisconnectReason, Event};
use crate::shard::mirror::Crossing;
use crate::shard::{Batch, Shard};
use crate::transport::{Class, RtcTransport, Transport};

/// Whom events are told to. One worker at a time.
pub(super) type OnEvent = Box<dyn FnMut(Event) + Send>;

/// What a thread runs: a shard, its socket, and the doors to it and to the others.
pub(super) struct Worker {
    pub(super) index: ShardIndex,
    pub(super) shard: Shard<RtcTransport>,
    pub(super) socket: MediaSocket,
    pub(super) headers: Headers,
    pub(super) poll: Poll,
    pub(super) inbox: Inbox,
    /// Everybody's, its own at its index.
    pub(super) doors: Arc<[Door]>,
    /// `None` when there is one worker, which has every room.
    pub(super) placement: Option<Arc<Mutex<Placement>>>,
    pub(super) on_event: Arc<Mutex<OnEvent>>,
    pub(super) routes: Routes,
    pub(super) rest: Rest,
}

/// What a worker keeps from turn to turn.
#[derive(Default)]
pub(super) struct Rest {
    /// Received packets are copied here once, and shared from here on.
    pool: BytesMut,
    /// The same for what nobody keeps: between packets it would hold on to their memory, or they to its.
    passing: BytesMut,
    /// What placement is to be told when its events have been told.
    handled: Vec<Handled>,
    /// A bit for each worker that something was handed to.
    to_wake: u64,
    backlog: Backlog<Crossing>,
    totals: WorkerCounters,
    /// When the totals were shown last, and how many packets had been forwarded.
    shown: Option<(Instant, u64)>,
}

impl Worker {
    pub(super) fn run(mut self) {
        let mut ready = mio::Events::with_capacity(8);
        let mut more = false;
        loop {
            let timeout = if more { Duration::ZERO } else { self.timeout() };
            if let Err(error) = self.poll.poll(&mut ready, Some(timeout))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the media port can no longer be polled");
                return;
            }
            let stop = self.door().stop.load(Ordering::Acquire);
            self.door().look();
            self.obey(Instant::now());
            more = self.receive();
            let now = Instant::now();
            if stop {
                self.shard.close(now);
            }
            self.let_run(now);
            self.transmit_unless_more_comes(now);
            self.hand_on();
            self.show(now, stop);
            if stop {
                return;
            }
        }
    }

    fn door(&self) -> &Door {
        &self.doors[self.index.index()]
    }

    fn timeout(&mut self) -> Duration {
        let now = Instant::now();
        match self.shard.poll_timeout().into_iter().chain(self.shard.waits(now)).min() {
            Some(at) => at.saturating_duration_since(now).min(TICK),
            None => TICK,
        }
    }

    fn obey(&mut self, now: Instant) {
        while let Ok(told) = self.inbox.commands.try_recv() {
            // What another worker did before this was said, comes before it.
            self.take_handed(now);
            if self.placement.is_some()
                && let Told::Command(command) = &told
            {
                self.rest.handled.extend(Handled::by(command));
            }
            self.shard.guarded(now, |shard, now| match told {
                Told::Command(command) => shard.handle_message(now, command),
                Told::Admitted(participant, Entry { spread, number, .. }) => {
                    shard.join_spread(now, spread, participant, number);
                }
                Told::Spread(spread) => shard.spread(now, spread),
            });
        }
        self.hand_on();
    }

    /// Takes what has arrived, at most some batches at a time so that commands and timers get their turn, and sends what it brings about. Whether
    /// there may be more. What arrives while a batch is handled is taken along, up to some amount: packets of one picture leave in one send.
    fn receive(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let now = Instant::now();
            let received = self.socket.receive();
            // Not before: another worker tells whose an address is before the client there can know, and writes.
            let more = self.take_handed(now);
            match received {
                Ok(count) => self.take(now, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.transmit_unless_more_comes(now);
                    return more;
                }
                // An ICMP error of an earlier send comes back here and means nothing for the next datagram.
                Err(error) => tracing::debug!(%error, "receiving on the media port"),
            }
            self.transmit_much(now);
        }
        self.transmit(Instant::now());
        true
    }

    /// Takes a batch to whom it is for.
    fn take(&mut self, now: Instant, count: usize) {
        for at in 0..count {
            let Some((path, contents, size)) = self.socket.look(at) else { continue };
            let pool = if Class::of(contents) == Some(Class::Rtp) {
                let pool = &mut self.rest.pool;
                if pool.capacity() < contents.len() {
                    *pool = BytesMut::with_capacity(POOL_BYTES.max(contents.len()));
                }
                pool
            } else {
                let passing = &mut self.rest.passing;
                passing.reserve(contents.len().max(PASSING_BYTES));
                passing
            };
            pool.extend_from_slice(contents);
            let arrival = Arrival { path, size, contents: pool.split() };
            self.rest.totals.datagrams_received += arrival.count();
            if self.doors.len() == 1 {
                self.hear(now, arrival);
            } else {
                self.sort(now, arrival);
            }
        }
        self.hand_on();
    }

    /// Finds out whose datagrams these are. Several of one sender go together, but for checks, which have an addressee each.
    fn sort(&mut self, now: Instant, mut arrival: Arrival) {
        let path = arrival.path;
        let checks = |datagram: &[u8]| datagram.first().copied().is_some_and(is_check);
        if !arrival.contents.chunks(arrival.size).any(checks) {
            let shard = self.routes.of_address(now, path.from);
            return self.pass(now, shard, arrival);
        }
        while let Some(contents) = arrival.split_first() {
            let shard = match RtcTransport::addressed_ufrag(&contents) {
                Some(ufrag) => self.routes.of_check(ufrag),
                None => self.routes.of_address(now, path.from),
            };
            self.pass(now, shard, Arrival { path, size: contents.len(), contents });
        }
    }

    fn pass(&mut self, now: Instant, shard: ShardIndex, arrival: Arrival) {
        let from = arrival.path.from;
        if shard != self.index {
            let count = arrival.count();
            let totals = match self.hand(shard, Handed::Arrived(arrival, self.index)) {
                true => &mut self.rest.totals.datagrams_handed_over,
                false => &mut self.rest.totals.datagrams_dropped,
            };
            *totals += count;
        } else if self.hear(now, arrival) {
            self.routes.learn(now, from, self.index);
        }
    }

    /// Hands something to another worker, which is woken by [`hand_on`](Self::hand_on). Whether there was room for it.
    fn hand(&mut self, to: ShardIndex, what: Handed) -> bool {
        self.rest.to_wake |= 1 << to.index();
        self.doors.get(to.index()).is_some_and(|door| door.handed.try_send(what).is_ok())
    }

    /// Tells what happened, hands over what the shard has for others, and then lets placement know what has ended: what follows from anything of it
    /// elsewhere comes after it. Wakes all who were handed something.
    fn hand_on(&mut self) {
        self.tell();
        self.cross();
        self.settle();
        let mut to_wake = std::mem::take(&mut self.rest.to_wake);
        while to_wake != 0 {
            if let Some(door) = self.doors.get(to_wake.trailing_zeros() as usize) {
                door.wake_once();
            }
            to_wake &= to_wake - 1;
        }
    }

    /// Hands over what the shard tells others. What finds no place is lost if it may be, and else comes before what is told later.
    fn cross(&mut self) {
        let (doors, rest) = (&self.doors, &mut self.rest);
        let mut to_wake = 0;
        let mut hand = |to: ShardIndex, crossing| {
            // A worker that has ended needs nothing any more.
            let Some(door) = doors.get(to.index()) else { return Ok(()) };
            to_wake |= 1 << to.index();
            match door.handed.try_send(Handed::Crossing(crossing)) {
                Err(TrySendError::Full(Handed::Crossing(crossing))) => Err(crossing),
                _ => Ok(()),
            }
        };
        rest.backlog.retry(&mut hand);
        while let Some((to, crossing)) = self.shard.poll_crossing() {
            let (is_packet, may_be_lost) = (crossing.is_packet(), crossing.may_be_lost());
            match rest.backlog.offer(to, crossing, may_be_lost, &mut hand) {
                Fate::Handed => rest.totals.packets_mirrored += u64::from(is_packet),
                Fate::Lost if may_be_lost => rest.totals.packets_dropped += u64::from(is_packet),
                Fate::Lost => {
                    tracing::error!("a worker takes nothing: the rooms that it shares are not whole")
                }
                Fate::Kept => {}
            }
        }
        rest.to_wake |= to_wake;
    }

    /// Takes what other workers have handed over, some of it at a time. Whether there may be more.
    fn take_handed(&mut self, now: Instant) -> bool {
        for _ in 0..HANDED_PER_TURN {
            match self.inbox.handed.try_recv() {
                Ok(Handed::Arrived(arrival, by)) => {
                    let from = arrival.path.from;
                    if self.hear(now, arrival) {
                        // Should it find no room there, the next check says it again.
                        self.hand(by, Handed::Bound(from, self.index));
                        self.routes.learn(now, from, self.index);
                    }
                    self.transmit_much(now);
                }
                Ok(Handed::Bound(from, shard)) => self.routes.learn(now, from, shard),
                Ok(Handed::Crossing(crossing)) => {
                    self.shard.guarded(now, |shard, now| shard.handle_crossing(now, crossing));
                    self.transmit_much(now);
                }
                Err(_) => {
                    self.hand_on();
                    return false;
                }
            }
        }
        self.hand_on();
        true
    }

    /// Hands datagrams to the shard. Whether one of them was an authenticated check.
    fn hear(&mut self, now: Instant, mut arrival: Arrival) -> bool {
        let path = arrival.path;
        let Some(&first) = arrival.contents.first() else { return false };
        let elsewhere = self.socket.heard().elsewhere(path);
        if elsewhere {
            self.transmit(now);
        }
        self.socket.heard().note(path, first);
        let mut bound = false;
        while let Some(datagram) = arrival.split_first() {
            let handled =
                self.shard.guarded(now, |shard, now| shard.handle_datagram(now, path.from, datagram));
            bound |= handled.unwrap_or_default();
        }
        if elsewhere {
            self.transmit(now);
            self.socket.heard().settle();
        }
        bound
    }

    fn transmit_unless_more_comes(&mut self, now: Instant) {
        if self.shard.waits(now).is_none() {
            self.transmit(now);
        }
    }

    fn transmit_much(&mut self, now: Instant) {
        if self.shard.waiting_bytes() >= BYTES_AT_ONCE {
            self.transmit(now);
        }
    }

    /// Lets everything run that is due. What one part of it has written is sent before the next part writes.
    fn let_run(&mut self, now: Instant) {
        let mut again = false;
        while self.shard.poll_timeout().is_some_and(|at| at <= now) {
            if std::mem::replace(&mut again, true) {
                self.send(|shard, send| shard.poll_written(send));
            }
            self.shard.guarded(now, |shard, now| shard.handle_timeout(now));
        }
    }

    fn transmit(&mut self, now: Instant) {
        self.send(|shard, send| shard.poll_transmit(now, send));
    }

    fn send(&mut self, poll: impl FnOnce(&mut Shard<RtcTransport>, &mut dyn FnMut(Batch<'_>))) {
        let (socket, headers) = (&self.socket, &mut self.headers);
        let mut sent = Sent::default();
        poll(&mut self.shard, &mut |batch| sent += socket.send(headers, batch));
        self.shard.count_sent(sent.datagrams, sent.sends);
        self.shard.count_unsent(sent.unsent);
    }

    fn tell(&mut self) {
        if let Some(mut event) = self.shard.poll_event() {
            let mut on_event = self.on_event.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if self.placement.is_some() {
                    self.rest.handled.extend(fault(&event));
                }
                on_event(event);
                let Some(next) = self.shard.poll_event() else { break };
                event = next;
            }
        }
    }

    fn settle(&mut self) {
        if let Some(placement) = &self.placement
            && !self.rest.handled.is_empty()
        {
            let mut placement = placement.lock().unwrap_or_else(PoisonError::into_inner);
            self.rest.handled.drain(..).for_each(|handled| placement.handled(handled));
        }
    }

    /// Shows the totals once a tick, and at the end.
    fn show(&mut self, now: Instant, last: bool) {
        let (before, forwarded_before) = self.rest.shown.unwrap_or((now, 0));
        let elapsed = now.saturating_duration_since(before);
        if self.rest.shown.is_some() && elapsed < TICK && !last {
            return;
        }
        let counters = self.shard.counters();
        let forwarded = counters.packets_forwarded;
        if !elapsed.is_zero() {
            let rate = ((forwarded - forwarded_before) as f64 / elapsed.as_secs_f64()) as u64;
            // Over about a second: pictures come in bursts.
            let load = &self.door().load;
            load.store((load.load(Ordering::Relaxed) * 7 + rate) / 8, Ordering::Relaxed);
        }
        self.rest.shown = Some((now, forwarded));
        self.rest.totals.participants = counters.participants;
        self.rest.totals.packets_forwarded = forwarded;
        *self.door().totals.lock().unwrap_or_else(PoisonError::into_inner) = (counters, self.rest.totals);
    }
}

/// Who is gone without a command.
fn fault(event: &Event) -> Option<Handled> {
    match event {
        Event::Disconnected { participant, reason: DisconnectReason::Fault } => {
            Some(Handled::Left(*participant))
        }
        _ => None,
    }
}

/// The longest sleep, so that totals are never older.
const TICK: Duration = Duration::from_millis(100);
const BATCHES_PER_TURN: usize = 8;
const HANDED_PER_TURN: usize = 256;
/// Sealed by so much, which takes a quarter of a millisecond, what waits leaves before more is taken.
const BYTES_AT_ONCE: u64 = 1024 * 1024;
const POOL_BYTES: usize = 64 * 1024;
const PASSING_BYTES: usize = 2048;
