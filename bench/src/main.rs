//! `simmer-bench`: exit code 0 when every objective is met, 1 when one is missed, 2 when the run failed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use simmer_bench::args::{AttackArgs, Cli, Command, FloorArgs, LinkArgs, PlayArgs, RampArgs};
use simmer_bench::attack;
use simmer_bench::floor::Floor;
use simmer_bench::load;
use simmer_bench::options::{RowOptions, RunOptions};
use simmer_bench::ramp;
use simmer_bench::relay::{Control, Relay};
use simmer_bench::scenario::Scenario;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,rtc=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match cli.command {
        Command::Fanout(args) => play(args.scenario(), args.options, args.row),
        Command::Run(args) => run(args),
        Command::Ramp(args) => climb(args),
        Command::Attack(args) => run_attack(&args),
        Command::Link(args) => run_link(&args).map(|()| true),
        Command::Floor(args) => tell_floor(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// Plays a scenario, or lists those there are.
#[allow(clippy::print_stdout, reason = "the list is the program's output")]
fn run(args: PlayArgs) -> Result<bool> {
    if let Some(scenario) = args.scenario()? {
        return play(scenario, args.options, args.row);
    }
    for scenario in Scenario::shipped()? {
        println!("{:<12} {}", scenario.name, scenario.about);
    }
    Ok(true)
}

/// Whether every objective is met.
#[allow(clippy::print_stdout, reason = "the report is the program's output")]
fn play(scenario: Scenario, options: RunOptions, row: RowOptions) -> Result<bool> {
    let (json, html) = (options.json, options.html.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(load::play(scenario, options))?.report();
    write_page(html, || simmer_bench::html::run_page(&report))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if let Some(name) = row.rows {
        println!("{}", report.rows(&name, row.floor_us));
    } else {
        println!("{report}");
    }
    Ok(report.is_met())
}

/// Whether enough members were held.
#[allow(clippy::print_stdout, reason = "the report is the program's output")]
fn climb(args: RampArgs) -> Result<bool> {
    let (json, html) = (args.options.json, args.options.html.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(ramp::run(args))?;
    write_page(html, || simmer_bench::html::ramp_page(&report))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(report.is_met())
}

/// Writes the report as HTML, if that was asked for.
fn write_page(file: Option<PathBuf>, page: impl FnOnce() -> String) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(&file, page()).with_context(|| format!("writing {}", file.display()))
}

/// Whether every promise is kept.
#[allow(clippy::print_stdout, reason = "the report is the program's output")]
fn run_attack(args: &AttackArgs) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let report = runtime.block_on(attack::run(args))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(report.is_met())
}

#[allow(clippy::print_stdout, reason = "scripts read the address and the reports")]
fn run_link(args: &LinkArgs) -> Result<()> {
    let (up, down) = args.configs()?;
    let relay = Relay::bind(args.listen, args.to, up, down)?;
    let relay = if args.shared_down { relay.sharing_down() } else { relay };
    println!("relaying {} to {}", relay.local_addr(), args.to);
    let control = relay.control();
    // It waits for lines for as long as the program runs, and ends with it.
    std::thread::spawn(move || change_by_lines(&control));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let every = args.report_ms.map_or(Duration::MAX, Duration::from_millis);
    let thread = std::thread::spawn(move || {
        relay.run_reporting(&stopped, every, &mut |report| match serde_json::to_string(&report) {
            Ok(line) => println!("{line}"),
            Err(error) => tracing::warn!("a report cannot be written: {error}"),
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    stop.store(true, Ordering::Relaxed);
    let stats = thread.join().map_err(|_| anyhow::anyhow!("the relay panicked"))??;
    println!(
        "{} clients, {} datagrams refused\nup:   {:?}\ndown: {:?}",
        stats.clients, stats.refused, stats.up, stats.down
    );
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the figures are the program's output")]
fn tell_floor(args: &FloorArgs) -> Result<()> {
    let floor = Floor::measure(args)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&floor)?);
    } else if let Some(name) = &args.rows {
        println!("{}", floor.rows(name));
    } else {
        print!("{floor}");
    }
    Ok(())
}

/// Makes the changes that standard input names, one a line, until it ends.
fn change_by_lines(control: &Control) {
    for line in std::io::stdin().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
        match line.parse() {
            Ok(change) => control.change(change),
            Err(error) => tracing::warn!("{line}: {error}"),
        }
    }
}
