//! What a real client sees of each fault, over real sockets, and what the journal knows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/room.rs"]
mod support;

use std::error::Error;
use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use faults::ReplyFate::{Abandoned, Answered, Hung, Refused, Reset, Truncated};
use faults::{Kind, ReplyFate, Target, serve};
use support::Room;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A room behind a port.
struct Shop {
    room: Room,
    url: String,
    client: reqwest::Client,
    _server: JoinSet<std::io::Result<()>>,
}

impl Shop {
    async fn open(faults: &str) -> Shop {
        let room = Room::with(faults);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/book", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(serve(listener, room.router.clone(), room.injector.clone(), pending()));
        Shop { room, url, client: client(), _server: server }
    }

    /// Lets time pass, and a millisecond for the server to notice.
    async fn pass(&self, seconds: u64) {
        self.room.clock.sleep(Duration::from_millis(seconds * 1000 + 1)).await;
    }

    /// Sends a booking and says what came of it.
    async fn book(&self) -> String {
        let body = r#"{"order":"ORD-1"}"#;
        let mut response = match self.client.post(&self.url).body(body).send().await {
            Ok(response) => response,
            Err(error) => return class(&error),
        };
        let status = response.status().as_u16();
        let headers = ["retry-after", "location"].into_iter().filter_map(|name| {
            let value = response.headers().get(name)?.to_str().unwrap();
            Some(format!(" ({name} {value})"))
        });
        let headers: String = headers.collect();
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return format!("{status}, {} bytes, {}", bytes.len(), class(&error)),
            }
        }
        match bytes.len() {
            0..100 => format!("{status} {}{headers}", String::from_utf8(bytes).unwrap()),
            length => format!("{status} {length} bytes{headers}"),
        }
    }
}

/// Another crate of the workspace calls by TLS, so that reqwest wants ciphers here as well.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

/// A client's error, as one would classify it: by what it is, not by its text.
fn class(error: &reqwest::Error) -> String {
    let phase = if error.is_connect() {
        "connect"
    } else if error.is_decode() {
        "decode"
    } else {
        "request"
    };
    let sources = || std::iter::successors(error.source(), |error| (**error).source());
    let hyper = sources().find_map(|source| source.downcast_ref::<hyper::Error>());
    let io = sources().find_map(|source| source.downcast_ref::<std::io::Error>());
    let mut class = phase.to_owned();
    if error.is_timeout() {
        class += " timeout";
    }
    if hyper.is_some_and(hyper::Error::is_canceled) {
        class += " canceled";
    }
    if hyper.is_some_and(hyper::Error::is_incomplete_message) {
        class += " incomplete";
    }
    if let Some(io) = io.filter(|_| !error.is_timeout()) {
        class += &format!(" {:?}", io.kind());
    }
    class
}

/// A fault, what the client sees and when, and the truth.
struct Row {
    fault: &'static str,
    sees: &'static str,
    seconds: u64,
    /// Bookings that took effect, in the end.
    booked: u64,
    reply: ReplyFate,
}

const fn row(
    fault: &'static str,
    sees: &'static str,
    seconds: u64,
    booked: u64,
    reply: ReplyFate,
) -> Row {
    Row { fault, sees, seconds, booked, reply }
}

