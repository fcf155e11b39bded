//! Sessions that are opened over HTTP.

use simmer_sfu::codec::Codec;
use simmer_sfu::id::{Mid, PublicationId};
use simmer_sfu::message::{DisconnectReason, Event as CoreEvent};
use simmer_sfu::sink::Publication as CorePublication;
use simmer_sfu::view::{AudioWish as CoreAudioWish, VideoSource};

use super::*;

const PUBLISH: &str = include_str!("../../../../sfu/src/sdp/fixtures/obs_whip.sdp");
const RESTART: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n";

fn watch() -> String {
    PUBLISH.replace("a=sendonly", "a=recvonly")
}

impl Table {
    /// Asks; the reply, if it has come.
    fn ask(&mut self, request: u64, what: HttpRequest) -> Option<HttpReply> {
        self.now += Duration::from_secs(2);
        self.room.handle_http(self.now, RequestId(request), what);
        self.drain();
        self.reply(request)
    }

    fn reply(&self, request: u64) -> Option<HttpReply> {
        self.replies.iter().find(|(id, _)| id.0 == request).map(|(_, reply)| reply.clone())
    }

    fn answer(&mut self, request: u64, text: &str) {
        let participant = self.core();
        self.core_says(CoreEvent::Answered { participant, request, answer: Ok(text.to_owned()) });
    }

    fn open(&mut self, request: u64, identity: &str, purpose: Purpose, offer: &str) -> Option<HttpReply> {
        let admission = admission(identity, Role::Participant);
        self.ask(request, HttpRequest::Open { admission, purpose, offer: offer.to_owned() })
    }

    /// Opens a session and has it answered; its id.
    fn opened(&mut self, request: u64, identity: &str, purpose: Purpose, offer: &str) -> String {
        assert_eq!(self.open(request, identity, purpose, offer), None);
        self.answer(request, "the answer");
        let Some(HttpReply::Opened { session, tag, answer }) = self.reply(request) else {
            panic!("{:?}", self.replies)
        };
        assert_eq!((tag.as_str(), answer.as_str()), ("\"1\"", "the answer"));
        session
    }

    fn patch(
        &mut self,
        request: u64,
        whose: (&str, &str),
        expects: Expects,
        fragment: &str,
    ) -> Option<HttpReply> {
        let (session, identity) = (whose.0.to_owned(), whose.1.to_owned());
        self.ask(request, HttpRequest::Patch { session, identity, expects, fragment: fragment.to_owned() })
    }

    fn close(&mut self, request: u64, session: &str, identity: &str) -> Option<HttpReply> {
        let (session, identity) = (session.to_owned(), identity.to_owned());
        self.ask(request, HttpRequest::Close { session, identity })
    }

    /// The view the core was told last.
    fn view(&self) -> (Vec<String>, Vec<String>) {
        let view = self.commands.iter().rev().find_map(|command| match command {
            Command::SetView { view, .. } => Some(view),
            _ => None,
        });
        let view = view.expect("a view");
        let CoreAudioWish::Only(sounds) = &view.audio else { panic!("{view:?}") };
        let pictures = view.video.iter().map(|wish| match wish.source {
            VideoSource::Publication(publication) => publication.to_string(),
            VideoSource::Role(role) => panic!("a {role:?} is shown"),
        });
        (pictures.collect(), sounds.iter().map(ToString::to_string).collect())
    }

    fn publish_sound(&mut self, participant: ParticipantId, mid: &str, index: u16) -> String {
        let id = PublicationId { participant, index };
        let mid = Mid::new(mid.as_bytes()).expect("a mid");
        let publication = CorePublication { id, mid, codec: Codec::Opus, encodings: vec![None] };
        self.core_says(CoreEvent::Published { room: self.room.core_id(), publication });
        id.to_string()
    }
}

fn tag(text: &str) -> Expects {
    Expects::Tags(vec![text.to_owned()])
}

