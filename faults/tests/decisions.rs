//! Which call is hit, and why.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/room.rs"]
mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use faults::{ConnectFault, Described, Kind, Target};
use support::{Room, parse};

fn of(endpoint: &str, key: &str) -> Described {
    let key = Some(key.to_owned()).filter(|key| !key.is_empty());
    Described { endpoint: endpoint.to_owned(), key }
}

/// The kind that hits a booking of `key`, and why.
fn hit(room: &Room, endpoint: &str, key: &str) -> Option<(Kind, String)> {
    let decision = room.injector.decide(Target::Call, &of(endpoint, key))?;
    Some((decision.fault.kind, decision.why))
}

/// Which of a hundred orders are hit, asked in the order of `keys`.
fn hit_keys(room: &Room, keys: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    keys.filter(|key| hit(room, "book", &format!("ORD-{key}")).is_some()).collect()
}

const RESETS: &str = "[[fault]]\nkind = 'reset-after'\nendpoint = 'book'\nrate = 0.3\n";

#[test]
fn a_rate_does_not_depend_on_the_order_of_arrival() {
    let up = hit_keys(&Room::with(RESETS), 0..100);
    let down = hit_keys(&Room::with(RESETS), (0..100).rev());
    assert_eq!(up, down);
    assert!((20..=40).contains(&up.len()), "{}", up.len());
    assert_ne!(up, hit_keys(&Room::seeded(8, RESETS), 0..100), "another seed");

    let room = Room::with(RESETS);
    let first_attempts = hit_keys(&room, 0..100);
    assert_ne!(first_attempts, hit_keys(&room, 0..100), "another attempt, another draw");
}

#[test]
fn taking_one_fault_away_does_not_reshuffle_the_rest() {
    let other = "[[fault]]\nkind = 'status'\nstatus = 502\nendpoint = 'token'\nrate = 0.5\n";
    let alone = hit_keys(&Room::with(RESETS), 0..100);
    assert_eq!(alone, hit_keys(&Room::with(&format!("{other}{RESETS}")), 0..100));

    let rarer = hit_keys(&Room::with(&RESETS.replace("0.3", "0.1")), 0..100);
    assert!(rarer.is_subset(&alone), "a lower rate hits some of the same");

    let twins = hit_keys(&Room::with(&RESETS.repeat(2)), 0..100);
    assert!(twins.len() > alone.len() && twins.is_superset(&alone), "each has its own dice");
}

#[test]
fn a_rate_of_one_hits_all_and_of_zero_none() {
    assert_eq!(hit_keys(&Room::with(&RESETS.replace("0.3", "1.0")), 0..100).len(), 100);
    assert_eq!(hit_keys(&Room::with(&RESETS.replace("0.3", "0.0")), 0..100).len(), 0);
}

#[test]
fn calls_without_a_key_are_drawn_by_their_number() {
    let draw = |others: usize| {
        let room = Room::with(&RESETS.replace("book", "token"));
        let hits = (0..100).map(|_| {
            (0..others).for_each(|_| drop(hit(&room, "book", "ORD-1")));
            hit(&room, "token", "").is_some()
        });
        hits.collect::<Vec<_>>()
    };
    assert_eq!(draw(0), draw(3), "other endpoints do not matter");
    assert!((20..=40).contains(&draw(0).iter().filter(|hit| **hit).count()));
}

#[test]
fn nth_counts_arrivals_of_its_endpoint_or_of_all() {
    let room = Room::with(
        "[[fault]]\nkind = 'reset-before'\nendpoint = 'book'\nnth = 2\n
         [[fault]]\nkind = 'reset-after'\nnth = 4\n",
    );
    let asked = [("book", "a"), ("token", ""), ("book", "b"), ("token", ""), ("book", "c")];
    let hits = asked.map(|(endpoint, key)| hit(&room, endpoint, key));
    let second = (Kind::ResetBefore, "endpoint book, nth 2".to_owned());
    let fourth = (Kind::ResetAfter, "nth 4".to_owned());
    assert_eq!(hits, [None, None, Some(second), Some(fourth), None]);
}

#[test]
fn key_and_attempt_find_one_call_however_many_come_between() {
    let room = Room::with("[[fault]]\nkind = 'reset-after'\nkey = 'b'\nattempt = 2\n");
    let hits = ["b", "a", "c", "b", "b"].map(|key| hit(&room, "book", key).is_some());
    assert_eq!(hits, [false, false, false, true, false]);
    assert_eq!(room.injector.fired()[0].times, 1);
}

