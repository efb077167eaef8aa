//! What the benches measure with: the CPU time of the one thread that a run takes.
//!
//! A wall clock would count whatever else the machine does: the budget is in runs per CPU-second.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What `times` runs of `run` cost, each told its number, from 1: a seed each, as an exploration
/// has it.
///
/// # Panics
/// The operating system has no clock for threads.
pub fn cost(times: u64, mut run: impl FnMut(u64)) -> Duration {
    let begun = cpu_time();
    for number in 1..=times {
        run(number);
    }
    cpu_time() - begun
}

/// What this thread has cost so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(time.expect("a clock for threads"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_and_each_run_is_told_its_number() {
        let mut told = Vec::new();
        let took = cost(3, |number| {
            told.push(number);
            // Enough that no clock is too coarse to see it.
            std::hint::black_box((0..1_000_000_u64).fold(number, |sum, n| sum ^ (n * sum)));
        });
        assert_eq!(told, [1, 2, 3]);
        assert!(!took.is_zero());
    }
}
