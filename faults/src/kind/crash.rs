//! A process dies.

use super::{Spec, Target};
use crate::fault::{Error, Fault, Field, When};
use crate::script::{Reply, Script};

pub(super) const SPEC: Spec = Spec::new(
    "crash",
    "a process is killed: at its `point`, at any with a `rate`, `from` a moment or at a call (`when`)",
    Target::Node,
)
.optional(&[Field::Node, Field::Point, Field::When])
.check(check)
.script(|fault| Script {
    process: fault.when == Some(When::After),
    signal: fault.when,
    // The caller is dead: whatever were answered would reach its successor's sockets at best.
    ..Script::unprocessed(Reply::Hang)
});

fn check(fault: &Fault) -> Result<(), Error> {
    let not_taken = |field| Err(Error::NotTaken { kind: fault.kind, field });
    match (fault.point, fault.rate, fault.when) {
        (None, None, None) if fault.from.is_none() => {
            Err(Error::Missing { kind: fault.kind, field: Field::Point })
        }
        (Some(_), _, Some(_)) => not_taken(Field::Point),
        (Some(_), Some(_), None) => not_taken(Field::Rate),
        _ => Ok(()),
    }
}
