//! The one-day token: one customer, one valid token.

use clockwork::{Entropy, Timestamp};
use rand::RngExt;
use std::time::Duration;

use crate::config::Config;

/// `TOKEN_NUM` and how long it is good for.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The secret itself.
    pub number: String,
    /// From this moment on it is no longer valid.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let masked = mask(&self.number);
        f.debug_struct("Token")
            .field("number", &masked)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// The first four characters of a secret and nothing more.
pub fn mask(secret: &str) -> String {
    let shown: String = secret.chars().take(4).collect();
    format!("{shown}****")
}

/// What a request for a token gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A new token.
    Issued(Token),
    /// The token of before, its expiry unchanged.
    Same(Token),
    /// Nothing before `until`: the customer asked too fast.
    Blocked {
        /// A request at that very moment is served.
        until: Timestamp,
    },
}

/// Issues tokens to the carrier's one customer.
#[derive(Debug)]
pub struct Issuer {
    entropy: Entropy,
    valid_for: Duration,
    spacing: Duration,
    block_for: Duration,
    issued: u64,
    current: Option<Token>,
    asked_at: Option<Timestamp>,
    blocked_until: Option<Timestamp>,
}

impl Issuer {
    /// The issuer that `config` describes; token texts are drawn from `entropy`.
    pub fn new(config: &Config, entropy: Entropy) -> Issuer {
        Issuer {
            entropy,
            valid_for: config.token_valid_for,
            spacing: config.token_spacing,
            block_for: config.token_block_for,
            issued: 0,
            current: None,
            asked_at: None,
            blocked_until: None,
        }
    }

    /// Answers the customer's request for a token at `now`.
    pub fn request(&mut self, now: Timestamp) -> Grant {
        if let Some(until) = self.blocked_until.filter(|until| now < *until) {
            return Grant::Blocked { until };
        }
        self.blocked_until = None;
        let too_fast = self.asked_at.is_some_and(|asked_at| now.since(asked_at) < self.spacing);
        if too_fast {
            let until = now + self.block_for;
            self.blocked_until = Some(until);
            self.asked_at = None;
            return Grant::Blocked { until };
        }
        self.asked_at = Some(now);
        match &self.current {
            Some(token) if now < token.expires_at => Grant::Same(token.clone()),
            _ => Grant::Issued(self.issue(now)),
        }
    }

    /// Whether `number` is the valid token at `now`.
    pub fn is_valid(&self, number: &str, now: Timestamp) -> bool {
        self.current.as_ref().is_some_and(|token| token.number == number && now < token.expires_at)
    }

    /// Makes the current token invalid at once; the next request gets a new one.
    pub fn revoke(&mut self) {
        self.current = None;
    }

    fn issue(&mut self, now: Timestamp) -> Token {
        let mut rng = self.entropy.fork("token", self.issued).rng();
        self.issued += 1;
        let token = Token { number: uuid_like(rng.random()), expires_at: now + self.valid_for };
        self.current = Some(token.clone());
        token
    }
}

/// Thirty-six characters in the form of a UUID, as customers report of `TOKEN_NUM`(40).
fn uuid_like(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    let [a, b, c, d, e] = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::parse("2026-11-21T10:15:00+09:00").unwrap() + Duration::from_secs(seconds)
    }

    fn issuer() -> Issuer {
        Issuer::new(&Config::default(), Entropy::new(1))
    }

    fn granted(grant: Grant) -> Token {
        match grant {
            Grant::Issued(token) | Grant::Same(token) => token,
            Grant::Blocked { until } => panic!("blocked until {until}"),
        }
    }

    #[test]
    fn a_token_lasts_a_day_and_is_the_same_when_asked_for_again() {
        let mut issuer = issuer();
        let token = granted(issuer.request(at(0)));
        assert_eq!(token.expires_at, at(86_400));
        assert_eq!(issuer.request(at(80_000)), Grant::Same(token.clone()), "expiry unchanged");
        let last = at(86_400) - Duration::from_millis(1);
        assert!(issuer.is_valid(&token.number, last));
        assert!(!issuer.is_valid(&token.number, at(86_400)));
        let next = granted(issuer.request(at(86_400)));
        assert_ne!(next.number, token.number);
        assert_eq!(next.expires_at, at(2 * 86_400));
    }

    #[test]
    fn after_a_revocation_there_is_a_new_token() {
        let mut issuer = issuer();
        let token = granted(issuer.request(at(0)));
        issuer.revoke();
        assert!(!issuer.is_valid(&token.number, at(1)));
        let next = granted(issuer.request(at(2)));
        assert_ne!(next.number, token.number);
        assert!(issuer.is_valid(&next.number, at(2)));
    }

    #[test]
    fn more_than_one_request_a_second_blocks_for_a_minute_to_the_millisecond() {
        let millis = Duration::from_millis;
        let mut issuer = issuer();
        granted(issuer.request(at(0)));
        granted(issuer.request(at(1)));
        let until = at(1) + millis(999 + 60_000);
        assert_eq!(issuer.request(at(1) + millis(999)), Grant::Blocked { until });
        assert_eq!(issuer.request(at(30)), Grant::Blocked { until }, "asking does not extend it");
        assert_eq!(issuer.request(until - millis(1)), Grant::Blocked { until });
        granted(issuer.request(until));
    }

    #[test]
    fn tokens_fit_the_field_and_depend_on_the_seed_alone() {
        let token = granted(issuer().request(at(0)));
        assert_eq!(token.number.len(), 36);
        assert_eq!(granted(issuer().request(at(99))).number, token.number);
        let other = Issuer::new(&Config::default(), Entropy::new(2)).request(at(0));
        assert_ne!(granted(other).number, token.number);
        assert!(!format!("{token:?}").contains(&token.number), "never unmasked");
    }
}
