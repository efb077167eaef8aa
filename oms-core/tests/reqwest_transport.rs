//! The real transport over loopback sockets. Time is virtual: reqwest and the listeners share one
//! paused runtime.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clockwork::{Clock, DrillClock, Timestamp};
use oms_core::env::reqwest_transport::Error;
use oms_core::env::{Deadlines, Hands, ReqwestTransport, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const SECOND: Duration = Duration::from_secs(1);
const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(3),
    read: SECOND.saturating_mul(5),
    overall: SECOND.saturating_mul(10),
};

type Reply = Result<http::Response<Bytes>, TransportError>;

fn clock() -> Arc<dyn Clock> {
    Arc::new(DrillClock::starting_at(Timestamp::EPOCH))
}

fn transport(base: &str, clock: &Arc<dyn Clock>) -> ReqwestTransport {
    ReqwestTransport::new(base, DEADLINES.connect, clock.clone(), 1.0, None).unwrap()
}

fn request() -> http::Request<Bytes> {
    let body = Bytes::from_static(b"secret body 01012345678");
    http::Request::post("/RegBook?a=1").header("x-key", "secret").body(body).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test begins here")]
fn hands() -> Hands {
    Hands::of_a_new_task()
}

/// Calls a server that does `serve` with its one connection; what came back, and after how long.
async fn call<F>(serve: impl FnOnce(TcpStream, Arc<dyn Clock>) -> F) -> (Reply, Duration)
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let clock = clock();
    let transport = transport(&base, &clock);
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, clock.clone()).await;
    };
    let start = clock.now();
    let answered = async {
        let reply = transport.call(&hands(), request(), DEADLINES).await;
        (reply, clock.now().since(start))
    };
    tokio::join!(biased; answered, server).0
}

/// Reads the whole request.
async fn take(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 65_536];
    let mut length = 0;
    loop {
        length += stream.read(&mut bytes[length..]).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.ends_with("01012345678") {
            return text;
        }
    }
}

