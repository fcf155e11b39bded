//! The command line, and what it must say to be valid.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::link::{BurstLoss, LinkConfig};
use crate::objectives::Limits;
use crate::options::{RowOptions, RunOptions};
use crate::scenario::{Group, Scenario, Share, Video};

/// Virtual users for a Simmer server, or any that speaks WHIP and WHEP, and the network between.
#[derive(Debug, Parser)]
#[command(name = "simmer-bench", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the bench can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A room with a few publishers and many subscribers: forwarding, verified and measured.
    Fanout(FanoutArgs),
    /// A scenario: who comes into which rooms, sends, sees and says what.
    Run(PlayArgs),
    /// The saturation point: ever more members of a scenario, step by step, until a limit is passed.
    Ramp(RampArgs),
    /// Attacks of every family, one after the other, while an honest call runs that must not notice.
    Attack(AttackArgs),
    /// A UDP relay in front of a media port that delays, loses and reorders.
    Link(LinkArgs),
    /// What this machine itself charges now for sending and sealing a packet, whatever server there is.
    Floor(FloorArgs),
}

/// What `fanout` runs.
#[derive(Clone, Debug, Args)]
pub struct FanoutArgs {
    /// Clients that publish.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub publishers: u32,
    /// Clients that subscribe to all publishers.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub subscribers: u32,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub duration: u64,
    /// Seconds between the last subscriber's first picture and the measuring.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub warmup: u64,
    /// Video bits per second of each publisher; k and M may follow the number.
    #[arg(long, default_value = "1500k", value_parser = parse_bitrate)]
    pub bitrate: u32,
    /// Frames per second; a divisor of 90000.
    #[arg(long, default_value_t = 30, value_parser = parse_fps)]
    pub fps: u32,
    /// Publishes audio as well.
    #[arg(long)]
    pub audio: bool,
    /// Milliseconds between two subscribers' beginnings.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub join_interval_ms: u64,
    /// Milliseconds between two transport-wide feedbacks of a subscriber; 0 negotiates none.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub feedback_ms: u64,
    /// How it is run.
    #[command(flatten)]
    pub options: RunOptions,
    /// How it is told.
    #[command(flatten)]
    pub row: RowOptions,
}

impl FanoutArgs {
    /// The same as a scenario.
    pub fn scenario(&self) -> Scenario {
        let group = |name: &str, count| Group { name: name.to_owned(), count, ..Group::default() };
        Scenario {
            name: "fanout".to_owned(),
            about: "Publishers, and subscribers who see and hear all of them.".to_owned(),
            rooms: 1,
            warmup_s: self.warmup,
            duration_s: self.duration,
            join_interval_ms: self.join_interval_ms,
            feedback_ms: self.feedback_ms,
            link: None,
            objectives: Limits::default(),
            groups: vec![
                Group {
                    video: Some(Video { bitrate: self.bitrate, fps: self.fps }),
                    audio: self.audio,
                    join_interval_ms: Some(0),
                    ..group("publisher", self.publishers)
                },
                Group { sees: Share::All, hears: Share::All, ..group("subscriber", self.subscribers) },
            ],
        }
    }
}

/// What `run` plays.
#[derive(Clone, Debug, Args)]
pub struct PlayArgs {
    /// A shipped scenario's name, or the path of a TOML file; without it, the shipped ones are listed.
    pub scenario: Option<String>,
    /// Changes how many members a group has.
    #[arg(long, value_name = "GROUP=COUNT", value_parser = parse_count)]
    pub count: Vec<(String, u32)>,
    /// Rooms, in place of the scenario's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: Option<u32>,
    /// Seconds that are measured, in place of the scenario's.
    #[arg(long)]
    pub duration: Option<u64>,
    /// Seconds before that, in place of the scenario's.
    #[arg(long)]
    pub warmup: Option<u64>,
    /// Milliseconds between two transport-wide feedbacks, in place of the scenario's.
    #[arg(long)]
    pub feedback_ms: Option<u64>,
    /// How it is run.
    #[command(flatten)]
    pub options: RunOptions,
    /// How it is told.
    #[command(flatten)]
    pub row: RowOptions,
}

impl PlayArgs {
    /// The scenario as it was asked for; none when none is named.
    ///
    /// # Errors
    /// A scenario that is not there or cannot be run, or a group that it has not.
    pub fn scenario(&self) -> Result<Option<Scenario>> {
        let Some(name) = &self.scenario else { return Ok(None) };
        let mut scenario = Scenario::load(name)?;
        scenario.rooms = self.rooms.unwrap_or(scenario.rooms);
        scenario.duration_s = self.duration.unwrap_or(scenario.duration_s);
        scenario.warmup_s = self.warmup.unwrap_or(scenario.warmup_s);
        scenario.feedback_ms = self.feedback_ms.unwrap_or(scenario.feedback_ms);
        set_counts(&mut scenario, &self.count)?;
        Ok(Some(scenario))
    }
}

