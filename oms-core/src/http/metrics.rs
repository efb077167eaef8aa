//! `/metrics` in Prometheus' text format, written by hand: a dozen names need no library.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use clockwork::Timestamp;

use super::App;
use crate::env::{Event, Observer};
use crate::state::{NoticeState, OrderState, ParcelState};
use crate::store::Census;

/// What is counted since the process began, with the text that Prometheus shows.
const COUNTERS: [(&str, &str); 12] = [
    ("oms_http_requests_total", "Requests answered, by route."),
    ("oms_acknowledged_total", "Orders of which a caller was told that they are kept."),
    ("oms_signed_up_total", "Members of which a caller was told that they are kept."),
    ("oms_pool_waits_total", "Waits for a connection of the pool, by whether one came free."),
    ("oms_calls_total", "Calls to external APIs, by how the reply was understood."),
    ("oms_breaker_changes_total", "Changes of circuit breakers."),
    ("oms_quota_blocks_total", "Times that an API told us to wait."),
    ("oms_reconciled_total", "Unknown outcomes that became known."),
    ("oms_leases_taken_total", "Work taken over from a worker whose lease ran out."),
    ("oms_fenced_total", "Writes refused since their lease was lost."),
    ("oms_parked_total", "Orders that went to the operator."),
    ("oms_spans_total", "Spans of traces, by what became of them: sent, or why they were dropped."),
];

/// Counters. As an observer it counts the core's events.
#[derive(Debug, Default)]
pub struct Metrics {
    counts: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, method: &str, route: &str, status: u16) {
        let status = status.to_string();
        let labels = [("method", method), ("route", route), ("status", status.as_str())];
        self.count("oms_http_requests_total", &labels);
    }

    /// So many spans of traces were `sent`, or dropped for the reason that `fate` names.
    pub fn spans(&self, fate: &str, spans: usize) {
        self.add("oms_spans_total", &[("fate", fate)], u64::try_from(spans).unwrap_or(u64::MAX));
    }

    fn count(&self, name: &'static str, labels: &[(&str, &str)]) {
        self.add(name, labels, 1);
    }

    fn add(&self, name: &'static str, labels: &[(&str, &str)], more: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((name, written(labels))).or_default();
        *count = count.saturating_add(more);
    }

    /// The lines of `name`.
    #[cfg(test)]
    pub(crate) fn told(&self, name: &str) -> Vec<String> {
        let mut text = String::new();
        self.write(&mut text);
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    fn write(&self, text: &mut String) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help) in COUNTERS {
            begin(text, name, "counter", help);
            for ((_, labels), count) in counts.iter().filter(|((of, _), _)| *of == name) {
                line(text, name, labels, *count);
            }
        }
    }
}

impl Observer for Metrics {
    fn observe(&self, _at: Timestamp, event: Event) {
        match &event {
            Event::Acknowledged { .. } => self.count("oms_acknowledged_total", &[]),
            Event::SignedUp { .. } => self.count("oms_signed_up_total", &[]),
            Event::PoolWaited { granted, .. } => {
                self.count("oms_pool_waits_total", &[("granted", &granted.to_string())]);
            }
            Event::CallEnd { api, endpoint, outcome, .. } => self.count(
                "oms_calls_total",
                &[("api", api), ("endpoint", endpoint), ("outcome", outcome)],
            ),
            Event::Breaker { api, to } => {
                self.count("oms_breaker_changes_total", &[("api", api), ("to", to)]);
            }
            Event::QuotaBlocked { quota, why, .. } => {
                self.count("oms_quota_blocks_total", &[("quota", quota), ("why", why)]);
            }
            Event::Reconciled { to, how, .. } => {
                self.count("oms_reconciled_total", &[("to", to), ("how", how)]);
            }
            Event::LeaseTaken { .. } => self.count("oms_leases_taken_total", &[]),
            Event::Fenced { .. } => self.count("oms_fenced_total", &[]),
            Event::Parked { .. } => self.count("oms_parked_total", &[]),
            Event::TxBegin { .. } | Event::TxEnd { .. } | Event::CallBegin { .. } => {}
        }
    }
}

/// `GET /metrics`. When the store does not answer, the counters are told all the same.
pub(super) async fn render(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
    let census = app.env.store.census().await;
    if let Err(error) = &census {
        tracing::warn!(%error, "metrics without a census");
    }
    begin(&mut text, "oms_store_up", "gauge", "Whether the database answers.");
    line(&mut text, "oms_store_up", "", u64::from(census.is_ok()));
    if let Ok(census) = census {
        write_census(&mut text, &census, app.env.clock.now());
    }
    app.metrics.write(&mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn write_census(text: &mut String, census: &Census, now: Timestamp) {
    // All states, also those that nothing is in: a line that comes and goes raises no alarm.
    begin(text, "oms_orders", "gauge", "Orders by state.");
    for state in OrderState::ALL {
        let count = census.orders.get(state).copied().unwrap_or_default();
        let labels = written(&[("state", state.as_str()), ("name", state.korean())]);
        line(text, "oms_orders", &labels, count);
    }
    begin(text, "oms_parcels", "gauge", "Parcels by state.");
    for state in ParcelState::ALL {
        let count = census.parcels.get(state).copied().unwrap_or_default();
        line(text, "oms_parcels", &written(&[("state", state.as_str())]), count);
    }
    begin(text, "oms_notifications", "gauge", "Notifications by state.");
    for state in NoticeState::ALL {
        let count = census.notices.get(state).copied().unwrap_or_default();
        line(text, "oms_notifications", &written(&[("state", state.as_str())]), count);
    }
    begin(text, "oms_members", "gauge", "Members.");
    line(text, "oms_members", "", census.members);
    begin(text, "oms_leases", "gauge", "Leases that are held.");
    line(text, "oms_leases", "", census.leases);
    begin(text, "oms_oldest_unknown_seconds", "gauge", "Age of the oldest unknown outcome.");
    let age = census.oldest_unknown.map_or(0, |since| now.since(since).as_secs());
    line(text, "oms_oldest_unknown_seconds", "", age);
}

fn begin(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

fn written(labels: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let written: Vec<String> =
        labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
    written.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_their_labels() {
        let metrics = Metrics::default();
        let breaker = |to: &str| Event::Breaker { api: "carrier".to_owned(), to: to.to_owned() };
        metrics.observe(Timestamp::EPOCH, breaker("open"));
        metrics.observe(Timestamp::EPOCH, breaker("open"));
        metrics.observe(Timestamp::EPOCH, breaker("closed"));
        metrics.observe(Timestamp::EPOCH, Event::Fenced { what: "A/1".to_owned() });
        let mut text = String::new();
        metrics.write(&mut text);
        for expected in [
            "# TYPE oms_breaker_changes_total counter\n",
            "oms_breaker_changes_total{api=\"carrier\",to=\"open\"} 2\n",
            "oms_breaker_changes_total{api=\"carrier\",to=\"closed\"} 1\n",
            "oms_fenced_total 1\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(written(&[("a", "x\"y\\z\n")]), "a=\"x\\\"y\\\\z\\n\"");
    }
}
