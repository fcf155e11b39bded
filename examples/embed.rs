//! The media core in somebody else's program: a page that publishes and watches, and the fifty lines between it and `simmer-sfu`.
//!
//! `cargo run -p simmer-sfu --example embed`, then open the address it prints.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program has threads and prints; what is banned is banned inside the core"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::view::{VideoWish, View};
use simmer_sfu::{Config, Limits, Sfu};

/// Who waits for the answer to which request.
type Waiting = Arc<Mutex<HashMap<u64, Sender<Result<String, String>>>>>;

const PUBLISHER: ParticipantId = ParticipantId(1);
const VIEWER: ParticipantId = ParticipantId(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let waiting = Waiting::default();
    let answers = Arc::clone(&waiting);
    // The callback runs between two packets: it hands over and returns.
    let (events, told) = channel();
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        advertise: vec![Ipv4Addr::LOCALHOST.into()],
        workers: 1,
        limits: Limits::default(),
    };
    let sfu = Sfu::start(config, Box::new(move |event| drop(events.send(event))))?;
    for participant in [PUBLISHER, VIEWER] {
        sfu.send(Command::Join { room: RoomId(1), participant })?;
    }
    let core = sfu.clone();
    std::thread::spawn(move || {
        for event in told {
            match event {
                Event::Answered { request, answer, .. } => {
                    let waiting = answers.lock().ok().and_then(|mut waiting| waiting.remove(&request));
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(answer.map_err(|error| error.to_string()));
                    }
                }
                Event::Published { publication, .. } => {
                    // The viewer watches whatever is published; sound comes by itself.
                    let wish = VideoWish::new(publication.id, 720);
                    let view = View { video: vec![wish], ..View::default() };
                    if publication.codec.kind() == simmer_sfu::codec::Kind::Video {
                        let _ = core.send(Command::SetView { participant: VIEWER, view });
                    }
                }
                other => eprintln!("{other:?}"),
            }
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("http://{}/", listener.local_addr()?);
    for (request, stream) in listener.incoming().enumerate() {
        // A browser opens connections that it may never use: none waits for another.
        let (sfu, waiting, mut stream) = (sfu.clone(), Arc::clone(&waiting), stream?);
        std::thread::spawn(move || {
            if let Err(error) = serve(&sfu, &waiting, request as u64, &mut stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// One HTTP request: the page, or an offer.
fn serve(
    sfu: &Sfu,
    waiting: &Waiting,
    request: u64,
    stream: &mut TcpStream,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse::<usize>()?.min(512 * 1024),
            Some(_) => {}
            None => break,
        }
    }
    let mut words = line.split(' ');
    let (status, kind, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/")) => ("200 OK", "text/html", include_str!("embed.html").to_owned()),
        (Some("POST"), Some(path)) => {
            let mut sdp = vec![0; length];
            reader.read_exact(&mut sdp)?;
            let participant = ParticipantId(path.trim_start_matches("/offer/").parse()?);
            let (answered, answer) = channel();
            waiting.lock().map_err(|_| "poisoned")?.insert(request, answered);
            sfu.send(Command::Offer { participant, request, sdp: String::from_utf8(sdp)? })?;
            match answer.recv()? {
                Ok(answer) => ("200 OK", "application/sdp", answer),
                Err(reason) => ("400 Bad Request", "text/plain", reason),
            }
        }
        _ => ("404 Not Found", "text/plain", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())?;
    Ok(())
}