/// What `ramp` searches. The limits are the objectives; where none is named, 0.5 % of loss, joins of a second and packets of
/// 50 ms are too much.
#[derive(Clone, Debug, Args)]
pub struct RampArgs {
    /// A shipped scenario's name, or the path of a TOML file.
    #[arg(default_value = "crowd")]
    pub scenario: String,
    /// The group that grows in each room; the last that publishes nothing by default.
    #[arg(long, conflicts_with = "rooms")]
    pub group: Option<String>,
    /// Rooms grow in number, each with all groups, in place of a group.
    #[arg(long)]
    pub rooms: bool,
    /// The first size.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub from: u32,
    /// The last size.
    #[arg(long, default_value_t = 480, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub to: u32,
    /// How much larger each size is than the one before.
    #[arg(long, default_value_t = 1.4, value_parser = parse_factor)]
    pub factor: f64,
    /// Seconds that each size is measured.
    #[arg(long, default_value_t = 5.0)]
    pub step_s: f64,
    /// Seconds between the last arrival of a size and its measuring.
    #[arg(long, default_value_t = 1.0)]
    pub settle_s: f64,
    /// The objective: so many members at least must pass no limit.
    #[arg(long)]
    pub min_members: Option<u64>,
    /// Changes how many members another group has.
    #[arg(long, value_name = "GROUP=COUNT", value_parser = parse_count)]
    pub count: Vec<(String, u32)>,
    /// How it is run.
    #[command(flatten)]
    pub options: RunOptions,
}

impl RampArgs {
    /// The scenario as it was asked for.
    ///
    /// # Errors
    /// A scenario that is not there or cannot be run, or a group that it has not.
    pub fn scenario(&self) -> Result<Scenario> {
        ensure!(self.from <= self.to, "--from is larger than --to");
        ensure!(self.step_s > 0.0 && self.settle_s >= 0.0, "seconds are not negative");
        let mut scenario = Scenario::load(&self.scenario)?;
        set_counts(&mut scenario, &self.count)?;
        Ok(scenario)
    }
}

/// What `attack` runs. Only servers on this machine are attacked.
#[derive(Clone, Debug, Args)]
pub struct AttackArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:7443")]
    pub url: String,
    /// Honest participants that subscribe to the one who publishes.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub subscribers: u32,
    /// Milliseconds that each attack lasts.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub length_ms: u64,
    /// Newcomers whose joining is timed during each attack.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub joins: u32,
    /// Datagrams a second of an attack that is a flood.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub rate: u64,
    /// Only attacks whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
    /// Measures that process as the server; it must run on this machine.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// The server's log, in which no panic may stand.
    #[arg(long)]
    pub server_log: Option<std::path::PathBuf>,
    /// The most that joining may take longer than in quiet times, at the 95th percentile.
    #[arg(long, default_value_t = 1.2)]
    pub max_join_factor: f64,
    /// The most that answering or refusing an offer may take, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub max_answer_ms: u64,
    /// The most that the server's memory may have grown after an attack, in MiB.
    #[arg(long, default_value_t = 16.0)]
    pub max_growth_mib: f64,
    /// Writes the report as JSON to standard output, in place of the table.
    #[arg(long)]
    pub json: bool,
    /// The server's key, to sign tokens with; by default the sample key of development servers.
    #[arg(long, env = "SIMMER_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Seeds every attack.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What `link` emulates.
