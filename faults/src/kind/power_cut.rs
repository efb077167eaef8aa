//! The power of the machine with the database goes.

use super::{Spec, Target};
use crate::fault::{Error, Fault, Field};

/// Every process runs on that machine: all of them die, and boot when the power is back. A killed
/// process loses nothing that it wrote, for the operating system keeps it; a power cut loses what
/// was not synced to the disk.
///
/// The power goes at the disk's operation number `point` (a write, truncation, sync or deletion), or
/// as a use case of the store has been committed and not yet answered. Without `rate` it goes once.
pub(super) const SPEC: Spec = Spec::new(
    "power-cut",
    "all processes die, and the disk loses what was not synced: at its operation `point`, \
     or after a use case",
    Target::Store,
)
.optional(&[Field::Point])
.check(check);

fn check(fault: &Fault) -> Result<(), Error> {
    let mut triggers = fault.given().into_iter().filter(|field| field.is_trigger());
    match (fault.point, triggers.next()) {
        (None, None) => Err(Error::Missing { kind: fault.kind, field: Field::Point }),
        (Some(_), Some(field)) => Err(Error::NotTaken { kind: fault.kind, field }),
        _ => Ok(()),
    }
}
