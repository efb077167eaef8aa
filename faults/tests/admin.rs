//! The admin API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/room.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use faults::admin::{Evidence, router};
use faults::{Described, Target};
use http::Request;
use serde_json::{Value, json};
use support::Room;
use tower::ServiceExt;

#[derive(Default)]
struct Resets(AtomicU64);

impl Evidence for Resets {
    fn ledger(&self) -> Value {
        json!({ "resets": self.0.load(Ordering::SeqCst) })
    }

    fn reset(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn admin(room: &Room) -> Router {
    router(Arc::new(Resets::default()), room.injector.clone(), Arc::clone(&room.clock))
}

async fn ask(admin: &Router, request: &str, body: &str) -> (u16, Value) {
    let (method, path) = request.split_once(' ').unwrap();
    let body = Body::from(body.to_owned());
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let response = admin.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
    assert_eq!(kind == Some("application/problem+json"), status >= 400);
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn fires(room: &Room) -> bool {
    let what = Described { endpoint: "book".to_owned(), key: None };
    room.injector.decide(Target::Call, &what).is_some()
}

#[tokio::test(start_paused = true)]
async fn faults_are_put_read_healed_and_deleted() {
    let room = Room::with("");
    let admin = admin(&room);
    assert_eq!(ask(&admin, "GET /faults", "").await, (200, json!([])));

    let fault = json!({ "kind": "delay-after", "endpoint": "book", "by": "1s 500ms" });
    let put = ask(&admin, "PUT /faults", &json!([fault]).to_string()).await;
    assert_eq!(put, (204, Value::Null));
    assert!(fires(&room));
    let once = json!([{ "fault": fault, "times": 1 }]);
    assert_eq!(ask(&admin, "GET /faults", "").await, (200, once.clone()));

    assert_eq!(ask(&admin, "POST /faults/heal", "").await.0, 204);
    assert!(!fires(&room));
    assert_eq!(ask(&admin, "DELETE /faults", "").await, (200, once));
    assert_eq!(ask(&admin, "GET /faults", "").await, (200, json!([])));
}

#[tokio::test(start_paused = true)]
async fn windows_count_from_now_or_from_the_start_that_is_given() {
    let room = Room::with("");
    let admin = admin(&room);
    room.clock.sleep(std::time::Duration::from_secs(100)).await;
    let faults = json!([{ "kind": "empty", "from": "10s", "until": "20s" }]);
    ask(&admin, "PUT /faults", &faults.to_string()).await;
    assert!(!fires(&room), "in ten seconds");
    let start = (room.start + std::time::Duration::from_secs(85)).micros();
    let body = json!({ "start": start, "seed": 3, "faults": faults });
    assert_eq!(ask(&admin, "PUT /faults", &body.to_string()).await.0, 204);
    assert!(fires(&room), "fifteen seconds in");
}

#[tokio::test(start_paused = true)]
async fn a_seed_decides_which_calls_a_rate_hits() {
    let draws = async |seed: u64| {
        let room = Room::with("");
        let body = json!({ "seed": seed, "faults": [{ "kind": "empty", "rate": 0.5 }] });
        ask(&admin(&room), "PUT /faults", &body.to_string()).await;
        (0..64).map(|_| fires(&room)).collect::<Vec<_>>()
    };
    assert_eq!(draws(1).await, draws(1).await);
    assert_ne!(draws(1).await, draws(2).await);
}

#[tokio::test(start_paused = true)]
async fn wrong_faults_are_refused_with_their_place_and_the_old_ones_stay() {
    let room = Room::with("[[fault]]\nkind = 'empty'");
    let admin = admin(&room);
    for (body, place) in [
        ("[{]", "line 1 column 3"),
        (r#"[{"kind": "explode"}]"#, "unknown variant `explode`"),
        (r#"[{"kind": "empty", "nht": 3}]"#, "unknown field `nht`"),
        (r#"[{"kind": "slow-body", "by": "soon"}]"#, "expected a duration at line 1 column 35"),
        (r#"[{"kind": "busy"}]"#, "`busy` is none that an API can do"),
        (r#"[{"kind": "crash", "point": 3}]"#, "`crash` is none that an API can do"),
        (r#"{"faults": [], "sede": 1}"#, "unknown field `sede`"),
        (
            r#"[{"kind": "empty"}, {"kind": "status"}]"#,
            "unusable fault: fault 1 of the list: `status` needs `status`",
        ),
    ] {
        let (status, problem) = ask(&admin, "PUT /faults", body).await;
        assert_eq!((status, &problem["status"]), (400, &json!(400)), "{body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(place), "{body}: {detail}");
    }
    assert_eq!(room.injector.fired().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_evidence_and_counts_but_no_faults() {
    let room = Room::with("[[fault]]\nkind = 'empty'\ntimes = 1");
    let admin = admin(&room);
    assert!(fires(&room) && !fires(&room));
    assert_eq!(ask(&admin, "POST /reset", "").await.0, 204);
    assert_eq!(ask(&admin, "GET /ledger", "").await, (200, json!({ "resets": 1 })));
    assert!(fires(&room));
}
