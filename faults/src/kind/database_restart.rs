//! The database's server goes down and comes up again.

use super::{Spec, Target};
use crate::fault::Field;

pub(super) const SPEC: Spec = Spec::new(
    "database-restart",
    "the database's server is ended as `mode` says, and started again `by` later",
    Target::Server,
)
.required(&[Field::By, Field::Mode]);
