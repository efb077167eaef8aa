//! How a call is made, over a scripted transport, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/edges.rs"]
mod edges;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clockwork::Timestamp;
use edges::{Recorder, Reply, Scripted, context, env, hands, response};
use oms_core::call::{Brake, Call, Context, Guard, Line, Outcome, Permits, Reading, Tenure};
use oms_core::config::Calls;
use oms_core::env::{Env, Event, TransportError, scoped};
use oms_core::store::Window;
use oms_core::store::sqlite::{Options, SqliteStore};

const SECOND: Duration = Duration::from_secs(1);

fn calls() -> Calls {
    Calls {
        windows: vec![Window { calls: 100, per: SECOND }],
        ban_wait: SECOND * 300,
        ..Calls::default()
    }
}

fn guard_with(env: &Env, calls: &Calls) -> Guard {
    let transport = env.carrier.clone();
    let windows = calls.windows.clone();
    Guard::new(env, Line { api: "carrier", quota: "carrier", transport, windows }, calls)
}

fn guard(env: &Env) -> Guard {
    guard_with(env, &calls())
}

fn request(changes: bool) -> Call {
    Call { endpoint: "RegBook", changes, for_all: false, request: http::Request::new(Bytes::new()) }
}

/// 429 and 403 brake, 200 is done, 400 refused, anything else unknown.
fn read(response: &http::Response<Bytes>) -> Reading<()> {
    match response.status().as_u16() {
        200 => Outcome::Done(()).into(),
        400 => Outcome::Refused { reason: "400".to_owned() }.into(),
        403 => Reading::braked(Brake::Banned, "403"),
        429 => Reading::braked(Brake::RateLimited, "429"),
        status => Outcome::Unknown { reason: status.to_string(), wait: None }.into(),
    }
}

async fn call(env: &Env, guard: &Guard) -> Outcome<()> {
    guard.call(&hands(), &context(env), request(true), read).await
}

/// A call about the order of this number.
async fn call_about(env: &Env, guard: &Guard, order: u32) -> Outcome<()> {
    let context = Context { key: format!("ORD-{order}/1"), ..context(env) };
    guard.call(&hands(), &context, request(true), read).await
}

/// Answers one after the other, then 200 for ever.
fn answers(replies: impl IntoIterator<Item = Reply>) -> Arc<Scripted> {
    let replies = Mutex::new(replies.into_iter().collect::<VecDeque<_>>());
    Scripted::new(move |_, _| {
        let reply = replies.lock().unwrap().pop_front();
        async move { reply.unwrap_or_else(|| Ok(response(200, ""))) }
    })
}

fn statuses(statuses: &[u16]) -> (Env, Arc<Recorder>) {
    let replies: Vec<Reply> = statuses.iter().map(|status| Ok(response(*status, ""))).collect();
    env(answers(replies), Scripted::none())
}

fn retry_after(status: u16, text: &str) -> Reply {
    let mut response = response(status, "");
    response.headers_mut().insert("retry-after", text.parse().unwrap());
    Ok(response)
}

fn wait_of(outcome: &Outcome<()>) -> Option<Duration> {
    match outcome {
        Outcome::NotProcessed { wait, .. } | Outcome::Unknown { wait, .. } => *wait,
        _ => None,
    }
}

