//! A member's life over HTTP.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::client::{Client, Notice};
use crate::connection::{Connection, ConnectionPlan};
use crate::member::{Member, RunContext, until_stopped};
use crate::publisher::Publisher;
use crate::sdp::with_ports;
use crate::subscriber::Subscriber;
use crate::wish::answer::Answer;
use crate::wish::endpoints::Endpoints;
use crate::wish::session::Session;

impl RunContext {
    /// Publishes or watches until its time is over, or the run is.
    ///
    /// A session that cannot be ended is noted, since its member was there as long as it should.
    ///
    /// # Errors
    /// Whatever ends it before.
    pub(crate) async fn session_over_http(&self, member: &Member, endpoints: &Endpoints) -> Result<()> {
        let session = self.open_over_http(member, endpoints).await?;
        self.stay(member).await;
        // The session ends before its transport does: else there would be none left to end.
        if let Err(error) = session.end().await {
            self.complaints.fetch_add(1, Ordering::Relaxed);
            let mut unended = self.unended.lock().unwrap_or_else(PoisonError::into_inner);
            unended.push(format!("{error:#}"));
        }
        self.thread(member.id)?.remove(member.id);
        Ok(())
    }

    async fn open_over_http(&self, member: &Member, endpoints: &Endpoints) -> Result<Session> {
        let (group, room) = (self.group(member)?, self.room_name(member.room));
        let publisher = member.publisher.map(|number| self.publisher(number, group));
        let plan = ConnectionPlan { media_only: true, ..self.connection_plan(group, publisher.as_ref()) };
        let mut connection = Connection::new(Instant::now(), self.local_ip, &plan)?;
        let offer = self.offered(connection.offer(Instant::now())?)?;
        let url = match member.publisher {
            Some(_) => endpoints.publish(&room, member.place)?,
            None => endpoints.watch(&room, member.place)?,
        };
        let bearer = endpoints.bearer(&room, member.place, &self.identity(member))?;
        let now = Instant::now();
        self.tell(member.id, Notice::Offered(now));
        if member.publisher.is_none() {
            // Who offers to watch says in the same breath what.
            self.tell(member.id, Notice::Viewed(now));
        }
        let (session, answer) = Session::open(endpoints.access.clone(), url, bearer, &offer).await?;
        let taken = self.take_answer(member, connection, publisher, &offer, &answer);
        if taken.is_err() {
            // Why it cannot be taken is told; that the server cannot end it either is not.
            let _unended = session.end().await;
        }
        taken.map(|()| session)
    }

    /// The offer as it goes out. Where there is a link to pass, the server must not find the straight way: its own checks go nowhere,
    /// and it learns from the member's where the member is.
    fn offered(&self, offer: String) -> Result<String> {
        if self.links.is_none() && self.candidates.port.is_none() {
            return Ok(offer);
        }
        with_ports(&offer, |_| Ok(DISCARD))
    }

    fn take_answer(
        &self,
        member: &Member,
        mut connection: Connection,
        publisher: Option<Publisher>,
        offer: &str,
        answer: &str,
    ) -> Result<()> {
        let answer = Answer::read(offer, answer)?;
        let (mut rule, mut description) = (self.candidates, answer.description);
        if let Some(links) = &self.links {
            let (allowed, _) = rule.apply(&description);
            description =
                with_ports(&allowed, |address| Ok::<_, anyhow::Error>(links.before(address)?.port()))?;
            rule.port = None;
        }
        connection.accept(Instant::now(), &description, &rule)?;
        let publisher = publisher.map(|mut publisher| {
            publisher.negotiated(&answer.sections);
            Box::new(publisher)
        });
        let subscriber = match member.publisher {
            Some(_) => None,
            None => {
                let watched = member.watched.context("there is nobody to watch")?;
                let (video, audio) = self.scenario.slots(self.group(member)?);
                let mut subscriber =
                    Subscriber::new((video, audio), self.scenario.fps(), Arc::clone(&self.flows));
                subscriber.negotiated_by_answer(offer, &answer.sections);
                if let Some(extension) = connection.transport_extension() {
                    subscriber.send_feedback(Duration::from_millis(self.scenario.feedback_ms), extension);
                }
                let shown: Vec<_> =
                    answer.sections.iter().map(|section| (section.mid.clone(), Some(watched))).collect();
                subscriber.set_slots(Instant::now(), &shown);
                Some(Box::new(subscriber))
            }
        };
        let notices = self.notices.clone();
        self.thread(member.id)?.add(Client { id: member.id, connection, publisher, subscriber, notices });
        Ok(())
    }

    /// Until its time is over, or the run is.
    async fn stay(&self, member: &Member) {
        let mut phase = self.phase.clone();
        match member.stay {
            None => until_stopped(&mut phase).await,
            Some(stay) => tokio::select! {
                () = until_stopped(&mut phase) => {}
                () = tokio::time::sleep(stay) => {}
            },
        }
    }
}

/// RFC 863: nobody answers there.
const DISCARD: u16 = 9;
