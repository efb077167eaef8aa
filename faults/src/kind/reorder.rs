//! Later messages overtake an earlier one.

use super::{Spec, Target};
use crate::fault::Field;

pub(super) const SPEC: Spec = Spec::new(
    "reorder",
    "the queue: the message is held back for `by`, and whatever is published meanwhile overtakes it",
    Target::Queue,
)
.at("deliver")
.required(&[Field::By]);
