//! Counts requests: all, by endpoint, and by endpoint and key.

use std::collections::BTreeMap;
use std::sync::Arc;

use clockwork::Entropy;

use crate::api::Described;

/// The numbers of one request, each from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// The endpoint's name, of which one copy serves all requests.
    pub endpoint: Arc<str>,
    /// Among all.
    pub total: u64,
    /// Of its endpoint.
    pub nth: u64,
    /// With its endpoint and key.
    pub attempt: u32,
}

/// Counts in bounded memory.
#[derive(Default)]
pub(super) struct Counter {
    total: u64,
    endpoints: BTreeMap<Arc<str>, Endpoint>,
    attempts: Attempts,
}

struct Endpoint {
    name: Arc<str>,
    requests: u64,
}

impl Counter {
    pub(super) fn count(&mut self, what: &Described) -> Counted {
        self.total += 1;
        let endpoint = self.endpoint(&what.endpoint);
        endpoint.requests += 1;
        let (name, nth) = (Arc::clone(&endpoint.name), endpoint.requests);
        let attempt = match &what.key {
            Some(key) => self.attempts.count(&what.endpoint, key),
            None => u32::try_from(nth).unwrap_or(u32::MAX),
        };
        Counted { endpoint: name, total: self.total, nth, attempt }
    }

    fn endpoint(&mut self, name: &str) -> &mut Endpoint {
        if !self.endpoints.contains_key(name) {
            let name: Arc<str> = name.into();
            self.endpoints.insert(Arc::clone(&name), Endpoint { name, requests: 0 });
        }
        self.endpoints.get_mut(name).expect("inserted above")
    }
}

/// Attempts by endpoint and key, of at least the last `keys_per_generation` keys.
///
/// Keys are kept as hashes, in two generations: when the young one is full it becomes the old
/// one, and what was old is forgotten. A key that comes again is young again.
struct Attempts {
    young: BTreeMap<u64, u32>,
    old: BTreeMap<u64, u32>,
    keys_per_generation: usize,
}

/// Two of these are some 25 MiB.
const KEYS_PER_GENERATION: usize = 500_000;

impl Default for Attempts {
    fn default() -> Attempts {
        Attempts {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            keys_per_generation: KEYS_PER_GENERATION,
        }
    }
}

impl Attempts {
    fn count(&mut self, endpoint: &str, key: &str) -> u32 {
        let hash = Entropy::new(0).fork("attempt", (endpoint, key)).seed();
        if let Some(count) = self.young.get_mut(&hash) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.young.len() == self.keys_per_generation {
            self.old = std::mem::take(&mut self.young);
        }
        let count = self.old.remove(&hash).unwrap_or(0).saturating_add(1);
        self.young.insert(hash, count);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booking(key: &str) -> Described {
        Described { endpoint: "RegBook".to_owned(), key: Some(key.to_owned()) }
    }

    #[test]
    fn each_key_has_attempts_of_its_own() {
        let mut counter = Counter::default();
        let token = Described { endpoint: "Token".to_owned(), key: None };
        for (what, total, nth, attempt) in [
            (&booking("a"), 1, 1, 1),
            (&booking("b"), 2, 2, 1),
            (&booking("a"), 3, 3, 2),
            (&token, 4, 1, 1),
            (&token, 5, 2, 2),
        ] {
            let endpoint = what.endpoint.as_str().into();
            assert_eq!(counter.count(what), Counted { endpoint, total, nth, attempt });
        }
    }

    #[test]
    fn a_key_is_forgotten_only_after_a_generation_of_others() {
        let mut attempts = Attempts { keys_per_generation: 100, ..Attempts::default() };
        attempts.count("RegBook", "first");
        for n in 1..100 {
            attempts.count("RegBook", &n.to_string());
        }
        assert_eq!(attempts.count("RegBook", "first"), 2);
        for n in 0..200 {
            attempts.count("CnclBook", &n.to_string());
        }
        assert_eq!(attempts.count("RegBook", "first"), 1, "forgotten");
        assert!(attempts.young.len() + attempts.old.len() <= 200);
    }
}
