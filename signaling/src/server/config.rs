//! Settings: flags win over the environment, the environment over the file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::token::{SAMPLE_KEY, ShortKey, Tokens};

/// The command line.
#[derive(Parser, Debug)]
#[command(
    name = "simmer",
    version,
    about = "A media server for live rooms, with their recording and replay."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) flags: Flags,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Run the server (the default).
    Serve,
    /// Print a token, signed with the key.
    Token {
        /// The room: 1 to 64 characters of A-Z a-z 0-9 _ -
        #[arg(long)]
        room: String,
        /// Who: 1 to 64 visible ASCII characters.
        #[arg(long)]
        identity: String,
        /// The display name; without it the client chooses.
        #[arg(long)]
        name: Option<String>,
        /// What they are in the room.
        #[arg(long, default_value = "participant", value_parser = ["host", "participant"])]
        role: String,
        /// How long it is valid, at most a day.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
        minutes: u64,
    },
    /// Print the settings in force, without secrets, as a configuration file.
    Config,
}

/// What was typed, or set in the environment.
#[derive(Args, Debug, Default)]
pub(super) struct Flags {
    /// Address of HTTP and WebSocket [default: 127.0.0.1:7443]
    #[arg(long, env = "SIMMER_LISTEN", global = true)]
    listen: Option<SocketAddr>,
    /// Address of media, UDP [default: 0.0.0.0, or [::] for both families if --listen or --advertise has IPv6; and the port of --listen]
    #[arg(long, env = "SIMMER_MEDIA_LISTEN", global = true)]
    media_listen: Option<SocketAddr>,
    /// IP address told to clients for media; repeatable [default: 127.0.0.1 and each local address]
    #[arg(long, env = "SIMMER_ADVERTISE", value_delimiter = ',', global = true)]
    advertise: Vec<IpAddr>,
    /// Address of /metrics; keep it private [default: 127.0.0.1:7444]
    #[arg(long, env = "SIMMER_METRICS_LISTEN", global = true)]
    metrics_listen: Option<SocketAddr>,
    /// Folder of the recordings [default: ./simmer-data]
    #[arg(long, env = "SIMMER_DATA", global = true)]
    data: Option<PathBuf>,
    /// Key that signs tokens (HS256), at least 32 bytes [default: a public sample]
    #[arg(long, env = "SIMMER_KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// Refuse the sample key, ask a token for recordings, serve no demos
    #[arg(long, env = "SIMMER_PRODUCTION", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    production: bool,
    /// Origin whose pages may open the WebSocket, such as https://class.example; repeatable
    #[arg(long, env = "SIMMER_ALLOW_ORIGIN", value_delimiter = ',', global = true)]
    allow_origin: Vec<String>,
    /// Participants in a room [default: 500]
    #[arg(long, env = "SIMMER_ROOM_SIZE", global = true)]
    room_size: Option<usize>,
    /// Threads that forward media, 1 to 64 [default: the number of processors]
    #[arg(long, env = "SIMMER_WORKERS", global = true)]
    workers: Option<usize>,
    /// Format of the log on standard error [default: text]
    #[arg(long, env = "SIMMER_LOG", global = true)]
    log: Option<LogFormat>,
    /// File with the same settings, TOML
    #[arg(long, env = "SIMMER_CONFIG", global = true)]
    config: Option<PathBuf>,
}

/// What the file says.
#[derive(Deserialize, Serialize, Debug, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_listen: Option<SocketAddr>,
    advertise: Option<Vec<IpAddr>>,
    metrics_listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    #[serde(skip_serializing)]
    key: Option<String>,
    production: Option<bool>,
    allow_origin: Option<Vec<String>>,
    room_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<usize>,
    log: Option<LogFormat>,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// The key that signs tokens. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Whether it is the public sample.
    pub fn is_sample(&self) -> bool {
        self.0 == SAMPLE_KEY
    }
}

/// The settings in force, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP listens.
    pub listen: SocketAddr,
    /// Where media listens; `None` for all addresses and HTTP's port number.
    pub media_listen: Option<SocketAddr>,
    /// What clients are told; empty for the local addresses.
    pub advertise: Vec<IpAddr>,
    /// Where `/metrics` listens.
    pub metrics_listen: SocketAddr,
    /// Where recordings are.
    pub data: PathBuf,
    /// What signs tokens.
    pub key: Key,
    /// No demos, no sample key, recordings need a token.
    pub production: bool,
    /// Origins allowed besides the server's own.
    pub allow_origin: Vec<String>,
    /// Participants in a room.
    pub room_size: usize,
    /// Threads that forward media; `None` for the number of processors.
    pub workers: Option<usize>,
    /// How the log is written.
    pub log: LogFormat,
}

/// Why the settings are not valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{path} is no valid configuration")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// The key is too short.
    #[error(transparent)]
    Key(#[from] ShortKey),
    /// Production with the sample key.
    #[error("the sample key is public: --production needs a key of your own (--key or SIMMER_KEY)")]
    SampleKey,
    /// No room for anybody, or for too many.
    #[error("--room-size is 1 to 10000, not {0}")]
    RoomSize(usize),
    /// No worker, or too many.
    #[error("--workers is 1 to {MOST_WORKERS}, not {0}")]
    Workers(usize),
    /// Not an origin.
    #[error("`{0}` is no origin, such as https://class.example")]
    Origin(String),
}

