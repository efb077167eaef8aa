//! A process sleeps, and does not know it.

use super::{Spec, Target};
use crate::fault::{Error, Fault, Field};
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec = Spec::new(
    "stall",
    "a process stands still for `by`, at its `point`, `from` a moment or at a call (`when`)",
    Target::Node,
)
.required(&[Field::By])
.optional(&[Field::Node, Field::Point, Field::When])
.check(check)
.script(|fault| Script { signal: fault.when, ..Script::processed(Reply::Own) });

fn check(fault: &Fault) -> Result<(), Error> {
    match (fault.point, fault.when, fault.from) {
        (None, None, None) => Err(Error::Missing { kind: fault.kind, field: Field::Point }),
        (Some(_), Some(_), _) => Err(Error::NotTaken { kind: fault.kind, field: Field::Point }),
        _ => Ok(()),
    }
}
