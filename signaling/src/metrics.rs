//! What is counted on the signaling side, for Prometheus: `simmer_` prefix, bounded labels.

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The signaling side's metrics and the registry they are in.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Rooms that are remembered, empty ones included.
    pub rooms: IntGauge,
    /// Participants present, over all rooms.
    pub participants: IntGauge,
    /// Rooms being recorded.
    pub recordings: IntGauge,
    /// Open WebSockets, whether they have said hello or not.
    pub websockets: IntGauge,
    /// WebSockets opened.
    pub websockets_opened: IntCounter,
    /// WebSockets and requests of WHIP and WHEP refused by their origin.
    pub origins_refused: IntCounter,
    /// WebSockets closed by the server, by close code.
    pub closes: IntCounterVec,
    /// Messages received, by type and carrier.
    pub received: IntCounterVec,
    /// Messages sent, by type and carrier.
    pub sent: IntCounterVec,
    /// Errors told to clients, by code.
    pub errors: IntCounterVec,
    /// Events in the rooms' logs.
    pub events: IntCounter,
    /// Resumed sessions, by how: every event was held, or a snapshot was needed.
    pub resumes: IntCounterVec,
    /// Replies given again to a repeated idempotency key.
    pub repeated: IntCounter,
    /// Events of the core or the recorder that found the feed full and were dropped.
    pub feed_dropped: IntCounter,
    /// Panics that took a room or a session down.
    pub panics: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// New metrics in a registry of their own.
    pub fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help));
        let counter = |name, help| register(&registry, IntCounter::new(name, help));
        let counters = |name, help, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        Self {
            rooms: gauge("simmer_rooms", "Rooms that are remembered, empty ones included."),
            participants: gauge("simmer_participants", "Participants present, over all rooms."),
            recordings: gauge("simmer_recordings", "Rooms being recorded."),
            websockets: gauge("simmer_websockets", "Open WebSockets."),
            websockets_opened: counter("simmer_websockets_opened_total", "WebSockets opened."),
            origins_refused: counter(
                "simmer_origins_refused_total",
                "WebSockets and requests of WHIP and WHEP refused by their origin.",
            ),
            closes: counters("simmer_websocket_closes_total", "WebSockets closed by the server.", &["code"]),
            received: counters("simmer_messages_received_total", "Messages received.", &["type", "carrier"]),
            sent: counters("simmer_messages_sent_total", "Messages sent.", &["type", "carrier"]),
            errors: counters("simmer_errors_total", "Errors told to clients.", &["code"]),
            events: counter("simmer_room_events_total", "Events in the rooms' logs."),
            resumes: counters("simmer_resumes_total", "Sessions resumed.", &["with"]),
            repeated: counter("simmer_replies_repeated_total", "Replies given again to a repeated key."),
            feed_dropped: counter(
                "simmer_feed_dropped_total",
                "Events of the media core or the recorder dropped because too many were waiting.",
            ),
            panics: counter("simmer_panics_total", "Panics that took a room or a session down."),
            registry,
        }
    }

    /// Registers a further metric.
    ///
    /// # Panics
    ///
    /// When its name is no metric's name: names are literals.
    pub fn add<M: prometheus::core::Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        register(&self.registry, metric)
    }

    /// Where further metrics can be registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

fn register<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    // Names and labels are literals, each registered once in a new registry.
    #[expect(clippy::expect_used, reason = "a literal name that is no metric's name is a bug")]
    let metric = metric.expect("a valid metric");
    if let Err(error) = registry.register(Box::new(metric.clone())) {
        tracing::error!(%error, "a metric cannot be registered");
    }
    metric
}
