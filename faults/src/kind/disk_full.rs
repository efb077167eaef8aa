//! The disk of the database is full for a while.

use super::{Spec, Target};
use crate::fault::{Error, Fault, Field};

pub(super) const SPEC: Spec = Spec::new(
    "disk-full",
    "the database's file cannot grow until `until`: what needs room is not written",
    Target::Server,
)
.check(check);

/// Where there is never room again nothing can settle.
fn check(fault: &Fault) -> Result<(), Error> {
    match fault.until {
        Some(_) => Ok(()),
        None => Err(Error::Missing { kind: fault.kind, field: Field::Until }),
    }
}
