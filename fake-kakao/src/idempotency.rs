//! Which idempotency keys are remembered, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clockwork::Timestamp;

/// The keys of accepted requests. What has expired is dropped, so memory is bounded by what the
/// callers' own times to live ask for.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    until: BTreeMap<String, Timestamp>,
    expiry: BTreeSet<(Timestamp, String)>,
}

impl Keys {
    /// Whether `key` was remembered and its time to live has not passed.
    pub fn remembers(&mut self, key: &str, now: Timestamp) -> bool {
        self.drop_expired(now);
        self.until.contains_key(key)
    }

    /// Remembers `key` for `ttl`, which counts from `now`; not at all with a `ttl` of zero.
    pub fn remember(&mut self, key: &str, ttl: Duration, now: Timestamp) {
        self.drop_expired(now);
        let until = now + ttl;
        if until <= now {
            return;
        }
        if let Some(before) = self.until.insert(key.to_owned(), until) {
            self.expiry.remove(&(before, key.to_owned()));
        }
        self.expiry.insert((until, key.to_owned()));
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    fn drop_expired(&mut self, now: Timestamp) {
        while self.expiry.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, key)) = self.expiry.pop_first() else { return };
            self.until.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    #[test]
    fn a_key_lives_to_the_millisecond() {
        let mut keys = Keys::default();
        keys.remember("order-1", Duration::from_secs(60), START);
        assert!(keys.remembers("order-1", START));
        assert!(keys.remembers("order-1", START + Duration::from_millis(59_999)));
        assert!(!keys.remembers("order-1", START + Duration::from_millis(60_000)));
        assert!(keys.is_empty(), "an expired key is dropped");
    }

    #[test]
    fn a_ttl_of_zero_remembers_nothing() {
        let mut keys = Keys::default();
        keys.remember("order-1", Duration::ZERO, START);
        assert!(!keys.remembers("order-1", START));
    }

    /// What the table must do, said the slow way: look through everything ever remembered.
    #[derive(Default)]
    struct Log(Vec<(u8, Timestamp, Duration)>);

    impl Log {
        fn remembers(&self, key: u8, now: Timestamp) -> bool {
            let live = |(k, at, ttl): &(u8, Timestamp, Duration)| *k == key && now < *at + *ttl;
            self.0.iter().any(live)
        }
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_log_of_everything(
            calls in prop::collection::vec((0_u8..4, 0_u64..2_000, 0_u64..5), 1..200),
        ) {
            let (mut keys, mut log, mut now) = (Keys::default(), Log::default(), START);
            for (key, pause_millis, ttl_seconds) in calls {
                now = now + Duration::from_millis(pause_millis);
                let name = key.to_string();
                let seen = keys.remembers(&name, now);
                prop_assert_eq!(seen, log.remembers(key, now));
                if !seen {
                    let ttl = Duration::from_secs(ttl_seconds);
                    keys.remember(&name, ttl, now);
                    log.0.push((key, now, ttl));
                }
                prop_assert!(keys.len() <= 4);
            }
        }
    }
}
