use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::finish::write_atomically;
use crate::store::{JOURNAL, MANIFEST, create_private_dir};

/// A store with one finished session of one track, one that is being recorded, and one that nobody may see.
struct Fixture {
    _folder: tempfile::TempDir,
    router: Router,
    finished: SessionId,
    recording: SessionId,
    hidden: SessionId,
    media: Vec<u8>,
}

const TRACK_FILE: &str = "0000000000000001-0.0.webm";

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let [finished, recording, hidden] = [1, 2, 3].map(SessionId::starting_at);
    let media: Vec<u8> = (0..600_000u32).map(|at| (at % 251) as u8).collect();
    for id in [finished, recording, hidden] {
        let dir = store.session_dir(&id);
        create_private_dir(&dir.join(TRACKS)).unwrap();
        let session =
            json!({"version":1,"session":id.to_string(),"room":"kitchen","title":"Pasta","started_at":5});
        write_atomically(&dir, SESSION, session.to_string().as_bytes()).unwrap();
        write_atomically(&dir, JOURNAL, b"secret").unwrap();
        write_atomically(&dir, EVENTS, b"{\"kind\":\"chat\"}\n").unwrap();
        write_atomically(&dir, CHAPTERS, b"WEBVTT\n").unwrap();
        std::fs::write(dir.join(TRACKS).join(TRACK_FILE), &media).unwrap();
        std::fs::write(dir.join(TRACKS).join("unnamed.webm"), "secret").unwrap();
        if id == recording {
            continue;
        }
        let manifest = json!({"version":1,"session":id.to_string(),"room":"kitchen","title":"Pasta","started_at":5,
            "duration_ms":9000,"recovered":true,"participants":[],"chapters":[],"events":EVENTS,
            "tracks":[{"id":"a","publication":"a","participant":"p","kind":"video","source":null,"codec":"VP8",
                "mime":"video/webm","file":TRACK_FILE,"bytes":600_000,"start_ms":0,"duration_ms":1,
                "clock":[[0.0,0.0],[1.0,1.0]],"gaps":[]}]});
        write_atomically(&dir, MANIFEST, manifest.to_string().as_bytes()).unwrap();
    }
    let authorize: Authorize =
        Arc::new(move |headers, id| *id != hidden && !headers.contains_key("x-stranger"));
    Fixture { router: routes(store, authorize), _folder: folder, finished, recording, hidden, media }
}

impl Fixture {
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Bytes) {
        self.send("GET", path, &[]).await
    }

    fn track(&self) -> String {
        format!("/v1/sessions/{}/tracks/{TRACK_FILE}", self.finished)
    }
}