fn refused(reply: Option<HttpReply>) -> ErrorCode {
    match reply {
        Some(HttpReply::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_publisher_comes_and_leaves_like_anybody() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let session = table.opened(1, "obs", Purpose::Publish, PUBLISH);
    let core = table.core();
    assert!(matches!(
        table.commands.as_slice(),
        [Command::Join { .. }, Command::Offer { request: 1, sdp, .. }] if sdp == PUBLISH
    ));
    table.publish(core, "1", 0);
    assert_eq!(table.kinds(host), ["joined", "published"]);
    assert_eq!(table.room.present(), 2);
    assert_eq!(refused(table.close(2, &session, "host")), ErrorCode::NotFound);
    assert_eq!(table.close(3, &session, "obs"), Some(HttpReply::Done));
    assert_eq!(table.kinds(host), ["joined", "published", "unpublished", "left"]);
    assert!(matches!(table.commands.last(), Some(Command::Leave { participant }) if *participant == core));
    assert_eq!(refused(table.close(4, &session, "obs")), ErrorCode::NotFound);
}

#[test]
fn an_offer_that_is_not_for_its_purpose_changes_nothing() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let to_watch = || Purpose::Watch { publication: None };
    let mixed = PUBLISH.replacen("a=sendonly", "a=recvonly", 1);
    for (request, (purpose, offer, code)) in [
        (Purpose::Publish, watch(), ErrorCode::UnsupportedOffer),
        (Purpose::Publish, mixed.clone(), ErrorCode::UnsupportedOffer),
        (Purpose::Publish, PUBLISH.replace("a=sendonly", "a=inactive"), ErrorCode::UnsupportedOffer),
        (to_watch(), PUBLISH.to_owned(), ErrorCode::UnsupportedOffer),
        (to_watch(), mixed, ErrorCode::UnsupportedOffer),
        (to_watch(), PUBLISH.replace("a=sendonly", "a=inactive"), ErrorCode::UnsupportedOffer),
        (Purpose::Publish, "hello".to_owned(), ErrorCode::BadOffer),
        (Purpose::Publish, "x".repeat(524_289), ErrorCode::OfferTooLarge),
        (Purpose::Watch { publication: Some("7-0".to_owned()) }, watch(), ErrorCode::NotFound),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(refused(table.open(request as u64, "obs", purpose, &offer)), code, "{request}");
    }
    let mut mute = admission("mute", Role::Participant);
    mute.rights = Rights { publish: false, subscribe: false, ..mute.rights };
    for (request, purpose, offer) in [(90, Purpose::Publish, PUBLISH.to_owned()), (91, to_watch(), watch())] {
        let what = HttpRequest::Open { admission: mute.clone(), purpose, offer };
        assert_eq!(refused(table.ask(request, what)), ErrorCode::NotAllowed);
    }
    assert_eq!(table.kinds(host), [""; 0]);
    assert!(table.commands.is_empty());
    // What goes both ways is taken for what it is meant for.
    table.opened(99, "obs", Purpose::Publish, &PUBLISH.replace("a=sendonly", "a=sendrecv"));
}

#[test]
fn one_identity_has_one_session_however_it_was_opened() {
    let mut table = Table::new();
    let (socket, _) = table.join("ana", Role::Participant);
    let first = table.opened(1, "ana", Purpose::Publish, PUBLISH);
    assert_eq!(table.closed, [(socket, 4002)]);
    let second = table.opened(2, "ana", Purpose::Publish, PUBLISH);
    assert_eq!(refused(table.close(3, &first, "ana")), ErrorCode::NotFound);
    table.join("ana", Role::Participant);
    assert_eq!(refused(table.close(4, &second, "ana")), ErrorCode::NotFound);
    assert_eq!(table.room.present(), 1);
    let left = table.commands.iter().filter(|command| matches!(command, Command::Leave { .. })).count();
    assert_eq!(left, 2);
}

#[test]
fn a_session_ends_with_its_transport() {
    for (reason, expected) in
        [(DisconnectReason::ConsentExpired, "timeout"), (DisconnectReason::Closed, "left")]
    {
        let mut table = Table::new();
        table.join("host", Role::Host);
        let session = table.opened(1, "obs", Purpose::Publish, PUBLISH);
        let participant = table.core();
        table.core_says(CoreEvent::Disconnected { participant, reason });
        let event = &table.said.last().expect("an event").1;
        assert_eq!((&event["kind"], &event["reason"]), (&json!("left"), &json!(expected)));
        assert_eq!(table.room.present(), 1);
        assert_eq!(refused(table.close(2, &session, "obs")), ErrorCode::NotFound);
    }
}

#[test]
fn candidates_are_taken_and_new_credentials_restart_ice() {
    let mut table = Table::new();
    let session = table.opened(1, "obs", Purpose::Publish, PUBLISH);
    let whose = (session.as_str(), "obs");
    let end = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n";
    table.commands.clear();
    assert_eq!(table.patch(2, whose, tag("\"1\""), end), Some(HttpReply::Done));
    assert_eq!(table.patch(3, whose, Expects::Any, end), Some(HttpReply::Done));
    let same = "a=ice-ufrag:jBob\r\na=ice-pwd:3d7f0/kkZsTYyP3cBYoaSi\r\n";
    assert_eq!(table.patch(4, whose, tag("\"1\""), same), Some(HttpReply::Done));
    assert_eq!(table.patch(5, whose, tag("\"0\""), end), Some(HttpReply::Outdated));
    assert_eq!(table.patch(6, whose, tag("1"), RESTART), Some(HttpReply::Outdated));
    assert_eq!(refused(table.patch(7, (&session, "host"), Expects::Any, RESTART)), ErrorCode::NotFound);
    assert_eq!(refused(table.patch(8, ("s0", "obs"), Expects::Any, RESTART)), ErrorCode::NotFound);
    assert_eq!(refused(table.patch(9, whose, Expects::Any, "hello")), ErrorCode::BadOffer);
    assert!(table.commands.is_empty());

    assert_eq!(table.patch(10, whose, Expects::Any, RESTART), None);
    assert!(matches!(&table.commands[..], [Command::RestartIce { request: 10, .. }]));
    assert_eq!(refused(table.patch(11, whose, Expects::Any, RESTART)), ErrorCode::RateLimited);
    let participant = table.room.cores.keys().next().copied().expect("a participant of the core");
    table.core_says(CoreEvent::Answered { participant, request: 10, answer: Ok("ours".to_owned()) });
    let restarted = HttpReply::Restarted { tag: "\"2\"".to_owned(), fragment: "ours".to_owned() };
    assert_eq!(table.reply(10), Some(restarted));
    assert_eq!(table.patch(12, whose, tag("\"1\""), end), Some(HttpReply::Outdated));
    assert_eq!(table.patch(13, whose, tag("\"2\""), RESTART), Some(HttpReply::Done));
}

#[test]
fn who_waits_for_a_session_that_ends_is_told() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    table.open(1, "obs", Purpose::Publish, PUBLISH);
    let id = table.room.identities["obs"].clone();
    table.act(host, json!({"kind": "kick", "participant": id}));
    assert_eq!(refused(table.reply(1)), ErrorCode::Kicked);
    assert_eq!(refused(table.open(2, "obs", Purpose::Publish, PUBLISH)), ErrorCode::Kicked);

    table.open(3, "cam", Purpose::Publish, PUBLISH);
    let participant = table.core();
    let answer = Err(simmer_sfu::sdp::OfferError::Unsupported { reason: "as the test wants it" });
    table.core_says(CoreEvent::Answered { participant, request: 3, answer });
    assert_eq!(refused(table.reply(3)), ErrorCode::UnsupportedOffer);
    assert_eq!(table.room.present(), 1);

    let session = table.opened(4, "cam", Purpose::Publish, PUBLISH);
    table.room.abandon(table.now, &session);
    table.drain();
    assert_eq!(table.room.present(), 1);

    table.open(5, "cam", Purpose::Publish, PUBLISH);
    table.act(host, json!({"kind": "end"}));
    assert_eq!(refused(table.reply(5)), ErrorCode::RoomEnded);
    assert_eq!(
        refused(table.open(6, "tv", Purpose::Watch { publication: None }, &watch())),
        ErrorCode::RoomEnded
    );
}