fn breaker_events(recorder: &Recorder) -> Vec<String> {
    let told = recorder.events().into_iter().filter_map(|(_, event)| match event {
        Event::Breaker { to, .. } => Some(to),
        _ => None,
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_told_of_with_its_outcome_and_status() {
    let (env, recorder) = statuses(&[200]);
    let guard = guard(&env);
    let outcome = scoped(42, call(&env, &guard)).await;
    assert_eq!(outcome, Outcome::Done(()));
    let events: Vec<Event> = recorder.events().into_iter().map(|(_, event)| event).collect();
    let of = |text: &str| text.to_owned();
    let begin = Event::CallBegin {
        task: 42,
        api: of("carrier"),
        endpoint: of("RegBook"),
        key: of("ORD-1/1"),
    };
    let end = Event::CallEnd {
        task: 42,
        api: of("carrier"),
        endpoint: of("RegBook"),
        key: of("ORD-1/1"),
        outcome: of("done"),
        status: Some(200),
    };
    assert_eq!(events, [begin, end]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_did_not_happen_and_what_may_have_been_sent_is_unknown() {
    let not_sent = TransportError::NotSent { reason: "no connection".to_owned() };
    let maybe = |timed_out| TransportError::MaybeSent { reason: "lost".to_owned(), timed_out };
    let replies = [Err(not_sent), Err(maybe(false)), Err(maybe(true))];
    let (env, recorder) = env(answers(replies), Scripted::none());
    let guard = guard(&env);
    let refused = call(&env, &guard).await;
    assert!(matches!(refused, Outcome::NotProcessed { spent: true, .. }), "{refused:?}");
    assert_eq!(call(&env, &guard).await.name(), "unknown");
    assert_eq!(call(&env, &guard).await.name(), "unknown");
    let ends: Vec<String> = recorder.ends().into_iter().map(|end| end.1).collect();
    assert_eq!(ends, ["not-processed", "unknown", "unknown"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_answer_to_a_question_is_no_answer_and_nothing_else() {
    let (env, recorder) = statuses(&[502]);
    let outcome = guard(&env).call(&hands(), &context(&env), request(false), read).await;
    assert!(matches!(outcome, Outcome::NotProcessed { spent: true, .. }), "{outcome:?}");
    assert_eq!(recorder.ends()[0].1, "not-processed");
}

#[tokio::test(start_paused = true)]
async fn no_call_is_begun_after_the_end_of_its_lease() {
    let (env, recorder) = statuses(&[]);
    let guard = guard(&env);
    let tenure = Tenure::until(env.clock.now() + SECOND);
    let context = Context { key: "ORD-1/1".to_owned(), tenure };
    assert_eq!(guard.call(&hands(), &context, request(true), read).await, Outcome::Done(()));
    env.clock.sleep(SECOND).await;
    let outcome = guard.call(&hands(), &context, request(true), read).await;
    assert!(matches!(outcome, Outcome::NotProcessed { spent: false, .. }), "{outcome:?}");
    context.tenure.prolong(env.clock.now() + SECOND);
    assert_eq!(guard.call(&hands(), &context, request(true), read).await, Outcome::Done(()));
    assert_eq!(recorder.ends().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_given_up_when_its_lease_ends_and_not_when_it_is_renewed() {
    let (env, _) = env(Scripted::new(|_, _| std::future::pending()), Scripted::none());
    let guard = guard(&env);
    let start = env.clock.now();
    let tenure = Tenure::until(start + SECOND * 2);
    let context = Context { key: "ORD-1/1".to_owned(), tenure: tenure.clone() };
    let renewal = async {
        env.clock.sleep(SECOND).await;
        tenure.prolong(start + SECOND * 5);
    };
    let hands = hands();
    let call = guard.call(&hands, &context, request(true), read);
    let (outcome, ()) = futures_util::future::join(call, renewal).await;
    assert_eq!(outcome.name(), "unknown");
    assert_eq!(env.clock.now(), start + SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_given_up_when_its_time_is_cut_short_whoever_prolongs_it() {
    let (env, _) = env(Scripted::new(|_, _| std::future::pending()), Scripted::none());
    let guard = guard(&env);
    let start = env.clock.now();
    let tenure = Tenure::until(start + SECOND * 4);
    let context = Context { key: "ORD-1/1".to_owned(), tenure: tenure.clone() };
    let end = async {
        env.clock.sleep(SECOND).await;
        tenure.cut_short();
        tenure.prolong(start + SECOND * 5);
    };
    let hands = hands();
    let call = guard.call(&hands, &context, request(true), read);
    let (outcome, ()) = futures_util::future::join(call, end).await;
    assert_eq!(outcome.name(), "unknown");
    assert_eq!(env.clock.now(), start + SECOND);
    let late = guard.call(&hands, &context, request(true), read).await;
    assert!(matches!(late, Outcome::NotProcessed { spent: false, .. }), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_permit_whose_time_is_cut_short() {
    let (env, _) = env(Scripted::new(|_, _| std::future::pending()), Scripted::none());
    let guard = guard(&env);
    let start = env.clock.now();
    env.store.block_quota("carrier", start + SECOND * 3).await.unwrap();
    let tenure = Tenure::until(start + SECOND * 60);
    let context = Context { key: "ORD-1/1".to_owned(), tenure: tenure.clone() };
    let end = async {
        env.clock.sleep(SECOND).await;
        tenure.cut_short();
    };
    let hands = hands();
    let call = guard.call(&hands, &context, request(true), read);
    let (outcome, ()) = futures_util::future::join(call, end).await;
    assert!(matches!(outcome, Outcome::NotProcessed { spent: false, .. }), "{outcome:?}");
    assert_eq!(env.clock.now(), start + SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_probes_and_closes_and_costs_no_attempt() {
    let (env, recorder) = statuses(&[500; 10]);
    let guard = guard(&env);
    for order in 0..10 {
        assert_eq!(call_about(&env, &guard, order).await.name(), "unknown");
    }
    let refused = call(&env, &guard).await;
    assert!(matches!(refused, Outcome::NotProcessed { spent: false, .. }), "{refused:?}");
    assert_eq!(wait_of(&refused), Some(SECOND * 15), "until it is half-open");
    assert_eq!(recorder.ends().len(), 10, "nothing is sent");
    env.clock.sleep(SECOND * 15).await;
    for _ in 0..3 {
        assert_eq!(call(&env, &guard).await, Outcome::Done(()));
    }
    assert_eq!(breaker_events(&recorder), ["open", "half-open", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn refused_connections_open_the_breaker_and_refused_orders_do_not() {
    let not_sent = || Err(TransportError::NotSent { reason: "no connection".to_owned() });
    let (env, recorder) = env(answers((0..10).map(|_| not_sent())), Scripted::none());
    let of_connections = guard(&env);
    for order in 0..10 {
        call_about(&env, &of_connections, order).await;
    }
    assert_eq!(breaker_events(&recorder), ["open"]);
    let (env, recorder) = statuses(&[400; 40]);
    let of_orders = guard(&env);
    for _ in 0..40 {
        assert_eq!(call(&env, &of_orders).await.name(), "refused");
    }
    assert!(breaker_events(&recorder).is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_order_that_is_never_answered_closes_the_way_for_no_other() {
    let lost = || Err(TransportError::MaybeSent { reason: "reset".to_owned(), timed_out: false });
    let (env, recorder) = env(answers((0..17).map(|_| lost())), Scripted::none());
    let guard = guard(&env);
    for _ in 0..9 {
        assert_eq!(wait_of(&call_about(&env, &guard, 1).await), None);
    }
    // It may be a ban that each call begins anew: the order itself waits ever longer.
    for wait in [15, 30, 60, 120, 240, 480, 600, 600] {
        assert_eq!(wait_of(&call_about(&env, &guard, 1).await), Some(SECOND * wait));
    }
    assert_eq!(call_about(&env, &guard, 2).await, Outcome::Done(()));
    assert!(breaker_events(&recorder).is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_orders_that_are_never_answered_open_the_breaker() {
    let lost = || Err(TransportError::MaybeSent { reason: "reset".to_owned(), timed_out: false });
    let (env, recorder) = env(answers((0..10).map(|_| lost())), Scripted::none());
    let guard = guard(&env);
    for call in 0..10 {
        assert!(breaker_events(&recorder).is_empty());
        assert_eq!(call_about(&env, &guard, call % 2).await.name(), "unknown");
    }
    assert_eq!(wait_of(&call_about(&env, &guard, 3).await), Some(SECOND * 15));
    env.clock.sleep(SECOND * 15).await;
    assert_eq!(call_about(&env, &guard, 3).await, Outcome::Done(()));
    assert_eq!(breaker_events(&recorder), ["open", "half-open"]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_while_a_permit_is_waited_for_stops_the_call() {
    let (env, recorder) = statuses(&[500; 10]);
    let ten = Calls { windows: vec![Window { calls: 10, per: SECOND }], ..calls() };
    let guard = guard_with(&env, &ten);
    let waiting = (0..20).map(|order| call_about(&env, &guard, order));
    let outcomes = futures_util::future::join_all(waiting).await;
    let unsent =
        outcomes.iter().filter(|o| matches!(o, Outcome::NotProcessed { spent: false, .. }));
    assert_eq!(unsent.count(), 10);
    assert_eq!(recorder.ends().len(), 10);
    let elsewhere = guard_with(&env, &ten);
    env.clock.sleep(SECOND * 15).await;
    assert_eq!(call(&env, &elsewhere).await, Outcome::Done(()), "permits were given back");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_by_all_calls_here_and_elsewhere() {
    let (env, recorder) = env(answers([retry_after(429, "30")]), Scripted::none());
    let (here, elsewhere) = (guard(&env), guard(&env));
    let limited = call(&env, &here).await;
    assert!(matches!(limited, Outcome::NotProcessed { spent: true, .. }), "{limited:?}");
    assert_eq!(wait_of(&limited), Some(SECOND * 30));
    env.clock.sleep(SECOND * 20).await;
    for guard in [&here, &elsewhere] {
        let outcome = call(&env, guard).await;
        assert!(matches!(outcome, Outcome::NotProcessed { spent: false, .. }), "{outcome:?}");
        assert_eq!(wait_of(&outcome), Some(SECOND * 10));
    }
    env.clock.sleep(SECOND * 10).await;
    assert_eq!(call(&env, &here).await, Outcome::Done(()));
    assert_eq!(call(&env, &elsewhere).await, Outcome::Done(()));
    assert_eq!(recorder.ends().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_429_without_a_usable_retry_after_doubles_the_pause_until_one_is_answered() {
    let nonsense = (0..8).map(|_| retry_after(429, "soon"));
    let answered = [Ok(response(200, "")), retry_after(429, "")];
    let (env, _) = env(answers(nonsense.chain(answered)), Scripted::none());
    let guard = guard(&env);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let wait = wait_of(&call(&env, &guard).await).unwrap();
        assert_eq!(wait, SECOND * seconds);
        env.clock.sleep(wait).await;
    }
    assert_eq!(call(&env, &guard).await, Outcome::Done(()));
    assert_eq!(wait_of(&call(&env, &guard).await), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_together_that_all_meet_429_make_one_pause() {
    let clock = edges::clock();
    let slow = Scripted::new(move |_, _| {
        let asleep = clock.sleep(Duration::from_millis(50));
        async move {
            asleep.await;
            Ok(response(429, ""))
        }
    });
    let (env, recorder) = env(slow, Scripted::none());
    let guard = guard(&env);
    let together = (0..20).map(|_| call(&env, &guard));
    for outcome in futures_util::future::join_all(together).await {
        assert_eq!(wait_of(&outcome), Some(SECOND));
    }
    let blocks = |event: &&(Timestamp, Event)| matches!(event.1, Event::QuotaBlocked { .. });
    assert_eq!(recorder.events().iter().filter(blocks).count(), 1);
    assert!(breaker_events(&recorder).is_empty(), "being told to wait is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_waited_out_and_is_no_failure_of_the_api() {
    let (env, recorder) = statuses(&[403, 200]);
    let guard = guard(&env);
    let start = env.clock.now();
    assert_eq!(wait_of(&call(&env, &guard).await), Some(SECOND * 300));
    let told = recorder.events().into_iter().find_map(|(_, event)| match event {
        Event::QuotaBlocked { quota, until, why } => Some((quota, until, why)),
        _ => None,
    });
    let expected = ("carrier".to_owned(), start + SECOND * 300, "banned".to_owned());
    assert_eq!(told, Some(expected));
    env.clock.sleep(SECOND * 299).await;
    assert_eq!(call(&env, &guard).await, Outcome::Done(()));
    assert_eq!(env.clock.now(), start + SECOND * 300, "the last second is waited for");
}

#[tokio::test(start_paused = true)]
async fn a_503_that_says_when_keeps_only_its_own_order_waiting() {
    let (env, _) = env(answers([retry_after(503, "7")]), Scripted::none());
    let guard = guard(&env);
    let unknown = call(&env, &guard).await;
    assert_eq!((unknown.name(), wait_of(&unknown)), ("unknown", Some(SECOND * 7)));
    assert_eq!(call(&env, &guard).await, Outcome::Done(()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_timed_out_keeps_its_permit_until_it_can_no_longer_arrive() {
    let lost = TransportError::MaybeSent { reason: "late".to_owned(), timed_out: true };
    let (env, _) = env(answers([Err(lost)]), Scripted::none());
    let one = Calls { windows: vec![Window { calls: 1, per: SECOND }], ..calls() };
    let guard = guard_with(&env, &one);
    let start = env.clock.now();
    assert_eq!(call(&env, &guard).await.name(), "unknown");
    while !matches!(call(&env, &guard).await, Outcome::Done(())) {
        env.clock.sleep(SECOND / 2).await;
    }
    assert!(env.clock.now() >= start + SECOND * 13, "{}", env.clock.now());
}

#[tokio::test(start_paused = true)]
async fn no_transaction_is_open_while_a_call_is_under_way() {
    let slow_429 = Scripted::new(|_, _| async { retry_after(429, "1") });
    let (mut env, recorder) = env(slow_429, Scripted::none());
    let options = Options::new(env.clock.clone(), recorder.clone());
    env.store = Arc::new(SqliteStore::in_memory(options));
    let guard = guard(&env);
    scoped(7, call(&env, &guard)).await;
    let mut under_way = false;
    let mut transactions = 0;
    for (_, event) in recorder.events() {
        match event {
            Event::CallBegin { .. } => under_way = true,
            Event::CallEnd { .. } => under_way = false,
            Event::TxBegin { task: 7, op } => {
                transactions += 1;
                assert!(!under_way, "{op}");
            }
            _ => {}
        }
    }
    assert_eq!(transactions, 2, "the permit before the call, the block after it");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_stays_dead_is_probed_ever_more_rarely_for_it_may_be_a_ban() {
    let cut = || Err(TransportError::MaybeSent { reason: "reset".to_owned(), timed_out: false });
    let (env, recorder) = env(Scripted::new(move |_, _| async move { cut() }), Scripted::none());
    let guard = guard(&env);
    for order in 0..5_000 {
        call_about(&env, &guard, order % 20).await;
        env.clock.sleep(SECOND).await;
    }
    let events = recorder.events().into_iter();
    let events = events.skip_while(|(_, event)| !matches!(event, Event::Breaker { .. }));
    let probed: Vec<Timestamp> = events
        .filter(|(_, event)| matches!(event, Event::CallBegin { .. }))
        .map(|(at, _)| at)
        .collect();
    let gaps: Vec<u64> = probed.windows(2).map(|two| two[1].since(two[0]).as_secs()).collect();
    // The order that probed last lets the next go first: that one comes a second later.
    assert_eq!(gaps[..7], [15, 30, 61, 121, 241, 481, 601], "twice a ban at most");
}

#[tokio::test(start_paused = true)]
async fn under_a_second_permit_that_has_run_out_no_call_goes_out() {
    let (env, recorder) = statuses(&[]);
    let (guard, windows) = (guard(&env), vec![Window { calls: 1, per: SECOND }]);
    let permits = Permits::new(&env, "other", windows, calls().deadline);
    let start = env.clock.now();
    let fresh = permits.take(start + SECOND).await.unwrap();
    let under = async |other| {
        guard.call_under(&hands(), Some(other), &context(&env), request(true), read).await
    };
    assert_eq!(under(fresh).await, Outcome::Done(()));
    let late = permits.take(start + SECOND * 5).await.unwrap();
    env.clock.sleep_until(late.held_until()).await;
    let begun = recorder.events().len();
    let outcome = under(late).await;
    assert!(matches!(outcome, Outcome::NotProcessed { spent: false, .. }), "{outcome:?}");
    let told = recorder.events().into_iter().skip(begun);
    assert!(!told.into_iter().any(|(_, event)| matches!(event, Event::CallBegin { .. })));
}
