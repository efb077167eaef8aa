//! How long an API wants to be left alone, or has to be: after a 429, in a ban, in a silence.

use std::collections::BTreeSet;
use std::time::Duration;

use clockwork::Timestamp;

/// The pause after a 429 that does not say how long; doubled for each further one in a row.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// No such pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The API wants to be left alone by everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brake {
    /// Too many calls: 429.
    RateLimited,
    /// Banned or blocked: 403.
    Banned,
    /// Probe after probe brings no answer at all: a ban may look so too, and each call begin it
    /// anew.
    Silent,
}

impl Brake {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Brake::RateLimited => "rate-limited",
            Brake::Banned => "banned",
            Brake::Silent => "silent",
        }
    }
}

/// No call is to be made until a moment: about this order, or at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Halt {
    pub(super) until: Timestamp,
    pub(super) all: bool,
}

/// How long to wait when the API does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// In a ban.
    pub(super) ban: Duration,
    /// In a silence; doubled for each further one, up to twice the ban's.
    pub(super) silence: Duration,
    /// So many calls in a row without an answer are a silence.
    pub(super) silent_calls_max: usize,
}

/// How long the API is left alone, and what that comes from.
#[derive(Debug)]
pub(super) struct Pause {
    waits: Waits,
    /// 429 in a row.
    streak: u32,
    /// Pauses in a row because of silence.
    unanswered: u32,
    /// Calls in a row that brought no answer.
    silent_calls: usize,
    /// The orders that they were about.
    silent_orders: BTreeSet<u64>,
    set_at: Timestamp,
    until: Timestamp,
    why: Option<Brake>,
}

impl Pause {
    /// None.
    pub(super) fn new(waits: Waits) -> Pause {
        Pause {
            waits,
            streak: 0,
            unanswered: 0,
            silent_calls: 0,
            silent_orders: BTreeSet::new(),
            set_at: Timestamp::EPOCH,
            until: Timestamp::EPOCH,
            why: None,
        }
    }

    /// Learns whether a call about `order` was answered at all. Whether too many in a row were not,
    /// all about one order: no breaker opens for it, and it may be a ban that each call begins anew.
    pub(super) fn hear(&mut self, answered: bool, order: Option<u64>) -> bool {
        if answered {
            self.unanswered = 0;
            self.silent_calls = 0;
            self.silent_orders.clear();
            return false;
        }
        self.silent_calls = self.silent_calls.saturating_add(1);
        self.silent_orders.extend(order);
        self.silent_calls >= self.waits.silent_calls_max && self.silent_orders.len() == 1
    }

    /// An answer that asks for no pause: if its call began after the last one, the row of 429 is
    /// broken.
    pub(super) fn heard_well(&mut self, begun: Timestamp) {
        if begun >= self.until {
            self.streak = 0;
        }
    }

    /// How long an order is to wait whose calls alone bring no answer.
    pub(super) fn for_one(&mut self) -> Duration {
        let wait = self.unasked(Brake::Silent);
        self.unanswered = self.unanswered.saturating_add(1);
        wait
    }

    /// Begins or lengthens it, by `asked` if the API said how long. Until when it lasts, and whether
    /// it is another one: calls that were under way together are told the same once each.
    pub(super) fn set(
        &mut self,
        brake: Brake,
        asked: Option<Duration>,
        begun: Timestamp,
        now: Timestamp,
    ) -> (Timestamp, bool) {
        let until = now + asked.unwrap_or_else(|| self.unasked(brake));
        if self.why == Some(brake) && begun <= self.set_at && now < self.until {
            // Each call that meets a ban may begin it anew: the last one counts.
            if brake == Brake::Banned {
                self.until = self.until.max(until);
            }
            return (self.until, false);
        }
        match brake {
            Brake::Banned => {}
            Brake::RateLimited => self.streak = self.streak.saturating_add(1),
            Brake::Silent => self.unanswered = self.unanswered.saturating_add(1),
        }
        self.set_at = now;
        self.until = self.until.max(until);
        self.why = Some(brake);
        (self.until, true)
    }

    /// How long to leave the API alone when it does not say.
    fn unasked(&self, brake: Brake) -> Duration {
        let doubled = |first: Duration, row: u32| first.saturating_mul(2_u32.saturating_pow(row));
        match brake {
            Brake::Banned => self.waits.ban,
            Brake::RateLimited => doubled(PAUSE_FIRST, self.streak).min(PAUSE_MAX),
            // Twice a ban outlasts one that the last probes under way begin anew.
            Brake::Silent => doubled(self.waits.silence, self.unanswered).min(self.waits.ban * 2),
        }
    }
}
