//! The demos and the JavaScript client, embedded.

use std::hash::{DefaultHasher, Hasher};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use include_dir::{Dir, include_dir};

use crate::http::refusal;

static EXAMPLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../examples");
static CLIENT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/js/src");

/// `GET /client/…`: the JavaScript client.
pub(super) fn client() -> Router {
    Router::new().route(
        "/client/{*path}",
        get(|Path(path): Path<String>, headers: HeaderMap| async move { file(&CLIENT, &path, &headers) }),
    )
}

/// The demos' pages.
pub(super) fn demos() -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { file(&EXAMPLES, "index.html", &headers) }))
        .route(
            "/replay/{id}",
            get(|headers: HeaderMap| async move { file(&EXAMPLES, "replay/index.html", &headers) }),
        )
        .route(
            "/demo/{name}",
            get(|Path(name): Path<String>, headers: HeaderMap| async move { demo(&name, &headers) }),
        )
        .route(
            "/demo/{name}/{*path}",
            get(|Path((name, path)): Path<(String, String)>, headers: HeaderMap| async move {
                file(&EXAMPLES, &format!("{name}/{path}"), &headers)
            }),
        )
}

/// A demo's page.
pub(super) fn demo(name: &str, headers: &HeaderMap) -> Response {
    file(&EXAMPLES, &format!("{name}/index.html"), headers)
}

/// One embedded file. Names are looked up as they are, so a path leads nowhere else; what is no web page's part is not served.
fn file(folder: &'static Dir<'static>, path: &str, headers: &HeaderMap) -> Response {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let (Some(file), Some(content_type)) = (folder.get_file(path), content_type(extension)) else {
        return refusal(StatusCode::NOT_FOUND, "not_found", "There is no such page.");
    };
    let tag = etag(file.contents());
    let common = [
        (ETAG, tag.as_str()),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, file.contents()).into_response()
}

fn etag(contents: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(contents);
    format!("\"{:016x}-{:x}\"", hasher.finish(), contents.len())
}

fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; \
    img-src 'self' data:; style-src 'self' 'unsafe-inline'";

/// Browsers take every response for what it says it is.
pub(super) const NO_SNIFF: (HeaderName, &str) = (axum::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff");

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(uri: &str, tag: Option<&str>) -> Response {
        let mut request = Request::get(uri);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = request.body(Body::empty()).expect("a request");
        demos().merge(client()).oneshot(request).await.expect("a response")
    }

    #[tokio::test]
    async fn pages_and_modules_are_served_as_what_they_are() {
        for (uri, content_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/demo/class", "text/html; charset=utf-8"),
            ("/replay/01J0000000000000000000000A", "text/html; charset=utf-8"),
            ("/client/client.js", "text/javascript; charset=utf-8"),
        ] {
            let response = ask(uri, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{uri}");
            assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{uri}");
            assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY), "{uri}");
            let tag = response.headers()[ETAG].to_str().expect("a tag").to_owned();
            assert_eq!(ask(uri, Some(&tag)).await.status(), StatusCode::NOT_MODIFIED, "{uri}");
            assert_eq!(ask(uri, Some("\"other\"")).await.status(), StatusCode::OK, "{uri}");
        }
    }

    #[tokio::test]
    async fn there_is_no_way_out_of_the_folders() {
        for uri in [
            "/demo/none",
            "/demo/class/../../Cargo.toml",
            "/demo/class/%2e%2e/%2e%2e/Cargo.toml",
            "/demo/%2e%2e",
            "/client/..%2fpackage.json",
            "/client//etc/passwd",
            "/demo/class/",
        ] {
            assert_eq!(ask(uri, None).await.status(), StatusCode::NOT_FOUND, "{uri}");
        }
    }
}
