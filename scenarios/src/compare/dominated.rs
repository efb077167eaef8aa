//! Which strategies nobody has a reason to choose.

use super::{Row, Sums};
use crate::promises;

/// Marks each row for which another one is nowhere worse and somewhere better: in the share of
/// runs that broke each promise, in the time to settle, in connections held over calls, in calls.
pub(super) fn mark(rows: &mut [Row]) {
    let marks: Vec<Vec<&'static str>> = rows
        .iter()
        .map(|row| {
            let better = rows.iter().filter(|other| dominates(&other.all, &row.all));
            better.map(|other| other.strategy.name).collect()
        })
        .collect();
    for (row, dominated_by) in rows.iter_mut().zip(marks) {
        row.dominated_by = dominated_by;
    }
}

fn dominates(one: &Sums, other: &Sums) -> bool {
    let (one, other) = (badness(one), badness(other));
    let nowhere_worse = one.iter().zip(&other).all(|(one, other)| one <= other);
    nowhere_worse && one != other
}

/// Everything of which less is better.
fn badness(sums: &Sums) -> Vec<f64> {
    let seconds =
        |within: f64| sums.settled_within(within).map_or(f64::INFINITY, |d| d.as_secs_f64());
    let shares = promises::ALL.iter().map(|promise| sums.share(promise.id));
    let costs = [
        seconds(0.5),
        seconds(0.99),
        sums.unsettled(),
        sums.held_per_order().as_secs_f64(),
        sums.calls_per_order(),
    ];
    shares.chain(costs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Measure;
    use crate::testing::Builder;
    use crate::verdict;

    fn sums(builder: Builder) -> Sums {
        let evidence = builder.evidence();
        let mut sums = Sums::default();
        sums.add(&Measure::of(&evidence, &verdict::judge(&evidence)));
        sums
    }

    #[test]
    fn who_breaks_more_at_the_same_cost_is_dominated_and_equals_are_not() {
        let clean = sums(Builder::clean(2));
        let worse = sums(Builder::clean(2).booking("ORD-1-1", "650000000099", 400));
        assert!(dominates(&clean, &worse));
        assert!(!dominates(&worse, &clean) && !dominates(&clean, &clean));
    }

    #[test]
    fn who_breaks_more_but_calls_less_is_not() {
        let calls =
            Builder::clean(2).call(0, 99, "RegBook", "ORD-1/1", 500, 510, "done", Some(200));
        let clean = sums(calls);
        let worse = sums(Builder::clean(2).booking("ORD-1-1", "650000000099", 400));
        assert!(!dominates(&clean, &worse));
    }
}
