//! What a fake keeps over the end of its process: a log of what it did, written before it is answered,
//! and done again when it starts.
//!
//! A fake is a function of its settings, its seed and what it is asked when: so what was asked is all
//! that need be kept. Faults and their counts are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use clockwork::{BoxFuture, Clock, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use crate::api::{Call, RequestId};
use crate::journal::{Journal, ReplyFate, RequestRecord};
use crate::layer::BODY_LIMIT_BYTES;

/// The log. Clones share it.
#[derive(Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<Stopped>,
    file: Mutex<File>,
    /// One request at a time: the log has the order in which they were processed.
    turn: tokio::sync::Mutex<()>,
}

/// A line of the log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// A request is processed.
    Asked(Asked),
    /// What became of a request so far.
    Request(RequestRecord),
}

/// A request, as it is done again.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    at: Timestamp,
    /// `None` of one at the admin address.
    call: Option<Call>,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What stood in a log when it was opened.
pub struct Past {
    asked: Vec<Asked>,
    requests: BTreeMap<u64, RequestRecord>,
}

impl Keeper {
    /// The log in the file at `path`, made if need be, and what stands in it. A last line that was cut
    /// off has not happened.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> io::Result<(Keeper, Past)> {
        let file = File::options().create(true).append(true).open(path)?;
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        let mut past = Past { asked: Vec::new(), requests: BTreeMap::new() };
        for line in text[..whole].lines() {
            match serde_json::from_str(line)? {
                Line::Asked(asked) => past.asked.push(asked),
                Line::Request(record) => drop(past.requests.insert(record.id, record)),
            }
        }
        let clock = Arc::new(Stopped { inner: clock, at: Mutex::default() });
        let (file, turn) = (Mutex::new(file), tokio::sync::Mutex::default());
        Ok((Keeper { shared: Arc::new(Shared { clock, file, turn }) }, past))
    }

    /// The clock that the fake must have: it stands still while a request is processed, so that the
    /// same comes of it when it is done again.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.shared.clock.clone()
    }

    /// `router`, whose requests are written down before they are processed.
    pub fn layer(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), keep))
    }

    /// Does again what was asked: of `api` without its faults, and of `admin`. Then `journal` knows the
    /// requests of before, and what becomes of each is written down.
    pub async fn remember(&self, past: Past, api: &Router, admin: &Router, journal: &Journal) {
        let Past { asked, mut requests } = past;
        let mut processed = BTreeSet::new();
        for asked in asked {
            let _still = self.shared.clock.stop_at(asked.at);
            processed.extend(asked.call.as_ref().map(|call| call.id));
            let router = if asked.call.is_some() { api } else { admin };
            if let Some(request) = asked.request() {
                let Ok(_) = router.clone().oneshot(request).await;
            }
        }
        for record in requests.values_mut() {
            record.processed |= processed.contains(&record.id);
            // Its connection ended with the process.
            if record.reply == ReplyFate::Pending {
                record.reply = ReplyFate::Reset;
            }
        }
        journal.restore(requests.into_values());
        let keeper = self.clone();
        journal.on_change(Arc::new(move |record| keeper.write(&Line::Request(record.clone()))));
    }

    fn write(&self, line: &Line) {
        // Texts, numbers and lists: nothing here that JSON cannot write.
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        // Without a disk there is nothing to keep, and nothing better to do than to go on.
        let _ = lock(&self.shared.file).write_all(text.as_bytes());
    }
}

async fn keep(State(keeper): State<Keeper>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let _turn = keeper.shared.turn.lock().await;
    let at = keeper.shared.clock.now();
    let still = keeper.shared.clock.stop_at(at);
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    keeper.write(&Line::Asked(Asked {
        at,
        call: parts.extensions.get::<Call>().cloned(),
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    }));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    drop(still);
    response
}

impl Asked {
    fn request(self) -> Option<Request> {
        let mut request = http::Request::builder().method(&*self.method).uri(self.uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(call) = self.call {
            request = request.extension(RequestId(call.id)).extension(call);
        }
        // It was one, before it was written down.
        request.body(Body::from(self.body)).ok()
    }
}

/// A clock that can be held still.
#[derive(Debug)]
struct Stopped {
    inner: Arc<dyn Clock>,
    at: Mutex<Option<Timestamp>>,
}

/// Lets the clock go on when it is dropped.
struct Still<'a>(&'a Stopped);

impl Stopped {
    fn stop_at(&self, at: Timestamp) -> Still<'_> {
        *lock(&self.at) = Some(at);
        Still(self)
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        *lock(&self.0.at) = None;
    }
}

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        let stopped = *lock(&self.at);
        stopped.unwrap_or_else(|| self.inner.now())
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        self.inner.sleep_until(moment)
    }
}

/// Nothing panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
