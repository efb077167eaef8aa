//! Nobody is there at all.

use super::{Spec, Target};

pub(super) const SPEC: Spec = Spec::new(
    "connect-timeout",
    "the connection never comes about: nothing was sent",
    Target::Connection,
);
