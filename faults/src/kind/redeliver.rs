//! At least once: the same message, twice.

use super::{Spec, Target};
use crate::fault::Field;

pub(super) const SPEC: Spec = Spec::new(
    "redeliver",
    "the queue: the message is delivered once more, at once or `by` later, even if acknowledged",
    Target::Queue,
)
.at("deliver")
.optional(&[Field::By]);
