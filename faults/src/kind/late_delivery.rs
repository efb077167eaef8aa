//! The request reaches its handler after the caller gave up.

use super::Spec;
use crate::fault::Field;
use crate::script::{Reply, Script};

// The caller gets nothing even if it waits longer than `by`: what a delayed reply looks like is
// `delay-before`, and a plan that says "late" must not turn into that by a long time-out.
pub(super) const SPEC: Spec = Spec::call(
    "late-delivery",
    "the caller never gets an answer; the request is processed `by` late all the same",
    |fault| Script { delay_before: fault.by.unwrap_or_default(), ..Script::processed(Reply::Hang) },
)
.required(&[Field::By]);
