//! What the generator may do: each power can be taken away, to see what it is worth.

/// What generated plans may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Powers {
    /// Requests take effect, and replies come, after their caller has given up.
    pub late_delivery: bool,
    /// Nodes die and stand still at any step of theirs, and the order of tasks is drawn.
    pub scheduling_points: bool,
    /// Nodes die and stand still, and power is cut.
    pub crash: bool,
    /// Each run has a few faults of widely different weights; without it each has all faults, at
    /// the same few per cent.
    pub swarm: bool,
    /// The message broker fails too: for strategies that have one.
    pub queue: bool,
}

impl Default for Powers {
    fn default() -> Powers {
        Powers {
            late_delivery: true,
            scheduling_points: true,
            crash: true,
            swarm: true,
            queue: false,
        }
    }
}
