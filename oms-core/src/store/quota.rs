//! Permits to call, shared by all workers of one address.
//!
//! The other side counts a call when it arrives: some time between its grant and its end. A permit
//! therefore counts from its grant until one window after its end; held from sending only, a slow
//! call followed by a fast one arrives as two in one window.
//!
//! A permit that is going to be free soon may be given in advance, so that its call goes out at that
//! very moment and asks nobody. Only what is certain is given so: the place of a call that has ended.

use clockwork::Timestamp;

use super::{Permits, TakePermits, Window};

/// When calls may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// At these moments, at least one, in order.
    Grant(Vec<Timestamp>),
    /// None before this moment.
    Wait(Timestamp),
}

/// When the calls that `take` is for may start.
///
/// `ends` are the ends of the calls so far, latest first; a call that may still be under way, or has
/// not begun, has its latest possible end, in the future. As many as the largest window has calls
/// suffice. Nobody may call before `blocked_until`.
pub(super) fn decide(
    mut ends: Vec<Timestamp>,
    take: &TakePermits,
    blocked_until: Timestamp,
) -> Decision {
    let now = take.now;
    if blocked_until > now {
        let free = next(&ends, &take.windows, now).moment();
        return Decision::Wait(free.max(blocked_until));
    }
    let mut granted = Vec::new();
    let mut spare = None;
    while granted.len() < count(take.want.saturating_add(take.spare)) {
        let from = match next(&ends, &take.windows, now) {
            Next::From(from) if from <= now + take.ahead => from,
            Next::From(moment) | Next::NotBefore(moment) if granted.is_empty() => {
                return Decision::Wait(moment);
            }
            _ => break,
        };
        if granted.len() >= count(take.want) {
            // What nobody waits for is given only where it is of no use to others: at once, and no
            // more than half of what is free.
            let left = *spare.get_or_insert_with(|| free_now(&ends, &take.windows, now) / 2);
            if from > now || left <= granted.len() - count(take.want) {
                break;
            }
        }
        granted.push(from);
        let end = from + take.hold;
        ends.insert(ends.partition_point(|other| *other > end), end);
    }
    Decision::Grant(granted)
}

fn count(calls: u32) -> usize {
    usize::try_from(calls).unwrap_or(usize::MAX)
}

/// When the next call may start.
enum Next {
    /// Then.
    From(Timestamp),
    /// Not before then; later, perhaps, for a call that it waits for is under way.
    NotBefore(Timestamp),
}

impl Next {
    fn moment(&self) -> Timestamp {
        match self {
            Next::From(moment) | Next::NotBefore(moment) => *moment,
        }
    }
}

fn next(ends: &[Timestamp], windows: &[Window], now: Timestamp) -> Next {
    let (mut from, mut certain) = (now, true);
    for window in windows {
        match place(ends, window) {
            Place::Free => {}
            Place::None => (from, certain) = (Timestamp::MAX, false),
            // A call under way may end this very moment.
            Place::After(end) => {
                from = from.max(end.min(now) + window.per);
                certain &= end <= now;
            }
        }
    }
    if certain { Next::From(from) } else { Next::NotBefore(from) }
}

/// A place in a window.
enum Place {
    /// There is one that no call has had.
    Free,
    /// The one of the call that ended then.
    After(Timestamp),
    /// The window has none.
    None,
}

/// The place that a window's next call gets.
fn place(ends: &[Timestamp], window: &Window) -> Place {
    match count(window.calls).checked_sub(1) {
        None => Place::None,
        Some(last) => ends.get(last).map_or(Place::Free, |end| Place::After(*end)),
    }
}

/// How many calls may start now.
fn free_now(ends: &[Timestamp], windows: &[Window], now: Timestamp) -> usize {
    let free = windows.iter().map(|window| {
        count(window.calls)
            - ends.partition_point(|end| *end > now - window.per).min(count(window.calls))
    });
    free.min().unwrap_or(usize::MAX)
}

/// By how much one clock is ahead of another, in microseconds.
///
/// The windows of a quota are all workers' own, so its moments are by the database's clock. What a
/// worker says is taken for a little later than it is, and so is what it is told: so windows hold
/// however far clocks are apart, and however long an answer is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead(i64);

impl Ahead {
    /// Of a clock that reads `one` when the other reads `other`.
    pub(super) fn of(one: Timestamp, other: Timestamp) -> Ahead {
        Ahead(one.micros().saturating_sub(other.micros()))
    }

    /// `moment` of the clock that is ahead, by the other.
    pub(super) fn taken_off(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_micros(moment.micros().saturating_sub(self.0))
    }

    /// `moment` of the other clock, by the one that is ahead.
    pub(super) fn added(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_micros(moment.micros().saturating_add(self.0))
    }

    /// What a worker asks for whose clock is ahead, by the database's.
    pub(super) fn question(self, mut take: TakePermits) -> TakePermits {
        take.now = self.taken_off(take.now);
        for (_, ended_at) in &mut take.ended {
            // What counts for nothing counts for nothing by any clock.
            if *ended_at != Timestamp::EPOCH {
                *ended_at = self.taken_off(*ended_at);
            }
        }
        take
    }

    /// What the database answers, by the clock of the worker.
    pub(super) fn answer(self, permits: Permits) -> Permits {
        match permits {
            Permits::Wait(moment) => Permits::Wait(self.added(moment)),
            Permits::Granted(mut grants) => {
                grants.iter_mut().for_each(|grant| grant.from = self.added(grant.from));
                Permits::Granted(grants)
            }
        }
    }
}

#[cfg(test)]
mod tests;
