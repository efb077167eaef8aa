//! Repeating a use case whose answer was "busy" or was lost.

use std::future::Future;
use std::time::Duration;

use clockwork::Clock;

use super::Result;

/// The wait after the first try; doubled after each.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// How often a use case is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// For whoever waits for an answer: five times, with 750 ms of waits between.
    Short,
    /// For an outcome that must not be lost: eight times, with six seconds of waits between; well
    /// within a lease.
    Long,
}

/// Asks until the answer is final, or patience is at its end. All use cases can be repeated.
///
/// # Errors
/// The last answer, when it cannot be retried or was retried often enough.
pub async fn patiently<T, F>(
    clock: &dyn Clock,
    patience: Patience,
    ask: impl Fn() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let tries = match patience {
        Patience::Short => 5,
        Patience::Long => 8,
    };
    let mut wait = FIRST_WAIT;
    for _ in 1..tries {
        match ask().await {
            Err(error) if error.retryable() => tracing::debug!(%error, "asked again"),
            answer => return answer,
        }
        clock.sleep(wait).await;
        wait *= 2;
    }
    ask().await
}
