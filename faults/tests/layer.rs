//! The layer around a router, in process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/room.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Json, Router};
use faults::{
    BODY_LIMIT_BYTES, Call, Injector, Journal, ReplyFate, RequestId, Reset, When, disturb,
};
use http::{Request, StatusCode};
use support::{Room, Tiny, booking};
use tower::ServiceExt;

/// The reply to a booking, `None` when there is none within five seconds.
async fn book(room: &Room, order: &str) -> Option<Response> {
    let reply = room.router.clone().oneshot(booking(order));
    let reply = clockwork::timeout(&*room.clock, Duration::from_secs(5), reply).await;
    Some(reply.ok()?.unwrap())
}

#[tokio::test(start_paused = true)]
async fn handlers_find_the_call_and_its_number() {
    let room = Room::with("");
    let tell = async |Extension(id): Extension<RequestId>, Extension(call): Extension<Call>| {
        assert_eq!(RequestId(call.id), id);
        Json(call)
    };
    let router = Router::new().route("/book", post(tell));
    let tiny = room.tiny.clone();
    let router = disturb(router, tiny, room.injector.clone(), room.journal.clone());
    for (n, order) in ["a", "b", "a"].into_iter().enumerate() {
        let response = router.clone().oneshot(booking(order)).await.unwrap();
        let body = to_bytes(response.into_body(), 1 << 10).await.unwrap();
        let call: Call = serde_json::from_slice(&body).unwrap();
        let (id, attempt) = [(1, 1), (2, 1), (3, 2)][n];
        assert_eq!((call.id, call.nth, call.attempt), (id, id, attempt));
        assert_eq!(call.key.as_deref(), Some(order));
        assert_eq!(call.client.to_string(), "127.0.0.1", "where no address is known");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_limit_is_413_and_not_processed() {
    let room = Room::with("[[fault]]\nkind = 'empty'\nendpoint = 'book'\n");
    for (bytes, status) in [(BODY_LIMIT_BYTES + 1, 413), (BODY_LIMIT_BYTES, 200)] {
        let request = Request::post("/book").body(Body::from(vec![b' '; bytes])).unwrap();
        let response = room.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let records = room.journal.records();
    assert_eq!((records[0].status, records[0].processed), (Some(413), false));
    assert_eq!(records[0].fault, None, "what is not read is not disturbed");
    assert_eq!(room.injector.fired()[0].times, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_has_begun_is_not_undone_by_a_caller_that_hangs_up() {
    let room = Room::with("");
    let done = Arc::new(Mutex::new(0));
    let (clock, count) = (Arc::clone(&room.clock), Arc::clone(&done));
    let slow = async move || {
        clock.sleep(Duration::from_secs(7)).await;
        *count.lock().unwrap() += 1;
    };
    let router = Router::new().route("/book", post(slow));
    let (injector, journal) = (room.injector.clone(), room.journal.clone());
    let router = disturb(router, Arc::new(Tiny::default()), injector, journal);
    let room = Room { router, ..room };
    assert!(book(&room, "a").await.is_none());
    assert_eq!(room.only_record().reply, ReplyFate::Pending);
    room.clock.sleep(Duration::from_secs(3)).await;
    assert_eq!(*done.lock().unwrap(), 1);
    let record = room.only_record();
    assert!(record.processed);
    assert_eq!(record.reply, ReplyFate::Abandoned);
    assert_eq!(record.replied_at, Some(room.start + Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn an_api_without_faults_answers_as_it_would_alone() {
    let room = Room::with("");
    let response = book(&room, "a").await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.extensions().get::<Reset>().is_none());
    let missing = Request::get("/nowhere").body(Body::empty()).unwrap();
    let response = room.router.clone().oneshot(missing).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);

    let counts = &room.journal.counts()["book"];
    assert_eq!((counts.requests, counts.faulted, counts.processed), (1, 0, 1));
    assert_eq!(counts.statuses[&200], 1);
    assert_eq!(counts.replies[&ReplyFate::Answered], 1);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_touches_the_api_touches_it_once() {
    let room = Room::with(
        "[[fault]]\nkind = 'ban'\nby = '300s'\nnth = 1\n
         [[fault]]\nkind = 'auth-expired'\nnth = 2\nprocessed = true\n",
    );
    book(&room, "a").await.unwrap();
    book(&room, "a").await.unwrap();
    let seen = |counter: &std::sync::atomic::AtomicU64| counter.load(support::SEEN);
    assert_eq!((seen(&room.tiny.bans), seen(&room.tiny.revocations)), (300, 1));
    assert_eq!(room.tiny.booked(), 1);
}

/// A signal: its side of the call, the bookings at its time, the node.
type Signal = (When, u64, Option<u32>);

/// The signals from now on.
fn listen(injector: &Injector, tiny: &Arc<Tiny>) -> Arc<Mutex<Vec<Signal>>> {
    let signals = Arc::new(Mutex::new(Vec::new()));
    let (heard, tiny) = (Arc::clone(&signals), Arc::clone(tiny));
    injector.on_crash(Arc::new(move |signal| {
        assert_eq!(&*signal.call.endpoint, "book");
        heard.lock().unwrap().push((signal.when, tiny.booked(), signal.fault.node));
    }));
    signals
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_a_call_is_signalled_before_or_after_it_is_processed() {
    for (when, signal, booked) in
        [("before", (When::Before, 0, Some(3)), 0), ("after", (When::After, 1, Some(3)), 1)]
    {
        let room =
            Room::with(&format!("[[fault]]\nkind = 'crash'\nwhen = '{when}'\nnode = 3\ntimes = 1"));
        let signals = listen(&room.injector, &room.tiny);
        assert!(book(&room, "a").await.is_none(), "the caller is dead");
        assert_eq!(*signals.lock().unwrap(), [signal]);
        assert_eq!(room.tiny.booked(), booked);
        assert_eq!(room.only_record().processed, booked == 1);
        assert!(book(&room, "a").await.is_some(), "its successor is not");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_at_a_call_is_signalled_and_the_call_goes_on() {
    let room = Room::with("[[fault]]\nkind = 'stall'\nwhen = 'after'\nby = '40s'");
    let signals = listen(&room.injector, &room.tiny);
    assert!(book(&room, "a").await.is_some());
    assert_eq!(*signals.lock().unwrap(), [(When::After, 1, None)]);
}

#[tokio::test(start_paused = true)]
async fn the_journal_forgets_the_oldest_and_its_counts_nothing() {
    let room = Room::with("[[fault]]\nkind = 'late-delivery'\nby = '60s'\nnth = 1");
    let journal = Journal::new(Arc::clone(&room.clock), 3);
    let tiny = room.tiny.clone();
    let routes = Router::new().route("/book", post(async || "booked"));
    let router = disturb(routes, tiny, room.injector.clone(), journal.clone());
    let room = Room { router, journal, ..room };
    for _ in 0..10 {
        book(&room, "a").await;
    }
    room.clock.sleep(Duration::from_secs(60)).await;
    let ids: Vec<_> = room.journal.records().iter().map(|record| record.id).collect();
    assert_eq!(ids, [8, 9, 10]);
    assert_eq!(room.journal.dropped(), 7);
    let counts = &room.journal.counts()["book"];
    assert_eq!((counts.requests, counts.processed, counts.faulted), (10, 10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_from_before_a_reset_leaves_no_trace_after_it() {
    let room = Room::with("[[fault]]\nkind = 'delay-after'\nby = '10s'\nnth = 1");
    assert!(book(&room, "old").await.is_none());
    room.journal.reset();
    book(&room, "new").await.unwrap();
    room.clock.sleep(Duration::from_secs(60)).await;
    let record = room.only_record();
    assert_eq!((record.id, record.key.as_deref()), (1, Some("new")));
    assert_eq!(room.journal.counts()["book"].replies.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn records_survive_a_round_trip_as_json() {
    let room = Room::with("[[fault]]\nkind = 'truncated'\nprocessed = true\nrate = 1.0");
    book(&room, "a").await.unwrap();
    let records = room.journal.records();
    let text = serde_json::to_string(&records).unwrap();
    assert_eq!(serde_json::from_str::<Vec<faults::RequestRecord>>(&text).unwrap(), records);
}
