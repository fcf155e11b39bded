//! Scenarios: who comes into which rooms, what they send and see, and what the run must achieve. TOML files hold
//! them; the shipped ones are compiled in.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::link::LinkConfig;
use crate::objectives::Limits;
use crate::relay::Relay;

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it is, in one sentence.
    #[serde(default)]
    pub about: String,
    /// Rooms, each with all groups.
    #[serde(default = "one")]
    pub rooms: u32,
    /// Seconds between the moment when everybody sees and hears everything, and the measuring.
    #[serde(default = "warmup_s")]
    pub warmup_s: u64,
    /// Seconds that are measured.
    #[serde(default = "duration_s")]
    pub duration_s: u64,
    /// Milliseconds between two members' beginnings; 0: all of a group at once.
    #[serde(default = "join_interval_ms")]
    pub join_interval_ms: u64,
    /// Milliseconds between two transport-wide feedbacks of a member; 0 negotiates none.
    #[serde(default = "feedback_ms")]
    pub feedback_ms: u64,
    /// What happens to media on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// What the run must achieve.
    #[serde(default)]
    pub objectives: Limits,
    /// Who comes, one group after the other.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
}

/// An emulated network between each member and the server, the same both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// Milliseconds each way.
    pub delay_ms: f64,
    /// Milliseconds the delay varies to both sides.
    pub jitter_ms: f64,
    /// Random loss, in percent.
    pub loss_percent: f64,
    /// Packets that later ones overtake, in percent.
    pub reorder_percent: f64,
    /// Bits per second of each member's link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
}

impl Link {
    /// A relay in front of the server's port that is such a network.
    ///
    /// # Errors
    /// No free port.
    pub fn relay(&self, to: SocketAddr, seed: u64) -> Result<Relay> {
        let ms = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        let config = LinkConfig {
            delay: ms(self.delay_ms),
            jitter: ms(self.jitter_ms),
            loss: self.loss_percent / 100.0,
            reorder: self.reorder_percent / 100.0,
            rate_bps: self.rate,
            seed,
            ..LinkConfig::default()
        };
        Ok(Relay::bind(SocketAddr::new(to.ip(), 0), to, config, config)?)
    }

    fn check(&self) -> Result<()> {
        let percent = |value: f64| (0.0..=100.0).contains(&value);
        let ms = |value: f64| (0.0..=60_000.0).contains(&value);
        ensure!(percent(self.loss_percent) && percent(self.reorder_percent), "percentages are 0 to 100");
        ensure!(ms(self.delay_ms) && ms(self.jitter_ms), "a link delays by a minute at most");
        Ok(())
    }
}

/// Members that do the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What its members are called.
    pub name: String,
    /// How many there are in each room; of an open group (`arrivals_per_s`), how many to begin with.
    #[serde(default)]
    pub count: u32,
    /// The video each of them sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<Video>,
    /// Whether each of them sends audio: 50 packets a second of 60 to 160 bytes.
    #[serde(default)]
    pub audio: bool,
    /// How many others' pictures each of them sees.
    #[serde(default)]
    pub sees: Share,
    /// How many others' sounds each of them hears.
    #[serde(default)]
    pub hears: Share,
    /// What comes is not opened, only counted by its headers: far less work, for members whose part is to be many. Gaps in sequence numbers are then all that can be told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// Chat lines a minute of each of them.
    #[serde(default)]
    pub chats_per_min: f64,
    /// How long each of them stays; for the whole run without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay_s: Option<f64>,
    /// The closed model: who left comes again after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_s: Option<f64>,
    /// The open model: so many new ones a second come into each room, however many are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals_per_s: Option<f64>,
    /// In place of the scenario's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_interval_ms: Option<u64>,
}

/// A video stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Bits per second, 50 000 to 100 000 000.
    pub bitrate: u32,
    /// Frames per second, a divisor of 90 000.
    #[serde(default = "fps")]
    pub fps: u32,
}

/// How many of the others a member sees or hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Nobody.
    #[default]
    None,
    /// Everybody.
    All,
    /// So many.
    #[serde(untagged)]
    Some(u32),
}

impl Share {
    /// Of `others`, how many that are.
    pub fn of(self, others: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::All => others,
            Self::Some(count) => count.min(others),
        }
    }
}

impl Group {
    /// Whether its members send media.
    pub fn publishes(&self) -> bool {
        self.video.is_some() || self.audio
    }

    /// Whether its members are to receive media.
    pub fn watches(&self) -> bool {
        self.sees != Share::None || self.hears != Share::None
    }
}

