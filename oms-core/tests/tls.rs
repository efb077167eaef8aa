//! The transport over TLS, against a server with certificates made for the test. Time is virtual.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/authority.rs"]
mod authority;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clockwork::{Clock, DrillClock, Timestamp};
use oms_core::env::{Deadlines, Hands, ReqwestTransport, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use authority::Authority;

const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(3),
    read: Duration::from_secs(5),
    overall: Duration::from_secs(10),
};

type Reply = Result<http::Response<Bytes>, TransportError>;

#[expect(clippy::disallowed_methods, reason = "a test begins here")]
fn hands() -> Hands {
    Hands::of_a_new_task()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(DrillClock::starting_at(Timestamp::EPOCH))
}

/// What a server does once a request has arrived.
#[derive(Clone, Copy)]
enum Then {
    Answer,
    HangUp,
}

/// Calls a server that shakes hands with `acceptor`, trusting the authorities in that file; what came
/// back, and whether the server has seen anything of the request.
async fn call(acceptor: TlsAcceptor, trusted: &Path, then: Then) -> (Reply, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let transport =
        ReqwestTransport::new(&base, DEADLINES.connect, clock(), 1.0, Some(trusted)).unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return false };
        let mut bytes = [0; 4096];
        let seen = stream.read(&mut bytes).await.is_ok_and(|length| length > 0);
        if let Then::Answer = then {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            stream.flush().await.unwrap();
        }
        seen
    };
    let body = Bytes::from_static(b"01012345678");
    let request = http::Request::post("/RegBook").body(body).unwrap();
    tokio::join!(biased; async { transport.call(&hands(), request, DEADLINES).await }, server)
}

fn is_not_sent(reply: &Reply) -> bool {
    matches!(reply, Err(TransportError::NotSent { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_authority_is_trusted_is_called() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let acceptor = authority.acceptor("127.0.0.1", 2090);
    let (reply, seen) = call(acceptor, &authority.file(&folder), Then::Answer).await;
    assert_eq!(reply.unwrap().body().as_ref(), b"ok");
    assert!(seen);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_after_the_request_may_have_carried_it() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let acceptor = authority.acceptor("127.0.0.1", 2090);
    let (reply, seen) = call(acceptor, &authority.file(&folder), Then::HangUp).await;
    assert!(matches!(reply, Err(TransportError::MaybeSent { timed_out: false, .. })), "{reply:?}");
    assert!(seen);
}

#[tokio::test(start_paused = true)]
async fn a_host_with_a_certificate_that_is_not_believed_is_sent_nothing() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let trusted = authority.file(&folder);
    let stranger = Authority::new().acceptor("127.0.0.1", 2090);
    let expired = authority.acceptor("127.0.0.1", 1991);
    let another_host = authority.acceptor("127.0.0.2", 2090);
    for acceptor in [stranger, expired, another_host] {
        let (reply, seen) = call(acceptor, &trusted, Then::Answer).await;
        assert!(is_not_sent(&reply), "{reply:?}");
        assert!(!seen);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_not_answered_is_given_up_with_the_connect() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let (clock, trusted) = (clock(), authority.file(&folder));
    let transport =
        ReqwestTransport::new(&base, DEADLINES.connect, clock.clone(), 1.0, Some(&trusted));
    let start = clock.now();
    let request = http::Request::post("/RegBook").body(Bytes::new()).unwrap();
    let reply = transport.unwrap().call(&hands(), request, DEADLINES).await;
    assert!(is_not_sent(&reply), "{reply:?}");
    let took = clock.now().since(start);
    assert!((DEADLINES.connect..DEADLINES.read).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_names_no_authority_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authorities.pem");
    let made =
        || ReqwestTransport::new("https://carrier", DEADLINES.connect, clock(), 1.0, Some(&path));
    let told = |error: oms_core::env::reqwest_transport::Error| error.to_string();
    assert!(told(made().unwrap_err()).contains("authorities.pem"));
    for text in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        std::fs::write(&path, text).unwrap();
        assert!(told(made().unwrap_err()).contains("authorities.pem"), "{text:?}");
    }
}
