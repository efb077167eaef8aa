//! What happened, step by step, in the order's own words.

mod lines;

use std::time::Duration;

use clockwork::Timestamp;

use crate::evidence::Evidence;
use crate::promises;
use lines::Lines;

/// A story has at most so many steps.
const STEPS_MAX: usize = 30;
/// So many orders are told of.
const ORDERS_MAX: usize = 3;

/// How much a step says of what went wrong: what says less is left out first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Without it the story cannot be understood.
    Key,
    /// It shows how one thing led to the next.
    Link,
    /// It would have happened anyhow.
    Usual,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) weight: Weight,
    pub(super) says: String,
}

/// What happened to the orders that break `promise`: short sentences, each with its time since the
/// start of the run, from the history and the ledgers. No personal data.
pub fn story(evidence: &Evidence, promise: &str) -> Vec<String> {
    let orders = orders(evidence, promise);
    let mut steps = Lines::new(evidence, &orders, promise == "no-io-in-transaction").collect();
    // Stable: what happened at one moment stays in the order in which it was found.
    steps.sort_by_key(|step| step.at);
    let steps = shortened(grouped(steps));
    let start = evidence.plan.start;
    let told =
        steps.into_iter().map(|step| format!("{} {}", offset(step.at.since(start)), step.says));
    told.chain(orders.iter().filter_map(|order| end_of(evidence, order))).collect()
}

/// The orders that the violations name, or the first ones.
fn orders(evidence: &Evidence, promise: &str) -> Vec<String> {
    let finding = promises::named(promise).map(|promise| promise.judge(evidence));
    let mut orders: Vec<String> = Vec::new();
    for violation in finding.iter().flat_map(|finding| &finding.violations) {
        let text = violation.to_string();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_/:".contains(c));
        for id in words.filter_map(|word| evidence.order_of(word)) {
            if !orders.iter().any(|known| known == id) {
                orders.push(id.to_owned());
            }
        }
    }
    if orders.is_empty() {
        orders.extend(evidence.plan.workload.ids().take(ORDERS_MAX));
    }
    orders.truncate(ORDERS_MAX);
    orders
}

/// The same step again and again is one.
fn grouped(steps: Vec<Step>) -> Vec<Step> {
    let mut grouped: Vec<(Step, u32)> = Vec::new();
    for step in steps {
        let recent = grouped.iter_mut().rev().take(3);
        match recent.into_iter().find(|(known, _)| known.says == step.says) {
            Some((_, times)) => *times += 1,
            None => grouped.push((step, 1)),
        }
    }
    let told = grouped.into_iter().map(|(step, times)| match times {
        1 => step,
        _ => Step { says: format!("{} ({times} times)", step.says), ..step },
    });
    told.collect()
}

/// Leaves out what says least, and then the middle.
fn shortened(mut steps: Vec<Step>) -> Vec<Step> {
    for least in [Weight::Usual, Weight::Link] {
        if steps.len() > STEPS_MAX {
            steps.retain(|step| step.weight < least);
        }
    }
    if steps.len() > STEPS_MAX {
        let half = STEPS_MAX / 2;
        let left_out = steps.len() - 2 * half;
        let rest = steps.split_off(steps.len() - half);
        steps.truncate(half);
        let at = steps.last().map_or(rest[0].at, |step| step.at);
        let says = format!("({left_out} steps more)");
        steps.push(Step { at, weight: Weight::Key, says });
        steps.extend(rest);
    }
    steps
}