impl Scenario {
    /// A shipped one, by its name, or one in a TOML file, by its path.
    ///
    /// # Errors
    /// Neither, or what is wrong in it.
    pub fn load(name: &str) -> Result<Self> {
        let shipped =
            SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| (*text).to_owned());
        let text = match shipped {
            Some(text) => text,
            None if name.ends_with(".toml") => {
                std::fs::read_to_string(name).with_context(|| name.to_owned())?
            }
            None => {
                let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                bail!("there is no scenario {name}: {}, or a path that ends in .toml", names.join(", "));
            }
        };
        Self::parse(&text).with_context(|| format!("the scenario {name}"))
    }

    /// Reads and checks TOML.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// What all shipped ones are.
    ///
    /// # Errors
    /// None that are shipped.
    pub fn shipped() -> Result<Vec<Self>> {
        SHIPPED.iter().map(|(name, _)| Self::load(name)).collect()
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// A sentence that says what cannot.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.groups.is_empty(), "there is no group");
        ensure!((1..=10_000).contains(&self.rooms), "rooms are 1 to 10 000");
        ensure!((1..=86_400).contains(&self.duration_s), "a run lasts 1 to 86 400 s");
        ensure!(self.feedback_ms <= 10_000, "feedback is sent every 10 s at least, or never");
        self.link.map_or(Ok(()), |link| link.check()).context("the link")?;
        for group in &self.groups {
            group.check().with_context(|| format!("the group {}", group.name))?;
        }
        let publishers: u32 =
            self.groups.iter().filter(|group| group.publishes()).map(|group| group.count).sum();
        ensure!(publishers <= 500, "at most 500 members of a room can publish");
        Ok(())
    }

    /// How many of a room's members send video, and how many audio.
    pub fn sending(&self) -> (u32, u32) {
        let sum = |sends: fn(&Group) -> bool| {
            self.groups.iter().filter(|group| sends(group)).map(|group| group.count).sum()
        };
        (sum(|group| group.video.is_some()), sum(|group| group.audio))
    }

    /// What a member of that group can receive at most: pictures, sounds.
    pub fn slots(&self, group: &Group) -> (u32, u32) {
        let (video, audio) = self.sending();
        let others = |all: u32, own: bool| all - u32::from(own && all > 0);
        (group.sees.of(others(video, group.video.is_some())), group.hears.of(others(audio, group.audio)))
    }

    /// Everybody's frame rate: that of the first group with video.
    pub fn fps(&self) -> u32 {
        self.groups.iter().find_map(|group| group.video).map_or(fps(), |video| video.fps)
    }
}

impl Group {
    fn check(&self) -> Result<()> {
        if let Some(video) = self.video {
            ensure!((50_000..=100_000_000).contains(&video.bitrate), "bitrates are 50 000 to 100 000 000");
            ensure!(
                (1..=120).contains(&video.fps) && 90_000 % video.fps == 0,
                "frame rates are 1 to 120, and divisors of 90 000"
            );
        }
        ensure!(self.count <= 10_000, "a group has at most 10 000 members");
        let positive = |value: Option<f64>| value.is_none_or(|value| value > 0.0 && value <= 86_400.0);
        ensure!(
            positive(self.stay_s) && positive(self.away_s) && positive(self.arrivals_per_s),
            "stay_s, away_s and arrivals_per_s are more than 0"
        );
        ensure!((0.0..=300.0).contains(&self.chats_per_min), "chats_per_min is 0 to 300");
        ensure!(self.away_s.is_none() || self.stay_s.is_some(), "away_s needs stay_s");
        ensure!(
            self.away_s.is_none() || self.arrivals_per_s.is_none(),
            "a group is closed (away_s) or open (arrivals_per_s), not both"
        );
        ensure!(self.count > 0 || self.arrivals_per_s.is_some(), "it has no members");
        ensure!(!(self.sealed && self.publishes()), "who publishes opens what comes");
        ensure!(
            !self.publishes() || (self.stay_s.is_none() && self.arrivals_per_s.is_none()),
            "who publishes stays for the whole run"
        );
        Ok(())
    }
}

fn one() -> u32 {
    1
}

fn warmup_s() -> u64 {
    3
}

fn duration_s() -> u64 {
    20
}

fn join_interval_ms() -> u64 {
    50
}

fn feedback_ms() -> u64 {
    100
}

fn fps() -> u32 {
    30
}

const SHIPPED: [(&str, &str); 10] = [
    ("broadcast", include_str!("../scenarios/broadcast.toml")),
    ("crowd", include_str!("../scenarios/crowd.toml")),
    ("audience", include_str!("../scenarios/audience.toml")),
    ("class", include_str!("../scenarios/class.toml")),
    ("meeting", include_str!("../scenarios/meeting.toml")),
    ("panel", include_str!("../scenarios/panel.toml")),
    ("voice-room", include_str!("../scenarios/voice-room.toml")),
    ("join-storm", include_str!("../scenarios/join-storm.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("idle", include_str!("../scenarios/idle.toml")),
];

#[cfg(test)]
mod tests;
