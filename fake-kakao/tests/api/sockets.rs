//! A real client over real sockets, in virtual time.

use std::future::pending;

use fake_kakao::ledger::DeliveredVia;
use faults::Fault;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::Bench;

#[tokio::test(start_paused = true)]
async fn a_real_client_sends_polls_and_acknowledges() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/api/comm/v1", listener.local_addr().unwrap());
    let served = faults::serve(listener, bench.router.clone(), bench.fake.injector(), pending());
    let talked = async {
        let client = client();
        let key = bench.fake.credentials().api_key.reveal().to_owned();
        let send = |body: Value| {
            client
                .post(format!("{base}/send/omni"))
                .header("authorization", &key)
                .json(&body)
                .send()
        };
        let sent = send(bench.order("order-1")).await.unwrap();
        let sent: Value = sent.json().await.unwrap();
        assert_eq!(sent["data"]["data"]["destinations"][0]["code"], "A000");

        let lost: Fault =
            serde_json::from_value(json!({ "kind": "reset-after", "key": "order-2" })).unwrap();
        bench.fake.injector().install(vec![lost], bench.clock.now()).unwrap();
        assert!(send(bench.order("order-2")).await.is_err(), "processed, but the reply is lost");
        bench.fake.injector().clear();
        let repeated: Value = send(bench.order("order-2")).await.unwrap().json().await.unwrap();
        assert_eq!(repeated["data"]["data"]["destinations"][0]["code"], "A301");

        bench.pass(3_000).await;
        let polled = client.get(format!("{base}/report/polling")).header("authorization", &key);
        let polled: Value = polled.send().await.unwrap().json().await.unwrap();
        let reports = polled["data"]["data"]["report"].as_array().unwrap();
        assert_eq!(reports.len(), 2);
        assert_eq!(reports[1]["ref"], "order-2", "how the caller learns what became of it");
        let report_id = polled["data"]["data"]["reportId"].as_str().unwrap();
        let path = format!("{base}/report/polling/{report_id}");
        let acknowledged = client.delete(path).header("authorization", &key).send().await;
        assert_eq!(acknowledged.unwrap().status(), 200);
    };
    tokio::select! {
        biased;
        () = talked => {}
        ended = served => panic!("the edge ended: {ended:?}"),
    }
    let ledger = bench.fake.ledger();
    assert!(ledger.messages.iter().all(|m| m.delivered_via == DeliveredVia::Alimtalk));
    assert_eq!(ledger.messages.len(), 2);
}

/// Another crate of the workspace calls by TLS, so that reqwest wants ciphers here as well.
fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}
