//! `GET /debug/media`: how every line and every publication is just now, for people and for charts.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use simmer_sfu::Sfu;
use simmer_sfu::egress::Target;
use simmer_sfu::message::Command;
use simmer_sfu::report::{ParticipantReport, PublicationReport, SlotReport};
use tokio::sync::oneshot;

use crate::http::refusal;

/// The route, for a listener that is not public.
pub(super) fn routes(core: Sfu) -> Router {
    Router::new().route("/debug/media", get(move || report(core.clone())))
}

async fn report(core: Sfu) -> Response {
    let (sender, told) = oneshot::channel();
    let tell = Box::new(move |reports| {
        // Nobody waits any more when the request is gone.
        let _ = sender.send(reports);
    });
    let asked = core.send(Command::Report { tell });
    let reports = tokio::time::timeout(PATIENCE, told).await;
    match (asked, reports) {
        (Ok(()), Ok(Ok(reports))) => {
            let participants: Vec<Value> = reports.iter().map(participant).collect();
            axum::Json(json!({ "participants": participants })).into_response()
        }
        _ => refusal(StatusCode::SERVICE_UNAVAILABLE, "internal", "The media core does not answer."),
    }
}

fn participant(report: &ParticipantReport) -> Value {
    let estimate = report.estimate.map(|estimate| {
        json!({
            "estimate_bps": estimate.estimate.as_bps(),
            "acknowledged_bps": estimate.acknowledged.map(|rate| rate.as_bps()),
            "loss": estimate.loss,
            "trend": estimate.trend,
            "usage": format!("{:?}", estimate.usage).to_lowercase(),
        })
    });
    json!({
        "participant": report.participant.to_string(),
        "room": report.room.0,
        "line": estimate,
        "round_trip_ms": report.round_trip.map(milliseconds),
        "packets_sent": report.packets_sent,
        "bytes_sent": report.bytes_sent,
        "bytes_waiting": report.bytes_waiting,
        "slots": report.slots.iter().map(slot).collect::<Vec<_>>(),
        "publications": report.publications.iter().map(publication).collect::<Vec<_>>(),
    })
}

fn slot(report: &SlotReport) -> Value {
    json!({
        "mid": report.mid.to_string(),
        "publication": report.publication.map(|publication| publication.to_string()),
        "shown": report.shown.map(target),
        "allotted": report.allotted.map(target),
        "paused": report.paused,
    })
}

fn target(target: Target) -> Value {
    json!({
        "encoding": target.encoding,
        "spatial": target.layer.spatial,
        "temporal": target.layer.temporal,
    })
}

fn publication(report: &PublicationReport) -> Value {
    let encodings = report.encodings.iter().map(|encoding| {
        json!({
            "height": encoding.height,
            "bitrate_bps": encoding.bitrate.as_bps(),
            "sends": encoding.sends,
            "wanted": encoding.wanted,
        })
    });
    json!({ "publication": report.publication.to_string(), "encodings": encodings.collect::<Vec<_>>() })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

const PATIENCE: Duration = Duration::from_secs(2);
