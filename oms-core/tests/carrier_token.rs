//! The one-day token, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/edges.rs"]
mod edges;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clockwork::{Clock, Timestamp};
use edges::{Reply, Scripted, context, env, hands, response};
use futures_util::future::join_all;
use oms_core::call::Outcome;
use oms_core::carrier::Carrier;
use oms_core::config::Config;
use oms_core::env::{Env, TransportError};

const SECOND: Duration = Duration::from_secs(1);

/// A carrier with one valid token, which answers after 50 ms.
struct Bureau {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    number: u32,
    revoked: bool,
    expires_at: Timestamp,
    /// When a token was asked for.
    asked: Vec<Timestamp>,
    /// The next answers to questions for a token, instead of a token; 0 is none at all.
    out_of_order: Vec<u16>,
}

impl Bureau {
    fn new() -> Arc<Bureau> {
        let clock = edges::clock();
        let state = State {
            number: 0,
            revoked: false,
            expires_at: Timestamp::EPOCH,
            asked: Vec::new(),
            out_of_order: Vec::new(),
        };
        Arc::new(Bureau { clock, state: Mutex::new(state) })
    }

    fn answer(&self, request: &http::Request<bytes::Bytes>) -> Reply {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        if request.uri().path() == "/ReqOneDayToken" {
            state.asked.push(now);
            if let Some(status) = state.out_of_order.pop() {
                if status == 0 {
                    let reason = "no reply".to_owned();
                    return Err(TransportError::MaybeSent { reason, timed_out: true });
                }
                return Ok(response(status, ""));
            }
            if state.revoked || now >= state.expires_at {
                state.number += 1;
                state.revoked = false;
                state.expires_at = now + SECOND * 86_400;
            }
            let (number, until) = (state.number, state.expires_at.seoul_compact());
            let data = format!(r#"{{"TOKEN_NUM":"token-{number}","TOKEN_EXPRTN_DTM":"{until}"}}"#);
            return Ok(response(200, &format!(r#"{{"RESULT_CD":"S","DATA":{data}}}"#)));
        }
        let valid = format!("token-{}", state.number);
        let key = request.headers()["cj-gateway-apikey"].to_str().unwrap();
        if state.revoked || now >= state.expires_at || key != valid {
            return Ok(response(401, ""));
        }
        Ok(response(200, r#"{"RESULT_CD":"S","DATA":{"INVC_NO":"650000000033"}}"#))
    }

    fn transport(self: &Arc<Bureau>) -> Arc<Scripted> {
        let bureau = self.clone();
        Scripted::new(move |request, _| {
            let bureau = bureau.clone();
            async move {
                bureau.clock.sleep(Duration::from_millis(50)).await;
                bureau.answer(&request)
            }
        })
    }

    fn asked(&self) -> Vec<Timestamp> {
        self.state.lock().unwrap().asked.clone()
    }

    fn revoke(&self) {
        self.state.lock().unwrap().revoked = true;
    }

    fn fail(&self, statuses: &[u16]) {
        self.state.lock().unwrap().out_of_order = statuses.to_vec();
    }
}

async fn allocate(env: &Env, carrier: &Carrier) -> Outcome<String> {
    carrier.allocate_invoice(&hands(), &context(env)).await
}

fn wait_of(outcome: &Outcome<String>) -> (Option<Duration>, bool) {
    match outcome {
        Outcome::NotProcessed { wait, spent, .. } => (*wait, *spent),
        other => panic!("{other:?}"),
    }
}

fn drill() -> (Arc<Bureau>, Env, Carrier) {
    let bureau = Bureau::new();
    let (mut env, _) = env(bureau.transport(), Scripted::none());
    env.clock = bureau.clock.clone();
    let carrier = Carrier::new(&env, &Config::default());
    (bureau, env, carrier)
}

#[tokio::test(start_paused = true)]
async fn many_tasks_ask_for_one_token() {
    let (bureau, env, carrier) = drill();
    for outcome in join_all((0..9).map(|_| allocate(&env, &carrier))).await {
        assert_eq!(outcome.name(), "done");
    }
    assert_eq!(bureau.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_processes_ask_a_second_apart_at_least() {
    let (bureau, env, carrier) = drill();
    let other = Carrier::new(&env, &Config::default());
    let both = join_all([allocate(&env, &carrier), allocate(&env, &other)]).await;
    assert!(both.iter().all(|outcome| outcome.name() == "done"), "{both:?}");
    let [first, second] = bureau.asked()[..] else { panic!("each asks once") };
    assert!(second.since(first) >= SECOND, "{first} {second}");
}

#[tokio::test(start_paused = true)]
async fn while_a_question_may_still_arrive_no_process_asks_another() {
    let (bureau, env, carrier) = drill();
    let other = Carrier::new(&env, &Config::default());
    bureau.fail(&[0]);
    assert!(wait_of(&allocate(&env, &carrier).await).0.is_some(), "no answer");
    let refused = allocate(&env, &other).await;
    assert_eq!(refused.name(), "not-processed", "the carrier would block us for both at once");
    assert_eq!(bureau.asked().len(), 1);
    bureau.clock.sleep(SECOND * 21).await;
    assert_eq!(allocate(&env, &other).await.name(), "done");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_dropped_once_and_no_other_asked_for_within_a_minute() {
    let (bureau, env, carrier) = drill();
    assert_eq!(allocate(&env, &carrier).await.name(), "done");
    bureau.revoke();
    let rejected_at = env.clock.now() + Duration::from_millis(50);
    for outcome in join_all((0..8).map(|_| allocate(&env, &carrier))).await {
        let (wait, spent) = wait_of(&outcome);
        assert!(spent, "each of these calls was made");
        assert_eq!(wait, Some(SECOND * 60), "{outcome:?}");
    }
    env.clock.sleep(SECOND * 59).await;
    let (wait, spent) = wait_of(&allocate(&env, &carrier).await);
    assert!(!spent && wait.is_some_and(|wait| wait <= SECOND), "{wait:?}");
    assert_eq!(bureau.asked().len(), 1);
    env.clock.sleep(SECOND).await;
    assert_eq!(allocate(&env, &carrier).await.name(), "done");
    let asked = bureau.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].since(rejected_at) >= SECOND * 60, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn no_call_is_begun_that_would_arrive_after_the_tokens_end() {
    let (bureau, env, carrier) = drill();
    assert_eq!(allocate(&env, &carrier).await.name(), "done");
    env.clock.sleep(SECOND * (86_400 - 9)).await;
    let (wait, spent) = wait_of(&allocate(&env, &carrier).await);
    assert!(!spent);
    assert_eq!(bureau.asked().len(), 1, "asked now it would be the same token");
    env.clock.sleep(wait.unwrap()).await;
    assert_eq!(allocate(&env, &carrier).await.name(), "done");
    assert_eq!(bureau.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_is_not_repeated_by_all_who_wait_for_it() {
    let (bureau, env, carrier) = drill();
    bureau.fail(&[500]);
    for outcome in join_all((0..8).map(|_| allocate(&env, &carrier))).await {
        let (wait, spent) = wait_of(&outcome);
        assert_eq!((wait, spent), (Some(SECOND), false), "no call of theirs was made");
    }
    assert_eq!(bureau.asked().len(), 1);
    env.clock.sleep(SECOND).await;
    assert_eq!(allocate(&env, &carrier).await.name(), "done");
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_tried_once_a_minute() {
    let (bureau, env, carrier) = drill();
    bureau.fail(&[401, 401]);
    for asked in [1, 2] {
        assert_eq!(wait_of(&allocate(&env, &carrier).await), (Some(SECOND * 60), false));
        assert_eq!(bureau.asked().len(), asked);
        env.clock.sleep(SECOND * 60).await;
    }
    assert_eq!(allocate(&env, &carrier).await.name(), "done");
}