/// Where an order stands in the end, by the database and by the carrier's book.
fn end_of(evidence: &Evidence, order: &str) -> Option<String> {
    let live = evidence.bookings_of_order(order).filter(|booking| booking.is_live());
    let live: Vec<&str> = live.map(|booking| booking.invoice_no.as_str()).collect();
    let held = match live.as_slice() {
        [] => "the carrier holds no booking".to_owned(),
        numbers => format!("the carrier holds {}", numbers.join(" and ")),
    };
    let messages = evidence.messages_of(order).count();
    let told = match messages {
        0 => "the customer was told nothing".to_owned(),
        1 => "the customer was told once".to_owned(),
        _ => format!("the customer was told {messages} times"),
    };
    let Some(row) = evidence.row(order) else {
        return Some(format!("In the end {order} is not in the database; {held}; {told}."));
    };
    let parcels = row.parcels.iter().map(|parcel| match &parcel.invoice_no {
        Some(number) => format!("parcel {} {} as {number}", parcel.number, parcel.state),
        None => format!("parcel {} {}", parcel.number, parcel.state),
    });
    let parcels: Vec<String> = parcels.collect();
    Some(format!("In the end {order} is {}, {}; {held}; {told}.", row.state, parcels.join(", ")))
}

/// `00:01:02.345`.
fn offset(since: Duration) -> String {
    let (secs, millis) = (since.as_secs(), since.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", secs / 3_600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use faults::Kind;

    use super::*;
    use crate::testing::Builder;

    fn step(at: i64, weight: Weight, says: &str) -> Step {
        Step { at: Timestamp::from_micros(at), weight, says: says.to_owned() }
    }

    #[test]
    fn a_double_booking_is_told_from_the_first_call_to_the_end() {
        let evidence = Builder::clean(1).booking("ORD-1-1", "650000000999", 2_000).evidence();
        let story = story(&evidence, "no-double-shipment");
        let booked = |line: &&String| line.contains("the carrier booked ORD-1-1");
        assert_eq!(story.iter().filter(booked).count(), 2, "{story:#?}");
        assert!(story.iter().any(|line| line.contains("as 650000000999: the 2nd time")));
        let end = story.last().unwrap();
        assert!(end.starts_with("In the end ORD-1 is completed, parcel 1 booked as"), "{end}");
        assert!(end.contains("holds 650000000011 and 650000000999"), "{end}");
    }

    #[test]
    fn what_the_broker_did_is_told_and_what_it_did_for_other_orders_is_not() {
        let evidence = Builder::clean(2)
            .kept("order-shipped", "ORD-1:6500", 100)
            .kept("order-shipped", "ORD-2:6501", 110)
            .hit_queue(Kind::AckLost, "ack", "ORD-1:6500", 300)
            .delivered_again("ORD-1:6500", 30_000)
            .message("ORD-1:shipped", "주문 ORD-1 운송장번호 6500", 30_100)
            .evidence();
        let told = story(&evidence, "no-double-notification");
        let says = |text: &str| told.iter().any(|line| line.ends_with(text));
        assert!(says("00.100 the broker keeps `order-shipped` ORD-1:6500"), "{told:#?}");
        assert!(says("ack-lost hit ack of ORD-1:6500: the broker never hears of it"), "{told:#?}");
        assert!(says("30.000 `order-shipped` ORD-1:6500 is delivered again"), "{told:#?}");
        assert!(!told.iter().any(|line| line.contains("ORD-2:6501")), "{told:#?}");
    }

    #[test]
    fn times_are_told_since_the_start() {
        assert_eq!(offset(Duration::from_millis(3_723_045)), "01:02:03.045");
    }

    #[test]
    fn what_repeats_is_told_once_and_what_says_least_is_left_out_first() {
        let same = vec![step(1, Weight::Key, "asked"), step(2, Weight::Key, "asked")];
        assert_eq!(grouped(same), [step(1, Weight::Key, "asked (2 times)")]);
        let mut steps: Vec<Step> =
            (0..40).map(|at| step(at, Weight::Usual, &format!("usual {at}"))).collect();
        steps.push(step(41, Weight::Key, "it broke"));
        assert_eq!(shortened(steps), [step(41, Weight::Key, "it broke")]);
        let keys = (0..40).map(|at| step(at, Weight::Key, &format!("key {at}"))).collect();
        let short = shortened(keys);
        assert_eq!(short.len(), STEPS_MAX + 1);
        assert_eq!(short[15].says, "(10 steps more)");
    }
}