#[test]
fn the_first_fault_that_matches_wins_until_it_has_fired_often_enough() {
    let room = Room::with(
        "[[fault]]\nkind = 'reset-before'\nendpoint = 'token'\n
         [[fault]]\nkind = 'refuse'\ntimes = 2\n
         [[fault]]\nkind = 'empty'\n",
    );
    let hits = ["a", "b", "c"].map(|key| hit(&room, "book", key).unwrap());
    assert_eq!(hits[0], (Kind::Refuse, "firing 1 of 2".to_owned()));
    assert_eq!(hits[1], (Kind::Refuse, "firing 2 of 2".to_owned()));
    assert_eq!(hits[2], (Kind::Empty, "every one".to_owned()));
    let times: Vec<_> = room.injector.fired().iter().map(|fired| fired.times).collect();
    assert_eq!(times, [0, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_window_begins_and_ends_to_the_millisecond() {
    let room = Room::with("[[fault]]\nkind = 'empty'\nfrom = '10s'\nuntil = '20s'\n");
    let at = async |millis: u64| {
        room.clock.sleep_until(room.start + Duration::from_millis(millis)).await;
        hit(&room, "book", "a").map(|(_, why)| why)
    };
    assert_eq!(at(9_999).await, None);
    assert_eq!(at(10_000).await.unwrap(), "10s into the run");
    assert_eq!(at(19_999).await.unwrap(), "19s 999ms into the run");
    assert_eq!(at(20_000).await, None);
}

#[test]
fn all_triggers_must_hold_and_the_reason_names_them() {
    let room = Room::with(
        "[[fault]]\nkind = 'delay-after'\nby = '1s'\nendpoint = 'book'\nkey = 'a'\nattempt = 1
         nth = 2\nuntil = '1h'\nrate = 1.0\ntimes = 9\n",
    );
    assert_eq!(hit(&room, "book", "b"), None);
    let (_, why) = hit(&room, "book", "a").unwrap();
    let (before, drew) = why.split_once("drew ").unwrap();
    assert!(before.starts_with("endpoint book, key a, attempt 1, nth 2, "), "{why}");
    assert!(drew.ends_with("below rate 1, firing 1 of 9"), "{why}");
}

#[test]
fn healed_faults_keep_their_counts_and_new_ones_begin_anew() {
    let second = "[[fault]]\nkind = 'empty'\nnth = 2\n";
    let room = Room::with(second);
    assert!(hit(&room, "book", "a").is_none());
    assert!(hit(&room, "book", "a").is_some());

    room.injector.reset();
    assert_eq!(room.injector.fired()[0].times, 0);
    assert!(hit(&room, "book", "a").is_none());
    assert!(hit(&room, "book", "a").is_some());

    room.injector.install(parse(second), room.start).unwrap();
    assert!(hit(&room, "book", "a").is_none());
    room.injector.heal();
    assert!(hit(&room, "book", "a").is_none(), "healed");
    assert_eq!(room.injector.fired().len(), 1);
    room.injector.clear();
    assert_eq!(room.injector.fired(), []);
}

#[test]
fn a_list_with_a_wrong_fault_leaves_the_old_one() {
    let room = Room::with("[[fault]]\nkind = 'empty'\n");
    let wrong = parse("[[fault]]\nkind = 'empty'\n[[fault]]\nkind = 'empty'\nnth = 0\n");
    assert!(room.injector.install(wrong, room.start).is_err());
    assert!(hit(&room, "book", "a").is_some());
}

#[test]
fn connections_calls_and_operations_do_not_count_each_other() {
    let room = Room::with(
        "[[fault]]\nkind = 'connect-timeout'\nnth = 2\n
         [[fault]]\nkind = 'commit-unknown'\nendpoint = 'settle'\nnth = 2\n
         [[fault]]\nkind = 'empty'\nnth = 2\n",
    );
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let operate =
        || room.injector.decide(Target::Store, &of("settle", "a")).map(|hit| hit.fault.kind);
    let hits = (0..3).map(|_| {
        let call = hit(&room, "book", "a").map(|(kind, _)| kind);
        (room.injector.connect(client), operate(), call)
    });
    let second = (Some(ConnectFault::Timeout), Some(Kind::CommitUnknown), Some(Kind::Empty));
    let none = (None, None, None);
    assert_eq!(hits.collect::<Vec<_>>(), [none, second, none]);
}

#[test]
fn a_fault_that_happens_at_one_operation_counts_that_one_alone() {
    let room = Room::with("[[fault]]\nkind = 'ack-lost'\nnth = 2\n");
    let hit = |operation, key| room.injector.decide(Target::Queue, &of(operation, key)).is_some();
    assert!(!hit("deliver", "a") && !hit("deliver", "b"));
    assert!(!hit("ack", "a"));
    assert!(!hit("deliver", "c"));
    assert!(hit("ack", "b"), "the second acknowledgement");
}

#[test]
fn a_nodes_fault_hits_calls_only_when_it_waits_for_one() {
    let room = Room::with("[[fault]]\nkind = 'crash'\npoint = 17\n");
    assert_eq!(hit(&room, "book", "a"), None);
    room.injector.note_fired(0);
    assert_eq!(room.injector.fired()[0].times, 1);

    let room = Room::with("[[fault]]\nkind = 'crash'\nwhen = 'after'\nendpoint = 'book'\n");
    assert_eq!(hit(&room, "book", "a").unwrap().0, Kind::Crash);
}
