//! Several sends in one system call, where the system has that (Linux: `sendmmsg`).

use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;

use crate::shard::{Run, TURNS_AT_ONCE};

/// What one send takes: one datagram, or several of one size for one destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) to: SocketAddr,
    pub(super) run: Run<'a>,
    pub(super) way: Way,
}

/// What the system is told of a message beyond its contents. It is told once for all that go in one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// The size of each datagram but the last, where they are several.
    pub(super) segment_size: Option<u16>,
    /// Which of our addresses it leaves from; `None` for as the system likes.
    pub(super) source: Option<IpAddr>,
}

/// Sends messages in order, neighbours that go the same way in one call, as many at once as write at once. `done` is told of each whether it left.
pub(super) fn send_together<'a>(
    headers: &mut Headers,
    socket: &UdpSocket,
    messages: impl Iterator<Item = Message<'a>>,
    mut done: impl FnMut(&Message<'a>, bool),
) {
    let mut messages = messages.peekable();
    while let Some(first) = messages.next() {
        let mut group = [first; TURNS_AT_ONCE];
        let mut count = 1;
        while count < TURNS_AT_ONCE
            && let Some(next) = messages.next_if(|next| next.way == first.way)
        {
            group[count] = next;
            count += 1;
        }
        let mut rest = &group[..count];
        while !rest.is_empty() {
            let (left, others) = rest.split_at(headers.send(socket, first.way, rest).min(rest.len()));
            left.iter().for_each(|message| done(message, true));
            // The system stops at the first that it does not take.
            rest = match others.split_first() {
                Some((refused, others)) => {
                    done(refused, false);
                    others
                }
                None => others,
            };
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Headers;
#[cfg(not(target_os = "linux"))]
pub(super) use one_by_one::Headers;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSlice;
    use std::net::IpAddr;
    use std::os::fd::AsRawFd;

    use mio::net::UdpSocket;
    use nix::cmsg_space;
    use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
    use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

    use super::{Message, TURNS_AT_ONCE, Way};

    /// Memory for what the system is told of messages: once for each set of things that can be said, made when it is needed first.
    #[derive(Default)]
    pub(in super::super) struct Headers([Option<MultiHeaders<SockaddrStorage>>; 6]);

    impl Headers {
        /// Sends messages that go the same way, [`TURNS_AT_ONCE`] at most; how many left.
        pub(super) fn send(&mut self, socket: &UdpSocket, way: Way, messages: &[Message<'_>]) -> usize {
            let contents: [[IoSlice<'_>; 1]; TURNS_AT_ONCE] = std::array::from_fn(|at| {
                [IoSlice::new(messages.get(at).map_or(&[][..], |message| message.run.contents))]
            });
            let addresses: [Option<SockaddrStorage>; TURNS_AT_ONCE] =
                std::array::from_fn(|at| messages.get(at).map(|message| message.to.into()));
            let count = messages.len().min(TURNS_AT_ONCE);
            let (v4, v6);
            let (source, family) = match way.source {
                None => (None, 0),
                Some(IpAddr::V4(source)) => {
                    let source = in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
                    v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: in_addr { s_addr: 0 } };
                    (Some(ControlMessage::Ipv4PacketInfo(&v4)), 1)
                }
                Some(IpAddr::V6(source)) => {
                    v6 = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 };
                    (Some(ControlMessage::Ipv6PacketInfo(&v6)), 2)
                }
            };
            let segments = way.segment_size.as_ref().map(ControlMessage::UdpGsoSegments);
            let mut said = [ControlMessage::UdpGsoSegments(&0); 2];
            let mut saying = 0;
            for control in [segments, source].into_iter().flatten() {
                said[saying] = control;
                saying += 1;
            }
            let headers = self.0[family * 2 + usize::from(segments.is_some())].get_or_insert_with(|| {
                let mut space = if segments.is_some() { cmsg_space!(u16) } else { Vec::new() };
                match way.source {
                    None => {}
                    Some(IpAddr::V4(_)) => space.extend(cmsg_space!(in_pktinfo)),
                    Some(IpAddr::V6(_)) => space.extend(cmsg_space!(in6_pktinfo)),
                }
                // Its capacity is what counts.
                space.shrink_to_fit();
                MultiHeaders::preallocate(TURNS_AT_ONCE, (saying > 0).then_some(space))
            });
            let sent = sendmmsg(
                socket.as_raw_fd(),
                headers,
                &contents[..count],
                &addresses[..count],
                &said[..saying],
                MsgFlags::empty(),
            );
            sent.map_or(0, Iterator::count)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket as StdSocket;

    use super::*;

    #[test]
    fn as_many_as_leave_together_leave_in_one_call() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = StdSocket::bind("127.0.0.1:0").unwrap();
        let (to, mut headers) = (client.local_addr().unwrap(), Headers::default());
        let source = Some([127, 0, 0, 1].into());
        // Also when less or more is said than before.
        for (segment_size, source) in [(None, None), (Some(100), source), (None, source), (Some(100), None)] {
            let way = Way { segment_size, source };
            let run = Run { contents: &[1; 150], segment_size: segment_size.unwrap_or(150).into() };
            let messages = [Message { to, run, way }; TURNS_AT_ONCE];
            assert_eq!(headers.send(&socket, way, &messages), TURNS_AT_ONCE);
            let datagrams = TURNS_AT_ONCE as u64 * run.datagrams();
            let octets: usize = (0..datagrams).map(|_| client.recv(&mut [0; 200]).unwrap()).sum();
            assert_eq!(octets, 150 * TURNS_AT_ONCE);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod one_by_one {
    use mio::net::UdpSocket;

    use super::{Message, Way};

    /// The system has no such call.
    #[derive(Default)]
    pub(in super::super) struct Headers;

    impl Headers {
        pub(super) fn send(&mut self, _: &UdpSocket, _: Way, _: &[Message<'_>]) -> usize {
            0
        }
    }
}
