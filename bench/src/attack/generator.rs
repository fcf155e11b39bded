//! What an attack is made of: datagrams from a seed, and a gun that fires them at a pace.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Makes an attack's datagrams, the same ones from the same seed.
pub trait Generator: Send {
    /// Puts the next datagram into `out`, which is empty.
    fn next(&mut self, out: &mut Vec<u8>);
}

/// What was fired, and what came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volley {
    /// Datagrams sent; for attacks on the signaling, messages.
    pub sent: u64,
    /// Datagrams that a flood was to be; nothing where an attack is as long as it takes.
    pub due: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that came back.
    pub replies: u64,
    /// Their bytes.
    pub reply_bytes: u64,
    /// Promises that the attacker itself saw broken.
    pub broken: Vec<String>,
    /// What is worth telling besides.
    pub notes: Vec<String>,
}

impl Volley {
    /// Adds another volley to this one.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.due += other.due;
        self.sent_bytes += other.sent_bytes;
        self.replies += other.replies;
        self.reply_bytes += other.reply_bytes;
        self.broken.extend(other.broken);
        self.notes.extend(other.notes);
    }

    /// Notes a broken promise unless it is kept.
    pub fn promise(&mut self, kept: bool, broken: impl FnOnce() -> String) {
        if !kept {
            self.broken.push(broken());
        }
    }

    /// A datagram went out.
    pub fn count_sent(&mut self, len: usize) {
        self.sent += 1;
        self.sent_bytes += len as u64;
    }

    /// A datagram came back.
    pub fn count_reply(&mut self, len: usize) {
        self.replies += 1;
        self.reply_bytes += len as u64;
    }
}

/// Lets something happen so many times a second, for so long, in steps of a millisecond. What cannot be done in time is left out.
#[derive(Debug)]
pub struct Pace {
    begin: Instant,
    end: Instant,
    rate: u64,
    done: u64,
}

impl Pace {
    /// `rate` times a second from now on, for `length`.
    pub fn new(rate: u64, length: Duration) -> Self {
        let begin = Instant::now();
        Self { begin, end: begin + length, rate, done: 0 }
    }

    /// How often it is to happen in all.
    pub fn total(&self) -> u64 {
        let micros = u64::try_from((self.end - self.begin).as_micros()).unwrap_or(u64::MAX);
        self.rate.saturating_mul(micros) / 1_000_000
    }

    /// Sleeps until something is due, and says how often; none when the time is over.
    pub fn wait(&mut self) -> Option<u64> {
        std::thread::sleep(STEP);
        let now = Instant::now();
        if now >= self.end {
            return None;
        }
        let micros = u64::try_from(now.duration_since(self.begin).as_micros()).unwrap_or(u64::MAX);
        let due = self.rate.saturating_mul(micros) / 1_000_000;
        let count = due.saturating_sub(self.done).min(self.rate / 20 + 1);
        self.done = due;
        Some(count)
    }
}

/// Sockets of somebody the server does not know.
#[derive(Debug)]
pub struct Outsider {
    sockets: Vec<UdpSocket>,
    target: SocketAddr,
}

impl Outsider {
    /// So many sockets at `local`, aimed at a media port.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(local: IpAddr, target: SocketAddr, sockets: usize) -> Result<Self> {
        let bind = |_| {
            let socket = UdpSocket::bind((local, 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let sockets = (0..sockets.max(1)).map(bind).collect::<io::Result<_>>();
        Ok(Self { sockets: sockets.context("an attacker's sockets")?, target })
    }

    /// Fires `rate` datagrams a second for `length`, from each socket in turn, then waits for what still comes back. Blocks.
    pub fn fire(&self, generator: &mut dyn Generator, rate: u64, length: Duration) -> Volley {
        let mut volley = Volley::default();
        let mut datagram = Vec::with_capacity(2048);
        let mut pace = Pace::new(rate, length);
        volley.due = pace.total();
        let mut sockets = self.sockets.iter().cycle();
        let mut looked = Instant::now();
        while let Some(count) = pace.wait() {
            for socket in sockets.by_ref().take(usize::try_from(count).unwrap_or(0)) {
                datagram.clear();
                generator.next(&mut datagram);
                if socket.send_to(&datagram, self.target).is_ok() {
                    volley.count_sent(datagram.len());
                }
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                self.count_replies(&mut volley);
            }
        }
        std::thread::sleep(PATIENCE);
        self.count_replies(&mut volley);
        volley
    }

    fn count_replies(&self, volley: &mut Volley) {
        let mut buffer = [0; 2048];
        for socket in &self.sockets {
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok((len, _)) => volley.count_reply(len),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
    }
}

const STEP: Duration = Duration::from_millis(1);
const LOOK: Duration = Duration::from_millis(20);
/// A reply on this machine that is not there by then does not come.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u8);

    impl Generator for Numbers {
        fn next(&mut self, out: &mut Vec<u8>) {
            self.0 = self.0.wrapping_add(1);
            out.push(self.0);
        }
    }

    #[test]
    fn what_is_fired_arrives_and_what_comes_back_is_counted() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
        server.set_nonblocking(true).expect("a socket");
        let target = server.local_addr().expect("bound");
        let outsider = Outsider::new(target.ip(), target, 2).expect("sockets");
        let volley = outsider.fire(&mut Numbers(0), 100, Duration::from_secs(1));
        let mut buffer = [0; 16];
        let mut from = Vec::new();
        while let Ok((_, address)) = server.recv_from(&mut buffer) {
            from.push(address);
            server.send_to(b"reply", address).expect("sent");
        }
        assert!(volley.sent > 0 && volley.sent == from.len() as u64 && volley.sent_bytes == volley.sent);
        assert_eq!(volley.due, 100);
        assert_eq!(volley.replies, 0);
        let mut again = Volley::default();
        outsider.count_replies(&mut again);
        assert_eq!((again.replies, again.reply_bytes), (volley.sent, 5 * volley.sent));
        assert!(from.len() == 1 || from[0] != from[1], "from each socket in turn");
    }
}
