//! What time it is, and how to wait for another.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use crate::{Timestamp, TimestampError};

/// A boxed future, as the seams return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The only source of time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Waits until `moment`; at once when it has passed.
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()>;

    /// Waits for `duration`, as this clock counts it.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now() + duration)
    }
}

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("deadline passed")]
pub struct Elapsed;

/// `work`, or [`Elapsed`] when it is not done after `duration`.
///
/// # Errors
/// [`Elapsed`]; `work` is dropped then.
pub async fn timeout<T>(
    clock: &dyn Clock,
    duration: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    // Made when it is first waited for: most work is done at once, and needs no timer.
    let late = async { clock.sleep(duration).await };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = late => Err(Elapsed),
    }
}

/// The clock of a drill: tokio's, shifted to a date and run at a factor.
///
/// Under tokio's paused time it is virtual and exact. On real time it runs `factor` times as fast
/// as the wall, so every duration, window and date is scaled alike. Processes started with the
/// same [`ClockSpec`] that names its real moment agree on the time.
#[derive(Debug, Clone)]
pub struct DrillClock {
    origin: tokio::time::Instant,
    epoch: Timestamp,
    factor: f64,
}

impl DrillClock {
    /// A clock that reads `epoch` now and runs at tokio's own pace.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn starting_at(epoch: Timestamp) -> DrillClock {
        DrillClock { origin: tokio::time::Instant::now(), epoch, factor: 1.0 }
    }

    /// The clock that `spec` describes; without one, the wall's.
    pub fn from_spec(spec: Option<&ClockSpec>) -> DrillClock {
        let wall = wall_clock();
        let Some(spec) = spec else { return DrillClock::starting_at(wall) };
        let passed = wall.since(spec.real.unwrap_or(wall));
        let mut clock = DrillClock::starting_at(spec.epoch + passed.mul_f64(spec.factor));
        clock.factor = spec.factor;
        clock
    }
}

/// The wall's time: only for a process's start, and for what is shown of real durations.
#[expect(clippy::disallowed_methods, reason = "the one edge where real time enters")]
fn wall_clock() -> Timestamp {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::EPOCH + passed.unwrap_or_default()
}

impl Clock for DrillClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let passed = tokio::time::Instant::now() - self.origin;
        if self.factor == 1.0 {
            return self.epoch + passed;
        }
        self.epoch + passed.mul_f64(self.factor)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        let mut from_origin = moment.since(self.epoch);
        if self.factor != 1.0 {
            from_origin = from_origin.div_f64(self.factor);
        }
        Box::pin(tokio::time::sleep_until(self.origin + from_origin))
    }
}

/// The value of `--clock`: `EPOCH[@REAL]×FACTOR` (an `x` serves as well).
///
/// `EPOCH` is the drill's date at the real moment `REAL` (default: the process's start); from then
/// on `FACTOR` drill seconds pass in a real second.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockSpec {
    /// The drill's date at `real`.
    pub epoch: Timestamp,
    /// The real moment that `epoch` stands for.
    pub real: Option<Timestamp>,
    /// Drill seconds in a real second.
    pub factor: f64,
}

/// A text that is no [`ClockSpec`].
#[derive(Debug, thiserror::Error)]
pub enum ClockSpecError {
    /// No factor, or none that can be used.
    #[error("`{0}`: expected EPOCH[@REAL]xFACTOR with a factor from 0.001 to 10000")]
    Factor(String),
    /// A date that is none.
    #[error("clock date")]
    Date(#[source] TimestampError),
}

impl FromStr for ClockSpec {
    type Err = ClockSpecError;

    fn from_str(text: &str) -> Result<ClockSpec, ClockSpecError> {
        let unusable = || ClockSpecError::Factor(text.to_owned());
        let (dates, factor) =
            text.rsplit_once('×').or_else(|| text.rsplit_once('x')).ok_or_else(unusable)?;
        let factor: f64 = factor.parse().map_err(|_| unusable())?;
        if !(0.001..=10_000.0).contains(&factor) {
            return Err(unusable());
        }
        let (epoch, real) = match dates.split_once('@') {
            Some((epoch, real)) => (epoch, Some(real)),
            None => (dates, None),
        };
        let real = real.map(Timestamp::parse).transpose().map_err(ClockSpecError::Date)?;
        let epoch = Timestamp::parse(epoch).map_err(ClockSpecError::Date)?;
        Ok(ClockSpec { epoch, real, factor })
    }
}

impl fmt::Display for ClockSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.epoch)?;
        if let Some(real) = self.real {
            write!(f, "@{real}")?;
        }
        write!(f, "x{}", self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_is_exact() {
        let start = Timestamp::parse("2026-11-21T23:59:50+09:00").unwrap();
        let clock = DrillClock::starting_at(start);
        clock.sleep(Duration::from_millis(10_001)).await;
        assert_eq!(clock.now(), start + Duration::from_millis(10_001));
        clock.sleep_until(start).await;
        assert_eq!(clock.now(), start + Duration::from_millis(10_001), "the past is no wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_fires_at_its_deadline_and_not_before() {
        let clock = DrillClock::starting_at(Timestamp::EPOCH);
        let second = Duration::from_secs(1);
        assert_eq!(timeout(&clock, second, clock.sleep(second)).await, Ok(()), "work wins a tie");
        let slow = clock.sleep(second * 2);
        assert_eq!(timeout(&clock, second, slow).await, Err(Elapsed));
        assert_eq!(clock.now(), Timestamp::EPOCH + second * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_factor_scales_now_and_sleep_alike() {
        let mut clock = DrillClock::starting_at(Timestamp::EPOCH);
        clock.factor = 20.0;
        let real = DrillClock::starting_at(Timestamp::EPOCH);
        clock.sleep(Duration::from_secs(20)).await;
        assert_eq!(real.now(), Timestamp::EPOCH + Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::EPOCH + Duration::from_secs(20));
    }

    #[test]
    fn a_clock_spec_survives_a_round_trip_and_nonsense_is_refused() {
        let text = "2026-11-21T23:59:50.000+09:00@2026-11-22T08:00:00.125+09:00x20";
        let spec: ClockSpec = text.parse().unwrap();
        assert_eq!(spec.to_string(), text);
        assert!("2026-11-21T23:59:50+09:00×5".parse::<ClockSpec>().is_ok());
        for nonsense in ["", "x", "2026x2", "2026-11-21T23:59:50+09:00x0", "now"] {
            assert!(nonsense.parse::<ClockSpec>().is_err(), "{nonsense}");
        }
    }
}