async fn answer(stream: &mut TcpStream, text: &str) {
    take(stream).await;
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn is_not_sent(reply: &Reply) -> bool {
    matches!(reply, Err(TransportError::NotSent { .. }))
}

fn maybe_sent(reply: &Reply) -> Option<bool> {
    match reply {
        Err(TransportError::MaybeSent { timed_out, .. }) => Some(*timed_out),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_out_as_it_is_and_its_response_comes_back() {
    let (reply, _) = call(async |mut stream, _| {
        let sent = take(&mut stream).await;
        assert!(sent.starts_with("POST /RegBook?a=1 HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("x-key: secret\r\n"), "{sent}");
        let reply = "HTTP/1.1 429 Slow\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(reply.as_bytes()).await.unwrap();
    })
    .await;
    let reply = reply.unwrap();
    assert_eq!((reply.status().as_u16(), reply.body().as_ref()), (429, &b"no"[..]));
    assert_eq!(reply.headers()["retry-after"], "3");
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let (reply, _) = call(async |mut stream, _| {
        let text = "HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        answer(&mut stream, text).await;
    })
    .await;
    assert_eq!(reply.unwrap().status().as_u16(), 307);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let reply = transport(&base, &clock()).call(&hands(), request(), DEADLINES).await;
    let expected = "not sent: no connection: connection refused";
    assert_eq!(reply.unwrap_err().to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_stand_in_time_was_not_sent() {
    // A listener whose backlog is full: the kernel lets further connections wait.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let _full =
        [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let clock = clock();
    let transport = transport(&format!("http://{address}"), &clock);
    let reply = transport.call(&hands(), request(), DEADLINES).await;
    assert_eq!(reply.unwrap_err().to_string(), "not sent: connect timed out: timed out");
    assert_eq!(clock.now(), Timestamp::EPOCH + DEADLINES.connect);
}

#[tokio::test(start_paused = true)]
async fn a_reset_before_the_request_was_written_proves_that_nothing_was_sent() {
    for _ in 0..20 {
        let (reply, _) = call(async |stream, _| stream.set_zero_linger().unwrap()).await;
        assert!(is_not_sent(&reply), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_after_the_request_may_have_been_acted_on() {
    let (reset, _) = call(async |mut stream, _| {
        take(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let (closed, _) = call(async |mut stream, _| drop(take(&mut stream).await)).await;
    let (garbage, _) =
        call(async |mut stream, _| answer(&mut stream, "\0\0\0\0\r\n\r\n").await).await;
    for reply in [reset, closed, garbage] {
        assert_eq!(maybe_sent(&reply), Some(false), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_is_no_response() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"RESULT_CD\":\"S\"";
    let (short, _) = call(async |mut stream, _| answer(&mut stream, text).await).await;
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"RES\r\n";
    let (cut, _) = call(async |mut stream, _| answer(&mut stream, chunks).await).await;
    for reply in [short, cut] {
        assert_eq!(maybe_sent(&reply), Some(false), "{reply:?}");
        assert!(reply.unwrap_err().to_string().starts_with("maybe sent: reply cut short"));
    }
}

#[tokio::test(start_paused = true)]
async fn no_reply_times_out_after_the_read_time_out_exactly() {
    let (reply, took) = call(async |mut stream, clock| {
        take(&mut stream).await;
        clock.sleep(SECOND * 60).await;
    })
    .await;
    assert_eq!((maybe_sent(&reply), took), (Some(true), DEADLINES.read), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_times_out_and_one_that_drips_meets_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let (stopped, took) = call(async |mut stream, clock| {
        answer(&mut stream, head).await;
        clock.sleep(SECOND * 60).await;
    })
    .await;
    assert_eq!((maybe_sent(&stopped), took), (Some(true), DEADLINES.read), "{stopped:?}");
    let (dripping, took) = call(async |mut stream, clock| {
        answer(&mut stream, head).await;
        for _ in 0..10 {
            clock.sleep(SECOND * 4).await;
            // The caller has long gone when the last drops are written.
            let _ = stream.write_all(b" ").await;
        }
    })
    .await;
    assert_eq!((maybe_sent(&dripping), took), (Some(true), DEADLINES.overall), "{dripping:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_a_mebibyte_is_read_and_a_larger_one_is_not() {
    for (size, fits) in [(1024 * 1024, true), (1024 * 1024 + 1, false)] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
        let (reply, _) = call(async |mut stream, _| {
            answer(&mut stream, &head).await;
            let _ = stream.write_all(&vec![b'x'; size]).await;
        })
        .await;
        match reply {
            Ok(reply) => assert!(fits && reply.body().len() == size),
            Err(error) => {
                assert!(!fits);
                assert_eq!(error.to_string(), "maybe sent: reply too large");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_wall_is_scaled_for_connects_and_the_clock_for_the_rest() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let _full =
        [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let spec = "1970-01-01T00:00:00Z@1970-01-01T00:00:00Zx20".parse().unwrap();
    let fast: Arc<dyn Clock> = Arc::new(DrillClock::from_spec(Some(&spec)));
    let start = fast.now();
    let base = format!("http://{address}");
    let transport =
        ReqwestTransport::new(&base, DEADLINES.connect, fast.clone(), 20.0, None).unwrap();
    let reply = transport.call(&hands(), request(), DEADLINES).await;
    assert!(is_not_sent(&reply), "{reply:?}");
    let took = fast.now().since(start);
    assert!((SECOND * 3..SECOND * 4).contains(&took), "{took:?}");
}

#[test]
fn an_address_that_is_no_plain_host_is_refused_without_repeating_it() {
    let clock: Arc<dyn Clock> = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        clock()
    };
    let bad = [
        "",
        "127.0.0.1:80",
        "ftp://carrier",
        "http://",
        "http://carrier/path",
        "http://carrier?q",
        "http://user:hunter2@carrier",
        "http://hunter2@carrier",
        "http://carrier#x",
        "http://hunter2:notaport",
    ];
    for base in bad {
        let error = ReqwestTransport::new(base, SECOND, clock.clone(), 1.0, None).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    for scale in [0.0, -1.0, f64::NAN] {
        let error = ReqwestTransport::new("http://carrier", SECOND, clock.clone(), scale, None)
            .unwrap_err();
        assert!(matches!(error, Error::Scale(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_error_shows_the_request_or_the_address() {
    let (reply, _) = call(async |mut stream, _| drop(take(&mut stream).await)).await;
    let error = reply.unwrap_err();
    let shown = format!("{error} {error:?}");
    for secret in ["secret", "01012345678", "127.0.0.1", "RegBook"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let transport =
        ReqwestTransport::new("http://carrier.example", SECOND, clock(), 1.0, None).unwrap();
    assert_eq!(format!("{transport:?}"), r#"ReqwestTransport { host: Some("carrier.example") }"#);
}

#[tokio::test(start_paused = true)]
async fn a_path_cannot_leave_the_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let clock = clock();
    let transport = transport(&base, &clock);
    let uri = http::Uri::builder().path_and_query("//elsewhere.example/x").build().unwrap();
    let request = http::Request::post(uri).body(Bytes::from_static(b"01012345678")).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let sent = take(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        sent
    };
    let hands = hands();
    let call = transport.call(&hands, request, DEADLINES);
    let (reply, sent) = tokio::join!(biased; call, server);
    assert_eq!(reply.unwrap().status().as_u16(), 200);
    assert!(sent.starts_with("POST //elsewhere.example/x HTTP/1.1\r\n"), "{sent}");
}