impl Config {
    /// Puts flags, environment and file together.
    pub(super) fn load(flags: Flags) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let some = |list: Vec<_>| (!list.is_empty()).then_some(list);
        let config = Self {
            listen: flags.listen.or(file.listen).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 7443))),
            media_listen: flags.media_listen.or(file.media_listen),
            advertise: some(flags.advertise).or(file.advertise).unwrap_or_default(),
            metrics_listen: flags
                .metrics_listen
                .or(file.metrics_listen)
                .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 7444))),
            data: flags.data.or(file.data).unwrap_or_else(|| PathBuf::from("./simmer-data")),
            key: Key(flags.key.or(file.key).unwrap_or_else(|| SAMPLE_KEY.to_owned())),
            production: flags.production || file.production.unwrap_or(false),
            allow_origin: (!flags.allow_origin.is_empty())
                .then_some(flags.allow_origin)
                .or(file.allow_origin)
                .unwrap_or_default(),
            room_size: flags.room_size.or(file.room_size).unwrap_or(500),
            workers: flags.workers.or(file.workers),
            log: flags.log.or(file.log).unwrap_or_default(),
        };
        config.validate()?;
        Ok(config)
    }

    /// How many threads forward media.
    pub fn workers(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
        self.workers.unwrap_or_else(processors)
    }

    /// The tokens of this key.
    pub fn tokens(&self) -> Result<Tokens, ShortKey> {
        Tokens::new(&self.key.0)
    }

    /// As a configuration file, without the key.
    pub fn to_toml(&self) -> String {
        let file = File {
            listen: Some(self.listen),
            media_listen: self.media_listen,
            advertise: Some(self.advertise.clone()),
            metrics_listen: Some(self.metrics_listen),
            data: Some(self.data.clone()),
            key: None,
            production: Some(self.production),
            allow_origin: Some(self.allow_origin.clone()),
            room_size: Some(self.room_size),
            workers: self.workers,
            log: Some(self.log),
        };
        let key = if self.key.is_sample() { "the public sample" } else { "set, not shown" };
        let settings = toml::to_string(&file).unwrap_or_default();
        format!("# key: {key}\n{settings}")
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.tokens()?;
        if self.production && self.key.is_sample() {
            return Err(ConfigError::SampleKey);
        }
        if !(1..=10_000).contains(&self.room_size) {
            return Err(ConfigError::RoomSize(self.room_size));
        }
        if let Some(workers) = self.workers.filter(|workers| !(1..=MOST_WORKERS).contains(workers)) {
            return Err(ConfigError::Workers(workers));
        }
        let wrong = self.allow_origin.iter().find(|origin| !is_origin(origin));
        wrong.map_or(Ok(()), |origin| Err(ConfigError::Origin(origin.clone())))
    }
}

/// What the media core takes.
const MOST_WORKERS: usize = simmer_sfu::id::ShardIndex::MOST;

/// `scheme://authority`, nothing behind.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https")
            && !authority.is_empty()
            && !authority.contains(['/', '?', '#', ' '])
    })
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, Flags) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("simmer.toml");
        std::fs::write(&path, text).expect("a file");
        (folder, Flags { config: Some(path), ..Flags::default() })
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let (_folder, mut flags) = file("room-size = 7\nlisten = '127.0.0.1:1000'\n");
        flags.listen = Some(SocketAddr::from(([127, 0, 0, 1], 2000)));
        let config = Config::load(flags).expect("valid settings");
        assert_eq!((config.room_size, config.listen.port()), (7, 2000));
    }

    #[test]
    fn there_is_a_worker_for_each_processor_unless_told_otherwise() {
        let config = Config::load(Flags::default()).expect("valid settings");
        assert!((1..=MOST_WORKERS).contains(&config.workers()));
        let (_folder, flags) = file("workers = 64");
        assert_eq!(Config::load(flags).expect("valid settings").workers(), 64);
    }

    #[test]
    fn production_refuses_the_sample_key_and_a_short_one() {
        let flags = || Flags { production: true, ..Flags::default() };
        assert!(matches!(Config::load(flags()), Err(ConfigError::SampleKey)));
        let short = Flags { key: Some("k".repeat(31)), ..flags() };
        assert!(matches!(Config::load(short), Err(ConfigError::Key(ShortKey { length: 31 }))));
        let own = Flags { key: Some("k".repeat(32)), ..flags() };
        assert!(Config::load(own).is_ok());
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for wrong in [
            "romsize = 7",
            "room-size = 0",
            "workers = 0",
            "workers = 65",
            "allow-origin = ['class.example']",
            "listen = 'x'",
        ] {
            let (_folder, flags) = file(wrong);
            assert!(Config::load(flags).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_printed_is_a_file_with_the_same_settings_and_no_secret() {
        let secret = "a-key-that-nobody-should-ever-see-printed";
        let flags = Flags {
            key: Some(secret.to_owned()),
            allow_origin: vec!["https://class.example".to_owned()],
            workers: Some(3),
            ..Flags::default()
        };
        let printed = Config::load(flags).expect("valid settings").to_toml();
        assert!(!printed.contains(secret));
        let (_folder, mut flags) = file(&printed);
        flags.key = Some(secret.to_owned());
        assert_eq!(Config::load(flags).expect("valid settings").to_toml(), printed);
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let cli =
            Cli::try_parse_from(["simmer", "serve", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1"]);
        assert!(matches!(cli.expect("flags").command, Some(Command::Serve)));
    }
}
