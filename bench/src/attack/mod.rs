//! Attacks on a server while an honest call runs that must not notice.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`generator`] | what every attack is made of, and the gun |
//! | [`checks`], [`hellos`], [`noise`] | datagrams from anybody: STUN, DTLS, anything |
//! | [`offers`] | offers written by hand, and bombs |
//! | [`insider`], [`feedback`], [`chunks`] | a participant with its hands on every layer, and what it says |
//! | `outside`, `inside`, `data`, `talk` | the attacks, by how far the attacker got |
//! | [`site`], [`honest`], `ear` | what is attacked, and who must not notice |
//! | [`report`] | what came of it |

pub mod checks;
pub mod chunks;
mod data;
mod ear;
pub mod feedback;
pub mod generator;
pub mod hellos;
pub mod honest;
mod inside;
pub mod insider;
pub mod noise;
pub mod offers;
mod outside;
pub mod report;
pub mod site;
mod talk;

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use self::generator::{Outsider, Volley};
use self::honest::HonestCall;
use self::report::{AttackReport, Row};
use self::site::Site;
use crate::args::AttackArgs;
use crate::measure::ProcessUsage;
use crate::stolen::{self, Stolen};

/// Every attack in turn, after a quiet time and a time in which the attacker aims elsewhere.
///
/// # Errors
/// Whatever keeps it from measuring: the honest call does not come about, or the server is gone.
pub async fn run(args: &AttackArgs) -> Result<AttackReport> {
    let plan = honest::CallPlan::new(args)?;
    let mut call = HonestCall::start(plan).await?;
    let mut report = AttackReport::new(args);
    tokio::time::sleep(Duration::from_millis(args.length_ms / 2)).await;
    for attack in attacks(args) {
        let row = phase(args, &mut call, &attack).await.with_context(|| attack.name.to_owned())?;
        report.add(row);
    }
    call.finish().await?;
    report.judge(args.max_join_factor);
    Ok(report)
}

/// One attack.
#[derive(Clone, Copy)]
struct Attack {
    name: &'static str,
    go: fn(&Site) -> Result<Volley>,
}

fn attacks(args: &AttackArgs) -> Vec<Attack> {
    let attack = |name, go| Attack { name, go };
    let quiet = [attack("none", |site| Ok(rest(site))), attack("elsewhere", elsewhere)];
    let attacks = [
        attack("dtls from strangers", outside::hellos),
        attack("stun", outside::checks),
        attack("any datagram from strangers", outside::noise),
        attack("rtp from strangers", outside::forged_media),
        attack("half-open handshakes", inside::half_open),
        attack("any datagram from a member", inside::noise),
        attack("bad tags from a member", inside::bad_tags),
        attack("streams of others", inside::foreign_streams),
        attack("feedback storms and lies", inside::feedback),
        attack("sctp floods", data::floods),
        attack("sdp bombs", talk::bombing),
        attack("rooms", talk::rooms),
        attack("rooms again", talk::rooms),
    ];
    let wanted = |attack: &Attack| args.only.as_ref().is_none_or(|only| attack.name.contains(only.as_str()));
    quiet.into_iter().chain(attacks.into_iter().filter(wanted)).collect()
}

async fn phase(args: &AttackArgs, call: &mut HonestCall, attack: &Attack) -> Result<Row> {
    let usage = || args.server_pid.map(ProcessUsage::of).transpose().context("the server is gone");
    let panics = panics(args.server_log.as_deref())?;
    let (before, taken_before) = (usage()?, Stolen::now());
    let began = Instant::now();
    call.begin_phase()?;
    let site = (args.clone(), call.plan().clone());
    let go = attack.go;
    let attacker = tokio::task::spawn_blocking(move || {
        let (args, plan) = site;
        go(&Site::new(&args, plan)?)
    });
    let interval = Duration::from_millis(args.length_ms) / (args.joins + 1);
    let (joins, refused) = call.newcomers(args.joins as usize, interval).await;
    let volley = attacker.await?;
    let took = began.elapsed();
    let during = usage()?;
    let stolen_percent = stolen::percent_between(taken_before, Stolen::now());
    let mut welfare = call.end_phase().await?;
    welfare.joins = joins;
    welfare.lost.extend(refused);
    let mut after = usage()?;
    // What nobody needs any more is given back with time, not at once.
    let limit = before.map(|before| before.rss_kib + (args.max_growth_mib * 1024.0) as u64);
    let deadline = Instant::now() + MEMORY_PATIENCE;
    while after.zip(limit).is_some_and(|(after, limit)| after.rss_kib > limit) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(250)).await;
        after = usage()?;
    }
    let mut row = Row::new(attack.name, took, volley.unwrap_or_else(failed), &welfare);
    row.growth_limit_mib = args.max_growth_mib;
    row.stolen_percent = stolen_percent;
    row.panics = panics_since(args.server_log.as_deref(), panics)?;
    if let (Some(before), Some(during), Some(after)) = (before, during, after) {
        row.server(took, before, during, after);
    }
    Ok(row)
}

/// A room in which nothing happened is remembered for ten seconds.
const MEMORY_PATIENCE: Duration = Duration::from_secs(20);

/// An attack that could not be made proves nothing, and is told as a broken promise.
fn failed(error: anyhow::Error) -> Volley {
    Volley { broken: vec![format!("the attack itself failed: {error:#}")], ..Volley::default() }
}

fn rest(site: &Site) -> Volley {
    std::thread::sleep(site.length);
    Volley::default()
}

/// The same effort, aimed at a port where nobody listens: what the attacker itself costs the machine.
fn elsewhere(site: &Site) -> Result<Volley> {
    let deaf = UdpSocket::bind((site.local, 0))?;
    let outsider = Outsider::new(site.local, deaf.local_addr()?, 16)?;
    Ok(outsider.fire(&mut noise::Noise::new(site.seed), site.rate, site.length))
}

fn panics(log: Option<&Path>) -> Result<usize> {
    let Some(log) = log else { return Ok(0) };
    let log = std::fs::read(log).context("the server's log")?;
    Ok(String::from_utf8_lossy(&log).matches("panicked").count())
}

fn panics_since(log: Option<&Path>, before: usize) -> Result<u64> {
    let now = panics(log)?;
    ensure!(now >= before, "the server's log became shorter");
    Ok((now - before) as u64)
}
