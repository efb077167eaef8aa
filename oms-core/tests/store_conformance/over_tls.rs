//! PostgreSQL behind TLS: a front that takes the encryption off, for the server of the tests has
//! none.

use std::path::Path;

use clockwork::Timestamp;
use oms_core::store::postgres::PostgresStore;
use oms_core::store::{Ingested, Result, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::postgres::Database;

/// What a client sends that wants TLS: a length, and a number in place of the version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Serves one connection after the other in front of `server`, `HOST:PORT`.
async fn front(listener: TcpListener, acceptor: TlsAcceptor, server: String) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8];
        client.read_exact(&mut asked).await.unwrap();
        assert_eq!(asked, SSL_REQUEST, "nothing is sent in the clear");
        client.write_all(b"S").await.unwrap();
        // A client that does not believe the certificate hangs up.
        let Ok(mut client) = acceptor.accept(client).await else { continue };
        let mut server = TcpStream::connect(&server).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Opens the store through the front, believing only the authorities in that file.
#[expect(clippy::disallowed_methods, reason = "a test's server belongs to no node")]
async fn open(database: &Database, authority: &Authority, trusted: &Path) -> Result<PostgresStore> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (scheme, rest) = database.url.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let asks = format!("sslmode=verify-full&sslrootcert={}", trusted.display());
    let url = format!("{scheme}@{address}/{path}&{asks}");
    tokio::spawn(front(listener, authority.acceptor("127.0.0.1", 2090), server.to_owned()));
    let mut options = crate::options();
    options.pool_size = 1;
    PostgresStore::open(&url, options).await
}

#[tokio::test]
async fn orders_are_kept_through_a_connection_that_nobody_reads() {
    let Some(database) = Database::fresh().await else { return };
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let store = open(&database, &authority, &authority.file(&folder)).await.unwrap();
    let order = crate::support::order("ORD-1", 1);
    let kept = store.ingest(&order, None, Timestamp::EPOCH).await.unwrap();
    assert!(matches!(kept, Ingested::Created(_)));
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_told_nothing() {
    let Some(database) = Database::fresh().await else { return };
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let trusted = Authority::new().file(&folder);
    let error = open(&database, &authority, &trusted).await.err().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
}
