//! The binary's settings: flags, `SIMMER_*` environment and a TOML file become one validated [`Config`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::protocol::Role;
use crate::token::SAMPLE_KEY;

/// A media server for live rooms: video, steps, chat and votes on one timeline, live and replayed.
#[derive(Parser, Debug)]
#[command(name = "simmer", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<CommandName>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand, Debug)]
enum CommandName {
    /// Serves rooms (what happens without a command, too).
    Serve(Box<Settings>),
    /// Prints a token for a room.
    Token(TokenRequest),
    /// Prints the settings in force as TOML, without secrets.
    Config(Box<Settings>),
}

/// What was asked of the binary.
#[derive(Debug)]
pub enum Order {
    /// Serve.
    Serve(Config),
    /// Print a token.
    Token(TokenRequest),
    /// Print the settings.
    Show(Config),
}

/// A token to print.
#[derive(Args, Clone, Debug)]
pub struct TokenRequest {
    /// The room: 1 to 64 of A-Z a-z 0-9 _ -.
    #[arg(long)]
    pub room: String,
    /// Who it is for: 1 to 64 visible ASCII characters.
    #[arg(long)]
    pub identity: String,
    /// The name shown to others.
    #[arg(long)]
    pub name: Option<String>,
    /// Leads the room, or takes part in it.
    #[arg(long, value_enum, default_value = "participant")]
    role: RoleName,
    /// How long it is good, in seconds, at most a day.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub ttl: u64,
    /// The key that the server checks tokens with.
    #[arg(long, env = "SIMMER_KEY", hide_env_values = true, default_value = SAMPLE_KEY)]
    pub key: String,
}

impl TokenRequest {
    /// Host or participant.
    pub fn role(&self) -> Role {
        match self.role {
            RoleName::Host => Role::Host,
            RoleName::Participant => Role::Participant,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum RoleName {
    Host,
    Participant,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings as they were given: each may be missing.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Where HTTP and WebSocket listen; media takes the same port number [default: 127.0.0.1:7443].
    #[arg(long, env = "SIMMER_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where media (UDP) listens [default: all addresses, the port number of --listen].
    #[arg(long, env = "SIMMER_MEDIA_LISTEN", value_name = "ADDR")]
    media_listen: Option<SocketAddr>,
    /// An address told to clients for media; may be repeated [default: 127.0.0.1 and each local address].
    #[arg(long, env = "SIMMER_ADVERTISE", value_name = "IP", value_delimiter = ',')]
    advertise: Vec<IpAddr>,
    /// Where /metrics listens: keep it private [default: 127.0.0.1:7444].
    #[arg(long, env = "SIMMER_METRICS_LISTEN", value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
    /// Where recordings are kept [default: ./simmer-data].
    #[arg(long, env = "SIMMER_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The key that signs tokens, at least 32 bytes [default: a sample key that everybody knows].
    #[arg(long, env = "SIMMER_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Refuses the sample key, turns the demos off, asks for a token to replay.
    #[arg(long, env = "SIMMER_PRODUCTION")]
    production: bool,
    /// An origin whose pages may connect, besides the server's own; may be repeated.
    #[arg(long, env = "SIMMER_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// Participants in a room at most [default: 500].
    #[arg(long, env = "SIMMER_ROOM_SIZE", value_name = "N")]
    room_size: Option<usize>,
    /// How log lines look, on standard error [default: text].
    #[arg(long, env = "SIMMER_LOG", value_enum, value_name = "FORMAT")]
    log: Option<LogFormat>,
    /// A TOML file with the same settings; flags and environment win over it.
    #[arg(long, env = "SIMMER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// The settings in force, valid as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// HTTP and WebSocket.
    pub listen: SocketAddr,
    /// Media, UDP. Port 0 means the port number that HTTP got.
    pub media_listen: SocketAddr,
    /// Told to clients; empty means 127.0.0.1 and each local address.
    pub advertise: Vec<IpAddr>,
    /// Metrics.
    pub metrics_listen: SocketAddr,
    /// Recordings.
    pub data: PathBuf,
    /// Signs tokens.
    #[serde(skip)]
    pub key: String,
    /// No sample key, no demos, no open recordings.
    pub production: bool,
    /// Origins besides our own.
    pub allow_origin: Vec<String>,
    /// Participants in a room.
    pub room_size: usize,
    /// Log lines.
    pub log: LogFormat,
}

impl Config {
    /// Whether tokens are signed with the key that everybody knows.
    pub fn uses_sample_key(&self) -> bool {
        self.key == SAMPLE_KEY
    }
}

/// Why settings are not in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings in {path}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has settings that do not exist.
    #[error("the settings in {path} are malformed", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// The sample key in production.
    #[error("--production needs a key of its own: set --key or SIMMER_KEY to at least 32 random bytes")]
    SampleKeyInProduction,
    /// A key that is too short.
    #[error("the key has {bytes} bytes; at least 32 are needed")]
    ShortKey {
        /// How many it has.
        bytes: usize,
    },
    /// A number out of its range.
    #[error("--room-size is 1 to 10000")]
    RoomSize,
    /// Not an origin.
    #[error("'{origin}' is not an origin such as https://app.example")]
    Origin {
        /// What was given.
        origin: String,
    },
}

impl CommandLine {
    /// What is asked, with the file read and everything checked.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] names the setting to mend.
    pub fn order(self) -> Result<Order, ConfigError> {
        match self.command {
            None => self.settings.resolve().map(Order::Serve),
            Some(CommandName::Serve(settings)) => settings.over(self.settings).resolve().map(Order::Serve),
            Some(CommandName::Config(settings)) => settings.over(self.settings).resolve().map(Order::Show),
            Some(CommandName::Token(request)) => Ok(Order::Token(request)),
        }
    }
}

impl Settings {
    /// These, and where they are silent the others.
    fn over(self, under: Self) -> Self {
        Self {
            listen: self.listen.or(under.listen),
            media_listen: self.media_listen.or(under.media_listen),
            advertise: if self.advertise.is_empty() { under.advertise } else { self.advertise },
            metrics_listen: self.metrics_listen.or(under.metrics_listen),
            data: self.data.or(under.data),
            key: self.key.or(under.key),
            production: self.production || under.production,
            allow_origin: if self.allow_origin.is_empty() { under.allow_origin } else { self.allow_origin },
            room_size: self.room_size.or(under.room_size),
            log: self.log.or(under.log),
            config: self.config.or(under.config),
        }
    }

    fn resolve(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        let settings = self.over(file);
        let listen = settings.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)));
        let config = Config {
            listen,
            media_listen: settings
                .media_listen
                .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port()))),
            advertise: settings.advertise,
            metrics_listen: settings
                .metrics_listen
                .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_METRICS_PORT))),
            data: settings.data.unwrap_or_else(|| PathBuf::from("simmer-data")),
            key: settings.key.unwrap_or_else(|| SAMPLE_KEY.to_owned()),
            production: settings.production,
            allow_origin: settings.allow_origin,
            room_size: settings.room_size.unwrap_or(DEFAULT_ROOM_SIZE),
            log: settings.log.unwrap_or_default(),
        };
        config.check()
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

