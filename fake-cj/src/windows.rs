//! The quota of each client address: several windows at once, and the ban of who ignores them.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use clockwork::Timestamp;

use crate::config::{Config, Switch, Window, WindowKind};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It passes and counts in every window; the row of violations begins anew.
    Admitted,
    /// It is one too many for a window: a violation, that counts in no window.
    Violation {
        /// The window's place in the configuration.
        window: usize,
        /// When a call would pass, if none came before it.
        retry_at: Timestamp,
        /// The end of the ban that this violation brought on.
        banned_until: Option<Timestamp>,
    },
    /// Its address is banned.
    Banned {
        /// The ban's end; a call at that very moment is no longer banned.
        until: Timestamp,
    },
}

/// The gate that every call passes first.
#[derive(Debug)]
pub struct Gate {
    rules: Option<Rules>,
    clients: BTreeMap<IpAddr, Client>,
    /// So many addresses are kept before idle ones are looked for.
    tidy_at: usize,
}

#[derive(Debug)]
struct Rules {
    windows: Vec<Window>,
    kind: WindowKind,
    ban_after: u32,
    ban_for: Duration,
    ban_extends: bool,
    longest: Duration,
}

#[derive(Debug, Default)]
struct Client {
    /// Admitted calls, oldest first, as far back as the longest window reaches.
    admitted: VecDeque<Timestamp>,
    violations_in_a_row: u32,
    banned_until: Option<Timestamp>,
}

/// Addresses kept before idle ones are forgotten; far more than one drill has.
const CLIENTS_BEFORE_TIDYING: usize = 4_096;

impl Gate {
    /// The gate that `config` describes.
    pub fn new(config: &Config) -> Gate {
        let rules = (config.limits == Switch::On).then(|| Rules {
            windows: config.windows.clone(),
            kind: config.window_kind,
            ban_after: config.ban_after,
            ban_for: config.ban_for,
            ban_extends: config.ban_extends,
            longest: config.windows.iter().map(|window| window.per).max().unwrap_or_default(),
        });
        Gate { rules, clients: BTreeMap::new(), tidy_at: CLIENTS_BEFORE_TIDYING }
    }

    /// Decides about a call of `address` at `now`. Calls must come in the order of time.
    pub fn admit(&mut self, address: IpAddr, now: Timestamp) -> Admission {
        if !self.clients.contains_key(&address) {
            self.tidy(now);
        }
        let Some(rules) = &self.rules else { return self.admit_unlimited(address, now) };
        let client = self.clients.entry(address).or_default();
        if let Some(until) = client.banned_until {
            if now < until {
                let until = if rules.ban_extends { now + rules.ban_for } else { until };
                client.banned_until = Some(until);
                return Admission::Banned { until };
            }
            client.banned_until = None;
            client.violations_in_a_row = 0;
        }
        client.forget_before(now, rules.longest);
        let Some((window, retry_at)) = client.full_window(rules, now) else {
            client.admitted.push_back(now);
            client.violations_in_a_row = 0;
            return Admission::Admitted;
        };
        client.violations_in_a_row += 1;
        let banned = rules.ban_after > 0 && client.violations_in_a_row >= rules.ban_after;
        client.banned_until = banned.then(|| now + rules.ban_for);
        Admission::Violation { window, retry_at, banned_until: client.banned_until }
    }

    /// Bans `address` from `now` on, whatever it did; the ban's end. A longer ban stays.
    pub fn ban(&mut self, address: IpAddr, now: Timestamp, length: Duration) -> Timestamp {
        let client = self.clients.entry(address).or_default();
        let until = (now + length).max(client.banned_until.unwrap_or(Timestamp::EPOCH));
        client.banned_until = Some(until);
        until
    }

    /// The end of the ban of `address`, if one holds at `now`.
    pub fn banned_until(&self, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        self.clients.get(&address)?.banned_until.filter(|until| now < *until)
    }

    /// Without limits nothing is counted, but a ban by hand still holds.
    fn admit_unlimited(&self, address: IpAddr, now: Timestamp) -> Admission {
        match self.banned_until(address, now) {
            Some(until) => Admission::Banned { until },
            None => Admission::Admitted,
        }
    }

    /// Keeps memory bounded: an address that is idle and in no trouble is as good as a new one.
    fn tidy(&mut self, now: Timestamp) {
        if self.clients.len() < self.tidy_at {
            return;
        }
        let longest = self.rules.as_ref().map_or(Duration::ZERO, |rules| rules.longest);
        self.clients.retain(|_, client| {
            client.forget_before(now, longest);
            let banned = client.banned_until.is_some_and(|until| now < until);
            banned || client.violations_in_a_row > 0 || !client.admitted.is_empty()
        });
        // Twice as many as are left: so tidying costs each new address a constant on average.
        self.tidy_at = CLIENTS_BEFORE_TIDYING.max(self.clients.len() * 2);
    }
}

impl Client {
    fn forget_before(&mut self, now: Timestamp, longest: Duration) {
        while self.admitted.front().is_some_and(|at| now.since(*at) >= longest) {
            self.admitted.pop_front();
        }
    }