#[derive(Clone, Debug, Args)]
pub struct LinkArgs {
    /// Where clients send to.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The media port behind the link.
    #[arg(long, default_value = "127.0.0.1:7443")]
    pub to: SocketAddr,
    /// Random loss, in percent.
    #[arg(long, default_value_t = 0.0, value_parser = parse_percent)]
    pub loss: f64,
    /// Loss in bursts: the percentage of packets that begin one.
    #[arg(long, default_value_t = 0.0, value_parser = parse_percent)]
    pub burst: f64,
    /// How many packets a burst lasts on average.
    #[arg(long, default_value_t = 5.0)]
    pub burst_length: f64,
    /// Milliseconds each way.
    #[arg(long, default_value_t = 0.0, value_parser = parse_ms)]
    pub delay: f64,
    /// Milliseconds the delay varies to both sides.
    #[arg(long, default_value_t = 0.0, value_parser = parse_ms)]
    pub jitter: f64,
    /// Packets that later ones overtake, in percent.
    #[arg(long, default_value_t = 0.0, value_parser = parse_percent)]
    pub reorder: f64,
    /// Packets that arrive twice, in percent.
    #[arg(long, default_value_t = 0.0, value_parser = parse_percent)]
    pub duplicate: f64,
    /// Bits per second of each client's link, each way; k and M may follow the number.
    #[arg(long, value_parser = parse_bitrate)]
    pub rate: Option<u32>,
    /// Bytes that may wait for a link with a rate.
    #[arg(long, default_value_t = 150_000)]
    pub queue: u64,
    /// Seeds everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Impairs only what goes to the clients.
    #[arg(long, conflicts_with = "up_only")]
    pub down_only: bool,
    /// Impairs only what comes from the clients.
    #[arg(long)]
    pub up_only: bool,
    /// One link for all clients' way down: a bottleneck they share.
    #[arg(long)]
    pub shared_down: bool,
    /// Writes what the links did as a line of JSON, each time so many milliseconds have passed.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub report_ms: Option<u64>,
    /// Allows addresses that are not on this machine.
    #[arg(long)]
    pub allow_remote: bool,
}

/// What `floor` measures. It sends to sockets of its own on this machine.
#[derive(Clone, Debug, Args)]
pub struct FloorArgs {
    /// Sockets that are sent to in turn.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub viewers: u16,
    /// Seconds that each of four steps is measured.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10))]
    pub duration: u64,
    /// Writes one JSON object, in place of the table.
    #[arg(long)]
    pub json: bool,
    /// Writes rows of a Markdown table, each beginning with this name, in place of the table.
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    pub rows: Option<String>,
}

/// A server's address, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where its HTTP port is.
    pub address: SocketAddr,
    /// What to write in `Host`.
    pub authority: String,
}

impl Target {
    /// Resolves `http://host:port`.
    ///
    /// # Errors
    /// Another form, an unknown host, or a host that is not this machine unless `allow_remote`.
    pub fn resolve(url: &str, allow_remote: bool) -> Result<Self> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"));
        let authority = rest.context("the URL must begin with http://")?.trim_end_matches('/');
        ensure!(
            !authority.is_empty() && !authority.contains('/'),
            "the URL must name a host and nothing behind it"
        );
        let named = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let mut addresses =
            named.to_socket_addrs().with_context(|| format!("the host of {url}"))?.collect::<Vec<_>>();
        // IPv4 first: a development server listens there.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let address = *addresses.first().with_context(|| format!("{url} has no address"))?;
        if !allow_remote && !addresses.iter().all(|address| address.ip().is_loopback()) {
            bail!("{url} is not on this machine; --allow-remote allows that");
        }
        Ok(Self { address, authority: authority.to_owned() })
    }

    /// The server that is meant by an address with a path.
    ///
    /// # Errors
    /// As [`Target::resolve`].
    pub fn of(url: &Url, allow_remote: bool) -> Result<Self> {
        let host = url.host_str().context("the URL must name a host")?;
        let port = url.port_or_known_default().unwrap_or(80);
        Self::resolve(&format!("http://{host}:{port}"), allow_remote)
    }

    /// Where a client's media socket must be to reach the server.
    ///
    /// # Errors
    /// No route to it.
    pub fn local_ip(&self) -> Result<IpAddr> {
        let any: IpAddr = if self.address.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect(self.address).context("no route to the server")?;
        Ok(socket.local_addr()?.ip())
    }
}

impl LinkArgs {
    /// What happens to packets from the clients and to packets for them.
    ///
    /// # Errors
    /// Addresses elsewhere, unless allowed, and bursts shorter than a packet.
    pub fn configs(&self) -> Result<(LinkConfig, LinkConfig)> {
        let local = self.listen.ip().is_loopback() && self.to.ip().is_loopback();
        ensure!(
            local || self.allow_remote,
            "both addresses must be on this machine; --allow-remote allows others"
        );
        ensure!(self.burst_length >= 1.0, "a burst lasts at least one packet");
        let burst = BurstLoss { enter: self.burst / 100.0, leave: 1.0 / self.burst_length, loss: 1.0 };
        let impaired = LinkConfig {
            delay: Duration::from_secs_f64(self.delay / 1000.0),
            jitter: Duration::from_secs_f64(self.jitter / 1000.0),
            loss: self.loss / 100.0,
            burst: (self.burst > 0.0).then_some(burst),
            reorder: self.reorder / 100.0,
            duplicate: self.duplicate / 100.0,
            rate_bps: self.rate.map(u64::from),
            queue_bytes: self.queue,
            seed: self.seed,
            ..LinkConfig::default()
        };
        let perfect = LinkConfig { seed: self.seed, ..LinkConfig::default() };
        Ok((if self.down_only { perfect } else { impaired }, if self.up_only { perfect } else { impaired }))
    }
}

