//! What the explorer can do, and what is lost when it cannot.

use std::fmt;

use serde::Serialize;

use crate::explore::Powers;

/// Something that generated plans can do, and that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Requests that arrive long after their sender gave up.
    LateDelivery,
    /// Crashes at scheduling points, and orders of tasks drawn by priorities.
    SchedulingPoints,
    /// Machines that die.
    Crash,
    /// A random subset of faults a run, with widely different weights.
    Swarm,
}

impl Power {
    /// All of them.
    pub const ALL: [Power; 4] =
        [Power::LateDelivery, Power::SchedulingPoints, Power::Crash, Power::Swarm];

    /// All powers but this one.
    pub fn taken_away(self) -> Powers {
        let all = Powers::default();
        match self {
            Power::LateDelivery => Powers { late_delivery: false, ..all },
            Power::SchedulingPoints => Powers { scheduling_points: false, ..all },
            Power::Crash => Powers { crash: false, ..all },
            Power::Swarm => Powers { swarm: false, ..all },
        }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Power::LateDelivery => "late delivery",
            Power::SchedulingPoints => "scheduling points",
            Power::Crash => "crash",
            Power::Swarm => "swarm",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_power_is_taken_away_alone() {
        for power in Power::ALL {
            let Powers { late_delivery, scheduling_points, crash, swarm, .. } = power.taken_away();
            let left = [late_delivery, scheduling_points, crash, swarm];
            let expected = Power::ALL.map(|other| other != power);
            assert_eq!(left, expected, "without {power}");
        }
    }
}