    /// The full window that opens last, and when it does; `None` when every window has room.
    fn full_window(&self, rules: &Rules, now: Timestamp) -> Option<(usize, Timestamp)> {
        let full = |(place, window): (usize, &Window)| {
            let retry_at = match rules.kind {
                WindowKind::Sliding => self.sliding_retry_at(window, now),
                WindowKind::Fixed => self.fixed_retry_at(window, now),
            };
            retry_at.map(|at| (place, at))
        };
        rules.windows.iter().enumerate().filter_map(full).max_by_key(|(_, retry_at)| *retry_at)
    }

    /// A sliding window is full while the `calls`-th last call is younger than its length.
    fn sliding_retry_at(&self, window: &Window, now: Timestamp) -> Option<Timestamp> {
        let place = self.admitted.len().checked_sub(window.calls as usize)?;
        let retry_at = self.admitted[place] + window.per;
        (now < retry_at).then_some(retry_at)
    }

    /// A fixed window is full when the `calls`-th last call fell into the window that holds `now`.
    fn fixed_retry_at(&self, window: &Window, now: Timestamp) -> Option<Timestamp> {
        let per_micros = i64::try_from(window.per.as_micros()).unwrap_or(i64::MAX).max(1);
        let begin = Timestamp::from_micros(now.micros() - now.micros().rem_euclid(per_micros));
        let place = self.admitted.len().checked_sub(window.calls as usize)?;
        (self.admitted[place] >= begin).then(|| begin + window.per)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn at(millis: u64) -> Timestamp {
        Timestamp::parse("2026-11-21T10:00:00+09:00").unwrap() + Duration::from_millis(millis)
    }

    fn gate() -> Gate {
        Gate::new(&Config::default())
    }

    fn passes(gate: &mut Gate, millis: u64) -> bool {
        gate.admit(HERE, at(millis)) == Admission::Admitted
    }

    #[test]
    fn the_tenth_call_passes_and_the_eleventh_does_not() {
        let mut gate = gate();
        for call in 0..10 {
            assert!(passes(&mut gate, call), "call {call}");
        }
        let refused = Admission::Violation { window: 0, retry_at: at(1_000), banned_until: None };
        assert_eq!(gate.admit(HERE, at(10)), refused);
        assert!(!passes(&mut gate, 999), "the first call is 999 ms old and still counts");
        assert!(passes(&mut gate, 1_000), "the first call is a second old");
        assert!(!passes(&mut gate, 1_000), "the second is not");
        assert!(passes(&mut gate, 1_001));
    }

    #[test]
    fn the_hundred_and_first_call_in_a_minute_waits_for_the_first_to_fall_out() {
        let mut gate = gate();
        for call in 0..100 {
            assert!(passes(&mut gate, call * 100), "call {call}");
        }
        let refused = Admission::Violation { window: 1, retry_at: at(60_000), banned_until: None };
        assert_eq!(gate.admit(HERE, at(59_999)), refused);
        assert!(passes(&mut gate, 60_000));
        assert!(!passes(&mut gate, 60_099));
        assert!(passes(&mut gate, 60_100));
    }

    #[test]
    fn a_fixed_window_lets_twice_as_many_through_around_its_edge() {
        let mut gate = Gate::new(&Config { window_kind: WindowKind::Fixed, ..Config::default() });
        for call in 0..10 {
            assert!(passes(&mut gate, 990 + call), "call {call}");
        }
        let refused = Admission::Violation { window: 0, retry_at: at(1_000), banned_until: None };
        assert_eq!(gate.admit(HERE, at(999)), refused);
        for call in 0..10 {
            assert!(passes(&mut gate, 1_000 + call), "call {call}");
        }
        assert!(!passes(&mut gate, 1_999));
    }

    #[test]
    fn five_violations_in_a_row_ban_for_five_minutes_to_the_millisecond() {
        let mut gate = gate();
        (0..10).for_each(|_| assert!(passes(&mut gate, 0)));
        for violation in 1..=4 {
            let admission = gate.admit(HERE, at(violation));
            assert!(matches!(admission, Admission::Violation { banned_until: None, .. }));
        }
        let until = at(5 + 300_000);
        assert_eq!(
            gate.admit(HERE, at(5)),
            Admission::Violation { window: 0, retry_at: at(1_000), banned_until: Some(until) },
        );
        assert_eq!(gate.admit(HERE, at(6)), Admission::Banned { until });
        assert_eq!(gate.admit(THERE, at(6)), Admission::Admitted, "another address is not banned");
        assert_eq!(gate.admit(HERE, at(300_004)), Admission::Banned { until });
        assert_eq!(gate.admit(HERE, at(300_005)), Admission::Admitted);
    }

    #[test]
    fn one_admitted_call_resets_the_row_of_violations() {
        let mut gate = gate();
        (0..10).for_each(|_| assert!(passes(&mut gate, 0)));
        (0..4).for_each(|_| assert!(!passes(&mut gate, 999)));
        assert!(passes(&mut gate, 1_000));
        (0..9).for_each(|_| assert!(passes(&mut gate, 1_000)));
        (0..4).for_each(|_| assert!(!passes(&mut gate, 1_001)));
        assert_eq!(gate.banned_until(HERE, at(1_001)), None);
        assert!(!passes(&mut gate, 1_001));
        assert_eq!(gate.banned_until(HERE, at(1_001)), Some(at(301_001)));
    }

    #[test]
    fn a_call_while_banned_extends_the_ban_only_where_the_knob_says_so() {
        for (ban_extends, until) in [(false, at(300_000)), (true, at(400_000))] {
            let mut gate = Gate::new(&Config { ban_extends, ..Config::default() });
            gate.ban(HERE, at(0), Duration::from_secs(300));
            assert_eq!(gate.admit(HERE, at(100_000)), Admission::Banned { until });
            assert_eq!(gate.banned_until(HERE, at(100_000)), Some(until));
        }
    }

    #[test]
    fn without_limits_every_call_passes_but_a_ban_by_hand_holds() {
        let mut gate = Gate::new(&Config { limits: Switch::Off, ..Config::default() });
        (0..1_000).for_each(|_| assert!(passes(&mut gate, 0)));
        gate.ban(HERE, at(0), Duration::from_secs(1));
        assert!(!passes(&mut gate, 999));
        assert!(passes(&mut gate, 1_000));
    }

    #[test]
    fn idle_addresses_are_forgotten_and_banned_ones_are_not() {
        let mut gate = gate();
        gate.ban(HERE, at(0), Duration::from_secs(300));
        for number in 0..10_000_u32 {
            gate.admit(IpAddr::V4(number.into()), at(u64::from(number) * 20));
        }
        // A minute holds 3,000 of them.
        assert!(gate.clients.len() <= 2 * CLIENTS_BEFORE_TIDYING, "{}", gate.clients.len());
        assert!(gate.banned_until(HERE, at(200_000)).is_some());
    }

    /// The rules as a person would count them by hand over a log of everything that happened.
    fn recounted(config: &Config, log: &[(Timestamp, Admission)], now: Timestamp) -> Admission {
        let mut row = 0;
        let mut banned_until = None;
        for (_, admission) in log {
            row = match *admission {
                Admission::Violation { banned_until: None, .. } => row + 1,
                _ => 0,
            };
            banned_until = match *admission {
                Admission::Violation { banned_until, .. } => banned_until,
                Admission::Banned { until } => Some(until),
                Admission::Admitted => None,
            };
        }
        if let Some(until) = banned_until.filter(|until| now < *until) {
            let until = if config.ban_extends { now + config.ban_for } else { until };
            return Admission::Banned { until };
        }
        let counts = |window: &Window, moment: Timestamp| {
            let number = |at: Timestamp| at.micros() / window.per.as_micros() as i64;
            let counted = log.iter().filter(|(at, admission)| {
                let inside = match config.window_kind {
                    WindowKind::Sliding => moment.since(*at) < window.per,
                    WindowKind::Fixed => number(*at) == number(moment),
                };
                *admission == Admission::Admitted && inside
            });
            counted.count() < window.calls as usize
        };
        if config.windows.iter().all(|window| counts(window, now)) {
            return Admission::Admitted;
        }
        // Times in the test are whole milliseconds, so stepping by one finds the exact moment.
        let opens = |window: &Window| {
            (0_u64..).map(|ms| now + Duration::from_millis(ms)).find(|then| counts(window, *then))
        };
        let opening: Vec<_> = config.windows.iter().filter_map(opens).collect();
        let retry_at = *opening.iter().max().unwrap();
        let window = opening.iter().rposition(|at| *at == retry_at).unwrap();
        let banned = row + 1 >= config.ban_after;
        let banned_until = banned.then(|| now + config.ban_for);
        Admission::Violation { window, retry_at, banned_until }
    }

    proptest! {
        #[test]
        fn the_gate_agrees_with_a_naive_recount_of_the_log(
            gaps in prop::collection::vec(0_u64..40, 1..70),
            (small, large) in (1_u32..4, 2_u32..9),
            (per, longer) in (20_u64..60, 60_u64..200),
            (ban_after, ban_for) in (1_u32..5, 1_u64..150),
            (fixed, ban_extends) in (any::<bool>(), any::<bool>()),
        ) {
            let millis = Duration::from_millis;
            let config = Config {
                windows: vec![
                    Window { calls: small, per: millis(per) },
                    Window { calls: large, per: millis(longer) },
                ],
                window_kind: if fixed { WindowKind::Fixed } else { WindowKind::Sliding },
                ban_for: millis(ban_for),
                ban_after,
                ban_extends,
                ..Config::default()
            };
            let mut gate = Gate::new(&config);
            let mut log = Vec::new();
            let mut now = at(0);
            for gap in gaps {
                now = now + millis(gap);
                let decided = gate.admit(HERE, now);
                prop_assert_eq!(decided, recounted(&config, &log, now));
                log.push((now, decided));
            }
        }
    }
}