pub(crate) fn parse_bitrate(text: &str) -> Result<u32, String> {
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    let number: f64 = number.parse().map_err(|_| "a number, with k or M behind it if you like".to_owned())?;
    let rate = number * factor;
    if !(50e3..=100e6).contains(&rate) {
        return Err("from 50k to 100M".to_owned());
    }
    Ok(rate as u32)
}

fn set_counts(scenario: &mut Scenario, counts: &[(String, u32)]) -> Result<()> {
    for (name, count) in counts {
        let group = scenario.groups.iter_mut().find(|group| group.name == *name);
        group.with_context(|| format!("there is no group {name}"))?.count = *count;
    }
    scenario.check()
}

fn parse_factor(text: &str) -> Result<f64, String> {
    parse_within(text, 1.01..=10.0)
}

fn parse_count(text: &str) -> Result<(String, u32), String> {
    let (group, count) = text.split_once('=').ok_or("GROUP=COUNT")?;
    Ok((group.to_owned(), count.parse().map_err(|_| "a number behind =".to_owned())?))
}

fn parse_fps(text: &str) -> Result<u32, String> {
    let fps = text.parse().map_err(|_| "a number".to_owned())?;
    if (1..=120).contains(&fps) && 90_000 % fps == 0 {
        return Ok(fps);
    }
    Err("1 to 120, and a divisor of 90000: 10, 15, 24, 25, 30, 50, 60".to_owned())
}

fn parse_percent(text: &str) -> Result<f64, String> {
    parse_within(text, 0.0..=100.0)
}

fn parse_ms(text: &str) -> Result<f64, String> {
    parse_within(text, 0.0..=60_000.0)
}

pub(crate) fn parse_within(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().map_err(|_| "a number".to_owned())?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fanout(words: &[&str]) -> Result<FanoutArgs, clap::Error> {
        let words = ["simmer-bench", "fanout"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| match cli.command {
            Command::Fanout(args) => args,
            _ => unreachable!("fanout was asked for"),
        })
    }

    #[test]
    fn bitrates_and_frame_rates_are_checked() {
        assert_eq!(fanout(&[]).expect("defaults").bitrate, 1_500_000);
        assert_eq!(fanout(&["--bitrate", "2.5M"]).expect("valid").bitrate, 2_500_000);
        assert_eq!(fanout(&["--bitrate", "800000"]).expect("valid").bitrate, 800_000);
        for wrong in [["--bitrate", "fast"], ["--bitrate", "1k"], ["--fps", "29"], ["--fps", "0"]] {
            assert!(fanout(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn one_form_of_the_report_is_asked_for() {
        let asked = |command: &[&str], form: &[&str]| {
            let words = ["simmer-bench"].iter().chain(command).chain(form);
            Cli::try_parse_from(words).map(drop)
        };
        for command in [&["fanout"][..], &["run", "broadcast"], &["floor"]] {
            assert!(asked(command, &["--rows", "x"]).is_ok(), "{command:?}");
            assert!(asked(command, &["--json"]).is_ok(), "{command:?}");
            let refused = asked(command, &["--rows", "x", "--json"]).expect_err("two forms").to_string();
            assert!(refused.contains("'--rows <NAME>' cannot be used with '--json'"), "{refused}");
        }
    }

    #[test]
    fn only_this_machine_unless_allowed() {
        let target = Target::resolve("http://127.0.0.1:7443", false).expect("local");
        assert_eq!(target.address, SocketAddr::from(([127, 0, 0, 1], 7443)));
        assert_eq!(target.local_ip().expect("a route"), IpAddr::from([127, 0, 0, 1]));
        assert!(Target::resolve("http://192.0.2.1:7443", false).is_err());
        assert!(Target::resolve("http://192.0.2.1:7443", true).is_ok());
        for wrong in ["127.0.0.1:7443", "http://", "http://127.0.0.1:7443/room", "https://127.0.0.1"] {
            assert!(Target::resolve(wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_way_may_be_perfect() {
        let words = ["simmer-bench", "link", "--loss", "5", "--delay", "25", "--down-only"];
        let Command::Link(args) = Cli::try_parse_from(words).expect("valid").command else { panic!("link") };
        let (up, down) = args.configs().expect("valid");
        assert_eq!((up.loss, up.delay), (0.0, Duration::ZERO));
        assert_eq!((down.loss, down.delay), (0.05, Duration::from_millis(25)));
    }
}
