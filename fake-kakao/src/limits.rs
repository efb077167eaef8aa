//! The token bucket that both of the gateway's limits are.

use std::time::Duration;

use clockwork::Timestamp;

/// A token, in the unit that a microsecond at one token a second brings: the arithmetic is exact.
const TOKEN: u64 = 1_000_000;

/// A bucket that holds one second's worth of tokens and starts full.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: u32,
    level: u64,
    filled_at: Timestamp,
}

impl Bucket {
    /// A full bucket that gains `per_second` tokens a second.
    ///
    /// It is full whenever it is first asked: of what a log tells again, that is before the process
    /// began.
    pub fn full(per_second: u32) -> Bucket {
        let level = u64::from(per_second) * TOKEN;
        Bucket { per_second, level, filled_at: Timestamp::EPOCH }
    }

    /// Takes `tokens`, all or none.
    ///
    /// More than the bucket holds cost a full bucket, or a request larger than the limit could
    /// never be made.
    ///
    /// # Errors
    /// How long until they are there, when they are not; nothing is taken then.
    pub fn take(&mut self, tokens: u32, now: Timestamp) -> Result<(), Duration> {
        self.refill(now);
        let cost = u64::from(tokens.min(self.per_second)) * TOKEN;
        match self.level.checked_sub(cost) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => {
                let missing = cost - self.level;
                Err(Duration::from_micros(missing.div_ceil(u64::from(self.per_second))))
            }
        }
    }

    fn refill(&mut self, now: Timestamp) {
        let rate = u64::from(self.per_second);
        let passed = u64::try_from(now.since(self.filled_at).as_micros()).unwrap_or(u64::MAX);
        let gained = passed.saturating_mul(rate);
        self.level = self.level.saturating_add(gained).min(rate * TOKEN);
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn at(millis: u64) -> Timestamp {
        START + Duration::from_millis(millis)
    }

    #[test]
    fn five_requests_pass_at_once_and_the_sixth_waits_a_fifth_of_a_second() {
        let mut bucket = Bucket::full(5);
        for _ in 0..5 {
            assert_eq!(bucket.take(1, START), Ok(()));
        }
        assert_eq!(bucket.take(1, START), Err(Duration::from_millis(200)));
        assert_eq!(bucket.take(1, at(199)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(1, at(200)), Ok(()), "exact at the edge");
        assert_eq!(bucket.take(1, at(200)), Err(Duration::from_millis(200)));
    }

    #[test]
    fn a_request_costs_its_recipients_and_a_refused_one_costs_nothing() {
        let mut bucket = Bucket::full(200);
        assert_eq!(bucket.take(150, START), Ok(()));
        assert_eq!(bucket.take(51, START), Err(Duration::from_millis(5)));
        assert_eq!(bucket.take(50, START), Ok(()));
    }

    #[test]
    fn a_request_larger_than_the_bucket_costs_a_full_one() {
        let mut bucket = Bucket::full(10);
        assert_eq!(bucket.take(11, START), Ok(()));
        assert_eq!(bucket.take(11, at(999)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(11, at(1_000)), Ok(()));
    }

    #[test]
    fn an_idle_bucket_holds_no_more_than_a_second() {
        let mut bucket = Bucket::full(5);
        assert_eq!(bucket.take(5, at(3_600_000)), Ok(()));
        assert!(bucket.take(1, at(3_600_000)).is_err());
    }
}
