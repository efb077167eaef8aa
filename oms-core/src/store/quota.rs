//! Permits to call, shared by all workers of one address.
//!
//! The other side counts a call when it arrives: some time between its grant and its end. A permit
//! therefore counts from its grant until one window after its end; held from sending only, a slow
//! call followed by a fast one arrives as two in one window.

use clockwork::Timestamp;

use super::Window;

/// How many calls may start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// So many, at least one.
    Grant(usize),
    /// None before this moment.
    Wait(Timestamp),
}

/// How many of `want` calls may start at `now`.
///
/// `ends` are the ends of the calls so far, latest first; a call that may still be under way has
/// its latest possible end, in the future. As many as the largest window has calls suffice.
pub(super) fn decide(
    ends: &[Timestamp],
    windows: &[Window],
    now: Timestamp,
    want: usize,
) -> Decision {
    let mut free = want;
    let mut wait = None;
    for window in windows {
        let calls = usize::try_from(window.calls).unwrap_or(usize::MAX);
        let counted = ends.partition_point(|end| *end > now - window.per);
        free = free.min(calls.saturating_sub(counted));
        if counted >= calls {
            wait = wait.max(Some(frees_at(ends, calls, now, window)));
        }
    }
    match wait {
        Some(moment) => Decision::Wait(moment),
        None => Decision::Grant(free),
    }
}

/// When the first place of a full window frees. A call under way may end this very moment.
fn frees_at(ends: &[Timestamp], calls: usize, now: Timestamp, window: &Window) -> Timestamp {
    let Some(oldest) = calls.checked_sub(1).and_then(|last| ends.get(last)) else {
        return Timestamp::MAX;
    };
    (*oldest).min(now) + window.per
}

#[cfg(test)]
mod tests;
