//! A power cut at every operation of the disk: each write, truncation, sync and deletion.

use faults::{Fault, Kind};

use crate::plan::{Plan, Site};
use crate::sim::{self, Run};

/// How many operations the disk makes in a run of `plan`, up to the final reads. Up to its power
/// cut a schedule is that run, so every one of these operations can be met.
///
/// # Errors
/// [`sim::Error`].
pub fn io_operations(plan: &Plan) -> Result<u64, sim::Error> {
    // Never reached: it only puts the database on a disk.
    let plan = with_cut(plan, u64::MAX);
    let (_, places) = sim::survey(&Run::of(&plan))?;
    Ok(places.disk_operations)
}

/// The power goes at this operation, counted from 1.
pub fn cut_at(operation: u64) -> Fault {
    let on = Some(Site::Store.as_str().to_owned());
    Fault { on, point: Some(operation), ..Fault::new(Kind::PowerCut) }
}

/// One plan for each operation of the disk, in their order: `plan`, and the power goes there.
///
/// # Errors
/// [`sim::Error`], when the operations cannot be counted.
pub fn schedules(plan: &Plan) -> Result<impl Iterator<Item = Plan>, sim::Error> {
    let operations = io_operations(plan)?;
    Ok((1..=operations).map(move |operation| with_cut(plan, operation)))
}

fn with_cut(plan: &Plan, operation: u64) -> Plan {
    let mut plan = plan.clone();
    plan.faults.push(cut_at(operation));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_schedule_for_each_operation_and_every_cut_happens() {
        let plan = Plan::healthy("power", 1);
        let operations = io_operations(&plan).unwrap();
        assert!(operations > 20, "{operations}");
        let schedules: Vec<Plan> = schedules(&plan).unwrap().collect();
        assert_eq!(schedules.len() as u64, operations);
        for plan in [&schedules[0], &schedules[schedules.len() - 1]] {
            let history = sim::run(&Run::of(plan)).unwrap();
            assert_eq!(history.reads.fired[&Site::Store][0].times, 1, "{:?}", plan.faults);
        }
    }
}
