//! The demos and the browser client, carried inside the binary.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use include_dir::{Dir, include_dir};

use crate::server::not_found;

static EXAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../examples");
static CLIENT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/js/src");

/// `/client/…`: the browser client's modules.
pub fn client_routes() -> Router {
    let files = Files::of(&CLIENT);
    Router::new().route("/client/{*file}", get(file)).with_state(files)
}

/// `/`, `/demo/…` and `/replay/…`: the demos' pages.
pub fn demo_routes() -> Router {
    let files = Files::of(&EXAMPLES);
    let page = |name: &'static str| {
        get(move |State(files): State<Arc<Files>>, headers: HeaderMap| async move { files.answer(name, &headers) })
    };
    Router::new()
        .route("/", page("index.html"))
        .route("/demo/{name}", get(demo))
        .route("/demo/{name}/{*file}", get(demo_file))
        .route("/replay", page("replay/index.html"))
        .route("/replay/{session}", page("replay/index.html"))
        .with_state(files)
}

async fn file(State(files): State<Arc<Files>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    files.answer(&file, &headers)
}

async fn demo(State(files): State<Arc<Files>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    files.answer(&format!("{name}/index.html"), &headers)
}

async fn demo_file(
    State(files): State<Arc<Files>>,
    Path((name, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    files.answer(&format!("{name}/{file}"), &headers)
}

/// Files by their paths; what is not among them does not exist, so that no path leads anywhere else.
struct Files {
    by_path: HashMap<String, File>,
}

struct File {
    contents: &'static [u8],
    content_type: &'static str,
    etag: String,
}

impl Files {
    fn of(folder: &'static Dir<'static>) -> Arc<Self> {
        let mut by_path = HashMap::new();
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            for file in folder.files() {
                let (Some(path), contents) = (file.path().to_str(), file.contents()) else { continue };
                let Some(content_type) = content_type(path) else { continue };
                let mut hasher = DefaultHasher::new();
                contents.hash(&mut hasher);
                let etag = format!("\"{:016x}\"", hasher.finish());
                by_path.insert(path.to_owned(), File { contents, content_type, etag });
            }
        }
        Arc::new(Self { by_path })
    }

    fn answer(&self, path: &str, headers: &HeaderMap) -> Response {
        let Some(file) = self.by_path.get(path) else { return not_found() };
        let fixed = [
            (CONTENT_TYPE, file.content_type),
            (CACHE_CONTROL, "no-cache"),
            (ETAG, &file.etag),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CONTENT_SECURITY_POLICY, POLICY),
        ];
        if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == file.etag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, fixed).into_response();
        }
        (fixed, file.contents).into_response()
    }
}

fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

/// Everything comes from here; styles may be set by script, as the pages do for measures.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; \
     img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn status(path: &str, etag: Option<&str>) -> (StatusCode, HeaderMap) {
        let mut request = Request::get(path);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = demo_routes().merge(client_routes()).oneshot(request).await.expect("an answer");
        (answer.status(), answer.headers().clone())
    }

    #[tokio::test]
    async fn pages_and_modules_are_there_and_known_again() {
        let pages = [
            ("/", "text/html; charset=utf-8"),
            ("/demo/class", "text/html; charset=utf-8"),
            ("/replay/01J", "text/html; charset=utf-8"),
            ("/demo/class/class.js", "text/javascript; charset=utf-8"),
            ("/client/client.js", "text/javascript; charset=utf-8"),
        ];
        for (path, expected) in pages {
            let (found, headers) = status(path, None).await;
            assert_eq!(found, StatusCode::OK, "{path}");
            assert_eq!(headers[CONTENT_TYPE], expected);
            let etag = headers[ETAG].to_str().expect("a tag");
            assert_eq!(status(path, Some(etag)).await.0, StatusCode::NOT_MODIFIED);
        }
    }

    #[tokio::test]
    async fn no_path_leads_out() {
        for path in ["/demo/nothing", "/client/../../Cargo.toml", "/client/%2e%2e/Cargo.toml", "/demo/class/..%2f..%2fCargo.toml"] {
            assert_eq!(status(path, None).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