impl Config {
    fn check(self) -> Result<Self, ConfigError> {
        if self.production && self.uses_sample_key() {
            return Err(ConfigError::SampleKeyInProduction);
        }
        if self.key.len() < 32 {
            return Err(ConfigError::ShortKey { bytes: self.key.len() });
        }
        if !(1..=10_000).contains(&self.room_size) {
            return Err(ConfigError::RoomSize);
        }
        let is_origin = |origin: &str| {
            let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
        };
        match self.allow_origin.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(ConfigError::Origin { origin: origin.clone() }),
            None => Ok(self),
        }
    }
}

const DEFAULT_PORT: u16 = 7443;
const DEFAULT_METRICS_PORT: u16 = 7444;
const DEFAULT_ROOM_SIZE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn order(words: &[&str]) -> Result<Order, ConfigError> {
        let words = std::iter::once("simmer").chain(words.iter().copied());
        CommandLine::try_parse_from(words).expect("a command line").order()
    }

    fn served(words: &[&str]) -> Config {
        match order(words) {
            Ok(Order::Serve(config)) => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_words_it_serves_on_loopback_with_one_port_number() {
        let config = served(&[]);
        assert_eq!(config.listen.to_string(), "127.0.0.1:7443");
        assert_eq!(config.media_listen.to_string(), "0.0.0.0:7443");
        assert!(config.uses_sample_key() && !config.production);
        assert_eq!(served(&["serve", "--listen", "127.0.0.1:81"]).media_listen.port(), 81);
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("simmer.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:9000\"\nroom_size = 7\nadvertise = [\"10.0.0.1\"]\n")
            .expect("written");
        let file = path.to_str().expect("a path");
        let config = served(&["serve", "--config", file, "--room-size", "8"]);
        assert_eq!((config.listen.port(), config.room_size), (9000, 8));
        assert_eq!(config.advertise, [IpAddr::from([10, 0, 0, 1])]);
        std::fs::write(&path, "listn = 1\n").expect("written");
        assert!(matches!(order(&["serve", "--config", file]), Err(ConfigError::Malformed { .. })));
        assert!(matches!(order(&["--config", "/nowhere/at/all"]), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn production_needs_a_key_of_its_own() {
        assert!(matches!(order(&["--production"]), Err(ConfigError::SampleKeyInProduction)));
        assert!(matches!(order(&["--key", "short"]), Err(ConfigError::ShortKey { bytes: 5 })));
        let key = "0123456789abcdef0123456789abcdef";
        assert!(served(&["--production", "--key", key]).production);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert!(matches!(order(&["--room-size", "0"]), Err(ConfigError::RoomSize)));
        assert!(matches!(order(&["--allow-origin", "app.example"]), Err(ConfigError::Origin { .. })));
        assert_eq!(served(&["--allow-origin", "https://app.example"]).allow_origin.len(), 1);
    }

    #[test]
    fn settings_are_shown_without_the_key() {
        let key = "0123456789abcdef0123456789abcdef";
        let Ok(Order::Show(config)) = order(&["config", "--key", key]) else { panic!("settings") };
        let text = toml::to_string(&config).expect("TOML");
        assert!(text.contains("listen") && !text.contains(key));
    }
}