const ON_CALLS: &[Row] = &[
    row("kind = 'reset-before'", "request ConnectionReset", 0, 0, Reset),
    row("kind = 'reset-after'", "request ConnectionReset", 0, 1, Reset),
    row("kind = 'delay-before'; by = '2s'", BOOKED, 2, 1, Answered),
    row("kind = 'delay-before'; by = '7s'", "request timeout", 5, 1, Abandoned),
    row("kind = 'delay-after'; by = '2s'", BOOKED, 2, 1, Answered),
    row("kind = 'delay-after'; by = '7s'", "request timeout", 5, 1, Abandoned),
    row("kind = 'late-delivery'; by = '7s'", "request timeout", 5, 1, Hung),
    row("kind = 'late-delivery'; by = '1s'", "request timeout", 5, 1, Hung),
    row("kind = 'status'; status = 502", BAD_GATEWAY, 0, 0, Answered),
    row("kind = 'status'; status = 502; processed = true", BAD_GATEWAY, 0, 1, Answered),
    row("kind = 'status'; status = 429; retry_after = '29500ms'", TOO_MANY, 0, 0, Answered),
    row("kind = 'status'; status = 503; retry_after = 'date:90s'", UNAVAILABLE, 0, 0, Answered),
    row("kind = 'status'; status = 504; retry_after = 'nonsense'", TIME_OUT, 0, 0, Answered),
    row("kind = 'status'; status = 307", REDIRECT, 0, 0, Answered),
    row("kind = 'ban'; by = '300s'", "403 banned", 0, 0, Answered),
    row("kind = 'refuse'; detail = 'ORA-01400'", REFUSED, 0, 0, Answered),
    row("kind = 'refuse'; detail = 'ORA-01400'; processed = true", REFUSED, 0, 1, Answered),
    row("kind = 'malformed'", r#"200 {"detail":null"#, 0, 0, Answered),
    row("kind = 'malformed'; processed = true", r#"200 {"message":"book"#, 0, 1, Answered),
    row("kind = 'malformed'; detail = '<html>'", "200 <html>", 0, 0, Answered),
    row("kind = 'truncated'", "200, 14 bytes, decode UnexpectedEof", 0, 0, Truncated),
    row("kind = 'truncated'; processed = true", CUT_IN_HALF, 0, 1, Truncated),
    row("kind = 'truncated'; bytes = 0", "200, 0 bytes, decode UnexpectedEof", 0, 0, Truncated),
    row("kind = 'truncated'; bytes = 999", "200, 28 bytes, decode UnexpectedEof", 0, 0, Truncated),
    row("kind = 'empty'", "200 ", 0, 0, Answered),
    row("kind = 'empty'; processed = true", "200 ", 0, 1, Answered),
    row("kind = 'slow-body'; by = '2s'; processed = true", BOOKED, 2, 1, Answered),
    row("kind = 'slow-body'; by = '10s'; processed = true", TRICKLE, 5, 1, Answered),
    row("kind = 'oversized'", "200 8388608 bytes", 0, 0, Answered),
    row("kind = 'oversized'; bytes = 1000; processed = true", "200 1000 bytes", 0, 1, Answered),
    row("kind = 'auth-expired'", "401 expired", 0, 0, Answered),
    row("kind = 'maintenance'", "503 back soon", 0, 0, Answered),
    row("kind = 'crash'; when = 'before'", "request timeout", 5, 0, Hung),
    row("kind = 'crash'; when = 'after'", "request timeout", 5, 1, Hung),
    row("kind = 'stall'; when = 'before'; by = '9s'", BOOKED, 0, 1, Answered),
];

const BOOKED: &str = r#"200 {"message":"booked","result":"S"}"#;
const REFUSED: &str = r#"200 {"detail":"ORA-01400","result":"E"}"#;
const CUT_IN_HALF: &str = "200, 16 bytes, decode UnexpectedEof";
// Seven pieces of three bytes come every 909 ms (ten seconds for eleven pieces), and no more.
const TRICKLE: &str = "200, 15 bytes, decode timeout";
const BAD_GATEWAY: &str = "502 <html><h1>502 Bad Gateway</h1></html>";
const TOO_MANY: &str = "429 <html><h1>429 Too Many Requests</h1></html> (retry-after 30)";
const UNAVAILABLE: &str = "503 <html><h1>503 Service Unavailable</h1></html> \
     (retry-after Sat, 21 Nov 2026 15:01:20 GMT)";
const TIME_OUT: &str = "504 <html><h1>504 Gateway Timeout</h1></html> (retry-after soon)";
const REDIRECT: &str = "307 <html><h1>307 Temporary Redirect</h1></html> (location /book)";

#[tokio::test(start_paused = true)]
async fn each_call_fault_looks_like_this_and_the_journal_knows_the_truth() {
    for Row { fault, sees, seconds, booked, reply } in ON_CALLS {
        let shop = Shop::open(&format!("[[fault]]\n{}", fault.replace("; ", "\n"))).await;
        assert_eq!(shop.book().await, *sees, "{fault}");
        assert_eq!(shop.room.passed(), Duration::from_secs(*seconds), "{fault}");

        shop.room.clock.sleep(Duration::from_secs(60)).await;
        let record = shop.room.only_record();
        assert_eq!(shop.room.tiny.booked(), *booked, "{fault}");
        assert_eq!(record.processed, *booked == 1, "{fault}");
        assert_eq!(record.reply, *reply, "{fault}");
        let hit = record.fault.expect("hit");
        let installed = &shop.room.injector.fired()[0];
        assert_eq!((hit.index, hit.kind, &*hit.why), (0, installed.fault.kind, "every one"));
        assert_eq!(installed.times, 1, "{fault}");
    }
}

#[test]
fn no_fault_of_calls_and_connections_is_forgotten_here() {
    let tested = include_str!("wire.rs");
    let others = [Target::Store, Target::Queue, Target::Server];
    let elsewhere = |kind: &&Kind| others.contains(&kind.target());
    for kind in Kind::ALL.iter().filter(|kind| !elsewhere(kind)) {
        let done_by_others = *kind == Kind::ClockSkew;
        assert!(done_by_others || tested.contains(&format!("kind = '{kind}'")), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_refused_connections_is_a_closed_port() {
    let shop = Shop::open("[[fault]]\nkind = 'connect-refused'\nfrom = '10s'\nuntil = '20s'").await;
    assert_eq!(shop.book().await, BOOKED);
    shop.pass(10).await;
    // The kept-alive connection is gone as well, or this would be answered.
    assert_eq!(shop.book().await, "connect ConnectionRefused");
    shop.pass(10).await;
    assert_eq!(shop.book().await, BOOKED);
    assert_eq!(shop.room.journal.records().len(), 2, "the refused one never arrived");
    assert_eq!(shop.room.injector.fired()[0].times, 1, "an outage counts once");
}

#[tokio::test(start_paused = true)]
async fn a_window_of_connect_timeouts_is_a_port_that_does_not_answer() {
    let shop = Shop::open("[[fault]]\nkind = 'connect-timeout'\nfrom = '10s'\nuntil = '20s'").await;
    assert_eq!(shop.book().await, BOOKED);
    shop.pass(10).await;
    assert_eq!(shop.book().await, "connect timeout");
    let connect_timeout = Duration::from_secs(3);
    assert_eq!(shop.room.passed(), Duration::from_millis(10_001) + connect_timeout);
    shop.pass(7).await;
    assert_eq!(shop.book().await, BOOKED);
    assert_eq!(shop.room.journal.records().len(), 2);
    assert_eq!(shop.room.injector.fired()[0].times, 1);
}

#[tokio::test(start_paused = true)]
async fn outages_follow_one_another_and_end_when_healed() {
    let shop = Shop::open(
        "[[fault]]\nkind = 'connect-refused'\nuntil = '5s'\n
         [[fault]]\nkind = 'connect-timeout'\nuntil = '10s'\n
         [[fault]]\nkind = 'connect-refused'",
    )
    .await;
    shop.pass(0).await;
    assert_eq!(shop.book().await, "connect ConnectionRefused");
    shop.pass(5).await;
    assert_eq!(shop.book().await, "connect timeout");
    shop.pass(2).await;
    assert_eq!(shop.book().await, "connect ConnectionRefused");
    shop.room.injector.heal();
    shop.pass(1).await;
    assert_eq!(shop.book().await, BOOKED);
    let fired: Vec<_> = shop.room.injector.fired().iter().map(|fired| fired.times).collect();
    assert_eq!(fired, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_single_refused_connection_is_a_reset_before_anything_was_sent() {
    let shop = Shop::open("[[fault]]\nkind = 'connect-refused'\nnth = 2").await;
    assert_eq!(shop.book().await, BOOKED);
    assert_eq!(shop.book().await, BOOKED, "on the same connection");
    let other = Shop { client: client(), ..shop };
    assert_eq!(other.book().await, "request canceled ConnectionReset");
    assert_eq!(other.book().await, BOOKED);
    assert_eq!(other.room.tiny.booked(), 3);
    assert_eq!(other.room.injector.fired()[0].times, 1);
}

#[tokio::test(start_paused = true)]
async fn a_single_connect_timeout_is_a_connection_that_nobody_reads() {
    let shop = Shop::open("[[fault]]\nkind = 'connect-timeout'\ntimes = 1").await;
    assert_eq!(shop.book().await, "request timeout");
    assert_eq!(shop.book().await, BOOKED);
    assert_eq!(shop.room.tiny.booked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_is_cut_off_without_an_answer() {
    let shop = Shop::open("[[fault]]\nkind = 'maintenance'\nattempt = 1").await;
    assert_eq!(shop.book().await, "503 back soon");
    shop.room.tiny.refuses.store(true, Ordering::SeqCst);
    assert_eq!(shop.book().await, "request ConnectionReset");
    let records = shop.room.journal.records();
    assert_eq!((records[1].reply, records[1].status), (Refused, None));
    assert!(records[1].processed, "the handler itself refused it");
}

#[tokio::test(start_paused = true)]
async fn one_plan_gives_one_journal() {
    let run = || async {
        let shop = Shop::open(
            "[[fault]]\nkind = 'reset-after'\nrate = 0.3\n
             [[fault]]\nkind = 'delay-before'\nrate = 0.3\nby = '7s'",
        )
        .await;
        for _ in 0..40 {
            shop.book().await;
        }
        shop.pass(60).await;
        serde_json::to_string(&shop.room.journal.records()).unwrap()
    };
    let first = run().await;
    assert!(first.contains("reset-after") && first.contains("delay-before"));
    assert_eq!(first, run().await);
}