fn json_of(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn the_list_shows_what_the_asker_may_see() {
    let fixture = fixture();
    let (status, headers, body) = fixture.get("/v1/sessions").await;
    assert_eq!((status, headers[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, JSON));
    let expected = json!({"sessions":[
        {"id":fixture.recording.to_string(),"room":"kitchen","title":"Pasta","started_at":5,"duration_ms":null,
            "recovered":false,"state":"recording"},
        {"id":fixture.finished.to_string(),"room":"kitchen","title":"Pasta","started_at":5,"duration_ms":9000,
            "recovered":true,"state":"finished"}]});
    assert_eq!(json_of(&body), expected);
    let (_, _, body) = fixture.send("GET", "/v1/sessions", &[("x-stranger", "1")]).await;
    assert_eq!(json_of(&body), json!({"sessions":[]}));
}

#[tokio::test]
async fn small_files_come_whole_and_are_asked_for_again_by_their_tag() {
    let fixture = fixture();
    let base = format!("/v1/sessions/{}", fixture.finished);
    for (path, content_type) in [
        (base.clone(), JSON),
        (format!("{base}/events.jsonl"), "application/jsonl"),
        (format!("{base}/chapters.vtt"), "text/vtt; charset=utf-8"),
    ] {
        let (status, headers, body) = fixture.get(&path).await;
        assert_eq!(
            (status, headers[CONTENT_TYPE].to_str().unwrap()),
            (StatusCode::OK, content_type),
            "{path}"
        );
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!body.is_empty());
        let tag = headers[ETAG].to_str().unwrap();
        let (status, _, body) = fixture.send("GET", &path, &[("if-none-match", tag)]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_hidden_or_odd_looks_the_same() {
    let fixture = fixture();
    let (finished, hidden, unknown) = (fixture.finished, fixture.hidden, SessionId::starting_at(9));
    let mut answers = Vec::new();
    for path in [
        format!("/v1/sessions/{hidden}"),
        format!("/v1/sessions/{hidden}/events.jsonl"),
        format!("/v1/sessions/{hidden}/tracks/{TRACK_FILE}"),
        format!("/v1/sessions/{unknown}"),
        format!("/v1/sessions/{unknown}/chapters.vtt"),
        format!("/v1/sessions/{finished}/tracks/unnamed.webm"),
        format!("/v1/sessions/{finished}/tracks/..%2Fjournal.bin"),
        format!("/v1/sessions/{finished}/tracks/%2e%2e%2fmanifest.json"),
        format!("/v1/sessions/{finished}/tracks/{TRACK_FILE}%00"),
        format!("/v1/sessions/..%2F{finished}"),
        "/v1/sessions/%2e%2e".to_owned(),
        format!("/v1/sessions/{}", finished.to_string().to_lowercase()),
    ] {
        let (status, _, body) = fixture.get(&path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        answers.push(body);
    }
    assert_eq!(json_of(&answers[0])["code"], "not_found");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let (status, _, _) = fixture.send("GET", &fixture.track(), &[("x-stranger", "1")]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_being_recorded_is_not_ready() {
    let fixture = fixture();
    for rest in ["", "/events.jsonl", "/chapters.vtt", &format!("/tracks/{TRACK_FILE}")] {
        let (status, _, body) = fixture.get(&format!("/v1/sessions/{}{rest}", fixture.recording)).await;
        assert_eq!((status, &json_of(&body)["code"]), (StatusCode::CONFLICT, &json!("not_ready")), "{rest}");
    }
}

#[tokio::test]
async fn media_come_in_ranges() {
    let fixture = fixture();
    let path = fixture.track();
    let (status, headers, body) = fixture.get(&path).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &fixture.media[..]));
    assert_eq!(headers[CACHE_CONTROL], "private, max-age=31536000, immutable");
    assert_eq!(headers[CONTENT_TYPE], "video/webm");
    assert_eq!(headers[ACCEPT_RANGES], "bytes");
    let tag = headers[ETAG].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"'), "a strong tag");

    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=0-", 0, 262_144),
        ("bytes=262144-", 262_144, 524_288),
        ("bytes=524288-", 524_288, 600_000),
        ("bytes=-10", 599_990, 600_000),
        ("bytes=0-599999", 0, 600_000),
    ] {
        let (status, headers, body) = fixture.send("GET", &path, &[("range", range)]).await;
        assert_eq!(status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert!(body == fixture.media[from..to], "{range}");
        assert_eq!(headers[CONTENT_RANGE], format!("bytes {from}-{}/600000", to - 1));
        assert_eq!(headers[CONTENT_LENGTH], (to - from).to_string());
    }
    let (status, headers, _) = fixture.send("GET", &path, &[("range", "bytes=600000-")]).await;
    assert_eq!(
        (status, &headers[CONTENT_RANGE]),
        (StatusCode::RANGE_NOT_SATISFIABLE, &"bytes */600000".parse().unwrap())
    );

    let (status, headers, body) = fixture.send("HEAD", &path, &[]).await;
    assert_eq!(
        (status, &headers[CONTENT_LENGTH], body.len()),
        (StatusCode::OK, &"600000".parse().unwrap(), 0)
    );
    let (status, headers, _) = fixture.send("HEAD", &path, &[("range", "bytes=5-9")]).await;
    assert_eq!((status, &headers[CONTENT_LENGTH]), (StatusCode::PARTIAL_CONTENT, &"5".parse().unwrap()));

    let same = [("range", "bytes=0-0"), ("if-range", tag.as_str())];
    assert_eq!(fixture.send("GET", &path, &same).await.0, StatusCode::PARTIAL_CONTENT);
    let other = [("range", "bytes=0-0"), ("if-range", "\"other\"")];
    assert_eq!(fixture.send("GET", &path, &other).await.0, StatusCode::OK);
    let (status, _, body) = fixture.send("GET", &path, &[("if-none-match", &tag)]).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(fixture.send("POST", &path, &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
}
