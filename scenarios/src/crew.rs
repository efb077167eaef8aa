//! Many independent pieces of work on a few threads, their results in order.
//!
//! Results are handed over by number, whatever thread was faster: what is made of them does not
//! depend on how many threads there are.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

/// Told from outside, as by Ctrl-C or a clock, that no further work is to be begun. Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct Stop(std::sync::Arc<AtomicBool>);

impl Stop {
    /// No further work is begun from now on.
    pub fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// As many threads as the machine has to give.
pub fn threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Does `work` for the numbers from 0 to `count` on `jobs` threads, and hands each result to `each`
/// in the order of the numbers, until `each` breaks off or `stop` is told. What is under way then
/// is finished and left out.
pub fn run<T: Send>(
    jobs: NonZeroUsize,
    count: u64,
    stop: &Stop,
    work: impl Fn(u64) -> T + Sync,
    mut each: impl FnMut(u64, T) -> ControlFlow<()>,
) {
    let next = AtomicU64::new(0);
    let ended = AtomicBool::new(false);
    let take = || {
        let may = !stop.is_told() && !ended.load(Ordering::Acquire);
        may.then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count)
    };
    // Bounded, so that a thread that is far ahead waits for whoever reads.
    let (sender, results) = mpsc::sync_channel(4 * jobs.get());
    std::thread::scope(|scope| {
        for _ in 0..jobs.get() {
            let (sender, work, take) = (sender.clone(), &work, &take);
            scope.spawn(move || {
                while let Some(number) = take() {
                    if sender.send((number, work(number))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        // Owned here: when the loop ends, senders that wait for room are refused and end.
        let results = results;
        'all: for (number, result) in &results {
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&turn) {
                if each(turn, result).is_break() {
                    ended.store(true, Ordering::Release);
                    break 'all;
                }
                turn += 1;
            }
        }
        drop(results);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let stop = Stop::default();
            run(
                jobs(threads),
                500,
                &stop,
                |number| number * 3,
                |number, result| {
                    assert_eq!(result, number * 3);
                    seen.push(number);
                    ControlFlow::Continue(())
                },
            );
            assert_eq!(seen, (0..500).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn it_ends_where_the_reader_breaks_off() {
        for threads in [1, 3] {
            let mut last = 0;
            run(
                jobs(threads),
                u64::MAX,
                &Stop::default(),
                |number| number,
                |number, _| {
                    last = number;
                    if number == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            );
            assert_eq!(last, 20, "{threads} threads");
        }
    }

    #[test]
    fn nothing_is_begun_once_it_is_told_to_stop() {
        let stop = Stop::default();
        let mut seen = 0;
        run(
            jobs(2),
            u64::MAX,
            &stop,
            |number| number,
            |_, _| {
                seen += 1;
                stop.now();
                ControlFlow::Continue(())
            },
        );
        assert!((1..100).contains(&seen), "{seen}");
    }
}
