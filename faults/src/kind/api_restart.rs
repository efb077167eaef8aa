//! The server of an API goes down and comes up again.

use super::{Spec, Target};
use crate::fault::Field;

/// What it has accepted it keeps. What it may forget is what it knows of repeats, and its tokens: a
/// repeat is then taken for new.
pub(super) const SPEC: Spec = Spec::new(
    "api-restart",
    "the API's server is killed and started again `by` later; with `forgets` it no longer knows repeats",
    Target::Server,
)
.required(&[Field::By])
.optional(&[Field::Forgets]);
