//! The broker goes down and comes up again.

use super::{Spec, Target};
use crate::fault::{Error, Fault, Field};

pub(super) const SPEC: Spec = Spec::new(
    "broker-restart",
    "the queue: down for `by`; messages are kept, and those not acknowledged are delivered again",
    Target::Queue,
)
.required(&[Field::By])
.optional(&[Field::Processed])
.check(check);

/// A broker that restarts at every operation would never be up.
fn check(fault: &Fault) -> Result<(), Error> {
    let Fault { nth, times, rate, .. } = fault;
    match nth.is_some() || times.is_some() || rate.is_some() {
        true => Ok(()),
        false => Err(Error::Missing { kind: fault.kind, field: Field::Times }),
    }
}