#[test]
fn a_viewer_sees_the_newest_screen_else_the_oldest_camera() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    table.say(ana, offer());
    let anas = table.core();
    table.opened(1, "cam", Purpose::Publish, PUBLISH);
    let cams = table.core();
    table.opened(2, "tv", Purpose::Watch { publication: None }, &watch());
    assert_eq!(table.view(), (vec![], vec![]));

    let camera = table.publish(cams, "1", 0);
    let sound = table.publish_sound(cams, "0", 1);
    assert_eq!(table.view(), (vec![camera.clone()], vec![sound.clone()]));
    // Her m-line 1 is a screen, by her offer.
    let voice = table.publish_sound(anas, "0", 0);
    let second = table.publish(anas, "2", 2);
    assert_eq!(table.view(), (vec![camera.clone(), second.clone()], vec![sound.clone(), voice.clone()]));
    let screen = table.publish(anas, "1", 1);
    let seen = (vec![screen.clone(), camera.clone(), second.clone()], vec![voice.clone(), sound.clone()]);
    assert_eq!(table.view(), seen);
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let bens = table.core();
    let newest = table.publish(bens, "1", 0);
    assert_eq!(table.view().0, [newest, screen, camera.clone(), second]);
    table.say(ben, json!({"type": "leave"}));
    assert_eq!(table.view(), seen);

    table.opened(3, "second", Purpose::Watch { publication: Some(camera.clone()) }, &watch());
    assert_eq!(table.view(), (vec![camera], vec![sound]));
    table.opened(4, "ears", Purpose::Watch { publication: Some(voice.clone()) }, &watch());
    assert_eq!(table.view(), (vec![], vec![voice.clone()]));
    table.commands.clear();
    table.say(ana, json!({"type": "leave"}));
    let views = table.commands.iter().filter_map(|command| match command {
        Command::SetView { participant, view } => Some((*participant, view.clone())),
        _ => None,
    });
    let last: BTreeMap<_, _> = views.collect();
    let empty = CoreAudioWish::Only(Vec::new());
    // Who named the camera still has it; the room's viewer is left with it; what the ears heard has ended.
    assert_eq!(last.len(), 2);
    assert!(last.values().any(|view| view.video.len() == 1 && view.audio != empty));
    assert!(last.values().any(|view| view.video.is_empty() && view.audio == empty));
}
