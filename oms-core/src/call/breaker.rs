//! A circuit breaker: closed passes, open refuses, half-open probes. Time is handed in.
//!
//! It counts over the last calls, as Resilience4j does: it opens when enough calls were seen and
//! too many of them failed, or too many were slow. It says "not now", never "failed": an open
//! breaker costs no attempt.
//!
//! An order whose calls are never answered says nothing of the API, however often it is tried: of
//! the calls in the window only a few may be one order's. Where few orders are under way, as many
//! failures in a row as the window needs calls open it too, if they are not one order's alone.
//! Nor does such an order keep it open: its probes go last, and where another order's succeeded
//! they say nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use clockwork::Timestamp;

use crate::config;

/// When to look again while all probes are under way.
const PROBE_LOOK: Duration = Duration::from_secs(1);

/// Which of the three it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls pass, to find out.
    HalfOpen,
}

impl Phase {
    /// The name in the history.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Closed => "closed",
            Phase::Open => "open",
            Phase::HalfOpen => "half-open",
        }
    }
}

/// A call that was let through; it is to be given back with what became of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
    number: u64,
    subject: Option<u64>,
}

/// What became of a call that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was answered in a way that shows the API to be well.
    Answered {
        /// How long that took.
        took: Duration,
    },
    /// It was not.
    Failed {
        /// How long that took.
        took: Duration,
    },
    /// It says nothing: never made, or told to slow down.
    Silent,
}

/// One call in the window.
#[derive(Debug, Clone, Copy)]
struct Seen {
    failed: bool,
    slow: bool,
    subject: Option<u64>,
}

/// A probe that failed or was slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vain {
    /// Since the breaker opened no order's probes were but this one's.
    Alone,
    /// So were others'.
    Too,
}

#[derive(Debug)]
enum State {
    Closed(Closed),
    Open { until: Timestamp },
    HalfOpen { since: Timestamp, under_way: BTreeMap<u64, Timestamp>, succeeded: usize },
}

/// What a closed breaker has seen.
#[derive(Debug, Default)]
struct Closed {
    window: VecDeque<Seen>,
    /// Failures since the last call that did not fail.
    row: usize,
    /// The orders that they were about.
    row_subjects: BTreeSet<u64>,
}

/// The breaker of one API.
#[derive(Debug)]
pub struct Breaker {
    settings: config::Breaker,
    probe_patience: Duration,
    state: State,
    /// The orders whose probes were in vain since it opened.
    vain: BTreeSet<u64>,
    /// Grows with each change of state: what belongs to an earlier one no longer counts.
    generation: u64,
    tickets: u64,
}

impl Breaker {
    /// A closed breaker. A probe that is not heard of for `probe_patience` makes room for another.
    pub fn new(settings: config::Breaker, probe_patience: Duration) -> Breaker {
        let state = State::Closed(Closed::default());
        Breaker {
            settings,
            probe_patience,
            state,
            vain: BTreeSet::new(),
            generation: 0,
            tickets: 0,
        }
    }

    /// Which of the three it is. An open one turns half-open with the first call after its time.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Closed(_) => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// How long a call about `subject` would have to wait; `None` when it would pass. Changes
    /// nothing.
    pub fn wait(&self, now: Timestamp, subject: Option<u64>) -> Option<Duration> {
        let is_vain = subject.is_some_and(|subject| self.vain.contains(&subject));
        let from = |since: Timestamp| if is_vain { since + self.settings.open_for } else { since };
        match &self.state {
            State::Closed(_) => None,
            State::Open { until } => (now < from(*until)).then(|| from(*until).since(now)),
            State::HalfOpen { since, succeeded: 0, .. } if now < from(*since) => {
                Some(from(*since).since(now))
            }
            State::HalfOpen { under_way, succeeded, .. } => {
                let alive = under_way.values().filter(|began| self.is_alive(**began, now)).count();
                (alive + succeeded >= self.probes()).then_some(PROBE_LOOK)
            }
        }
    }

    /// Lets a call through. `subject` stands for the order that it is about, if it is about one.
    ///
    /// # Errors
    /// How long to wait, as [`Breaker::wait`] has it.
    pub fn admit(&mut self, now: Timestamp, subject: Option<u64>) -> Result<Ticket, Duration> {
        if let Some(wait) = self.wait(now, subject) {
            return Err(wait);
        }
        if let State::Open { until } = self.state {
            let under_way = BTreeMap::new();
            self.enter(State::HalfOpen { since: until, under_way, succeeded: 0 });
        }
        self.tickets += 1;
        let ticket = Ticket { generation: self.generation, number: self.tickets, subject };
        let patience = self.probe_patience;
        if let State::HalfOpen { under_way, .. } = &mut self.state {
            under_way.retain(|_, began| now < *began + patience);
            under_way.insert(ticket.number, now);
        }
        Ok(ticket)
    }

