//! The binary: settings, the recorder, pages, and how it starts and ends.

mod config;
mod core_metrics;
mod demo_class;
mod media_report;
mod pages;
mod recording;
mod serve;

pub use config::{Config, ConfigError, Key, LogFormat};

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use config::{Cli, Command};

use crate::protocol::Role;
use crate::token::{Claims, is_identity, is_room};

/// Runs the command line.
pub fn main() -> ExitCode {
    let Cli { command, flags } = Cli::parse();
    let result = Config::load(flags).map_err(anyhow::Error::from).and_then(|config| match command {
        None | Some(Command::Serve) => serve::run(config),
        Some(Command::Config) => print(&config.to_toml()),
        Some(Command::Token { room, identity, name, role, minutes }) => {
            anyhow::ensure!(is_room(&room), "a room has 1 to 64 characters of A-Z a-z 0-9 _ -");
            anyhow::ensure!(is_identity(&identity), "an identity has 1 to 64 visible ASCII characters");
            let role = if role == "host" { Role::Host } else { Role::Participant };
            let mut claims = Claims::new(&room, &identity, role, Duration::from_secs(minutes * 60));
            claims.name = name;
            print(&format!("{}\n", config.tokens()?.sign(&claims)))
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "simmer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
