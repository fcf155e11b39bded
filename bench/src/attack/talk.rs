//! Attacks through the signaling: offers that are too much of something, rooms that nobody stays in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::generator::Volley;
use super::offers::{Bomb, End, bombs};
use super::site::{Site, negotiate};
use crate::signaling::token;

/// Bombs around every limit of an offer; each must be answered or refused, and soon.
pub(super) fn bombing(site: &Site) -> Result<Volley> {
    let bombs = bombs(OFFER_BYTES, MEDIA_LINES, SSRCS, RIDS);
    let end = Instant::now() + site.length;
    let mut volley = Volley::default();
    let mut slowest = (Duration::ZERO, String::new());
    let mut rounds = 0;
    while Instant::now() < end || rounds == 0 {
        for bomb in &bombs {
            // The largest ones cost the attacker more than the server: once is enough.
            if rounds > 0 && (bomb.sdp.len() > 2 * OFFER_BYTES || Instant::now() > end) {
                continue;
            }
            let took = site.wait(throw(site, bomb, &mut volley))?;
            if took > slowest.0 {
                slowest = (took, bomb.name.clone());
            }
        }
        rounds += 1;
    }
    let took = announce(site, &mut volley)?;
    if took > slowest.0 {
        slowest = (took, "bytes that are only announced".to_owned());
    }
    let (took, name) = slowest;
    volley
        .notes
        .push(format!("{rounds} rounds of bombs, the slowest answered in {} ms: {name}", took.as_millis()));
    volley.promise(took < site.answer, || format!("the bomb of {name} took {took:?}"));
    Ok(volley)
}

async fn throw(site: &Site, bomb: &Bomb, volley: &mut Volley) -> Result<Duration> {
    // Not in the honest call's room, where whoever publishes is told of to everybody.
    let mut session = site.open(&format!("bombed-{:08x}", site.tag)).await?;
    volley.count_sent(bomb.sdp.len());
    let began = Instant::now();
    let outcome = negotiate(&mut session, bomb.sdp.clone()).await;
    let took = began.elapsed();
    match outcome {
        Ok(answer) => {
            volley.count_reply(answer.len());
            volley.promise(bomb.end != End::Refused, || format!("{} answered", bomb.name));
        }
        Err(error) => {
            volley.promise(bomb.end != End::Answered, || format!("{} refused: {error:#}", bomb.name))
        }
    }
    let _gone = tokio::time::timeout(Duration::from_secs(1), session.leave()).await;
    Ok(took)
}

/// An offer over HTTP that is said to be a thousand times as large as it may be: it has to be refused when the limit is passed, not when it is there.
fn announce(site: &Site, volley: &mut Volley) -> Result<Duration> {
    let plan = &site.plan;
    let began = Instant::now();
    let mut stream = TcpStream::connect(plan.target.address)?;
    stream.set_read_timeout(Some(site.answer))?;
    let head = format!(
        "POST /v1/whip/{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        plan.room,
        plan.target.authority,
        token(&plan.key, &plan.room, "announcer")?,
        OFFER_BYTES * 1000
    );
    let body = vec![b'x'; OFFER_BYTES + 1];
    // The server may have had enough before all of it is written.
    let _refused = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    volley.count_sent(head.len() + body.len());
    let mut status = [0; 12];
    let read = stream.read_exact(&mut status);
    volley.promise(read.is_ok() && status == *b"HTTP/1.1 413", || {
        format!("{} announced bytes: {:?} {read:?}", OFFER_BYTES * 1000, String::from_utf8_lossy(&status))
    });
    Ok(began.elapsed())
}

/// Sessions that come to a room of their own, and leave; without media. Then time for the server to forget the rooms.
pub(super) fn rooms(site: &Site) -> Result<Volley> {
    let mut volley = Volley::default();
    let mut refused = 0_u64;
    let end = Instant::now() + site.length;
    let visit = |number: u64| async move {
        let mut session = site.open(&format!("empty-{:08x}-{number}", site.tag)).await?;
        session.leave().await
    };
    site.wait(async {
        let mut visits = FuturesUnordered::new();
        let mut next = 0;
        loop {
            while visits.len() < AT_ONCE && next < ROOMS && Instant::now() < end {
                visits.push(visit(next));
                next += 1;
            }
            match visits.next().await {
                Some(Ok(())) => volley.count_sent(0),
                Some(Err(error)) => {
                    tracing::debug!("a room: {error:#}");
                    refused += 1;
                }
                None => break,
            }
        }
    });
    std::thread::sleep(site.length * 3);
    volley.notes.push(format!("{} rooms created and left, {refused} refused", volley.sent));
    Ok(volley)
}

/// The server's limits by default.
const OFFER_BYTES: usize = 512 * 1024;
const MEDIA_LINES: usize = 128;
const SSRCS: usize = 32;
const RIDS: usize = 4;
const ROOMS: u64 = 20_000;
const AT_ONCE: usize = 16;
