//! The media core's totals, read when somebody asks.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use simmer_sfu::{Counters, Sfu, WorkerCounters};

/// Reads the core's counters at each scrape.
pub(super) struct CoreMetrics {
    core: Sfu,
}

impl CoreMetrics {
    pub(super) fn new(core: Sfu) -> Self {
        Self { core }
    }
}

impl Collector for CoreMetrics {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = self.core.counters();
        let mut families = Vec::new();
        for (name, help, value) in gauges(&counters) {
            if let Ok(gauge) = IntGauge::new(name, help) {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
                families.extend(gauge.collect());
            }
        }
        for (name, help, value) in totals(&counters) {
            if let Ok(counter) = IntCounter::new(name, help) {
                counter.inc_by(value);
                families.extend(counter.collect());
            }
        }
        families.extend(workers(&self.core.workers()));
        families
    }
}

/// What each worker does, by its number.
fn workers(workers: &[WorkerCounters]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    let (name, help) = ("simmer_worker_media_connections", "Media connections of each worker now.");
    if let Ok(gauges) = IntGaugeVec::new(Opts::new(name, help), &["worker"]) {
        for (number, worker) in workers.iter().enumerate() {
            let value = i64::try_from(worker.participants).unwrap_or(i64::MAX);
            gauges.with_label_values(&[number.to_string()]).set(value);
        }
        families.extend(gauges.collect());
    }
    for (name, help, value) in WORKER_TOTALS {
        if let Ok(counters) = IntCounterVec::new(Opts::new(name, help), &["worker"]) {
            for (number, worker) in workers.iter().enumerate() {
                counters.with_label_values(&[number.to_string()]).inc_by(value(worker));
            }
            families.extend(counters.collect());
        }
    }
    families
}

type WorkerRow = (&'static str, &'static str, fn(&WorkerCounters) -> u64);

const WORKER_TOTALS: [WorkerRow; 6] = [
    ("simmer_worker_datagrams_received_total", "Datagrams received by each worker.", |worker| {
        worker.datagrams_received
    }),
    (
        "simmer_worker_datagrams_handed_over_total",
        "Datagrams each worker handed to the one they were for.",
        |worker| worker.datagrams_handed_over,
    ),
    (
        "simmer_worker_datagrams_dropped_total",
        "Datagrams each worker dropped, since the one they were for had too many waiting.",
        |worker| worker.datagrams_dropped,
    ),
    (
        "simmer_worker_packets_mirrored_total",
        "RTP packets each worker handed to others that have the same room, once for each.",
        |worker| worker.packets_mirrored,
    ),
    (
        "simmer_worker_packets_dropped_total",
        "RTP packets for other workers with the same room that were dropped, since they had too many waiting.",
        |worker| worker.packets_dropped,
    ),
    (
        "simmer_worker_packets_forwarded_total",
        "RTP packets sent for the first time by each worker.",
        |worker| worker.packets_forwarded,
    ),
];

type Row = (&'static str, &'static str, u64);

fn gauges(core: &Counters) -> [Row; 2] {
    [
        ("simmer_media_connections", "Media connections now.", core.participants),
        ("simmer_publications", "Publications now.", core.publications),
    ]
}

fn totals(core: &Counters) -> [Row; 22] {
    [
        ("simmer_media_datagrams_received_total", "Datagrams received.", core.datagrams_received),
        (
            "simmer_media_datagrams_unknown_total",
            "Datagrams from addresses that no check has bound, dropped.",
            core.datagrams_unknown,
        ),
        (
            "simmer_media_packets_received_total",
            "RTP packets received and authenticated.",
            core.packets_received,
        ),
        ("simmer_media_payload_received_bytes_total", "Their payload.", core.payload_bytes_received),
        (
            "simmer_media_packets_discarded_total",
            "RTP packets of no publication, twice, or too late.",
            core.packets_discarded,
        ),
        (
            "simmer_media_packets_forwarded_total",
            "RTP packets sent for the first time.",
            core.packets_forwarded,
        ),
        ("simmer_media_forwarded_bytes_total", "Their datagrams' size.", core.bytes_forwarded),
        ("simmer_media_packets_retransmitted_total", "RTP packets sent again.", core.packets_retransmitted),
        (
            "simmer_media_retransmissions_refused_total",
            "Retransmissions asked for and not given.",
            core.retransmissions_refused,
        ),
        ("simmer_media_nacks_sent_total", "Publishers' packets asked for again.", core.nacks_sent),
        (
            "simmer_media_packets_repaired_total",
            "Publishers' packets that came again.",
            core.packets_repaired,
        ),
        (
            "simmer_media_keyframes_requested_total",
            "Key frames asked of publishers.",
            core.keyframes_requested,
        ),
        (
            "simmer_media_pictures_from_history_total",
            "Pictures that began with packets kept from before, without a key frame of their own.",
            core.pictures_from_history,
        ),
        (
            "simmer_media_packets_probing_total",
            "RTP packets sent to see whether a line carries more.",
            core.packets_probing,
        ),
        ("simmer_data_messages_received_total", "Data channel messages received.", core.messages_received),
        ("simmer_data_messages_sent_total", "Data channel messages sent.", core.messages_sent),
        ("simmer_data_messages_dropped_total", "Data channel messages dropped.", core.messages_dropped),
        (
            "simmer_data_datagrams_refused_total",
            "Datagrams with data channel messages dropped unread: their client sent too much.",
            core.data_refused,
        ),
        (
            "simmer_media_datagrams_sent_total",
            "Datagrams given to the operating system, of any kind.",
            core.datagrams_sent,
        ),
        (
            "simmer_media_sends_total",
            "Sends that these took: packets of one picture to one client are one, and several sends go to the system in one call.",
            core.sends,
        ),
        (
            "simmer_media_datagrams_unsent_total",
            "Datagrams that the operating system did not take.",
            core.datagrams_unsent,
        ),
        (
            "simmer_media_commands_dropped_total",
            "Commands dropped because the core's inbox was full.",
            core.commands_dropped,
        ),
    ]
}
