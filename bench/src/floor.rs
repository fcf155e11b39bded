//! The floor: what the machine itself charges, in this hour, for what no server can leave out. Each viewer's packets are sealed for that viewer and
//! handed to the system; nothing is received, chosen, numbered or remembered, and nobody reads what arrives.

mod burst;
mod viewers;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::FloorArgs;
use crate::measure::ThreadCpu;
use crate::stolen::{self, Stolen};
use burst::Burst;
use viewers::Viewers;

/// The floor of a packet, for a viewer of picture and sound as the scenario `broadcast` has them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Floor {
    /// 1; it changes when a field changes its meaning or goes.
    pub schema: u32,
    /// Who is sent to in turn, each on a socket of their own.
    pub viewers: usize,
    /// How many packets may leave in one send: 1 where the system has no `UDP_SEGMENT`.
    pub max_segments: usize,
    /// What a packet of a picture takes; a picture leaves in one send.
    pub picture: Price,
    /// What a packet of sound takes, which leaves alone.
    pub sound: Price,
    /// The share of all processors' time that the host of this virtual machine gave to others meanwhile, in percent; none
    /// where the system does not tell.
    pub stolen_percent: Option<f64>,
}

/// What a packet of one kind takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Price {
    /// So many a second for each viewer.
    pub packets_per_s: f64,
    /// So many leave in one send, on average.
    pub packets_per_send: f64,
    /// Its size, sealed, on average.
    pub octets: f64,
    /// Processor time of sending it, in microseconds.
    pub send_us: f64,
    /// Processor time of sealing it with AES-128-GCM, in microseconds.
    pub seal_us: f64,
}

impl Price {
    /// Sent and sealed, in microseconds.
    pub fn us(&self) -> f64 {
        self.send_us + self.seal_us
    }
}

impl Floor {
    /// Measures for four times that long, on the calling thread.
    ///
    /// # Errors
    /// No sockets, a send that the system refuses, no `/proc`, or a machine so busy that nothing could be counted.
    pub fn measure(args: &FloorArgs) -> Result<Self> {
        let length = Duration::from_secs(args.duration);
        let unread = viewers::sockets(args.viewers.into(), NO_ROOM).context("sockets for the viewers")?;
        let mut viewers = Viewers::at(&unread)?;
        let before = Stolen::now();
        let picture = price(&mut viewers, &burst::pictures(), length)?;
        let sound = price(&mut viewers, &burst::sounds(), length)?;
        let stolen_percent = stolen::percent_between(before, Stolen::now());
        let max_segments = viewers.max_segments();
        Ok(Self { schema: 1, viewers: unread.len(), max_segments, picture, sound, stolen_percent })
    }

    /// Of a packet, where each viewer has picture and sound, in microseconds.
    pub fn picture_and_sound_us(&self) -> f64 {
        let a_second = |of: &Price| of.packets_per_s * of.us();
        (a_second(&self.picture) + a_second(&self.sound))
            / (self.picture.packets_per_s + self.sound.packets_per_s)
    }

    /// As rows of a Markdown table without goals, each beginning with this name.
    pub fn rows(&self, name: &str) -> String {
        let rows = self.lines().map(|(what, figure)| format!("| {name} | {what} | - | {figure} |"));
        rows.join("\n")
    }

    fn lines(&self) -> [(String, String); 6] {
        let Self { picture, sound, .. } = self;
        let segments = if self.max_segments > 1 { "" } else { " (this system has no UDP_SEGMENT)" };
        let taken =
            self.stolen_percent.map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.1}"));
        let doubt = stolen::doubt(self.stolen_percent);
        let both = |of: fn(&Price) -> f64| format!("{:.2}; {:.2}", of(picture), of(sound));
        [
            (
                "a packet of picture and sound, in us".to_owned(),
                format!("{:.2}", self.picture_and_sound_us()),
            ),
            ("a packet of pictures alone, in us".to_owned(), format!("{:.2}", picture.us())),
            ("a packet of sound alone, in us".to_owned(), format!("{:.2}", sound.us())),
            (
                format!("sending: each of {:.1} in one send{segments}; one alone", picture.packets_per_send),
                both(|price| price.send_us),
            ),
            (
                format!("sealing: one of {:.0} octets; of {:.0}", picture.octets, sound.octets),
                both(|price| price.seal_us),
            ),
            (
                "taken by the host, in percent of all processors; doubts".to_owned(),
                format!("{taken}; {}", doubt.as_deref().unwrap_or("none")),
            ),
        ]
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what this machine charges now for each of {} viewers\n", self.viewers)?;
        self.lines().iter().try_for_each(|(what, figure)| writeln!(f, "  {what:<56}{figure}"))
    }
}

/// What the packets of ten seconds take, each burst for all viewers in turn, again and again for that long: sent, then sealed.
fn price(viewers: &mut Viewers, bursts: &[Burst], length: Duration) -> Result<Price> {
    let sum = |of: fn(&Burst) -> usize| bursts.iter().map(of).sum::<usize>() as f64;
    let sends = bursts.iter().map(|burst| viewers.sends(*burst)).sum::<usize>() as f64;
    let packets = sum(|burst| burst.packets);
    Ok(Price {
        packets_per_s: packets / burst::SECONDS as f64,
        packets_per_send: packets / sends,
        octets: sum(|burst| burst.packets * burst.octets) / packets,
        send_us: us_a_packet(bursts, length, |burst| viewers.send(burst))?,
        seal_us: us_a_packet(bursts, length, |burst| viewers.seal(burst))?,
    })
}

/// This thread's processor time for each packet, in microseconds, when what is done for a burst, which says for how many packets, is done for
/// that long.
fn us_a_packet(
    bursts: &[Burst],
    length: Duration,
    mut each: impl FnMut(Burst) -> Result<usize>,
) -> Result<f64> {
    let cpu = ThreadCpu::of_this_thread().context("processor time is read from /proc")?;
    let ends = Instant::now() + length;
    let mut packets = 0;
    for burst in bursts.iter().cycle() {
        packets += each(*burst)?;
        if Instant::now() >= ends {
            break;
        }
    }
    let used = cpu.used();
    ensure!(!used.is_zero(), "the machine is too busy: this thread had no processor time in {length:?}");
    Ok(used.as_secs_f64() * 1e6 / packets as f64)
}

/// The least that the system gives: of what nobody reads a packet or a picture waits, and the rest is thrown away.
const NO_ROOM: usize = 1;

#[cfg(test)]
mod tests;
