//! How a run is made, whatever is played.

use std::path::PathBuf;

use clap::Args;

use crate::args::parse_within;
use crate::objectives::Limits;

/// A run as rows of a table of many runs, in place of its report.
#[derive(Clone, Debug, Default, Args)]
pub struct RowOptions {
    /// Writes the objectives as rows of a Markdown table, each beginning with this name, in place of the report.
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    pub rows: Option<String>,
    /// Tells in a row of their own how many times that a packet took of the server: what `floor` says of this machine.
    #[arg(long, value_name = "US", requires_all = ["rows", "server_pid"], value_parser = parse_price)]
    pub floor_us: Option<f64>,
}

/// The server, the bench's own ways, and what must be achieved.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The server, which speaks Simmer's protocol.
    #[arg(long, default_value = "http://127.0.0.1:7443")]
    pub url: String,
    /// Publishes by WHIP at this address, in place of --url; {room} and {member} in it are filled in, the latter with the
    /// publisher's place in its room, from 0.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub whip: Option<String>,
    /// Watches by WHEP at this address, in place of --url; {room} and {member} (of who is watched) are filled in.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub whep: Option<String>,
    /// The bearer token for --whip and --whep, with {room} and {member} filled in; an empty one for none. By default tokens are
    /// signed with --key.
    #[arg(long, value_name = "TOKEN", env = "SIMMER_BENCH_BEARER", hide_env_values = true)]
    pub bearer: Option<String>,
    /// Trusts the authorities of this PEM file, and no others, to vouch for an https:// server of --whip and --whep. By default
    /// those of the system are trusted.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Measures that process as the server; it must run on this machine.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Writes the report as JSON to standard output, in place of the table.
    #[arg(long)]
    pub json: bool,
    /// Writes the report with plots to this file, as HTML.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The server's key, to sign tokens with; by default the sample key of development servers.
    #[arg(long, env = "SIMMER_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// The room; a new one by default. Several rooms are numbered.
    #[arg(long)]
    pub room: Option<String>,
    /// Threads that drive the clients' media; half of the machine's by default.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Sends media to this port in place of the one the server names, to pass through `simmer-bench link`.
    #[arg(long)]
    pub media_port: Option<u16>,
    /// Seeds sizes, first sequence numbers, picture ids, and what the link does.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Allows a server that is not on this machine.
    #[arg(long)]
    pub allow_remote: bool,
    /// What must be achieved, before what the scenario says.
    #[command(flatten, next_help_heading = "Objectives")]
    pub limits: Limits,
}

impl RunOptions {
    /// The address that members watch at, or publish at where nobody watches.
    pub fn address(&self) -> &str {
        self.whep.as_ref().or(self.whip.as_ref()).unwrap_or(&self.url)
    }
}

fn parse_price(text: &str) -> Result<f64, String> {
    parse_within(text, 0.01..=1000.0)
}
