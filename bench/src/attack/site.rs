//! What is attacked, and the honest door into it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use simmer_signaling::protocol::{Source, Track};
use tokio::runtime::Runtime;

use super::honest::CallPlan;
use super::insider::{Candidate, Insider};
use super::offers::OfferText;
use crate::args::AttackArgs;
use crate::scenario::Share;
use crate::signaling::{Session, Update, token};

/// The server and the room under attack, as one attack sees it. It has a runtime of its own, so that it does not hold up the honest ones.
#[derive(Debug)]
pub struct Site {
    /// The room of the honest call, and the way to it.
    pub plan: CallPlan,
    /// Where attackers' sockets are.
    pub local: IpAddr,
    /// How long the attack lasts.
    pub length: Duration,
    /// Within this an offer has to be answered or refused.
    pub answer: Duration,
    /// Datagrams a second of a flood.
    pub rate: u64,
    /// Everything follows from it.
    pub seed: u64,
    /// Tells this attack's names and rooms from those of others.
    pub tag: u32,
    runtime: Runtime,
    entered: std::cell::Cell<u64>,
}

/// An attacker's session, with its hands on the media.
#[derive(Debug)]
pub struct Entered {
    /// Its media.
    pub insider: Insider,
    session: Session,
}

impl Entered {
    /// Ends the WebSocket without a word; the session stays for a while, and speaks through its data channel.
    pub fn hang_up(self) -> Insider {
        self.insider
    }
}

impl Site {
    /// The place of the honest call.
    ///
    /// # Errors
    /// No route, no runtime.
    pub fn new(args: &AttackArgs, plan: CallPlan) -> Result<Self> {
        Ok(Self {
            local: plan.target.local_ip()?,
            plan,
            length: Duration::from_millis(args.length_ms),
            answer: Duration::from_millis(args.max_answer_ms),
            rate: args.rate,
            seed: args.seed,
            tag: rand::random(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            entered: std::cell::Cell::new(0),
        })
    }

    /// The server's media port, as it tells everybody who offers.
    ///
    /// # Errors
    /// No answer.
    pub fn media(&self) -> Result<SocketAddr> {
        let scout = self.enter(OfferText::receives)?;
        let media = scout.insider.server();
        self.leave([scout]);
        Ok(media)
    }

    /// Runs something on the site's runtime.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Opens a session in a room under a new name.
    ///
    /// # Errors
    /// The server does not welcome it.
    pub async fn open(&self, room: &str) -> Result<Session> {
        let number = self.entered.get();
        self.entered.set(number + 1);
        let name = format!("attacker {:08x}-{number}", self.tag);
        let token = token(&self.plan.key, room, &name.replace(' ', "-"))?;
        Session::open(&self.plan.target, &token, &name).await
    }

    /// Enters the honest call's room with an offer, as far as the answer. Blocks.
    ///
    /// # Errors
    /// Anything but an answer.
    pub fn enter(&self, offer: impl FnOnce(OfferText) -> OfferText) -> Result<Entered> {
        self.wait(async {
            let mut session = self.open(&self.plan.room).await?;
            let candidate = Candidate::new(self.local, self.seed << 20 | self.entered.get())?;
            let sdp = offer(candidate.offer()).write();
            let answer = negotiate(&mut session, sdp).await?;
            Ok(Entered { insider: candidate.accept(&answer, &self.plan.candidates)?, session })
        })
    }

    /// As [`Site::enter`], with a look at the publisher, and connected.
    ///
    /// # Errors
    /// As [`Site::enter`], or no connection.
    pub fn join(&self, offer: impl FnOnce(OfferText) -> OfferText) -> Result<Entered> {
        let mut entered = self.enter(offer)?;
        let picks = entered.session.picks(None, Share::All, Share::All);
        self.wait(entered.session.view(&picks))?;
        entered.insider.connect()?;
        Ok(entered)
    }

    /// Attackers leave in good order.
    pub fn leave(&self, entered: impl IntoIterator<Item = Entered>) {
        self.wait(async {
            for mut entered in entered {
                // A server that has thrown the attacker out has done its part.
                let _gone = tokio::time::timeout(Duration::from_secs(1), entered.session.leave()).await;
            }
        });
    }
}

/// Sends an offer and waits for its answer.
///
/// # Errors
/// A refusal, or silence.
pub async fn negotiate(session: &mut Session, sdp: String) -> Result<String> {
    let tracks = crate::sdp::sections(&sdp).into_iter().zip(sdp.split("\r\nm=").skip(1));
    let tracks = tracks
        .filter(|(_, text)| text.contains("a=sendonly"))
        .map(|(section, _)| Track { mid: section.mid, source: Source::Camera })
        .collect();
    let request = session.offer(sdp, tracks).await?;
    let answer = async {
        loop {
            match session.next().await? {
                Update::Answer(re, sdp) if re == request => return Ok(sdp),
                Update::Refused(Some(re), why) if re == request => bail!("refused: {why}"),
                Update::Refused(None, why) => bail!("refused: {why}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.context("no answer in time")?
}
