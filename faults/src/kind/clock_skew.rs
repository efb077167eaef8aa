//! A process has the wrong time: always, or from one moment until another.

use super::{Spec, Target};
use crate::fault::Field;

pub(super) const SPEC: Spec =
    Spec::new("clock-skew", "a process's clock is ahead of all others by `by`", Target::Node)
        .required(&[Field::By])
        .optional(&[Field::Node]);