    /// Learns what became of a call; of a probe, whether it was in vain.
    pub fn record(&mut self, ticket: Ticket, ended: Ended, now: Timestamp) -> Option<Vain> {
        if ticket.generation != self.generation {
            return None;
        }
        let seen = self.seen(ended, ticket.subject);
        let needed = self.probes();
        match &mut self.state {
            State::Open { .. } => {}
            State::Closed(closed) => {
                if seen.is_some_and(|seen| closed.trips_with(seen, &self.settings)) {
                    self.open(now);
                }
            }
            State::HalfOpen { under_way, succeeded, .. } => {
                under_way.remove(&ticket.number)?;
                match seen? {
                    Seen { failed: false, slow: false, subject } => {
                        *succeeded += 1;
                        if let Some(subject) = subject {
                            self.vain.remove(&subject);
                        }
                    }
                    Seen { subject, .. } => {
                        let others_succeeded = *succeeded > 0;
                        return self.failed_to_close(subject, others_succeeded, now);
                    }
                }
                if *succeeded >= needed {
                    self.vain.clear();
                    self.enter(State::Closed(Closed::default()));
                }
            }
        }
        None
    }

    /// A probe failed: it opens the breaker again, unless that tells of its order alone.
    fn failed_to_close(
        &mut self,
        subject: Option<u64>,
        others_succeeded: bool,
        now: Timestamp,
    ) -> Option<Vain> {
        let is_news = subject.is_none_or(|subject| self.vain.insert(subject));
        if others_succeeded && !is_news {
            return None;
        }
        let alone = subject.is_some() && self.vain.len() == 1;
        if is_news || !alone {
            self.open(now);
        }
        Some(if alone { Vain::Alone } else { Vain::Too })
    }

    /// Keeps an open breaker open until `until`: no call is to be made before.
    pub fn hold(&mut self, until: Timestamp) {
        if let State::Open { until: open_until } = &mut self.state {
            *open_until = until.max(*open_until);
        }
    }

    fn seen(&self, ended: Ended, subject: Option<u64>) -> Option<Seen> {
        let slow = |took: Duration| took >= self.settings.slow_call;
        match ended {
            Ended::Answered { took } => Some(Seen { failed: false, slow: slow(took), subject }),
            Ended::Failed { took } => Some(Seen { failed: true, slow: slow(took), subject }),
            Ended::Silent => None,
        }
    }

    fn probes(&self) -> usize {
        self.settings.probes.max(1)
    }

    fn is_alive(&self, began: Timestamp, now: Timestamp) -> bool {
        now < began + self.probe_patience
    }

    fn open(&mut self, now: Timestamp) {
        self.enter(State::Open { until: now + self.settings.open_for });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

/// Of the calls that the breaker needs to open, this part may be about one order.
const ONE_ORDERS_PART: usize = 4;

impl Closed {
    /// Adds a call. Whether it was one too many that failed or was slow.
    fn trips_with(&mut self, seen: Seen, settings: &config::Breaker) -> bool {
        self.make_room(seen.subject, settings);
        self.window.push_back(seen);
        while self.window.len() > settings.window_calls.max(1) {
            self.window.pop_front();
        }
        if seen.failed {
            self.row += 1;
            self.row_subjects.extend(seen.subject);
        } else {
            self.row = 0;
            self.row_subjects.clear();
        }
        let row = self.row >= settings.calls_min.max(1) && self.row_subjects.len() > 1;
        row || trips(&self.window, settings)
    }

    /// Drops an order's oldest call where it has its part of the window already.
    fn make_room(&mut self, subject: Option<u64>, settings: &config::Breaker) {
        let most = (settings.calls_min / ONE_ORDERS_PART).max(1);
        let is_its = |seen: &Seen| subject.is_some() && seen.subject == subject;
        if self.window.iter().filter(|seen| is_its(seen)).count() >= most
            && let Some(oldest) = self.window.iter().position(is_its)
        {
            self.window.remove(oldest);
        }
    }
}

/// Whether too many of the calls in the window failed or were slow.
fn trips(window: &VecDeque<Seen>, settings: &config::Breaker) -> bool {
    if window.len() < settings.calls_min.clamp(1, settings.window_calls.max(1)) {
        return false;
    }
    let reaches = |count: usize, rate: f64| count > 0 && count as f64 >= rate * window.len() as f64;
    reaches(window.iter().filter(|seen| seen.failed).count(), settings.failure_rate)
        || reaches(window.iter().filter(|seen| seen.slow).count(), settings.slow_rate)
}

#[cfg(test)]
mod tests;
