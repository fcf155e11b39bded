#![expect(clippy::disallowed_methods, reason = "a time to start from")]

use super::*;
use crate::config::Limits;

/// A client of the machine's own kind, and our side of the association.
struct Pair {
    now: Instant,
    client: Endpoint,
    server: Dtls,
    /// What the client said, each datagram.
    said: Vec<BytesMut>,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let (ours, theirs) = [(); 2].map(|()| RtcContext::new(&Limits::default()).expect("a context")).into();
        let mut client = Endpoint::new(LOCAL, TransportProtocol::UDP, None);
        client.connect(now, REMOTE, Arc::clone(theirs.client()), None).expect("a ClientHello");
        let server = Dtls::new(&ours, DtlsRole::Server, *theirs.fingerprint());
        Self { now, client, server, said: Vec::new() }
    }

    /// Takes what both say to each other until they are silent; what the client was told.
    fn talk(&mut self) -> Vec<Vec<u8>> {
        let mut told = Vec::new();
        loop {
            let said: Vec<_> =
                std::iter::from_fn(|| self.client.poll_transmit()).map(|sent| sent.message).collect();
            said.iter().for_each(|datagram| self.server.handle(self.now, datagram));
            let answers: Vec<_> = std::iter::from_fn(|| self.server.poll_transmit()).collect();
            if said.is_empty() && answers.is_empty() {
                return told;
            }
            self.said.extend(said);
            for answer in answers {
                // One that has closed understands nothing any more.
                for event in self.client.read(self.now, REMOTE, None, answer).unwrap_or_default() {
                    if let EndpointEvent::ApplicationData(data) = event {
                        told.push(data.to_vec());
                    }
                }
            }
        }
    }

    /// What the client says, as it came in.
    fn say(&mut self, text: &[u8]) -> Vec<Vec<u8>> {
        self.client.write(self.now, REMOTE, text).expect("written");
        self.talk();
        self.heard()
    }

    fn heard(&mut self) -> Vec<Vec<u8>> {
        let events = std::iter::from_fn(|| self.server.poll_event());
        events
            .filter_map(|event| if let DtlsEvent::Data(data) = event { Some(data.to_vec()) } else { None })
            .collect()
    }
}

#[test]
fn after_the_first_word_the_handshake_is_forgotten_and_the_association_goes_on() {
    let mut pair = Pair::new();
    pair.talk();
    assert!(pair.server.is_established() && !pair.server.settled);
    pair.server.write(pair.now, b"hello");
    assert_eq!(pair.talk(), [b"hello"]);
    assert!(!pair.server.settled, "the client has said nothing yet");

    let handshake = pair.said.len();
    for text in [&b"first"[..], b"second"] {
        assert_eq!(pair.say(text), [text]);
        assert!(pair.server.settled);
    }
    // Numbers that went back would be taken for a replay.
    pair.server.write(pair.now, b"good bye");
    assert_eq!(pair.talk(), [b"good bye"]);

    for datagram in pair.said.clone() {
        pair.server.handle(pair.now, &datagram);
    }
    assert!(pair.heard().is_empty(), "everything was known");
    assert_eq!(pair.said.len(), handshake + 2);
    assert!(pair.talk().is_empty(), "and nothing is said to it");

    assert_eq!(pair.say(b"third"), [b"third"]);
    pair.client.close(pair.now).expect("closed");
    pair.talk();
    assert!(matches!(pair.server.poll_event(), Some(DtlsEvent::Closed(DisconnectReason::Closed))));
}

#[test]
fn it_is_forgotten_too_when_media_shows_that_the_client_is_done() {
    let mut pair = Pair::new();
    pair.server.settle(pair.now, &[]);
    assert!(!pair.server.settled, "there is no association");
    pair.talk();
    pair.server.settle(pair.now, &[]);
    assert!(pair.server.settled);
    assert_eq!(pair.say(b"first"), [b"first"]);
    let said = pair.said.pop().expect("it was said");
    pair.server.handle(pair.now, &said);
    assert!(pair.heard().is_empty(), "it was known");
}

#[test]
fn a_client_that_missed_our_last_flight_gets_it_again() {
    let mut pair = Pair::new();
    // The handshake up to the client's last flight, of which the answer is lost.
    while !pair.server.is_established() {
        while let Some(sent) = pair.client.poll_transmit() {
            pair.said.push(sent.message.clone());
            pair.server.handle(pair.now, &sent.message);
        }
        if !pair.server.is_established() {
            while let Some(answer) = pair.server.poll_transmit() {
                pair.client.read(pair.now, REMOTE, None, answer).expect("it is understood");
            }
        }
    }
    while pair.server.poll_transmit().is_some() {}
    pair.now += Duration::from_secs(1);
    pair.client.handle_timeout(REMOTE, pair.now).expect("it repeats its flight");
    pair.talk();
    assert_eq!(pair.say(b"after all"), [b"after all"]);
}
